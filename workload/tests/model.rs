//! Whatever is called in whatever order, the service does as a map from ids to texts would.
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::json;
use support::service::Answer;
use support::{Postgres, Redis, Service};

#[derive(Debug, Clone)]
enum Call {
    Add(String),
    /// The numbers choose among the ids given so far; some of them are gone.
    Update(usize, String),
    Delete(usize),
    List,
    Page {
        after: usize,
        limit: u16,
    },
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let text = || any::<String>().prop_map(|text| text.replace('\0', ""));
    let call = prop_oneof![
        4 => text().prop_map(Call::Add),
        3 => (any::<usize>(), text()).prop_map(|(id, text)| Call::Update(id, text)),
        2 => any::<usize>().prop_map(Call::Delete),
        3 => Just(Call::List),
        2 => (any::<usize>(), 1..5_u16).prop_map(|(after, limit)| Call::Page { after, limit }),
    ];
    prop::collection::vec(call, 1..40)
}

#[derive(Default)]
struct Model {
    tasks: BTreeMap<i64, String>,
    ids: Vec<i64>,
}

impl Model {
    /// An id that was given once, or one that never was.
    fn id(&self, choice: usize) -> i64 {
        let index = choice % (self.ids.len() + 1);
        self.ids.get(index).copied().unwrap_or(i64::MAX)
    }

    fn list(&self, after: i64, limit: usize) -> serde_json::Value {
        let tasks = self.tasks.range(after + 1..).take(limit);
        tasks.map(|(id, task)| json!({"id": id, "task": task})).collect()
    }
}

fn agrees(settings: &[(&str, &str)], cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = runtime.block_on(Service::ready(settings));
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&calls(), |calls| {
        runtime.block_on(async {
            // A case that failed has left its tasks behind.
            for task in service.get("/tasks").await.body.as_array().unwrap() {
                service.delete(task["id"].as_i64().unwrap()).await;
            }
            let mut model = Model::default();
            for call in calls {
                step(&service, &mut model, call).await;
            }
            service.get("/tasks").await.expect(200, &model.list(0, 1000));
        });
        Ok(())
    });
    result.unwrap();
}

async fn step(service: &Service, model: &mut Model, call: Call) {
    let not_found = json!({"error": "Task not found"});
    let no_task = json!({"error": "No task provided"});
    match call {
        Call::Add(text) if text.is_empty() => service.add("").await.expect(400, &no_task),
        Call::Add(text) => {
            let added = service.add(&text).await;
            added.expect(201, &json!({"message": "Task added"}));
            let id = added.id();
            assert!(model.ids.iter().all(|earlier| *earlier < id), "ids grow");
            model.ids.push(id);
            model.tasks.insert(id, text);
        }
        Call::Update(choice, text) => {
            let id = model.id(choice);
            let answer = service.update(id, &text).await;
            if text.is_empty() {
                answer.expect(400, &no_task);
            } else if let Some(task) = model.tasks.get_mut(&id) {
                answer.expect(200, &json!({"message": "Task updated"}));
                *task = text;
            } else {
                answer.expect(404, &not_found);
            }
        }
        Call::Delete(choice) => {
            let id = model.id(choice);
            let answer = service.delete(id).await;
            match model.tasks.remove(&id) {
                Some(_) => answer.expect(200, &json!({"message": "Task deleted"})),
                None => answer.expect(404, &not_found),
            }
        }
        Call::List => service.get("/tasks").await.expect(200, &model.list(0, 1000)),
        Call::Page { after, limit } => {
            let after = model.id(after).min(i64::MAX - 1);
            let path = format!("/tasks?after={after}&limit={limit}");
            let answer = Answer::of(service.request(Method::GET, &path)).await;
            answer.expect(200, &model.list(after, usize::from(limit)));
            let more = model.tasks.range(after + 1..).count() > usize::from(limit);
            assert_eq!(answer.header("link").is_empty(), !more);
        }
    }
}

#[test]
fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tasks.db", folder.path().display());
    agrees(&[("DATABASE_URL", &url)], 40);
}

#[test]
fn on_postgres() {
    let postgres = Postgres::start();
    agrees(&[("DATABASE_URL", &postgres.url())], 40);
}

#[test]
fn on_postgres_behind_a_cache() {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let settings = [
        ("DATABASE_URL", postgres.url()),
        ("REDIS_URL", redis.url()),
        ("CACHE_TTL", "10m".to_owned()),
    ];
    agrees(
        &settings.each_ref().map(|(name, value)| (*name, value.as_str())),
        60,
    );
}
