//! The tasks: list, add, update, delete.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{json, message};
use super::{Problem, TASKS, body};
use crate::cache::Lookup;
use crate::page::{MAX_PAGE, PageRequest, RenderedPage};
use crate::service::Service;
use crate::store::StoreError;
use crate::to_the_end::ToTheEnd;

#[derive(Debug, Deserialize)]
pub(super) struct PageQuery {
    #[serde(default)]
    after: i64,
    limit: Option<u64>,
}

impl PageQuery {
    fn page(&self) -> Result<PageRequest, Problem> {
        let limit = match self.limit {
            None => MAX_PAGE,
            Some(0) => return Err(Problem::BadPage),
            Some(limit) => u16::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE),
        };
        Ok(PageRequest {
            after: self.after,
            limit,
        })
    }
}

pub(super) async fn list(
    State(service): State<&'static Service>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let request = query.map_err(|_| Problem::BadPage)?.page()?;
    let page = read_page(service, request).await?;
    let mut response = json(StatusCode::OK, page.json);
    if let Some(after) = page.next {
        let link = format!(r#"<{TASKS}?after={after}&limit={}>; rel="next""#, request.limit);
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// From the cache if it holds the page. That is the plain list alone: it is what nearly every reader
/// asks for, and no reader can fill the cache with pages that nobody else wants.
async fn read_page(service: &'static Service, request: PageRequest) -> Result<RenderedPage, Problem> {
    let cache = service
        .cache
        .as_ref()
        .filter(|_| request == PageRequest::default());
    let Some(cache) = cache else {
        return Ok(service.store()?.page(request).await?);
    };
    match cache.list().await {
        Lookup::Hit(page) => Ok(page),
        Lookup::Miss(right) => {
            let page = service.store()?.page(request).await?;
            if let Some(right) = right {
                let page = page.clone();
                // The reader need not wait for it.
                tokio::spawn(async move { cache.leave(right, &page).await });
            }
            Ok(page)
        }
    }
}

pub(super) async fn add(
    State(service): State<&'static Service>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let task = read_task(service, request).await?;
    let id = write(service, async move { service.store()?.add(task).await }).await?;
    let mut response = message(StatusCode::CREATED, "Task added");
    if let Ok(location) = HeaderValue::try_from(format!("{TASKS}/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn update(
    State(service): State<&'static Service>,
    id: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let id = task_id(id)?;
    let task = read_task(service, request).await?;
    let found = write(service, async move { service.store()?.update(id, &task).await }).await?;
    if found {
        Ok(message(StatusCode::OK, "Task updated"))
    } else {
        Err(Problem::NoSuchTask)
    }
}

pub(super) async fn delete(
    State(service): State<&'static Service>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = task_id(id)?;
    let found = write(service, async move { service.store()?.delete(id).await }).await?;
    if found {
        Ok(message(StatusCode::OK, "Task deleted"))
    } else {
        Err(Problem::NoSuchTask)
    }
}

/// An id is all digits; whatever else a path holds is no task.
fn task_id(id: Result<Path<String>, PathRejection>) -> Result<i64, Problem> {
    let Path(id) = id.map_err(|_| Problem::NoSuchTask)?;
    if id.bytes().all(|byte| byte.is_ascii_digit()) {
        id.parse().map_err(|_| Problem::NoSuchTask)
    } else {
        Err(Problem::NoSuchTask)
    }
}

async fn read_task(service: &Service, request: Request<Body>) -> Result<String, Problem> {
    let body = body::read(request, service.body_timeout).await?;
    let body: Value = serde_json::from_slice(&body).map_err(Problem::NotJson)?;
    let task = body
        .get("task")
        .and_then(Value::as_str)
        .filter(|task| !task.is_empty())
        .ok_or(Problem::NoTask)?;
    if task.contains('\0') {
        return Err(Problem::NulCharacter);
    }
    Ok(task.to_owned())
}

/// Writes to the database and removes what the cache holds; to the end, also when the client hangs up meanwhile.
async fn write<T: Send + 'static>(
    service: &'static Service,
    statement: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Problem> {
    let written = ToTheEnd::new(async move {
        let written = statement.await;
        if let Some(cache) = &service.cache {
            // Also after a failure: a statement that was not answered in time may have been done.
            cache.invalidate().await;
        }
        written
    });
    Ok(written.await?)
}
