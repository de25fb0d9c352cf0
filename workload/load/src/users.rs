//! What users do, and what they expect of each answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use goose::GooseError;
use goose::goose::{
    GooseUser, Scenario, Transaction, TransactionError, TransactionFunction, TransactionResult,
};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::tally::{Operation, Tally};

/// Of sixteen steps; as many deletions as additions, so that the list does not grow without end.
/// `locustfile.py` has the same mix.
const WEIGHTS: [(Operation, u32); 4] = [
    (Operation::List, 8),
    (Operation::Add, 3),
    (Operation::Update, 2),
    (Operation::Delete, 3),
];

/// What one user has: a way to the service, and tasks of the user's own.
#[derive(Clone)]
struct Memory {
    client: Client,
    host: String,
    tally: Arc<Tally>,
    own: Vec<(i64, String)>,
    added: u64,
}

#[derive(Deserialize)]
struct Task {
    id: i64,
    task: String,
}

/// A client for each user, as each has a browser: connections are shared with nobody, so that the
/// service sees as many as there are users.
pub fn clients(cli: &Cli) -> Result<Vec<Client>, reqwest::Error> {
    // A client for HTTPS reads the machine's certificates, which takes milliseconds: seconds for a thousand.
    let plain = cli.hosts.iter().all(|host| host.starts_with("http://"));
    let client = |_| {
        let builder = Client::builder().timeout(cli.timeout.0);
        let builder = if plain {
            builder.tls_certs_only([])
        } else {
            builder
        };
        builder.build()
    };
    (0..cli.users).map(client).collect()
}

/// The users' scenario: the hosts are taken in turns.
pub fn scenario(cli: &Cli, clients: Vec<Client>, tally: &Arc<Tally>) -> Result<Scenario, GooseError> {
    let (hosts, tally, next) = (
        cli.hosts.clone(),
        Arc::clone(tally),
        Arc::new(AtomicUsize::new(0)),
    );
    let come: TransactionFunction = Arc::new(move |user: &mut GooseUser| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        tally.user_came();
        user.set_session_data(Memory {
            client: clients[number % clients.len()].clone(),
            host: hosts[number % hosts.len()].clone(),
            tally: Arc::clone(&tally),
            own: Vec::new(),
            added: 0,
        });
        Box::pin(async { Ok(()) })
    });
    let step: TransactionFunction = Arc::new(|user: &mut GooseUser| Box::pin(act(user)));
    Ok(Scenario::new("tasks")
        .set_wait_time(cli.think_time.least, cli.think_time.most)?
        .register_transaction(Transaction::new(come).set_on_start().set_name("come"))
        .register_transaction(Transaction::new(step)))
}

/// What to do next. Goose would draw up one order and have every user keep to it, in which the task
/// of an addition is always deleted again before the next list is read, and none is ever checked.
fn draw() -> Operation {
    let mut left = rand::random_range(0..WEIGHTS.iter().map(|(_, weight)| weight).sum());
    let drawn = WEIGHTS.iter().find(|(_, weight)| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    });
    drawn.map_or(Operation::List, |(operation, _)| *operation)
}

async fn act(user: &mut GooseUser) -> TransactionResult {
    let Some(memory) = user.get_session_data_mut::<Memory>() else {
        return Err(Box::new(TransactionError::Custom(
            "the user never came".to_owned(),
        )));
    };
    // Who has no task yet has none to change.
    let operation = match draw() {
        Operation::Update | Operation::Delete if memory.own.is_empty() => Operation::Add,
        other => other,
    };
    memory.step(operation).await;
    Ok(())
}

impl Memory {
    async fn step(&mut self, operation: Operation) {
        let client = self.client.clone();
        let tasks = format!("{}/tasks", self.host);
        let started = Instant::now();
        let outcome = match operation {
            Operation::List => self.list(client.get(&tasks)).await,
            Operation::Add => self.add(client.post(&tasks)).await,
            Operation::Update => {
                let index = rand::random_range(0..self.own.len());
                self.update(index, client.put(format!("{tasks}/{}", self.own[index].0)))
                    .await
            }
            Operation::Delete => {
                let index = rand::random_range(0..self.own.len());
                let (id, _) = self.own.swap_remove(index);
                expect(
                    client.delete(format!("{tasks}/{id}")),
                    StatusCode::OK,
                    "Task deleted",
                )
                .await
                .map(drop)
            }
        };
        self.tally
            .record(operation, started.elapsed(), outcome.err().as_deref());
    }

    /// The list is in order, and holds what this user has left in it.
    async fn list(&self, request: RequestBuilder) -> Result<(), String> {
        let (_, body) = send(request, StatusCode::OK).await?;
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

    async fn add(&mut self, request: RequestBuilder) -> Result<(), String> {
        let text = self.new_text();
        let location = expect(
            request.json(&json!({"task": text})),
            StatusCode::CREATED,
            "Task added",
        )
        .await?;
        let id = location.strip_prefix("/tasks/").and_then(|id| id.parse().ok());
        let id = id.ok_or("Location does not name the new task")?;
        self.own.push((id, text));
        Ok(())
    }

    async fn update(&mut self, index: usize, request: RequestBuilder) -> Result<(), String> {
        let text = self.new_text();
        expect(
            request.json(&json!({"task": text})),
            StatusCode::OK,
            "Task updated",
        )
        .await?;
        self.own[index].1 = text;
        Ok(())
    }

    fn new_text(&mut self) -> String {
        self.added += 1;
        format!("task {} \u{2013} \"{:08x}\"", self.added, rand::random::<u32>())
    }
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
    let response = request.send().await.map_err(|error| crate::root_cause(&error))?;
    if response.status() != status {
        return Err(format!(
            "answered {} where {status} was expected",
            response.status()
        ));
    }
    let location = response
        .headers()
        .get("location")
        .and_then(|location| location.to_str().ok());
    let location = location.unwrap_or_default().to_owned();
    let body = response
        .bytes()
        .await
        .map_err(|error| crate::root_cause(&error))?;
    Ok((location, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_has_the_weights_of_the_mix() {
        let mut drawn = [0_u32; WEIGHTS.len()];
        (0..16_000).for_each(|_| drawn[draw() as usize] += 1);
        for (operation, weight) in WEIGHTS {
            let share = f64::from(drawn[operation as usize]) / 1000.0;
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
