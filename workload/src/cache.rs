//! The list in Redis, so that most reads need no database. Nothing here can fail a request.
//!
//! Cache-aside: a read takes the list from Redis, or else from the database and leaves a copy; a write
//! removes the copy. Two things keep an old list from staying: a reader may leave its copy only
//! if no write has happened since before it asked the database (a generation, counted up by every
//! write), and whatever still goes wrong ends with the copy's short life.
//!
//! While Redis is down a read costs nothing but the look at an empty slot: one task of its own
//! reconnects, and it removes the list before and after it hands the new connection out, because
//! writes were missed meanwhile.

use std::time::Duration;

use axum::body::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::page::RenderedPage;
use crate::telemetry::CacheMetrics;
use crate::together::{Door, Together};

/// The braces make Redis Cluster keep both keys on one node.
pub const LIST: &str = "{tasks}:list";
const GENERATION: &str = "{tasks}:generation";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

/// One looks at a time; those who come meanwhile wait together, and one looks for all of them.
const LOOKS: usize = 1;

#[derive(Debug, Clone)]
pub struct CacheOptions {
    pub client: Client,
    /// How long a list may be served at most.
    pub ttl: Duration,
    /// How long a request waits for Redis at most.
    pub timeout: Duration,
}

#[derive(Debug)]
pub struct Cache {
    ttl: Duration,
    timeout: Duration,
    link: watch::Sender<Option<Link>>,
    looking: Together<(), Lookup>,
    leave: Script,
    metrics: CacheMetrics,
}

/// A connection that has not failed yet.
#[derive(Debug, Clone)]
struct Link {
    number: u64,
    connection: MultiplexedConnection,
}

/// What a look into the cache gave.
#[derive(Debug, Clone)]
pub enum Lookup {
    Hit(RenderedPage),
    /// The right to leave a copy, if the cache can be reached.
    Miss(Option<Leave>),
}

/// The right to leave a copy of a list that was read after this was given.
#[derive(Debug, Clone)]
pub struct Leave {
    link: Link,
    generation: String,
}

impl CacheOptions {
    pub fn new(url: &str, ttl: Duration, timeout: Duration) -> Result<Self, String> {
        if url.starts_with("rediss:") {
            // Two crypto providers may be linked in; TLS must be told which one to use.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::open(url).map_err(|error| {
            format!("REDIS_URL: {error}; write redis://[user:password@]host[:port][/database]")
        })?;
        Ok(Self { client, ttl, timeout })
    }
}

impl Cache {
    /// A cache that connects in the background, now and whenever the connection is lost.
    pub fn start(options: CacheOptions, metrics: CacheMetrics) -> Self {
        let (link, _) = watch::channel(None);
        // SET only if no write has counted the generation up since it was read.
        let leave = Script::new(
            "if (redis.call('GET', KEYS[2]) or '') == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end",
        );
        tokio::spawn(keep_connected(options.client, options.timeout, link.clone()));
        Self {
            ttl: options.ttl,
            timeout: options.timeout,
            link,
            looking: Together::new(LOOKS),
            leave,
            metrics,
        }
    }

    pub async fn list(&'static self) -> Lookup {
        let found = if let Some(_turn) = self.looking.turn() {
            self.look().await
        } else {
            let end = Instant::now() + self.timeout;
            let look = |door: Door<_, _>| async move {
                let turn = self.looking.turn_before(end).await;
                // Whoever comes from now on may have written what this look does not see.
                drop(door);
                match turn {
                    // With the wait before it no longer than a look of one's own.
                    Some(_turn) => tokio::time::timeout_at(end, self.look())
                        .await
                        .unwrap_or(Lookup::Miss(None)),
                    None => Lookup::Miss(None),
                }
            };
            self.looking.join((), look).1.await
        };
        match found {
            Lookup::Hit(_) => self.metrics.hits.inc(),
            Lookup::Miss(_) => self.metrics.misses.inc(),
        };
        found
    }

    async fn look(&self) -> Lookup {
        let Some(mut link) = self.current() else {
            return Lookup::Miss(None);
        };
        match look_up(&mut link.connection).await {
            Ok(Ok(page)) => Lookup::Hit(page),
            Ok(Err(generation)) => Lookup::Miss(Some(Leave { link, generation })),
            Err(error) => {
                self.failed(&link, &error);
                Lookup::Miss(None)
            }
        }
    }

