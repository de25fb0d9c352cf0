//! What the cache gives: hits, against a bare handler that does nothing but GET the list, and against the database.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::ExitCode;

use support::client::Load;
use support::program::Program;
use support::{Postgres, Redis, compare, fill, outcome, peer, promise};

const TASKS: usize = 100;

fn main() -> ExitCode {
    peer::serve_if_asked();
    tokio::runtime::Runtime::new().unwrap().block_on(measure());
    outcome()
}

async fn measure() {
    let folder = tempfile::tempdir().unwrap();
    let (postgres, redis) = (Postgres::durable(), Redis::start());
    let database = postgres.url();
    let uncached = [("DATABASE_URL", database.as_str())];
    let cached = [uncached[0], ("REDIS_URL", &redis.url()), ("CACHE_TTL", "60m")];
    let uncached = async || Program::tasks(folder.path(), &uncached).await;
    // Its first miss leaves the list that the bare handler reads.
    let cached = async || Program::tasks(folder.path(), &cached).await;
    let bare = async || Program::peer(folder.path(), "redis", &redis.url());
    drop(uncached().await);
    fill(&postgres, TASKS);

    let what = format!("GET /tasks of {TASKS} tasks, one command to Redis a request");
    let alone = compare(&what, Load::get_alone, ("cached", cached), ("bare GET", bare)).await;
    promise("hits at least 0.9 x a bare Redis GET", alone.rate_ratio >= 0.9);

    // The bare handler asks for each request: no promise, for the work is not the same.
    let what = format!("GET /tasks of {TASKS} tasks, one command to Redis for all that wait");
    compare(&what, Load::get, ("cached", cached), ("bare GET", bare)).await;

    let what = "hits against the database path";
    let against_database = compare(what, Load::get, ("cached", cached), ("database", uncached)).await;
    promise(
        "hits at least 2 x the database path",
        against_database.rate_ratio >= 2.0,
    );
}
