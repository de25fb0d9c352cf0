//! What can go wrong with the database, as far as a client needs to know.

use sqlx::Error;
use sqlx::sqlite::SqliteError;

/// SQLSTATE classes of a server in trouble: connection, resources, operator intervention, a standby that takes no writes.
const SERVER_TROUBLE: [&str; 4] = ["08", "53", "57", "25006"];

/// SQLite's result codes of a file in trouble: busy, locked, read-only, I/O error, full, cannot open.
const FILE_TROUBLE: [i64; 6] = [5, 6, 8, 10, 13, 14];

#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database cannot be reached or used now; the same request may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// The database answered, but not as the program's own statements expect.
    #[error("{0}")]
    Unexpected(Error),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let unavailable = match &error {
            Error::Database(answer) => {
                let code = answer.code().unwrap_or_default();
                if answer.try_downcast_ref::<SqliteError>().is_some() {
                    // The low byte of an extended result code is the primary one.
                    code.parse::<i64>()
                        .is_ok_and(|code| FILE_TROUBLE.contains(&(code & 0xff)))
                } else {
                    SERVER_TROUBLE.iter().any(|class| code.starts_with(class))
                }
            }
            Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
            other => matches!(other, Error::PoolTimedOut | Error::PoolClosed),
        };
        if unavailable {
            Self::Unavailable(error.to_string())
        } else {
            Self::Unexpected(error)
        }
    }
}
