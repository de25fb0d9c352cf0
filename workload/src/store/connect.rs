//! From a URL to a store that can be used: connect, wait for the database if need be, migrate.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{DatabaseUrl, Pool, Store};
use crate::telemetry::DatabaseMetrics;

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// SQLite has one writer: more connections than this only wait for each other.
const SQLITE_CONNECTIONS: u32 = 4;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub url: DatabaseUrl,
    pub pool_size: u32,
    /// How long a request may wait for the database, a connection included.
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
        metrics: DatabaseMetrics,
    ) -> Result<Self, ConnectError> {
        let mut attempt = 1;
        loop {
            let error = match try_open(options).await {
                Ok(pool) => {
                    tracing::info!(database = %options.url, "database ready");
                    return Ok(Self {
                        pool,
                        deadline: options.deadline,
                        metrics,
                    });
                }
                Err(error) => one_line(&error.to_string()),
            };
            if attempt >= attempts {
                return Err(ConnectError {
                    url: options.url.to_string(),
                    attempts,
                    cause: error,
                });
            }
            tracing::warn!(database = %options.url, attempt, attempts, error, "database not ready, trying again");
            attempt += 1;
            tokio::time::sleep(delay).await;
        }
    }
}

async fn try_open(options: &StoreOptions) -> Result<Pool, StartError> {
    match &options.url {
        DatabaseUrl::Postgres(connect) => {
            let connect = connect
                .as_ref()
                .clone()
                .application_name("tasks")
                .disable_statement_logging();
            // The pool would only say that it waited in vain; the first connection says why.
            let mut first = tokio::time::timeout(options.deadline, connect.connect())
                .await
                .map_err(|_| StartError::TimedOut(options.deadline))??;
            // The migrator holds an advisory lock: of several replicas one migrates, the others wait.
            POSTGRES.run(&mut first).await?;
            first.close().await?;
            let pool = PgPoolOptions::new()
                .max_connections(options.pool_size)
                .acquire_timeout(options.deadline)
                .connect_lazy_with(connect);
            Ok(Pool::Postgres(pool))
        }
        DatabaseUrl::Sqlite {
            options: connect,
            in_memory,
            ..
        } => {
            let connect = sqlite_options(connect.as_ref(), *in_memory, options.deadline);
            let mut pool = SqlitePoolOptions::new()
                .max_connections(options.pool_size.min(SQLITE_CONNECTIONS))
                .acquire_timeout(options.deadline);
            if *in_memory {
                // Such a database lives as long as a connection to it, so its only one stays open.
                pool = pool
                    .max_connections(1)
                    .min_connections(1)
                    .idle_timeout(None)
                    .max_lifetime(None);
            }
            let pool = pool.connect_with(connect).await?;
            migrate_sqlite(&pool).await?;
            Ok(Pool::Sqlite(pool))
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
async fn migrate_sqlite(pool: &sqlx::SqlitePool) -> Result<(), StartError> {
    let mut connection = pool.acquire().await?;
    let mut lock = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE.run(&mut *lock).await?;
    lock.commit().await?;
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
