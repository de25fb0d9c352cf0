//! Listing, adding, updating and deleting tasks.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use tracing::Instrument;

use super::{Problem, TASKS, body, message};
use crate::cache::Lookup;
use crate::observe::AddedTask;
use crate::state::AppState;
use crate::store::{MAX_PAGE, Page, PageRequest, StoreError};

const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

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
    State(state): State<AppState>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let request = query.map_err(|_| Problem::BadPage)?.page()?;
    let page = read_page(&state, request).await?;
    let link = page
        .next
        .map(|after| format!(r#"<{TASKS}?after={after}&limit={}>; rel="next""#, request.limit));
    let link = link.map(|link| [(header::LINK, link)]);
    Ok(([JSON], link, page.json).into_response())
}

/// From the cache if it holds the page. That is the plain list alone: it is what nearly every reader asks for, and no
/// reader can fill the cache with pages that nobody else wants.
async fn read_page(state: &AppState, request: PageRequest) -> Result<Page, Problem> {
    let cache = state.cache.as_ref().filter(|_| request == PageRequest::default());
    let Some(cache) = cache else {
        return Ok(state.store()?.page(request).await?);
    };
    match cache.list().await {
        Lookup::Hit(page) => Ok(page),
        Lookup::Miss(generation) => {
            let page = state.store()?.page(request).await?;
            if let Some(generation) = generation {
                cache.store_in_background(generation, page.clone());
            }
            Ok(page)
        }
    }
}

pub(super) async fn add(State(state): State<AppState>, request: Request<Body>) -> Result<Response, Problem> {
    let task = read_task(&state, request).await?;
    let added = AddedTask(task.clone());
    let store = state.clone();
    let id = write(&state, async move { store.store()?.add(&task).await }).await?;
    let location = [(header::LOCATION, format!("{TASKS}/{id}"))];
    let mut response = (StatusCode::CREATED, location, message("Task added")).into_response();
    response.extensions_mut().insert(added);
    Ok(response)
}

pub(super) async fn update(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
    request: Request<Body>,
) -> Result<Response, Problem> {
    let id = task_id(id)?;
    let task = read_task(&state, request).await?;
    let store = state.clone();
    if write(&state, async move { store.store()?.update(id, &task).await }).await? {
        Ok(message("Task updated"))
    } else {
        Err(Problem::NoSuchTask)
    }
}

pub(super) async fn delete(
    State(state): State<AppState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = task_id(id)?;
    let store = state.clone();
    if write(&state, async move { store.store()?.delete(id).await }).await? {
        Ok(message("Task deleted"))
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

async fn read_task(state: &AppState, request: Request<Body>) -> Result<String, Problem> {
    let body = body::read(request, state.body_timeout).await?;
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

/// Writes to the database and removes what the cache holds. In a task of its own, which goes on when the client hangs up:
/// a write whose outcome nobody knows would leave an old list in the cache.
async fn write<T: Send + 'static>(
    state: &AppState,
    statement: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, Problem> {
    let state = state.clone();
    let written = async move {
        let written = statement.await;
        if let Some(cache) = &state.cache {
            // Also after a failure: a statement that was not answered in time may have been done.
            cache.invalidate().await;
        }
        written
    };
    match tokio::spawn(written.in_current_span()).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Problem::Internal),
    }
}
