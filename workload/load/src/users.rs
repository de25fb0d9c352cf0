//! What users do, and what they expect of each answer.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::seq::IndexedRandom;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::cli::Cli;
use crate::root_cause;
use crate::tally::{Operation, Tally};

/// Of sixteen steps; as many deletions as additions, so that the list does not grow without end.
/// `locustfile.py` has the same mix.
const WEIGHTS: [(Operation, u32); 4] = [
    (Operation::List, 8),
    (Operation::Add, 3),
    (Operation::Update, 2),
    (Operation::Delete, 3),
];

/// A user has connections to one of the hosts, and remembers the tasks that are its own.
pub struct User {
    pub client: Client,
    tasks: String,
    tally: Arc<Mutex<Tally>>,
    own: Vec<(i64, String)>,
    texts: u64,
}

#[derive(Deserialize)]
struct Task {
    id: i64,
    task: String,
}

impl User {
    /// As each person has a browser, each user has a client: the service sees as many connections as users.
    pub fn new(cli: &Cli, number: usize, tally: &Arc<Mutex<Tally>>) -> Result<Self, reqwest::Error> {
        let host = &cli.hosts[number % cli.hosts.len()];
        let mut client = Client::builder().timeout(cli.timeout);
        if host.starts_with("http://") {
            // To read the machine's certificates takes milliseconds: seconds for a thousand users.
            client = client.tls_certs_only([]);
        }
        Ok(Self {
            client: client.build()?,
            tasks: format!("{host}/tasks"),
            tally: Arc::clone(tally),
            own: Vec::new(),
            texts: 0,
        })
    }

    /// Acts and thinks until it is stopped; what it has begun it ends.
    pub async fn work(mut self, think_time: RangeInclusive<Duration>, stop: CancellationToken) {
        self.tally.lock().user_came();
        while !stop.is_cancelled() {
            self.act().await;
            let pause = rand::random_range(think_time.clone());
            if !pause.is_zero() {
                stop.run_until_cancelled(tokio::time::sleep(pause)).await;
            }
        }
    }

    async fn act(&mut self) {
        // Who has no task yet has none to change.
        let operation = match draw() {
            Operation::Update | Operation::Delete if self.own.is_empty() => Operation::Add,
            other => other,
        };
        let started = Instant::now();
        let outcome = match operation {
            Operation::List => self.list().await,
            Operation::Add => self.add().await,
            Operation::Update => self.update().await,
            Operation::Delete => self.delete().await,
        };
        let (time, failure) = (started.elapsed(), outcome.err());
        self.tally.lock().record(operation, time, failure.as_deref());
    }

    /// The list is in order, and holds what this user has left in it.
    async fn list(&mut self) -> Result<(), String> {
        let (_, body) = send(self.client.get(&self.tasks), StatusCode::OK).await?;
        let list: Vec<Task> =
            serde_json::from_slice(&body).map_err(|error| format!("not a list: {error}"))?;
        if !list.is_sorted_by(|one, next| one.id < next.id) {
            return Err("the list is not in order".to_owned());
        }
        let end = list.last().map_or(0, |task| task.id);
        // What lies beyond the last task may be on the next page.
        for (id, text) in self.own.iter().filter(|(id, _)| *id <= end || list.len() < 1000) {
            match list.binary_search_by_key(id, |task| task.id) {
                Ok(found) if list[found].task == *text => {}
                Ok(_) => return Err("a task has another text than it was given".to_owned()),
                Err(_) => return Err("a task is missing from the list".to_owned()),
            }
        }
        Ok(())
    }

    async fn add(&mut self) -> Result<(), String> {
        let text = self.new_text();
        let request = self.client.post(&self.tasks).json(&json!({"task": text}));
        let location = expect(request, StatusCode::CREATED, "Task added").await?;
        let id = location.strip_prefix("/tasks/").and_then(|id| id.parse().ok());
        let id = id.ok_or("Location does not name the new task")?;
        self.own.push((id, text));
        Ok(())
    }

    async fn update(&mut self) -> Result<(), String> {
        let index = rand::random_range(0..self.own.len());
        let text = self.new_text();
        let url = format!("{}/{}", self.tasks, self.own[index].0);
        let request = self.client.put(url).json(&json!({"task": text}));
        expect(request, StatusCode::OK, "Task updated").await?;
        self.own[index].1 = text;
        Ok(())
    }

    async fn delete(&mut self) -> Result<(), String> {
        let (id, _) = self.own.swap_remove(rand::random_range(0..self.own.len()));
        let request = self.client.delete(format!("{}/{id}", self.tasks));
        expect(request, StatusCode::OK, "Task deleted").await.map(drop)
    }

    fn new_text(&mut self) -> String {
        self.texts += 1;
        format!("task {} \u{2013} \"{:08x}\"", self.texts, rand::random::<u32>())
    }
}

fn draw() -> Operation {
    let chosen = WEIGHTS.choose_weighted(&mut rand::rng(), |(_, weight)| *weight);
    chosen.map_or(Operation::List, |(operation, _)| *operation)
}

/// Sends a request whose answer is a message; gives its `Location`.
async fn expect(request: RequestBuilder, status: StatusCode, message: &str) -> Result<String, String> {
    let (location, body) = send(request, status).await?;
    let body: Value = serde_json::from_slice(&body).map_err(|error| format!("not JSON: {error}"))?;
    if body == json!({"message": message}) {
        Ok(location)
    } else {
        Err(format!("not the message {message:?}"))
    }
}

async fn send(request: RequestBuilder, status: StatusCode) -> Result<(String, Vec<u8>), String> {
    let response = request.send().await.map_err(|error| root_cause(&error))?;
    if response.status() != status {
        return Err(format!(
            "answered {} where {status} was expected",
            response.status()
        ));
    }
    let location = response.headers().get("location");
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.unwrap_or_default().to_owned();
    let body = response.bytes().await.map_err(|error| root_cause(&error))?;
    Ok((location, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_the_weights_of_the_mix() {
        let mut chosen = [0_u32; WEIGHTS.len()];
        (0..16_000).for_each(|_| chosen[draw() as usize] += 1);
        for (operation, weight) in WEIGHTS {
            let share = f64::from(chosen[operation as usize]) / 1000.0;
            assert!(
                (share - f64::from(weight)).abs() < 0.5,
                "{operation:?}: {share} of 16"
            );
        }
    }

    #[test]
    fn locusts_users_have_the_same_mix() {
        let locustfile = include_str!("../locustfile.py");
        for (operation, weight) in WEIGHTS {
            let function = match operation {
                Operation::List => "read",
                Operation::Add => "add",
                Operation::Update => "update",
                Operation::Delete => "delete",
            };
            let task = format!("    @task({weight})\n    def {function}(self):\n");
            assert!(locustfile.contains(&task), "locustfile.py has no {task}");
        }
        assert_eq!(locustfile.matches("@task(").count(), WEIGHTS.len());
    }
}