    /// Leaves a copy of the list for later readers.
    pub async fn leave(&self, mut right: Leave, page: &RenderedPage) {
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let left: RedisResult<()> = self
            .leave
            .key(LIST)
            .key(GENERATION)
            .arg(&right.generation)
            .arg(encode(page))
            .arg(ttl)
            .invoke_async(&mut right.link.connection)
            .await;
        if let Err(error) = left {
            self.failed(&right.link, &error);
        }
    }

    /// Removes the list, because it has changed in the database.
    pub async fn invalidate(&self) {
        if let Some(mut link) = self.current()
            && let Err(error) = invalidate(&mut link.connection).await
        {
            self.failed(&link, &error);
        }
    }

    fn current(&self) -> Option<Link> {
        self.link.borrow().clone()
    }

    /// Gives a connection up: what failed once is in a state that nobody knows.
    fn failed(&self, failed: &Link, error: &RedisError) {
        self.metrics.errors.inc();
        let is_the_failed_one = |link: &mut Option<Link>| {
            let found = link.as_ref().is_some_and(|link| link.number == failed.number);
            if found {
                *link = None;
            }
            found
        };
        if self.link.send_if_modified(is_the_failed_one) {
            tracing::warn!(%error, "the cache failed; going on without it until it is back");
        }
    }
}

/// The list, or the generation that a copy of it would have to be of. Both by one command, so that a request waits once.
async fn look_up(connection: &mut MultiplexedConnection) -> RedisResult<Result<RenderedPage, String>> {
    let (copy, generation): (Option<Vec<u8>>, Option<String>) = redis::cmd("MGET")
        .arg(LIST)
        .arg(GENERATION)
        .query_async(connection)
        .await?;
    Ok(copy
        .and_then(decode)
        .ok_or_else(|| generation.unwrap_or_default()))
}

async fn invalidate(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    redis::pipe()
        .atomic()
        .incr(GENERATION, 1)
        .ignore()
        .del(LIST)
        .ignore()
        .query_async(connection)
        .await
}

/// Runs as long as the process.
async fn keep_connected(client: Client, timeout: Duration, slot: watch::Sender<Option<Link>>) {
    let mut watcher = slot.subscribe();
    let mut number = 0;
    let mut said = false;
    loop {
        number += 1;
        match connect(&client, timeout).await {
            Ok(mut connection) => {
                slot.send_replace(Some(Link {
                    number,
                    connection: connection.clone(),
                }));
                tracing::info!("cache connected");
                said = false;
                // A write that found no connection may have come after the first removal.
                if invalidate(&mut connection).await.is_err() {
                    slot.send_replace(None);
                }
                if watcher.wait_for(Option::is_none).await.is_err() {
                    return;
                }
            }
            Err(error) if !said => {
                tracing::warn!(%error, "cannot reach the cache; going on without it until it is there");
                said = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn connect(client: &Client, timeout: Duration) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(timeout));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    invalidate(&mut connection).await?;
    Ok(connection)
}

/// A copy is the id after which the next page begins (empty if there is none), a line feed, and the JSON.
fn encode(page: &RenderedPage) -> Vec<u8> {
    let mut copy = page
        .next
        .map(|after| after.to_string())
        .unwrap_or_default()
        .into_bytes();
    copy.push(b'\n');
    copy.extend_from_slice(&page.json);
    copy
}

fn decode(copy: Vec<u8>) -> Option<RenderedPage> {
    let copy = Bytes::from(copy);
    let end = copy.iter().position(|byte| *byte == b'\n')?;
    let next = match std::str::from_utf8(&copy[..end]).ok()? {
        "" => None,
        after => Some(after.parse().ok()?),
    };
    Some(RenderedPage {
        json: copy.slice(end + 1..),
        next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_back_as_it_was_left() {
        for next in [None, Some(1000)] {
            let page = RenderedPage {
                json: Bytes::from_static(b"[{\"id\":1,\"task\":\"a\\nb\"}]"),
                next,
            };
            assert_eq!(decode(encode(&page)), Some(page));
        }
    }

    #[test]
    fn what_somebody_else_left_under_the_key_is_no_copy() {
        for junk in ["", "[]", "x\n[]", "\u{0}"] {
            assert_eq!(decode(junk.into()), None, "{junk:?}");
        }
    }
}
