//! The tasks in a database: PostgreSQL or SQLite, through the same statements, one statement a request.

mod connect;
mod error;
mod url;

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use serde::Serialize;
use sqlx::{FromRow, PgPool, SqlitePool};
use tracing::Instrument;

pub use self::connect::{ConnectError, StoreOptions};
pub use self::error::StoreError;
pub use self::url::DatabaseUrl;
use crate::telemetry::DatabaseMetrics;

/// What the database is asked for: a label and a span's name.
pub const OPERATIONS: [&str; 5] = ["list", "add", "update", "delete", "probe"];

/// The most tasks that one answer holds.
pub const MAX_PAGE: u16 = 1000;
/// A page ends early when its tasks have this many bytes, so that no answer takes more than a few MiB, however long the
/// tasks are. The next page begins where it ended.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

// The cast takes up an earlier service's table, whose ids may be 32 bits wide.
const SELECT_PAGE: &str =
    "SELECT CAST(id AS BIGINT) AS id, task FROM tasks WHERE id > $1 ORDER BY id LIMIT $2";
const INSERT: &str = "INSERT INTO tasks (task) VALUES ($1) RETURNING CAST(id AS BIGINT)";
const UPDATE: &str = "UPDATE tasks SET task = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM tasks WHERE id = $1";
const PROBE: &str = "SELECT 1 FROM tasks LIMIT 1";

#[derive(Debug, Serialize, FromRow)]
struct Task {
    id: i64,
    task: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Only tasks with a greater id.
    pub after: i64,
    pub limit: u16,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            after: 0,
            limit: MAX_PAGE,
        }
    }
}

/// A page as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub json: axum::body::Bytes,
    /// The id after which the next page begins, if there is one.
    pub next: Option<i64>,
}

#[derive(Debug)]
pub struct Store {
    pool: Pool,
    deadline: Duration,
    metrics: DatabaseMetrics,
}

#[derive(Debug)]
enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

/// Runs `$work` with the pool of whichever driver is in use: the statements are the same, only the types that sqlx gives
/// them differ.
macro_rules! with_pool {
    ($store:expr, $pool:ident => $work:expr) => {
        match &$store.pool {
            Pool::Postgres($pool) => $work,
            Pool::Sqlite($pool) => $work,
        }
    };
}

impl Store {
    /// One page of tasks, oldest first.
    pub async fn page(&self, request: PageRequest) -> Result<Page, StoreError> {
        // One row more than the page holds: it tells whether there is a next page.
        let rows = i64::from(request.limit) + 1;
        self.measured("list", async {
            with_pool!(self, pool => {
                let rows = sqlx::query_as(SELECT_PAGE).bind(request.after).bind(rows).fetch(pool);
                collect(rows, request.limit).await
            })
        })
        .await
    }

    /// Adds a task and says under which id.
    pub async fn add(&self, task: &str) -> Result<i64, StoreError> {
        self.measured("add", async {
            with_pool!(self, pool => Ok(sqlx::query_scalar(INSERT).bind(task).fetch_one(pool).await?))
        })
        .await
    }

    /// Says whether there is such a task.
    pub async fn update(&self, id: i64, task: &str) -> Result<bool, StoreError> {
        self.measured("update", async {
            with_pool!(self, pool => {
                Ok(sqlx::query(UPDATE).bind(id).bind(task).execute(pool).await?.rows_affected() > 0)
            })
        })
        .await
    }

    /// Says whether there was such a task.
    pub async fn delete(&self, id: i64) -> Result<bool, StoreError> {
        self.measured("delete", async {
            with_pool!(self, pool => Ok(sqlx::query(DELETE).bind(id).execute(pool).await?.rows_affected() > 0))
        })
        .await
    }

    /// Whether the tasks can be read now.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.measured("probe", async {
            with_pool!(self, pool => { sqlx::query(PROBE).execute(pool).await?; });
            Ok(())
        })
        .await
    }

    /// Connections that are open, and those of them that nobody uses now.
    pub fn connections(&self) -> (i64, i64) {
        let (open, idle) = with_pool!(self, pool => (pool.size(), pool.num_idle()));
        let open = i64::from(open);
        (open, i64::try_from(idle).map_or(open, |idle| idle.min(open)))
    }

    /// An operation with its figures and its span, given up at the deadline.
    async fn measured<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let span = tracing::info_span!(
            "database",
            otel.name = operation,
            otel.kind = "client",
            db.collection.name = "tasks"
        );
        let result = tokio::time::timeout(self.deadline, work.instrument(span))
            .await
            .unwrap_or(Err(StoreError::TimedOut(self.deadline)));
        self.metrics.record(operation, started.elapsed(), result.is_err());
        result
    }
}

/// Rows are taken one by one, so that what does not fit the page is never held.
async fn collect(
    mut rows: impl futures::Stream<Item = sqlx::Result<Task>> + Unpin,
    limit: u16,
) -> Result<Page, StoreError> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut bytes = 0;
    let mut next = None;
    while let Some(row) = rows.try_next().await? {
        if tasks.len() == usize::from(limit) || bytes >= MAX_PAGE_BYTES {
            next = tasks.last().map(|task| task.id);
            break;
        }
        bytes += row.task.len();
        tasks.push(row);
    }
    Ok(Page {
        // Numbers and texts always have a JSON form.
        json: serde_json::to_vec(&tasks).unwrap_or_default().into(),
        next,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn page(limit: u16, tasks: &[&str]) -> (String, Option<i64>) {
        let rows = tasks.iter().zip(1..).map(|(task, id)| {
            Ok(Task {
                id,
                task: (*task).to_owned(),
            })
        });
        let page = collect(futures::stream::iter(rows), limit).await.unwrap();
        (String::from_utf8(page.json.to_vec()).unwrap(), page.next)
    }

    #[tokio::test]
    async fn the_row_beyond_the_limit_only_says_that_there_is_more() {
        assert_eq!(page(2, &[]).await, ("[]".to_owned(), None));
        let two = r#"[{"id":1,"task":"a"},{"id":2,"task":"b\n"}]"#.to_owned();
        assert_eq!(page(2, &["a", "b\n"]).await, (two.clone(), None));
        assert_eq!(page(2, &["a", "b\n", "c"]).await, (two, Some(2)));
    }

    #[tokio::test]
    async fn a_page_of_long_tasks_ends_early() {
        let long = "x".repeat(64 * 1024);
        let (json, next) = page(MAX_PAGE, &vec![long.as_str(); 1000]).await;
        assert_eq!(next, Some(16));
        assert!(json.len() < 2 * MAX_PAGE_BYTES);
    }
}
