//! The tasks in a database: PostgreSQL or SQLite, through the same statements.

mod error;
pub mod pool;
mod startup;
mod together;
mod url;

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::{PgConnection, Row, SqliteConnection};
use tokio::sync::Semaphore;

pub use self::error::StoreError;
pub use self::pool::PoolStatus;
pub use self::startup::{ConnectError, StoreOptions};
pub use self::url::DatabaseUrl;

use self::pool::Pool;
use self::together::{Door, Together};
use crate::page::{Page, PageRequest, RenderedPage};
use crate::telemetry::{DatabaseTelemetry, Operation};

// The cast takes up an earlier service's table, whose ids may be 32 bits wide.
pub const SELECT_PAGE: &str = "SELECT CAST(id AS BIGINT), task FROM tasks WHERE id > $1 ORDER BY id LIMIT $2";
pub const INSERT: &str = "INSERT INTO tasks (task) VALUES ($1) RETURNING CAST(id AS BIGINT)";
const UPDATE: &str = "UPDATE tasks SET task = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM tasks WHERE id = $1";
const PROBE: &str = "SELECT 1 FROM tasks LIMIT 1";

#[derive(Debug)]
pub struct Store {
    pool: DriverPool,
    deadline: Duration,
    telemetry: DatabaseTelemetry,
    readers: Together<Result<RenderedPage, StoreError>>,
    /// How many statements may read the first page at once.
    turns: Semaphore,
}

#[derive(Debug)]
enum DriverPool {
    Postgres(Pool<PgConnection>),
    Sqlite(Pool<SqliteConnection>),
}

/// Runs `$work` with a connection of whichever driver is in use: the statements are the same,
/// only the types that sqlx gives them differ. All of it within the store's deadline, counted and timed.
macro_rules! with_connection {
    ($store:expr, $operation:expr, $connection:ident => $work:expr) => {{
        let started = Instant::now();
        let result = tokio::time::timeout($store.deadline, async {
            match &$store.pool {
                DriverPool::Postgres(pool) => with_connection!(@driver pool, $connection => $work),
                DriverPool::Sqlite(pool) => with_connection!(@driver pool, $connection => $work),
            }
        })
        .await
        .unwrap_or(Err(StoreError::TimedOut($store.deadline)));
        $store.telemetry.record($operation, started.elapsed(), result.is_err());
        result
    }};
    (@driver $pool:ident, $connection:ident => $work:expr) => {{
        let mut lease = $pool.acquire().await?;
        let $connection = lease.connection();
        let result = async { $work }.await;
        $pool.give_back(lease, result)
    }};
}

impl DriverPool {
    fn status(&self) -> PoolStatus {
        match self {
            Self::Postgres(pool) => pool.status(),
            Self::Sqlite(pool) => pool.status(),
        }
    }
}

impl Store {
    /// One page of tasks, oldest first. The first page is what nearly everybody reads: where many want it, they wait
    /// together, and leave half of the connections to others.
    pub async fn page(&'static self, request: PageRequest) -> Result<RenderedPage, StoreError> {
        if request != PageRequest::default() {
            return self.read_page(request, None).await;
        }
        if let Ok(_turn) = self.turns.try_acquire() {
            return self.read_page(request, None).await;
        }
        let started = Instant::now();
        let read = |door| async move {
            let in_turn = async {
                let _turn = self.turns.acquire().await;
                self.read_page(request, Some(door)).await
            };
            // It begins with the first who waits, so that nobody waits longer.
            tokio::time::timeout(self.deadline, in_turn)
                .await
                .unwrap_or(Err(StoreError::TimedOut(self.deadline)))
        };
        let page = self.readers.join(read).await;
        // The statement is counted where it runs; each request has a span of its own.
        self.telemetry
            .trace(Operation::List, started.elapsed(), page.is_err());
        page
    }

    async fn read_page(
        &self,
        request: PageRequest,
        door: Option<Door<Result<RenderedPage, StoreError>>>,
    ) -> Result<RenderedPage, StoreError> {
        with_connection!(self, Operation::List, connection => {
            // Whoever comes from now on may have written what this statement does not see.
            drop(door);
            let mut page = Page::new(request);
            let mut rows = sqlx::query(SELECT_PAGE)
                .bind(request.after)
                .bind(page.rows_wanted())
                .fetch(connection);
            while let Some(row) = rows.try_next().await? {
                if page.is_empty() {
                    page.push(row.try_get(0)?, row.try_get(1)?);
                } else {
                    // Of the types that the first row was found to have.
                    page.push(row.try_get_unchecked(0)?, row.try_get_unchecked(1)?);
                }
            }
            Ok(page.finish())
        })
    }

    /// Adds a task and says under which id.
    pub async fn add(&self, task: &str) -> Result<i64, StoreError> {
        with_connection!(self, Operation::Add, connection => {
            sqlx::query_scalar(INSERT).bind(task).fetch_one(connection).await
        })
    }

    /// Says whether there is such a task.
    pub async fn update(&self, id: i64, task: &str) -> Result<bool, StoreError> {
        with_connection!(self, Operation::Update, connection => {
            let done = sqlx::query(UPDATE).bind(id).bind(task).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Says whether there was such a task.
    pub async fn delete(&self, id: i64) -> Result<bool, StoreError> {
        with_connection!(self, Operation::Delete, connection => {
            let done = sqlx::query(DELETE).bind(id).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Whether the tasks can be read now.
    pub async fn probe(&self) -> Result<(), StoreError> {
        with_connection!(self, Operation::Probe, connection => {
            sqlx::query(PROBE).execute(connection).await.map(drop)
        })
    }

    pub fn pool_status(&self) -> PoolStatus {
        self.pool.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a request waits on is moved into a box of its handler's, whole: with a connect in it, it had eleven kilobytes.
    #[test]
    fn a_request_carries_little_with_it() {
        fn size<F: Future>(_: impl FnOnce(&'static Store) -> F) -> usize {
            size_of::<F>()
        }
        let page = size(|store| store.page(PageRequest::default()));
        let add = size(|store| store.add("task"));
        assert!(page.max(add) < 2048, "{page} and {add} bytes");
    }
}
