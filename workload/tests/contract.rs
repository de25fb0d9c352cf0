//! The API's contract, word for word, on every database.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use reqwest::{Body, Method};
use serde_json::{Value, json};
use support::service::Answer;
use support::{Postgres, Redis, Service};

#[tokio::test]
async fn on_sqlite() {
    let service = Service::on_sqlite_in_memory().await;
    contract(&service).await;
}

#[tokio::test]
async fn on_postgres() {
    let postgres = Postgres::start();
    let service = Service::ready(&[("DATABASE_URL", &postgres.url())]).await;
    contract(&service).await;
}

#[tokio::test]
async fn on_postgres_behind_a_cache() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let service = Service::ready(&[("DATABASE_URL", &postgres.url()), ("REDIS_URL", &redis.url())]).await;
    contract(&service).await;
}

async fn contract(service: &Service) {
    a_task_lives_and_dies(service).await;
    what_is_no_task_is_refused(service).await;
    unknown_ids_and_paths_are_not_found(service).await;
    text_comes_back_as_it_was_sent(service).await;
    long_lists_are_given_in_pages(service).await;
    health(service).await;
    service.get("/").await.expect(
        200,
        &json!({"message": "The task service: the list is at /tasks, the description at /openapi.json"}),
    );
}

async fn a_task_lives_and_dies(service: &Service) {
    service.get("/tasks").await.expect(200, &json!([]));

    let added = service.add("Buy milk").await;
    added.expect(201, &json!({"message": "Task added"}));
    let milk = added.id();
    let bread = service.add("Buy bread").await.id();
    assert!(bread > milk);
    let both = json!([{"id": milk, "task": "Buy milk"}, {"id": bread, "task": "Buy bread"}]);
    service.get("/tasks").await.expect(200, &both);

    service
        .update(milk, "Buy oat milk")
        .await
        .expect(200, &json!({"message": "Task updated"}));
    service
        .delete(bread)
        .await
        .expect(200, &json!({"message": "Task deleted"}));
    service
        .get("/tasks")
        .await
        .expect(200, &json!([{"id": milk, "task": "Buy oat milk"}]));

    service
        .delete(milk)
        .await
        .expect(200, &json!({"message": "Task deleted"}));
    service
        .delete(milk)
        .await
        .expect(404, &json!({"error": "Task not found"}));
    service.get("/tasks").await.expect(200, &json!([]));
    let next = service.add("Buy jam").await.id();
    assert!(next > bread, "an id is never given again");
    service.delete(next).await;
}

