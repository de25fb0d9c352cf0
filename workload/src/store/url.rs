//! Which database, from its URL.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

/// A database's address. Its `Display` is fit for a log: it never shows a password.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    Postgres(Box<PgConnectOptions>),
    Sqlite {
        options: Box<SqliteConnectOptions>,
        shown: String,
        in_memory: bool,
    },
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        // Python's URLs may name the driver: postgresql+psycopg2://…
        let scheme = url
            .split(':')
            .next()
            .unwrap_or_default()
            .split('+')
            .next()
            .unwrap_or_default();
        let rest = url.split_once(':').map_or("", |(_, rest)| rest);
        match scheme {
            "postgres" | "postgresql" => format!("postgres:{rest}")
                .parse()
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|error| format!("{error}; write postgres://user:password@host:5432/database")),
            "sqlite" => {
                let options: SqliteConnectOptions = format!("sqlite:{rest}")
                    .parse()
                    .map_err(|error| format!("{error}; write sqlite://file or sqlite::memory:"))?;
                let in_memory = rest.contains(":memory:") || rest.contains("mode=memory");
                Ok(Self::Sqlite {
                    options: Box::new(options),
                    shown: url.to_owned(),
                    in_memory,
                })
            }
            _ => Err(
                "write postgres://user:password@host:5432/database, sqlite://file or sqlite::memory:"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(options) => {
                write!(f, "postgres://{}@{}", options.get_username(), options.get_host())?;
                write!(
                    f,
                    ":{}/{}",
                    options.get_port(),
                    options.get_database().unwrap_or_default()
                )
            }
            Self::Sqlite { shown, .. } => f.write_str(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url: DatabaseUrl = "postgres://app:s3cret@db.example:6432/shop".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://app@db.example:6432/shop");
        for wrong in [
            "postgres://app:s3cret@db.example:port/shop",
            "mysql://app:s3cret@db/shop",
            "s3cret",
            "",
        ] {
            let problem = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(!problem.contains("s3cret"), "{problem}");
            assert!(
                problem.contains("postgres://user:password@host:5432/database"),
                "{problem}"
            );
        }
    }

    #[test]
    fn the_urls_of_python_services_are_taken() {
        let url: DatabaseUrl = "postgresql+psycopg2://app:x@db/shop".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://app@db:5432/shop");
    }
}
