//! The tasks in a database: PostgreSQL or SQLite, through the same statements.

mod error;
mod insert;
pub mod pool;
mod startup;
mod url;

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::{PgConnection, Row, SqliteConnection};
use tokio::time::Instant;

pub use self::error::StoreError;
pub use self::insert::INSERT;
pub use self::pool::PoolStatus;
pub use self::startup::{ConnectError, StoreOptions};
pub use self::url::DatabaseUrl;

use self::insert::{MAX_ROWS, ids_of, insert_several};
use self::pool::Pool;
use crate::page::{Page, PageRequest, RenderedPage};
use crate::telemetry::{DatabaseTelemetry, Operation};
use crate::together::{Door, Together};

// The cast takes up an earlier service's table, whose ids may be 32 bits wide.
pub const SELECT_PAGE: &str = "SELECT CAST(id AS BIGINT), task FROM tasks WHERE id > $1 ORDER BY id LIMIT $2";
pub const UPDATE: &str = "UPDATE tasks SET task = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM tasks WHERE id = $1";
const PROBE: &str = "SELECT 1 FROM tasks LIMIT 1";

#[derive(Debug)]
pub struct Store {
    pool: DriverPool,
    deadline: Duration,
    telemetry: DatabaseTelemetry,
    reading: Reading,
    adding: Adding,
}

/// Of the first page.
type Reading = Together<(), Result<RenderedPage, StoreError>>;

/// Of tasks, each of which has a result.
type Adding = Together<String, Arc<[Result<i64, StoreError>]>>;

#[derive(Debug)]
enum DriverPool {
    Postgres(Pool<PgConnection>),
    Sqlite(Pool<SqliteConnection>),
}

/// Runs `$work` with a connection of whichever driver is in use: the statements are the same,
/// only the types that sqlx gives them differ. It ends at `$end` at the latest; counted and timed.
macro_rules! with_connection {
    ($store:expr, $operation:expr, $end:expr, $connection:ident => $work:expr) => {{
        let started = Instant::now();
        let result = tokio::time::timeout_at($end, async {
            match &$store.pool {
                DriverPool::Postgres(pool) => with_connection!(@driver pool, $connection => $work),
                DriverPool::Sqlite(pool) => with_connection!(@driver pool, $connection => $work),
            }
        })
        .await
        .unwrap_or(Err($store.timed_out()));
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
        let end = self.end();
        if request != PageRequest::default() {
            return self.read_page(request, None, end).await;
        }
        if let Some(_turn) = self.reading.turn() {
            return self.read_page(request, None, end).await;
        }
        let started = Instant::now();
        let read = |door| async move {
            match self.reading.turn_before(end).await {
                Some(_turn) => self.read_page(request, Some(door), end).await,
                None => Err(self.timed_out()),
            }
        };
        let (_, page) = self.reading.join((), read);
        let page = page.await;
        // The statement is counted where it runs; each request has a span of its own.
        self.telemetry
            .trace(Operation::List, started.elapsed(), page.is_err());
        page
    }

    /// When a request that begins now is given up. Those who wait together go by the first of them, so that nobody waits
    /// longer.
    fn end(&self) -> Instant {
        Instant::now() + self.deadline
    }

    fn timed_out(&self) -> StoreError {
        StoreError::TimedOut(self.deadline)
    }

    async fn read_page(
        &self,
        request: PageRequest,
        door: Option<Door<(), Result<RenderedPage, StoreError>>>,
        end: Instant,
    ) -> Result<RenderedPage, StoreError> {
        with_connection!(self, Operation::List, end, connection => {
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

    /// Adds a task and says under which id. Where many do so, those who wait are added together, by one statement.
    pub async fn add(&'static self, task: String) -> Result<i64, StoreError> {
        let end = self.end();
        if let Some(_turn) = self.adding.turn() {
            return self.add_one(&task, end).await;
        }
        let started = Instant::now();
        let add = |door: Door<_, _>| async move {
            let turn = self.adding.turn_before(end).await;
            let tasks = door.close();
            match turn {
                Some(_turn) => self.add_all(&tasks, end).await.into(),
                None => tasks.iter().map(|_| Err(self.timed_out())).collect(),
            }
        };
        let (place, added) = self.adding.join(task, add);
        let id = added.await[place].clone();
        self.telemetry
            .trace(Operation::Add, started.elapsed(), id.is_err());
        id
    }

    /// A result for each task.
    async fn add_all(&self, tasks: &[String], end: Instant) -> Vec<Result<i64, StoreError>> {
        let mut results = Vec::with_capacity(tasks.len());
        for tasks in tasks.chunks(MAX_ROWS) {
            match self.add_several(tasks, end).await {
                Ok(ids) => {
                    let lost = || sqlx::Error::RowNotFound.into();
                    results.extend(ids.into_iter().map(|id| id.ok_or_else(lost)));
                }
                // A task that the database does not take is the concern of its sender alone.
                Err(StoreError::Unexpected(_)) if tasks.len() > 1 => {
                    for task in tasks {
                        results.push(self.add_one(task, end).await);
                    }
                }
                Err(error) => results.extend(tasks.iter().map(|_| Err(error.clone()))),
            }
        }
        results
    }

    async fn add_several(&self, tasks: &[String], end: Instant) -> Result<Vec<Option<i64>>, StoreError> {
        with_connection!(self, Operation::Add, end, connection => {
            let mut statement = sqlx::query_as(insert_several(tasks.len()));
            for task in tasks {
                statement = statement.bind(task.as_str());
            }
            let rows = statement.fetch_all(connection).await?;
            Ok(ids_of(tasks, rows))
        })
    }

    async fn add_one(&self, task: &str, end: Instant) -> Result<i64, StoreError> {
        with_connection!(self, Operation::Add, end, connection => {
            sqlx::query_scalar(INSERT).bind(task).fetch_one(connection).await
        })
    }

    /// Says whether there is such a task.
    pub async fn update(&self, id: i64, task: &str) -> Result<bool, StoreError> {
        with_connection!(self, Operation::Update, self.end(), connection => {
            let done = sqlx::query(UPDATE).bind(id).bind(task).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Says whether there was such a task.
    pub async fn delete(&self, id: i64) -> Result<bool, StoreError> {
        with_connection!(self, Operation::Delete, self.end(), connection => {
            let done = sqlx::query(DELETE).bind(id).execute(connection).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Whether the tasks can be read now.
    pub async fn probe(&self) -> Result<(), StoreError> {
        with_connection!(self, Operation::Probe, self.end(), connection => {
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
        let add = size(|store| store.add(String::new()));
        assert!(page.max(add) < 2048, "{page} and {add} bytes");
    }
}
