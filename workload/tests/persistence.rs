//! Tasks stay: over restarts, over the database's own absence, and with several instances on one database.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;
use support::service::{Answer, eventually};
use support::wire::Wire;
use support::{Postgres, Service, servers};

const UNAVAILABLE: &str = "The database is not available";

#[tokio::test]
async fn a_file_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tasks.db", folder.path().display());
    let mut first = Service::ready(&[("DATABASE_URL", &url), ("DRAIN_DELAY", "0s")]).await;
    let id = first.add("Buy milk").await.id();
    first.signal("TERM");
    assert!(first.wait_for_exit().success());

    let second = Service::ready(&[("DB_URL", &url)]).await;
    second
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": id, "task": "Buy milk"}]));
}

#[tokio::test]
async fn an_earlier_services_table_is_taken_up() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE tasks (id serial PRIMARY KEY, task varchar(200) NOT NULL)");
    postgres.sql("INSERT INTO tasks (task) VALUES ('Buy milk')");
    let service = Service::ready(&[("DATABASE_URL", &postgres.url())]).await;
    service
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": 1, "task": "Buy milk"}]));
    assert_eq!(service.add("Buy bread").await.id(), 2);
    service
        .update(2, "Buy jam")
        .await
        .expect(200, &json!({"message": "Task updated"}));
}

#[tokio::test]
async fn instances_started_at_once_share_one_postgres() {
    let postgres = Postgres::start();
    started_at_once(&postgres.url()).await;
}

#[tokio::test]
async fn instances_started_at_once_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    started_at_once(&format!("sqlite://{}/tasks.db", folder.path().display())).await;
}

async fn started_at_once(url: &str) {
    // One attempt each: whoever comes second must wait for the first one's migration, not fail.
    let settings = [("DATABASE_URL", url), ("DB_CONNECT_ATTEMPTS", "1")];
    let services: Vec<Service> = (0..4).map(|_| Service::start(&settings)).collect();
    for service in &services {
        service.wait_for_readiness(StatusCode::OK).await;
    }
    for service in &services {
        service
            .add("Buy milk")
            .await
            .expect(201, &json!({"message": "Task added"}));
    }
    for service in &services {
        assert_eq!(
            service.get("/tasks").await.body.as_array().unwrap().len(),
            services.len()
        );
    }
}

#[tokio::test]
async fn without_a_database_the_program_says_so_and_ends() {
    let settings = [
        (
            "DATABASE_URL",
            format!("postgres://app:s3cret@127.0.0.1:{}/shop", servers::free_port()),
        ),
        ("DB_CONNECT_ATTEMPTS", "3".to_owned()),
        ("DB_CONNECT_DELAY", "20ms".to_owned()),
        ("PORT", "0".to_owned()),
        ("METRICS_PORT", "0".to_owned()),
    ];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tasks"))
        .envs(settings)
        .output()
        .unwrap();
    let (log, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in [
        "tasks: ",
        "postgres://app@127.0.0.1",
        "3 attempt",
        "refused",
        "DATABASE_URL",
        "DB_CONNECT_ATTEMPTS",
    ] {
        assert!(error.contains(part), "{part:?} is missing in {error}");
    }
    assert_eq!(log.matches("database not ready").count(), 2, "{log}");
    assert!(!format!("{log}{error}").contains("s3cret"));
}

#[tokio::test]
async fn while_the_database_is_awaited_the_service_lives_but_is_not_ready() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let settings = [
        ("DATABASE_URL", postgres.url()),
        ("DB_CONNECT_DELAY", "50ms".to_owned()),
        ("DB_CONNECT_ATTEMPTS", "10000".to_owned()),
    ];
    let service = Service::start(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    service
        .get("/healthz")
        .await
        .expect(200, &json!({"message": "alive"}));
    service.get("/readyz").await.expect_error(503, UNAVAILABLE);
    service.get("/tasks").await.expect_error(503, UNAVAILABLE);
    postgres.run();
    service.wait_for_readiness(StatusCode::OK).await;
    service.get("/tasks").await.expect(200, &json!([]));
}

#[tokio::test]
async fn a_database_that_goes_away_costs_errors_until_it_is_back() {
    let mut postgres = Postgres::start();
    let service = Service::ready(&[("DATABASE_URL", &postgres.url()), ("DB_TIMEOUT", "500ms")]).await;
    let id = service.add("Buy milk").await.id();

    postgres.stop();
    for _ in 0..3 {
        service.get("/tasks").await.expect_error(503, UNAVAILABLE);
        service.add("Buy bread").await.expect_error(503, UNAVAILABLE);
        service
            .update(id, "Buy bread")
            .await
            .expect_error(503, UNAVAILABLE);
        service.delete(id).await.expect_error(503, UNAVAILABLE);
        service.get("/readyz").await.expect_error(503, UNAVAILABLE);
    }
    service
        .get("/healthz")
        .await
        .expect(200, &json!({"message": "alive"}));

    postgres.run();
    service.wait_for_readiness(StatusCode::OK).await;
    service
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": id, "task": "Buy milk"}]));
}

#[tokio::test]
async fn a_database_that_falls_silent_is_given_up_in_bounded_time() {
    let postgres = Postgres::start();
    let wire = Wire::to(postgres.port()).await;
    let settings = [
        ("DATABASE_URL", Postgres::url_at(wire.port)),
        ("DB_TIMEOUT", "300ms".to_owned()),
        ("DB_POOL_SIZE", "2".to_owned()),
    ];
    let service = Service::ready(&settings.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let id = service.add("Buy milk").await.id();

    wire.cut();
    // More at once than there are connections: those that wait for one are answered in time, too.
    let started = Instant::now();
    let requests = (0..10).map(|_| service.get("/tasks"));
    for answer in futures::future::join_all(requests).await {
        answer.expect_error(503, UNAVAILABLE);
    }
    service.add("Buy bread").await.expect_error(503, UNAVAILABLE);
    service.get("/readyz").await.expect_error(503, UNAVAILABLE);
    // Not a measurement: without the bound this would wait for ever.
    assert!(started.elapsed() < Duration::from_secs(30));

    wire.reconnect();
    service.wait_for_readiness(StatusCode::OK).await;
    let list = eventually("the list", async || {
        let answer = service.get("/tasks").await;
        (answer.status == 200).then_some(answer.body)
    })
    .await;
    assert_eq!(list[0], json!({"id": id, "task": "Buy milk"}));
}

#[tokio::test]
async fn clients_that_hang_up_leave_no_broken_connections_behind() {
    let postgres = Postgres::start();
    let service = Service::ready(&[("DATABASE_URL", &postgres.url()), ("DB_POOL_SIZE", "2")]).await;
    postgres.sql("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END'");
    postgres.sql("CREATE TRIGGER slow BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION slow()");
    let impatient = reqwest::Client::builder()
        .timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    for _ in 0..6 {
        let add = impatient
            .request(Method::POST, format!("{}/tasks", service.url))
            .json(&json!({"task": "a"}));
        assert!(add.send().await.is_err());
        let _ = impatient.get(format!("{}/tasks", service.url)).send().await;
    }
    // What was begun is done to the end, though nobody waits for the answer.
    eventually("the abandoned writes", async || {
        (postgres.sql("SELECT count(*) FROM tasks") == "6").then_some(())
    })
    .await;
    assert_eq!(
        Answer::of(service.request(Method::GET, "/tasks"))
            .await
            .body
            .as_array()
            .unwrap()
            .len(),
        6
    );
}
