//! The tasks in a database: PostgreSQL or SQLite, through the same statements, one statement a request.

mod connect;
mod error;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures::{Stream, TryStreamExt};
use serde::Serialize;
use sqlx::{FromRow, PgPool, SqlitePool};
use tracing::Instrument;

pub(crate) use self::connect::DatabaseUrl;
pub(crate) use self::error::StoreError;
use crate::telemetry::Metrics;

/// What the database is asked for: a label and a span's name.
pub(crate) const OPERATIONS: [&str; 5] = ["list", "add", "update", "delete", "probe"];

/// The most tasks that one answer holds.
pub(crate) const MAX_PAGE: u16 = 1000;
/// A page ends early when its tasks have this many bytes, so that no answer takes more than a few MiB, however long the
/// tasks are. The next page begins where it ended.
const MAX_PAGE_BYTES: usize = 1024 * 1024;

// The cast takes up an earlier service's table, whose ids may be 32 bits wide.
const LIST: &str = "SELECT CAST(id AS BIGINT) AS id, task FROM tasks WHERE id > $1 ORDER BY id LIMIT $2";
const INSERT: &str = "INSERT INTO tasks (task) VALUES ($1) RETURNING CAST(id AS BIGINT)";
const UPDATE: &str = "UPDATE tasks SET task = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM tasks WHERE id = $1";
const PROBE: &str = "SELECT 1 FROM tasks LIMIT 1";

#[derive(Serialize, FromRow)]
struct Task {
    id: i64,
    task: String,
}

/// A page as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    pub(crate) json: Bytes,
    /// The id after which the next page begins, if there is one.
    pub(crate) next: Option<i64>,
}

pub(crate) struct Store {
    pool: Pool,
    deadline: Duration,
    metrics: Arc<Metrics>,
}

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
    /// A page of the tasks with greater ids than `after`, oldest first.
    pub(crate) async fn page(&self, after: i64, limit: u16) -> Result<Page, StoreError> {
        // One row more than the page holds: it shows whether there is a next page.
        let rows = i64::from(limit) + 1;
        let list = async {
            with_pool!(self, pool => {
                let rows = sqlx::query_as(LIST).bind(after).bind(rows).fetch(pool);
                collect(rows, limit).await
            })
        };
        self.measured("list", list).await
    }

    /// Adds a task and says under which id.
    pub(crate) async fn add(&self, task: &str) -> Result<i64, StoreError> {
        let add =
            async { with_pool!(self, pool => sqlx::query_scalar(INSERT).bind(task).fetch_one(pool).await) };
        self.measured("add", add).await
    }

    /// Says whether there is such a task.
    pub(crate) async fn update(&self, id: i64, task: &str) -> Result<bool, StoreError> {
        let update = async {
            with_pool!(self, pool => {
                let done = sqlx::query(UPDATE).bind(id).bind(task).execute(pool).await?;
                Ok(done.rows_affected() > 0)
            })
        };
        self.measured("update", update).await
    }

    /// Says whether there was such a task.
    pub(crate) async fn delete(&self, id: i64) -> Result<bool, StoreError> {
        let delete = async {
            with_pool!(self, pool => {
                let done = sqlx::query(DELETE).bind(id).execute(pool).await?;
                Ok(done.rows_affected() > 0)
            })
        };
        self.measured("delete", delete).await
    }

    /// Whether the tasks can be read now.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let probe = async { with_pool!(self, pool => sqlx::query(PROBE).execute(pool).await.map(drop)) };
        self.measured("probe", probe).await
    }

    /// Connections that are open, and those of them that nobody uses now.
    pub(crate) fn connections(&self) -> (f64, f64) {
        with_pool!(self, pool => (f64::from(pool.size()), pool.num_idle() as f64))
    }

    /// An operation with its figures and its span, given up at the deadline.
    async fn measured<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = sqlx::Result<T>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let span = tracing::info_span!(
            "database",
            otel.name = operation,
            otel.kind = "client",
            db.collection.name = "tasks"
        );
        let result = match tokio::time::timeout(self.deadline, work.instrument(span)).await {
            Ok(result) => result.map_err(StoreError::from),
            Err(_) => Err(StoreError::Unavailable(format!(
                "no answer within {:?}",
                self.deadline
            ))),
        };
        self.metrics
            .record_operation(operation, started.elapsed(), result.is_err());
        result
    }
}

/// Rows are taken one by one, so that what does not fit the page is never held.
async fn collect(mut rows: impl Stream<Item = sqlx::Result<Task>> + Unpin, limit: u16) -> sqlx::Result<Page> {
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
            let task = (*task).to_owned();
            Ok(Task { id, task })
        });
        let page = collect(futures::stream::iter(rows), limit).await.unwrap();
        (String::from_utf8(page.json.to_vec()).unwrap(), page.next)
    }

    #[tokio::test]
    async fn a_page_ends_at_its_limit_or_when_it_is_large() {
        assert_eq!(page(2, &[]).await, ("[]".to_owned(), None));
        let two = r#"[{"id":1,"task":"a"},{"id":2,"task":"b\n"}]"#.to_owned();
        assert_eq!(page(2, &["a", "b\n"]).await, (two.clone(), None));
        assert_eq!(page(2, &["a", "b\n", "c"]).await, (two, Some(2)));
        let long = "x".repeat(64 * 1024);
        let (json, next) = page(MAX_PAGE, &vec![long.as_str(); 1000]).await;
        assert_eq!(next, Some(16));
        assert!(json.len() < 2 * MAX_PAGE_BYTES);
    }
}