async fn what_is_no_task_is_refused(service: &Service) {
    let id = service.add("stays").await.id();
    let ways = [
        (Method::POST, "/tasks".to_owned()),
        (Method::PUT, format!("/tasks/{id}")),
    ];
    for (method, path) in &ways {
        let send = async |body: Body| Answer::of(service.request(method.clone(), path).body(body)).await;
        let no_task = [
            "{}",
            r#"{"task":""}"#,
            r#"{"task":null}"#,
            r#"{"task":7}"#,
            r#"{"task":["a"]}"#,
            r#"{"Task":"a"}"#,
            "[]",
            "7",
            "null",
            r#""task""#,
        ];
        for body in no_task {
            send(body.into())
                .await
                .expect(400, &json!({"error": "No task provided"}));
        }
        let not_json = [
            "",
            "task=milk",
            "{",
            r#"{"task":"a"} x"#,
            r#"{"task":"\ud800"}"#,
            "\u{feff}{}",
        ];
        for body in not_json {
            send(body.into())
                .await
                .expect_error(400, "The body is not JSON: ");
        }
        send(vec![b'"', 0xff, b'"'].into())
            .await
            .expect_error(400, "The body is not JSON: ");
        send("[".repeat(60_000).into())
            .await
            .expect_error(400, "The body is not JSON: ");
        send(r#"{"task":"a\u0000b"}"#.into())
            .await
            .expect_error(400, "A task cannot contain");

        // 64 KiB are taken, one byte more is not.
        let fits = format!(r#"{{"task":"{}"}}"#, "x".repeat(64 * 1024 - 11));
        assert_eq!(fits.len(), 64 * 1024);
        assert!(send(fits.into()).await.status < 300);
        for length in [64 * 1024 - 10, 1024 * 1024] {
            let large = format!(r#"{{"task":"{}"}}"#, "x".repeat(length));
            send(large.into())
                .await
                .expect_error(413, "The body is larger than 64 KiB");
        }
    }
    clear(service).await;
}

async fn unknown_ids_and_paths_are_not_found(service: &Service) {
    let not_found = json!({"error": "Task not found"});
    for id in [
        "0",
        "999999999",
        "99999999999999999999",
        "-1",
        "+1",
        "milk",
        "1.0",
        "%20",
        "%ff",
        "1%00",
    ] {
        let path = format!("/tasks/{id}");
        let update = service.request(Method::PUT, &path).json(&json!({"task": "a"}));
        Answer::of(update).await.expect(404, &not_found);
        Answer::of(service.request(Method::DELETE, &path))
            .await
            .expect(404, &not_found);
    }
    for path in [
        "/task",
        "/tasks/",
        "/tasks/1/2",
        "/TASKS",
        "/metrics",
        "/faults",
        "/%2e%2e/etc/passwd",
    ] {
        service.get(path).await.expect_error(404, "Not found");
    }
    let wrong = [
        (Method::PUT, "/tasks"),
        (Method::DELETE, "/tasks"),
        (Method::PATCH, "/tasks/1"),
        (Method::POST, "/tasks/1"),
        (Method::POST, "/healthz"),
    ];
    for (method, path) in wrong {
        let answer = Answer::of(service.request(method, path)).await;
        answer.expect_error(405, "Method not allowed");
        assert!(!answer.header("allow").is_empty(), "{path}");
    }
}

async fn text_comes_back_as_it_was_sent(service: &Service) {
    let texts = [
        "  blanks  ",
        "ümlaut \u{1f95b}",
        "quote \" back\\slash / \u{7f}\u{1}\n\t\u{2028}",
        "'; DROP TABLE tasks; --",
        "<script>",
        "$1",
        "%s {} {0}",
    ];
    for text in texts {
        service
            .add(text)
            .await
            .expect(201, &json!({"message": "Task added"}));
    }
    let list = service.get("/tasks").await.body;
    let tasks: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["task"].as_str().unwrap())
        .collect();
    assert_eq!(tasks, texts);
    clear(service).await;
}

async fn long_lists_are_given_in_pages(service: &Service) {
    let mut ids = Vec::new();
    for number in 0..1003 {
        ids.push(service.add(&format!("task {number}")).await.id());
    }
    let first = service.get("/tasks").await;
    assert_eq!(ids_of(&first.body), ids[..1000]);
    assert_eq!(
        first.header("link"),
        format!(r#"</tasks?after={}&limit=1000>; rel="next""#, ids[999])
    );
    let last = service.get(&next_page(&first)).await;
    assert_eq!(ids_of(&last.body), ids[1000..]);
    assert_eq!(last.header("link"), "");

    // Following the links gives every task once, whatever the page's size.
    let (mut path, mut seen) = ("/tasks?limit=250".to_owned(), Vec::new());
    while !path.is_empty() {
        let page = service.get(&path).await;
        seen.extend(ids_of(&page.body));
        path = next_page(&page);
    }
    assert_eq!(seen, ids);

    let exact = service.get(&format!("/tasks?after={}&limit=3", ids[999])).await;
    assert_eq!(
        (ids_of(&exact.body), exact.header("link")),
        (ids[1000..].to_vec(), "")
    );
    let more_than_allowed = service.get("/tasks?limit=5000").await;
    assert_eq!(ids_of(&more_than_allowed.body).len(), 1000);
    for wrong in [
        "limit=0",
        "limit=-1",
        "limit=ten",
        "after=milk",
        "after=99999999999999999999",
        "limit=",
    ] {
        service
            .get(&format!("/tasks?{wrong}"))
            .await
            .expect_error(400, "after must be a task's id");
    }
    for id in ids {
        service.delete(id).await;
    }
}

async fn health(service: &Service) {
    service
        .get("/healthz")
        .await
        .expect(200, &json!({"message": "alive"}));
    service
        .get("/readyz")
        .await
        .expect(200, &json!({"message": "ready"}));
}

fn ids_of(list: &Value) -> Vec<i64> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_i64().unwrap())
        .collect()
}

fn next_page(answer: &Answer) -> String {
    let link = answer.header("link");
    link.strip_prefix('<')
        .and_then(|link| link.strip_suffix(r#">; rel="next""#))
        .unwrap_or_default()
        .to_owned()
}

async fn clear(service: &Service) {
    for id in ids_of(&service.get("/tasks").await.body) {
        service.delete(id).await;
    }
}
