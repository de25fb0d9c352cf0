//! Many requests at once, and few connections: those who wait share a statement, and each gets what is its own.
#![allow(clippy::unwrap_used, clippy::float_cmp)]

#[path = "support/collector.rs"]
mod collector;
mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Child, Stdio};

use collector::collector;
use futures::future::join_all;
use serde_json::{Value, json};
use support::service::{Answer, PATIENCE, eventually};
use support::{Postgres, Service};

const CROWD: usize = 20;

/// A lock on the tasks, which others wait for until it is opened.
struct Lock(Child);

impl Lock {
    async fn on(postgres: &Postgres, mode: &str) -> Self {
        let mut session = postgres
            .command("psql")
            .args([&postgres.url(), "-XAtq"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let lock = format!("BEGIN; LOCK TABLE tasks IN {mode} MODE;\n");
        let input = session.stdin.as_mut().unwrap();
        input.write_all(lock.as_bytes()).unwrap();
        let locked = "SELECT count(*) FROM pg_locks WHERE granted AND pid <> pg_backend_pid() \
                      AND mode IN ('ShareLock', 'AccessExclusiveLock') AND relation = 'tasks'::regclass";
        eventually("the lock", async || (postgres.sql(locked) == "1").then_some(())).await;
        Self(session)
    }

    fn open(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.open();
    }
}

/// Opens the lock when so many requests have arrived.
async fn open_for(mut lock: Lock, service: &Service, requests: usize) {
    eventually("the crowd", async || {
        (service.metrics().await["http_requests_in_flight"] == requests as f64).then_some(())
    })
    .await;
    lock.open();
}

fn statements(metrics: &BTreeMap<String, f64>, operation: &str) -> f64 {
    metrics[&format!(r#"db_operation_duration_seconds_count{{operation="{operation}"}}"#)]
}

async fn expect_two_statements(service: &Service, operation: &str, answers: &str) {
    let metrics = service.metrics().await;
    assert_eq!(
        statements(&metrics, operation),
        2.0,
        "one for the first, whose turn it was, and one for all others"
    );
    assert_eq!(
        metrics[&format!("http_requests_total{answers}")],
        CROWD as f64,
        "each of them is counted"
    );
}

#[tokio::test]
async fn readers_that_wait_for_their_turn_share_one_statement() {
    let postgres = Postgres::start();
    let service = Service::ready(&[("DATABASE_URL", &postgres.url()), ("DB_POOL_SIZE", "1")]).await;
    let lock = Lock::on(&postgres, "SHARE").await;

    // This write waits for the lock, with the only connection; all readers wait for the connection.
    let write = service.add("Buy milk");
    let readers = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        eventually("the write", async || (postgres.sql(waits) == "1").then_some(())).await;
        join_all((0..CROWD).map(|_| service.get("/tasks"))).await
    };
    let (_, readers, ()) = tokio::join!(write, readers, open_for(lock, &service, CROWD + 1));
    for list in readers {
        // It was added before the statement began.
        list.expect(200, &json!([{"id": 1, "task": "Buy milk"}]));
    }
    expect_two_statements(&service, "list", r#"{method="GET",route="/tasks",code="200"}"#).await;
}

#[tokio::test]
async fn writers_that_wait_for_their_turn_share_one_statement() {
    let postgres = Postgres::start();
    let service = Service::ready(&[("DATABASE_URL", &postgres.url()), ("DB_POOL_SIZE", "1")]).await;
    let lock = Lock::on(&postgres, "SHARE").await;

    // Some of them say the same.
    let task = |number: usize| format!("task {}", number / 2);
    let writers = join_all((0..CROWD).map(async |number| (number, service.add(&task(number)).await)));
    let (writers, ()) = tokio::join!(writers, open_for(lock, &service, CROWD));

    let mut expected = BTreeMap::new();
    for (number, answer) in writers {
        answer.expect(201, &json!({"message": "Task added"}));
        let twice = expected.insert(answer.id(), task(number));
        assert_eq!(twice, None, "two got the same id");
    }
    let expected: Vec<Value> = expected
        .iter()
        .map(|(id, task)| json!({"id": id, "task": task}))
        .collect();
    service.get("/tasks").await.expect(200, &json!(expected));
    expect_two_statements(&service, "add", r#"{method="POST",route="/tasks",code="201"}"#).await;
}

#[tokio::test]
async fn more_writers_than_a_statement_takes_lose_nothing_on_a_file_either() {
    const WRITERS: usize = 200;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tasks.db", folder.path().display());
    let service = Service::ready(&[("DATABASE_URL", &url), ("DB_POOL_SIZE", "1")]).await;

    let writers = join_all((0..WRITERS).map(async |number| {
        let task = format!("task {number}");
        let answer = service.add(&task).await;
        answer.expect(201, &json!({"message": "Task added"}));
        (answer.id(), task)
    }));
    let expected: BTreeMap<i64, String> = writers.await.into_iter().collect();
    let list = service.get("/tasks").await.body;
    let list = list.as_array().unwrap().iter();
    let kept: BTreeMap<i64, String> = list
        .map(|task| {
            (
                task["id"].as_i64().unwrap(),
                task["task"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    assert_eq!(kept, expected);
    assert_eq!(kept.len(), WRITERS);
}

#[tokio::test]
async fn a_task_that_the_database_refuses_costs_its_sender_alone() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE tasks (id serial PRIMARY KEY, task varchar(20) NOT NULL)");
    let service = Service::ready(&[("DATABASE_URL", &postgres.url()), ("DB_POOL_SIZE", "1")]).await;
    let lock = Lock::on(&postgres, "SHARE").await;

    let task = |number: usize| match number {
        7 => "longer than the twenty characters of that table".to_owned(),
        _ => format!("task {number}"),
    };
    let writers = join_all((0..CROWD).map(async |number| (number, service.add(&task(number)).await)));
    let (writers, ()) = tokio::join!(writers, open_for(lock, &service, CROWD));
    for (number, answer) in writers {
        if number == 7 {
            answer.expect_error(500, "Internal error");
        } else {
            let kept = postgres.sql(&format!("SELECT task FROM tasks WHERE id = {}", answer.id()));
            assert_eq!(kept, task(number));
        }
    }
    assert_eq!(
        postgres.sql("SELECT count(*) FROM tasks"),
        (CROWD - 1).to_string()
    );
}

#[tokio::test]
async fn who_waits_in_vain_is_told_so_in_bounded_time() {
    let (port, mut traces) = collector(None).await;
    let endpoint = format!("http://127.0.0.1:{port}");
    let postgres = Postgres::start();
    let service = Service::ready(&[
        ("DATABASE_URL", &postgres.url()),
        ("DB_POOL_SIZE", "1"),
        ("DB_TIMEOUT", "300ms"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
    ])
    .await;
    let lock = Lock::on(&postgres, "ACCESS EXCLUSIVE").await;

    let readers = join_all((0..CROWD).map(|_| service.get("/tasks")));
    let writers = join_all((0..CROWD).map(|_| service.add("Buy milk")));
    // The lock stays until all are answered: without the bound they would never be.
    let (readers, writers) = tokio::time::timeout(PATIENCE, async { tokio::join!(readers, writers) })
        .await
        .unwrap();
    drop(lock);
    for answer in readers.iter().chain(&writers) {
        answer.expect_error(503, "The database is not available");
        assert_eq!(answer.header("retry-after"), "1");
    }

    let metrics = service.metrics().await;
    for operation in ["list", "add"] {
        let errors = metrics[&format!(r#"db_errors_total{{operation="{operation}"}}"#)];
        assert_eq!(
            errors,
            statements(&metrics, operation),
            "each {operation} that was asked of the database failed, and no other is counted"
        );
        assert!(errors >= 1.0 && errors < CROWD as f64, "{errors} of {operation}");
    }
    let mut failed = BTreeMap::from([("list", 0), ("add", 0)]);
    while failed.values().any(|&failed| failed < CROWD) {
        let message = traces.recv().await.unwrap();
        let spans = message["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap();
        for span in spans {
            if let Some(failed) = failed.get_mut(span["name"].as_str().unwrap()) {
                assert_eq!(span["status"]["code"], 2, "{span:#}");
                *failed += 1;
            }
        }
    }
    assert_eq!(failed.into_values().collect::<Vec<_>>(), [CROWD, CROWD]);
    eventually("the list", async || {
        let answer: Answer = service.get("/tasks").await;
        (answer.status == 200).then_some(())
    })
    .await;
}
