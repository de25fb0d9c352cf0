//! The list in Redis, so that most reads need no database. Nothing here can fail a request.
//!
//! Cache-aside: a read takes the list from Redis, or else from the database and stores a copy; a write removes the copy.
//! What keeps an old list from being served:
//! - Every write sets a new random *generation*. A copy is stored only if the generation is still the one that its reader
//!   saw before it asked the database.
//! - After a failure the cache is *out of sync*: it is not used until one task of its own has removed the copy.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::body::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, RedisResult, Script};
use tokio::sync::watch;
use tracing::Instrument;

use crate::config::Config;
use crate::store::Page;
use crate::telemetry::Metrics;

/// The braces make Redis Cluster keep both keys on one node.
const LIST: &str = "{tasks}:list";
const GENERATION: &str = "{tasks}:generation";
/// Stores a copy if the generation is still the one that its reader saw.
const STORE: &str = "
    if (redis.call('GET', KEYS[2]) or '') == ARGV[1] then
        redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    end";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_PAUSE: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct Cache {
    connection: ConnectionManager,
    ttl: Duration,
    /// How often the copy was marked stale since it was last removed; none while the cache is in sync.
    stale: watch::Sender<Option<u64>>,
    store: Script,
    metrics: Arc<Metrics>,
}

/// What the cache said.
pub(crate) enum Lookup {
    Hit(Page),
    /// The generation that a copy would have to be of; absent while the cache is out of sync.
    Miss(Option<String>),
}

impl Cache {
    /// A cache that connects in the background, now and whenever the connection is lost.
    pub(crate) fn start(url: &str, config: &Config, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        let client = Client::open(url)
            .context("REDIS_URL, of the form redis://[user:password@]host[:port][/database]")?;
        let bounds = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(config.cache_timeout))
            .set_number_of_retries(0);
        let cache = Self {
            connection: ConnectionManager::new_lazy_with_config(client, bounds)?,
            ttl: config.cache_ttl,
            // What was written before this process began is not known.
            stale: watch::Sender::new(Some(1)),
            store: Script::new(STORE),
            metrics,
        };
        tokio::spawn(cache.clone().keep_in_sync());
        Ok(cache)
    }

    pub(crate) async fn list(&self) -> Lookup {
        let mut found = Lookup::Miss(None);
        if self.stale.borrow().is_none() {
            match self.look_up().await {
                Ok(answer) => found = answer,
                Err(error) => self.failed(&error),
            }
        }
        match found {
            Lookup::Hit(_) => self.metrics.cache_hits.inc(),
            Lookup::Miss(_) => self.metrics.cache_misses.inc(),
        };
        found
    }

    /// The list and the generation that a copy of it has to be of, by one command, so that a request waits once.
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
    pub(crate) fn store_in_background(&self, generation: String, page: Page) {
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
    pub(crate) async fn invalidate(&self) {
        if self.stale.borrow().is_some() {
            // A removal that is under way may have begun before this write.
            self.mark_stale();
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
        self.metrics.cache_errors.inc();
        if self.mark_stale() {
            tracing::warn!(%error, "the cache failed; going on without it until it is back");
        }
    }

    /// Stops the use of the copy until it is removed; says whether it was in use.
    fn mark_stale(&self) -> bool {
        let mut was_in_use = false;
        self.stale.send_modify(|marks| {
            was_in_use = marks.is_none();
            *marks = Some(marks.unwrap_or(0) + 1);
        });
        was_in_use
    }

    /// Removes the copy whenever it is marked stale. Runs as long as the process.
    async fn keep_in_sync(self) {
        let mut changes = self.stale.subscribe();
        let mut unreachable = false;
        while changes.wait_for(Option::is_some).await.is_ok() {
            let known = *changes.borrow();
            match self.remove().await {
                Ok(()) => {
                    // What was marked meanwhile is removed in another turn.
                    self.stale
                        .send_if_modified(|marks| marks.take_if(|now| Some(*now) == known).is_some());
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
    let end = copy.iter().position(|byte| *byte == b'\n')?;
    let next = match str::from_utf8(&copy[..end]).ok()? {
        "" => None,
        after => Some(after.parse().ok()?),
    };
    let json = Bytes::from(copy).slice(end + 1..);
    Some(Page { json, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_read_back_as_it_was_stored_and_nothing_else_is() {
        for next in [None, Some(1000)] {
            let json = Bytes::from_static(b"[{\"id\":1,\"task\":\"a\\nb\"}]");
            let page = Page { json, next };
            assert_eq!(decode(encode(&page)), Some(page));
        }
        for junk in ["", "[]", "x\n[]", "\u{0}"] {
            assert_eq!(decode(junk.into()), None, "{junk:?}");
        }
    }
}
