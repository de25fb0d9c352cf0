//! From a URL to a store that can be used: connect, wait for the database if need be, migrate.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::pool::Pool;
use super::{DatabaseUrl, DriverPool, Store};
use crate::telemetry::DatabaseTelemetry;
use crate::together::Together;

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// SQLite has one writer: more connections than this only wait for each other.
const SQLITE_CONNECTIONS: usize = 4;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub url: DatabaseUrl,
    pub pool_size: usize,
    pub deadline: Duration,
}

#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("{0}")]
    Connect(#[from] sqlx::Error),
    #[error("the tables could not be brought up to date: {0}")]
    Migrate(#[from] MigrateError),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Pool(#[from] deadpool::managed::BuildError),
}

/// The database could not be reached; says so in one line for the person who must mend it.
#[derive(Debug, thiserror::Error)]
#[error(
    "no connection to the database {url} after {attempts} attempt(s): {cause}. Check DATABASE_URL and that the \
     database runs; DB_CONNECT_ATTEMPTS and DB_CONNECT_DELAY say how long to wait for it"
)]
pub struct ConnectError {
    url: String,
    attempts: u32,
    cause: String,
}

impl Store {
    /// Connects and migrates, with `attempts` attempts and `delay` between them.
    pub async fn open(
        options: &StoreOptions,
        attempts: u32,
        delay: Duration,
        telemetry: DatabaseTelemetry,
    ) -> Result<Self, ConnectError> {
        let mut attempt = 1;
        loop {
            match try_open(options).await {
                Ok(pool) => {
                    tracing::info!(database = %options.url, "database ready");
                    let half = pool.status().max.div_ceil(2);
                    return Ok(Self {
                        pool,
                        deadline: options.deadline,
                        telemetry,
                        reading: Together::new(half),
                        adding: Together::new(half),
                    });
                }
                Err(error) if attempt >= attempts => {
                    let cause = one_line(&error.to_string());
                    return Err(ConnectError {
                        url: options.url.to_string(),
                        attempts,
                        cause,
                    });
                }
                Err(error) => {
                    tracing::warn!(database = %options.url, attempt, attempts, error = one_line(&error.to_string()), "database not ready, trying again");
                }
            }
            attempt += 1;
            tokio::time::sleep(delay).await;
        }
    }
}

async fn try_open(options: &StoreOptions) -> Result<DriverPool, StartError> {
    match &options.url {
        DatabaseUrl::Postgres(connect) => {
            let connect = connect
                .as_ref()
                .clone()
                .application_name("tasks")
                .disable_statement_logging();
            let mut connection = tokio::time::timeout(options.deadline, connect.connect())
                .await
                .map_err(|_| StartError::TimedOut(options.deadline))??;
            // The migrator holds an advisory lock: of several replicas one migrates, the others wait.
            // Waiting may take as long as the migration does, so there is no deadline.
            POSTGRES.run(&mut connection).await?;
            connection.close().await?;
            Ok(DriverPool::Postgres(Pool::new(connect, options.pool_size, None)?))
        }
        DatabaseUrl::Sqlite {
            options: connect,
            in_memory,
            ..
        } => {
            let connect = sqlite_options(connect.as_ref(), *in_memory, options.deadline);
            let mut connection = connect.connect().await?;
            migrate_sqlite(&mut connection).await?;
            if *in_memory {
                // Such a database lives as long as a connection to it, so this one stays open.
                Ok(DriverPool::Sqlite(Pool::new(connect, 1, Some(connection))?))
            } else {
                connection.close().await?;
                let size = options.pool_size.min(SQLITE_CONNECTIONS);
                Ok(DriverPool::Sqlite(Pool::new(connect, size, None)?))
            }
        }
    }
}

fn sqlite_options(
    options: &SqliteConnectOptions,
    in_memory: bool,
    busy_timeout: Duration,
) -> SqliteConnectOptions {
    let options = options
        .clone()
        .create_if_missing(true)
        .busy_timeout(busy_timeout)
        .disable_statement_logging();
    if in_memory {
        options
    } else {
        // Readers beside the writer. FULL: what was answered 201 survives a power cut.
        options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
    }
}

/// sqlx's migrator takes no lock on SQLite; this transaction is one.
async fn migrate_sqlite(connection: &mut sqlx::SqliteConnection) -> Result<(), StartError> {
    let mut lock = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE.run(&mut *lock).await?;
    lock.commit().await?;
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
