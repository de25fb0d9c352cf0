//! The read cache with a real Redis: it saves database reads, and never costs a right answer.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::service::eventually;
use support::{Postgres, Redis, Service, servers};

/// A life so long that within a test no list goes away by itself.
const LONG: (&str, &str) = ("CACHE_TTL", "10m");

async fn start(postgres: &Postgres, redis_url: &str, more: &[(&str, &str)]) -> Service {
    let url = postgres.url();
    let mut settings = vec![("DATABASE_URL", url.as_str()), ("REDIS_URL", redis_url)];
    settings.extend(more);
    Service::ready(&settings).await
}

fn wait_for_connection(service: &Service) {
    service.log_line(|line| (line["message"] == "cache connected").then_some(()));
}

/// Reads until the list comes from the cache.
async fn wait_for_hit(service: &Service) -> Value {
    eventually("a hit", async || {
        let before = count(&service.metrics().await, "cache_hits_total");
        let list = service.get("/tasks").await.body;
        (count(&service.metrics().await, "cache_hits_total") > before).then_some(list)
    })
    .await
}

fn count(metrics: &BTreeMap<String, f64>, name: &str) -> u64 {
    metrics[name] as u64
}

#[tokio::test]
async fn a_read_is_a_miss_then_hits_until_a_write() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[LONG]).await;
    wait_for_connection(&service);
    let id = service.add("Buy milk").await.id();
    let milk = json!([{"id": id, "task": "Buy milk"}]);
    service.get("/tasks").await.expect(200, &milk);
    assert_eq!(wait_for_hit(&service).await, milk);

    // A hit does not ask the database: what is changed behind the service's back is not seen.
    postgres.sql("UPDATE tasks SET task = 'changed'");
    service.get("/tasks").await.expect(200, &milk);
    // Other pages do.
    service
        .get("/tasks?limit=1")
        .await
        .expect(200, &json!([{"id": id, "task": "changed"}]));

    service.update(id, "Buy bread").await;
    service
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": id, "task": "Buy bread"}]));
    wait_for_hit(&service).await;
    let second = service.add("Buy jam").await.id();
    service.get("/tasks").await.expect(
        200,
        &json!([{"id": id, "task": "Buy bread"}, {"id": second, "task": "Buy jam"}]),
    );
    wait_for_hit(&service).await;
    service.delete(second).await;
    service
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": id, "task": "Buy bread"}]));

    let metrics = service.metrics().await;
    assert!(count(&metrics, "cache_misses_total") >= 4);
    assert_eq!(count(&metrics, "cache_errors_total"), 0);
}

#[tokio::test]
async fn what_one_instance_writes_the_other_reads_at_once() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let one = start(&postgres, &redis.url(), &[LONG]).await;
    let other = start(&postgres, &redis.url(), &[LONG]).await;
    wait_for_connection(&one);
    wait_for_connection(&other);
    for number in 0..50 {
        wait_for_hit(&other).await;
        one.add(&format!("task {number}")).await;
        assert_eq!(
            other.get("/tasks").await.body.as_array().unwrap().len(),
            number + 1
        );
    }
}

#[tokio::test]
async fn a_list_read_before_a_write_is_not_left_after_it() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[LONG]).await;
    wait_for_connection(&service);
    // Readers and writers in a tangle: whenever all is quiet, the list is right.
    for round in 1..=20 {
        let write = service.add("a");
        let reads = futures::future::join_all((0..10).map(|_| service.get("/tasks")));
        let (_, reads) = tokio::join!(write, reads);
        assert!(reads.iter().all(|read| read.status == 200));
        assert_eq!(service.get("/tasks").await.body.as_array().unwrap().len(), round);
        assert_eq!(wait_for_hit(&service).await.as_array().unwrap().len(), round);
    }
}

#[tokio::test]
async fn the_copys_life_is_short() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[("CACHE_TTL", "5s")]).await;
    wait_for_connection(&service);
    wait_for_hit(&service).await;
    let life: i64 = redis.command(&["PTTL", "{tasks}:list"]).parse().unwrap();
    assert!(life <= 5000, "{life} ms");
    // -2: it has gone already.
    assert!(life > 0 || life == -2, "{life}: the list would stay for ever");
}

#[tokio::test]
async fn without_redis_the_service_works() {
    let postgres = Postgres::start();
    let nobody = format!("redis://127.0.0.1:{}", servers::free_port());
    let service = start(&postgres, &nobody, &[]).await;
    let id = service.add("Buy milk").await.id();
    service
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": id, "task": "Buy milk"}]));
    let metrics = service.metrics().await;
    assert_eq!(
        (
            count(&metrics, "cache_hits_total"),
            count(&metrics, "cache_misses_total")
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn redis_killed_in_the_middle_costs_misses_and_is_used_again() {
    let (postgres, mut redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[LONG]).await;
    let one = service.add("one").await.id();
    wait_for_hit(&service).await;

    redis.kill();
    let two = service.add("two").await.id();
    let both = json!([{"id": one, "task": "one"}, {"id": two, "task": "two"}]);
    for _ in 0..20 {
        service.get("/tasks").await.expect(200, &both);
    }
    redis.run();
    assert_eq!(wait_for_hit(&service).await, both);
}

#[tokio::test]
async fn a_redis_that_falls_silent_costs_misses_and_its_old_list_is_never_served() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[LONG, ("CACHE_TIMEOUT", "50ms")]).await;
    service.add("one").await;
    wait_for_hit(&service).await;

    redis.freeze();
    for number in 2..=4 {
        service
            .add("another")
            .await
            .expect(201, &json!({"message": "Task added"}));
        assert_eq!(service.get("/tasks").await.body.as_array().unwrap().len(), number);
    }
    assert!(count(&service.metrics().await, "cache_errors_total") >= 1);
    // The list from before the silence is still there; the writes since have outdated it.
    redis.thaw();
    for _ in 0..50 {
        assert_eq!(service.get("/tasks").await.body.as_array().unwrap().len(), 4);
    }
    assert_eq!(wait_for_hit(&service).await.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn junk_under_the_key_is_a_miss() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[LONG]).await;
    wait_for_connection(&service);
    assert_eq!(redis.command(&["SET", "{tasks}:list", "junk"]), "OK");
    service.get("/tasks").await.expect(200, &json!([]));
    redis.command(&["DEL", "{tasks}:list"]);
    redis.command(&["LPUSH", "{tasks}:list", "junk"]);
    service.get("/tasks").await.expect(200, &json!([]));
}

/// Asked twice, a slow Redis would hold a request up for twice `CACHE_TIMEOUT`.
#[tokio::test]
async fn a_miss_asks_once() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = start(&postgres, &redis.url(), &[LONG]).await;
    wait_for_connection(&service);
    redis.command(&["CONFIG", "RESETSTAT"]);
    service.get("/tasks").await.expect(200, &json!([]));
    let asked = eventually("the copy that the reader leaves", async || {
        let asked = redis.command(&["INFO", "commandstats"]);
        asked.contains("cmdstat_get:").then_some(asked)
    })
    .await;
    assert!(asked.contains("cmdstat_mget:calls=1,"), "{asked}");
    assert!(
        asked.contains("cmdstat_get:calls=1,"),
        "by the script that leaves the copy, and by nobody else: {asked}"
    );
}
