//! What can go wrong with the database, as far as a client needs to know.

use std::time::Duration;

/// SQLSTATE classes that say the server, not the statement, is the problem: connection,
/// resources, operator intervention, a standby that takes no writes.
const SERVER_TROUBLE: [&str; 4] = ["08", "53", "57", "25006"];

/// SQLite's primary result codes for a file that cannot be used now: busy, locked, read-only,
/// I/O error, full, cannot open.
const FILE_TROUBLE: [i64; 6] = [5, 6, 8, 10, 13, 14];

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or used now; the same request may succeed later.
    #[error("{0}")]
    Unavailable(sqlx::Error),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection to the database that is made at the start is not there yet.
    #[error("not connected yet")]
    Starting,
    /// The database answered, but not as the program's own statements expect.
    #[error("{0}")]
    Unexpected(sqlx::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let unavailable = match &error {
            sqlx::Error::Database(answer) => answer.code().is_some_and(|code| {
                if answer.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    // The low byte of an extended result code is the primary one.
                    code.parse::<i64>()
                        .is_ok_and(|code| FILE_TROUBLE.contains(&(code & 0xff)))
                } else {
                    SERVER_TROUBLE.iter().any(|class| code.starts_with(class))
                }
            }),
            other => matches!(
                other,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::Protocol(_)
                    | sqlx::Error::WorkerCrashed
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
            ),
        };
        if unavailable {
            Self::Unavailable(error)
        } else {
            Self::Unexpected(error)
        }
    }
}
