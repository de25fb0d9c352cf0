//! A pool of connections for statements that need no transaction.
//!
//! sqlx's own pool asks the server for a sign of life around every use, which doubles the round
//! trips of a service that runs one statement a request. Here a connection is tested only when its
//! last use did not come to an end, and the first broken one makes the pool forget its idle siblings.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, Object, PoolError, RecycleError, RecycleResult};
use sqlx::{ConnectOptions, Connection};

use super::StoreError;
use super::error::breaks_connection;

/// How long a connection whose last use was cancelled may take to become usable again.
const RECOVERY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Pool<C: Connection> {
    connections: deadpool::managed::Pool<Connector<C>>,
    /// Never used: it keeps a database in memory alive while no other connection is open.
    _anchor: Option<C>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    pub max: usize,
    pub used: usize,
    pub idle: usize,
    pub waiting: usize,
}

#[derive(Debug)]
struct Connector<C: Connection>(C::Options);

#[derive(Debug)]
pub struct Leased<C> {
    connection: C,
    /// The last statement has come to its end. False while one runs, so also when it was cancelled.
    settled: bool,
}

/// A connection for one statement, to be given back with the statement's result.
#[derive(Debug)]
pub struct Lease<C: Connection>(Object<Connector<C>>);

impl<C: Connection> Manager for Connector<C> {
    type Type = Leased<C>;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Self::Type, sqlx::Error> {
        // In a box: the future of every request would carry the ten kilobytes of a step that hardly any takes.
        let connection = Box::pin(self.0.connect()).await?;
        Ok(Leased {
            connection,
            settled: true,
        })
    }

    async fn recycle(&self, leased: &mut Self::Type, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if leased.settled {
            return Ok(());
        }
        match tokio::time::timeout(RECOVERY, Box::pin(leased.connection.ping())).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(RecycleError::message("the cancelled statement did not end")),
        }
    }
}

impl<C: Connection> Lease<C> {
    pub fn connection(&mut self) -> &mut C {
        self.0.settled = false;
        &mut self.0.connection
    }
}

impl<C: Connection> Pool<C> {
    pub fn new(
        options: C::Options,
        size: usize,
        anchor: Option<C>,
    ) -> Result<Self, deadpool::managed::BuildError> {
        let connections = deadpool::managed::Pool::builder(Connector(options))
            .max_size(size)
            .build()?;
        Ok(Self {
            connections,
            _anchor: anchor,
        })
    }

    pub async fn acquire(&self) -> Result<Lease<C>, StoreError> {
        match self.connections.get().await {
            Ok(object) => Ok(Lease(object)),
            // Whatever keeps a new connection from being made, the request may succeed later.
            Err(PoolError::Backend(error)) => Err(StoreError::Unavailable(Arc::new(error))),
            Err(_) => Err(StoreError::Unavailable(Arc::new(sqlx::Error::PoolClosed))),
        }
    }

    pub fn give_back<T>(&self, mut lease: Lease<C>, result: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        match result {
            Err(error) if breaks_connection(&error) => {
                drop(Object::take(lease.0));
                self.connections.retain(|_, _| false);
                Err(error.into())
            }
            other => {
                lease.0.settled = true;
                Ok(other?)
            }
        }
    }

    pub fn status(&self) -> PoolStatus {
        let status = self.connections.status();
        PoolStatus {
            max: status.max_size,
            used: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }
}
