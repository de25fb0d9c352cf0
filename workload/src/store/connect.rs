//! From a URL to a store that can be used: connect, wait for the database if need be, migrate.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgPool, SqlitePool};

use super::{Pool, Store};
use crate::config::Config;
use crate::telemetry::Metrics;

static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// SQLite has one writer: more connections than this only wait for each other.
const SQLITE_CONNECTIONS: u32 = 4;

const MIGRATION: &str = "the tables could not be brought up to date";

/// A database's address. Its `Display` is fit for a log: it never shows a password.
pub(crate) enum DatabaseUrl {
    Postgres(Box<PgConnectOptions>),
    Sqlite(String),
}

impl DatabaseUrl {
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = url.split_once(':').unwrap_or_default();
        // Python's URLs may name the driver: postgresql+psycopg2://…
        match scheme.split('+').next() {
            Some("postgres" | "postgresql") => {
                let options = format!("postgres:{rest}").parse();
                let options = options.context("write postgres://user:password@host:5432/database")?;
                Ok(Self::Postgres(Box::new(options)))
            }
            Some("sqlite") => {
                let url = format!("sqlite:{rest}");
                SqliteConnectOptions::from_str(&url).context("write sqlite://file or sqlite::memory:")?;
                Ok(Self::Sqlite(url))
            }
            _ => bail!("write postgres://user:password@host:5432/database, sqlite://file or sqlite::memory:"),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(options) => {
                let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
                let database = options.get_database().unwrap_or_default();
                write!(f, "postgres://{user}@{host}:{port}/{database}")
            }
            Self::Sqlite(url) => f.write_str(url),
        }
    }
}

impl Store {
    /// Connects and migrates, with as many attempts as the configuration has.
    pub(crate) async fn open(
        url: &DatabaseUrl,
        config: &Config,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let attempts = config.db_connect_attempts;
        let mut attempt = 1;
        loop {
            let error = match connect(url, config).await {
                Ok(pool) => {
                    tracing::info!(database = %url, "database ready");
                    let deadline = config.db_timeout;
                    return Ok(Self {
                        pool,
                        deadline,
                        metrics,
                    });
                }
                Err(error) => format!("{error:#}").replace('\n', " "),
            };
            if attempt == attempts {
                bail!(
                    "no connection to the database {url} after {attempts} attempt(s): {error}. Check DATABASE_URL and \
                     that the database runs; DB_CONNECT_ATTEMPTS and DB_CONNECT_DELAY say how long to wait for it"
                );
            }
            tracing::warn!(database = %url, attempt, attempts, error, "database not ready, trying again");
            attempt += 1;
            tokio::time::sleep(config.db_connect_delay).await;
        }
    }
}

async fn connect(url: &DatabaseUrl, config: &Config) -> anyhow::Result<Pool> {
    Ok(match url {
        DatabaseUrl::Postgres(options) => Pool::Postgres(postgres(options, config).await?),
        DatabaseUrl::Sqlite(url) => Pool::Sqlite(sqlite(url, config).await?),
    })
}

async fn postgres(options: &PgConnectOptions, config: &Config) -> anyhow::Result<PgPool> {
    let options = options
        .clone()
        .application_name("tasks")
        .disable_statement_logging();
    // The pool would only say that it waited in vain; the first connection says why.
    let first = tokio::time::timeout(config.db_timeout, options.connect()).await;
    let mut first = first.with_context(|| format!("no answer within {:?}", config.db_timeout))??;
    // The migrator holds an advisory lock: of several replicas one migrates, the others wait.
    POSTGRES.run(&mut first).await.context(MIGRATION)?;
    first.close().await?;
    Ok(PgPoolOptions::new()
        .max_connections(config.db_pool_size.into())
        .acquire_timeout(config.db_timeout)
        .connect_lazy_with(options))
}

async fn sqlite(url: &str, config: &Config) -> anyhow::Result<SqlitePool> {
    let mut options = SqliteConnectOptions::from_str(url)?
        .create_if_missing(true)
        .busy_timeout(config.db_timeout)
        .disable_statement_logging();
    let mut pool = SqlitePoolOptions::new().acquire_timeout(config.db_timeout);
    if url.contains(":memory:") || url.contains("mode=memory") {
        // Such a database lives as long as a connection to it, so its only one stays open.
        pool = pool
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None);
    } else {
        // Readers beside the writer. FULL: what was answered 201 survives a power cut.
        options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        pool = pool.max_connections(SQLITE_CONNECTIONS.min(config.db_pool_size.into()));
    }
    let pool = pool.connect_with(options).await?;
    // sqlx's migrator takes no lock on SQLite; this transaction is one.
    let mut connection = pool.acquire().await?;
    let mut lock = connection.begin_with("BEGIN IMMEDIATE").await?;
    SQLITE.run(&mut *lock).await.context(MIGRATION)?;
    lock.commit().await?;
    drop(connection);
    Ok(pool)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_urls_of_python_services_are_taken_and_a_password_is_never_shown() {
        let url = DatabaseUrl::parse("postgresql+psycopg2://app:s3cret@db:6432/shop").unwrap();
        assert_eq!(url.to_string(), "postgres://app@db:6432/shop");
        for wrong in ["postgres://app:s3cret@db:port/shop", "mysql://app:s3cret@db"] {
            let problem = format!("{:#}", DatabaseUrl::parse(wrong).err().unwrap());
            assert!(!problem.contains("s3cret"), "{problem}");
            assert!(
                problem.contains("postgres://user:password@host:5432/database"),
                "{problem}"
            );
        }
    }
}
