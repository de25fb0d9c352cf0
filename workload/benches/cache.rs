//! What the cache gives: hits, against a bare handler that does the same Redis GET, and against the database.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

#[path = "../tests/support/mod.rs"]
mod servers_support;
mod support;

use servers_support::servers::free_port;
use servers_support::{Postgres, Redis};
use support::client::Load;
use support::program::Program;
use support::{Side, compare, peer, promise};

const CONNECTIONS: usize = 32;
const TASKS: usize = 100;

fn main() {
    peer::serve_if_asked();
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let (postgres, redis) = (Postgres::durable(), Redis::start());
    let (database, cache) = (postgres.url(), redis.url());
    let uncached = [("DATABASE_URL", database.as_str())];
    let cached = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", cache.as_str()),
        ("CACHE_TTL", "60m"),
    ];
    let uncached = Program::tasks(folder.path(), free_port(), free_port(), &uncached).await;
    let cached = Program::tasks(folder.path(), free_port(), free_port(), &cached).await;
    postgres.sql(&format!(
        "INSERT INTO tasks (task) SELECT 'task ' || i FROM generate_series(1, {TASKS}) i"
    ));

    let hits = Side {
        name: "cached",
        load: Load::get(cached.port, CONNECTIONS),
    };
    hits.load.run(std::time::Duration::from_secs(1)).await;
    let port = free_port();
    let bare = Program::start(
        peer::command("redis", &cache, port),
        port,
        &folder.path().join("bare"),
    );

    let peer = Side {
        name: "bare GET",
        load: Load::get(bare.port, CONNECTIONS),
    };
    let against_bare = compare(&format!("GET /tasks of {TASKS} tasks from Redis"), &hits, &peer).await;
    promise(
        "hits at least 0.9 x a bare Redis GET",
        against_bare.rate_ratio >= 0.9,
    );

    let database = Side {
        name: "database",
        load: Load::get(uncached.port, CONNECTIONS),
    };
    let against_database = compare("hits against the database path", &hits, &database).await;
    promise(
        "hits at least 2 x the database path",
        against_database.rate_ratio >= 2.0,
    );
}
