//! Listing, adding, updating and deleting tasks.

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
use crate::run::AppState;
use crate::store::{MAX_PAGE, Page, StoreError};

pub(super) const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

/// The id in a path, which may be no text at all.
type Id = Result<Path<String>, PathRejection>;

#[derive(Deserialize)]
pub(super) struct PageQuery {
    #[serde(default)]
    after: i64,
    limit: Option<u64>,
}

pub(super) async fn list(
    State(state): State<AppState>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(PageQuery { after, limit }) = query.map_err(|_| Problem::BadPage)?;
    let limit = match limit.unwrap_or(u64::from(MAX_PAGE)) {
        0 => return Err(Problem::BadPage),
        limit => u16::try_from(limit).unwrap_or(MAX_PAGE).min(MAX_PAGE),
    };
    let page = read_page(&state, after, limit).await?;
    let link = |after| format!(r#"<{TASKS}?after={after}&limit={limit}>; rel="next""#);
    let link = page.next.map(|after| [(header::LINK, link(after))]);
    Ok(([JSON], link, page.json).into_response())
}

/// From the cache if it holds the page. That is the plain list alone: it is what nearly every reader asks for, and no
/// reader can fill the cache with pages that nobody else wants.
async fn read_page(state: &AppState, after: i64, limit: u16) -> Result<Page, Problem> {
    let Some(cache) = state.cache.as_ref().filter(|_| (after, limit) == (0, MAX_PAGE)) else {
        return Ok(state.store()?.page(after, limit).await?);
    };
    match cache.list().await {
        Lookup::Hit(page) => Ok(page),
        Lookup::Miss(generation) => {
            let page = state.store()?.page(after, limit).await?;
            if let Some(generation) = generation {
                cache.store_in_background(generation, page.clone());
            }
            Ok(page)
        }
    }
}

pub(super) async fn add(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
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
    id: Id,
    request: Request,
) -> Result<Response, Problem> {
    let id = task_id(id)?;
    let task = read_task(&state, request).await?;
    let store = state.clone();
    let found = write(&state, async move { store.store()?.update(id, &task).await }).await?;
    found.then(|| message("Task updated")).ok_or(Problem::NoSuchTask)
}

pub(super) async fn delete(State(state): State<AppState>, id: Id) -> Result<Response, Problem> {
    let id = task_id(id)?;
    let store = state.clone();
    let found = write(&state, async move { store.store()?.delete(id).await }).await?;
    found.then(|| message("Task deleted")).ok_or(Problem::NoSuchTask)
}

/// An id is all digits; whatever else a path holds is no task.
fn task_id(id: Id) -> Result<i64, Problem> {
    id.ok()
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|id| id.parse().ok())
        .ok_or(Problem::NoSuchTask)
}

async fn read_task(state: &AppState, request: Request) -> Result<String, Problem> {
    let body = body::read(request, state.body_timeout).await?;
    let body: Value = serde_json::from_slice(&body).map_err(Problem::NotJson)?;
    match body.get("task").and_then(Value::as_str) {
        None | Some("") => Err(Problem::NoTask),
        Some(task) if task.contains('\0') => Err(Problem::NulCharacter),
        Some(task) => Ok(task.to_owned()),
    }
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
    let written = tokio::spawn(written.in_current_span()).await;
    Ok(written.map_err(|_| Problem::Internal)??)
}
