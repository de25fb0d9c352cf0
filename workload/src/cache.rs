//! The list in Redis, so that most reads need no database. Nothing here can fail a request.
//!
//! Cache-aside: a read takes the list from Redis, or else from the database and stores a copy; a write removes the copy.
//! Three things keep an old list from being served:
//!
//! - Every write sets a new random *generation* beside the copy. A reader may store its copy only if the generation is
//!   still the one that it saw before it asked the database, so that no list from before a write is stored after it.
//! - A write that cannot reach Redis, and any other failure, puts the cache *out of sync*: it is neither read nor written
//!   until one task of its own has removed the copy. While Redis is down, a request does not wait for it.
//! - A copy's life is short.

use std::time::Duration;

use axum::body::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult, Script};
use tokio::sync::watch;
use tracing::Instrument;

use crate::store::Page;
use crate::telemetry::CacheMetrics;

/// The braces make Redis Cluster keep both keys on one node.
const LIST: &str = "{tasks}:list";
const GENERATION: &str = "{tasks}:generation";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub struct CacheOptions {
    pub client: Client,
    /// How long a list may be served at most.
    pub ttl: Duration,
    /// How long a request waits for Redis at most.
    pub timeout: Duration,
}

#[derive(Clone)]
pub struct Cache {
    connection: ConnectionManager,
    ttl: Duration,
    sync: watch::Sender<Sync>,
    store: Script,
    metrics: CacheMetrics,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// Failures so far, and how many of them had happened when the copy was last removed: in sync when both are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sync {
    failures: u64,
    removed_at: u64,
}

impl Sync {
    fn is_in_sync(&self) -> bool {
        self.failures == self.removed_at
    }
}

/// What the cache said.
#[derive(Debug, Clone)]
pub enum Lookup {
    Hit(Page),
    /// The generation that a copy would have to be of; absent while the cache is out of sync.
    Miss(Option<String>),
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
    pub fn start(options: CacheOptions, metrics: CacheMetrics) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(options.timeout))
            .set_number_of_retries(0);
        let cache = Self {
            connection: ConnectionManager::new_lazy_with_config(options.client, config)?,
            ttl: options.ttl,
            // What was written before this process began is not known.
            sync: watch::Sender::new(Sync {
                failures: 1,
                removed_at: 0,
            }),
            store: Script::new(
                "if (redis.call('GET', KEYS[2]) or '') == ARGV[1] then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end",
            ),
            metrics,
        };
        tokio::spawn(cache.clone().keep_in_sync());
        Ok(cache)
    }

    pub async fn list(&self) -> Lookup {
        let found = if self.sync.borrow().is_in_sync() {
            self.look_up().await.unwrap_or_else(|error| {
                self.failed(&error);
                Lookup::Miss(None)
            })
        } else {
            Lookup::Miss(None)
        };
        match found {
            Lookup::Hit(_) => self.metrics.hits.inc(),
            Lookup::Miss(_) => self.metrics.misses.inc(),
        };
        found
    }

    /// The list, or the generation that a copy of it would have to be of. Both by one command, so that a request waits
    /// once.
    async fn look_up(&self) -> RedisResult<Lookup> {
        let (copy, generation): (Option<Vec<u8>>, Option<String>) = redis::cmd("MGET")
            .arg(LIST)
            .arg(GENERATION)
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(match copy.and_then(decode) {
            Some(page) => Lookup::Hit(page),
            None => Lookup::Miss(Some(generation.unwrap_or_default())),
        })
    }

    /// Stores a copy of a list that was read after `generation` was; the reader does not wait for it.
    pub fn store_in_background(&self, generation: String, page: Page) {
        let cache = self.clone();
        let store = async move {
            let ttl = u64::try_from(cache.ttl.as_millis()).unwrap_or(u64::MAX).max(1);
            let stored: RedisResult<()> = cache
                .store
                .key(LIST)
                .key(GENERATION)
                .arg(generation)
                .arg(encode(&page))
                .arg(ttl)
                .invoke_async(&mut cache.connection.clone())
                .await;
            if let Err(error) = stored {
                cache.failed(&error);
            }
        };
        tokio::spawn(store.in_current_span());
    }

    /// Removes the copy, because the list has changed in the database.
    pub async fn invalidate(&self) {
        if !self.sync.borrow().is_in_sync() {
            // A removal that is under way may have begun before this write.
            self.sync.send_modify(|sync| sync.failures += 1);
        } else if let Err(error) = self.remove().await {
            self.failed(&error);
        }
    }

    async fn remove(&self) -> RedisResult<()> {
        redis::pipe()
            .atomic()
            .set(GENERATION, rand::random::<u64>().to_string())
            .ignore()
            .del(LIST)
            .ignore()
            .query_async(&mut self.connection.clone())
            .await
    }

    fn failed(&self, error: &RedisError) {
        self.metrics.errors.inc();
        let mut was_in_sync = false;
        self.sync.send_modify(|sync| {
            was_in_sync = sync.is_in_sync();
            sync.failures += 1;
        });
        if was_in_sync {
            tracing::warn!(%error, "the cache failed; going on without it until it is back");
        }
    }

    /// Removes the copy whenever a failure has made it doubtful. Runs as long as the process.
    async fn keep_in_sync(self) {
        let mut changes = self.sync.subscribe();
        let mut unreachable = false;
        while changes.wait_for(|sync| !sync.is_in_sync()).await.is_ok() {
            let failures = changes.borrow().failures;
            match self.remove().await {
                Ok(()) => {
                    self.sync.send_modify(|sync| sync.removed_at = failures);
                    tracing::info!("cache connected");
                    unreachable = false;
                }
                Err(error) => {
                    if !unreachable {
                        tracing::warn!(%error, "cannot reach the cache; going on without it until it is there");
                    }
                    unreachable = true;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }
}

/// A copy is the id after which the next page begins (empty if there is none), a line feed, and the JSON.
fn encode(page: &Page) -> Vec<u8> {
    let next = page.next.map(|after| after.to_string()).unwrap_or_default();
    [next.as_bytes(), b"\n", &page.json].concat()
}

fn decode(copy: Vec<u8>) -> Option<Page> {
    let copy = Bytes::from(copy);
    let end = copy.iter().position(|byte| *byte == b'\n')?;
    let next = match std::str::from_utf8(&copy[..end]).ok()? {
        "" => None,
        after => Some(after.parse().ok()?),
    };
    Some(Page {
        json: copy.slice(end + 1..),
        next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_back_as_it_was_stored() {
        for next in [None, Some(1000)] {
            let page = Page {
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
