//! The service as a process of its own, on free ports.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// How long a test waits for what must come; only a broken service makes it wait so long.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub struct Service {
    process: Child,
    log: Arc<Log>,
    pub client: Client,
    pub url: String,
    pub metrics_url: String,
}

/// The service's program. Cargo says where it is in the tests of its own package; those of `tasks-load` have it built
/// first, for a test of the service, as `cargo test` builds it for all.
fn program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        if let Some(own) = option_env!("CARGO_BIN_EXE_tasks") {
            return own.into();
        }
        let built = lab_tools::cargo()
            .args(["test", "--quiet", "--no-run", "--workspace", "--test", "openapi"])
            .status()
            .unwrap();
        assert!(built.success(), "cargo test --no-run --workspace --test openapi");
        let own = std::env::current_exe().unwrap();
        own.ancestors().nth(2).unwrap().join("tasks")
    });
    &PROGRAM
}

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<Value>, bool)>,
    changed: Condvar,
}

impl Log {
    /// The first line for which `matches` gives something, now or later; None when the log ends without one.
    fn wait_for<T>(&self, matches: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(found) = lines.0.iter().find_map(&matches) {
                return Some(found);
            }
            if lines.1 {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the line did not come; the log is {:#?}",
                lines.0
            );
            lines = self.changed.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Service {
    /// Starts the service and waits until it listens.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        // Where crates are built together, no kind of cryptography is reqwest's default.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("PORT", "0")
            .env("METRICS_PORT", "0")
            .env("LISTEN_ADDRESS", "127.0.0.1");
        command.envs(settings.iter().copied()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();

        let log = Arc::new(Log::default());
        let reader = BufReader::new(process.stdout.take().unwrap());
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lines.lines.lock().unwrap().0.push(line);
                lines.changed.notify_all();
            }
            lines.lines.lock().unwrap().1 = true;
            lines.changed.notify_all();
        });

        let port = |message: &str| {
            log.wait_for(|line| (line["message"] == message).then(|| line["port"].as_u64().unwrap()))
                .unwrap_or_else(|| panic!("the service ended before it said {message:?}"))
        };
        let url = format!("http://127.0.0.1:{}", port("listening"));
        let metrics_url = format!("http://127.0.0.1:{}", port("listening for metrics"));
        Self {
            process,
            log,
            client: Client::new(),
            url,
            metrics_url,
        }
    }

    /// Starts the service and waits until it is ready.
    pub async fn ready(settings: &[(&str, &str)]) -> Self {
        let service = Self::start(settings);
        service.wait_for_readiness(StatusCode::OK).await;
        service
    }

    pub async fn on_sqlite_in_memory() -> Self {
        Self::ready(&[("DATABASE_URL", "sqlite::memory:")]).await
    }

    pub async fn wait_for_readiness(&self, expected: StatusCode) {
        eventually("readiness", async || {
            let answer = self
                .client
                .get(format!("{}/readyz", self.url))
                .send()
                .await
                .ok()?;
            (answer.status() == expected).then_some(())
        })
        .await;
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn add(&self, task: &str) -> Answer {
        Answer::of(self.request(Method::POST, "/tasks").json(&json!({"task": task}))).await
    }

    pub async fn update(&self, id: i64, task: &str) -> Answer {
        Answer::of(
            self.request(Method::PUT, &format!("/tasks/{id}"))
                .json(&json!({"task": task})),
        )
        .await
    }

    pub async fn delete(&self, id: i64) -> Answer {
        Answer::of(self.request(Method::DELETE, &format!("/tasks/{id}"))).await
    }

    /// All series and their values, keyed as they are written: `name{label="value"}`.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let text = self
            .client
            .get(format!("{}/metrics", self.metrics_url))
            .send()
            .await
            .unwrap();
        parse_metrics(&text.text().await.unwrap())
    }

    /// Waits for a log line.
    pub fn log_line<T>(&self, matches: impl Fn(&Value) -> Option<T>) -> T {
        self.log
            .wait_for(matches)
            .expect("the log ended without the line")
    }

    pub fn log_lines(&self) -> Vec<Value> {
        self.log.lines.lock().unwrap().0.clone()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    async fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        Self {
            status,
            headers,
            body,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The id in `Location`.
    pub fn id(&self) -> i64 {
        self.header("location")
            .strip_prefix("/tasks/")
            .unwrap()
            .parse()
            .unwrap()
    }

    #[track_caller]
    pub fn expect(&self, status: u16, body: &Value) {
        assert_eq!((self.status, &self.body), (status, body));
        assert_eq!(self.header("content-type"), "application/json");
    }

    #[track_caller]
    pub fn expect_error(&self, status: u16, starts_with: &str) {
        let text = self.body["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in {self:?}"));
        assert_eq!(self.status, status, "{self:?}");
        assert!(text.starts_with(starts_with), "{text:?}");
        assert_eq!(self.header("content-type"), "application/json");
    }
}

pub fn parse_metrics(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "an unfinished exposition: {text:?}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut series = BTreeMap::new();
    for line in samples {
        // Behind a bucket there may be its exemplar.
        let line = line.split(" # ").next().unwrap();
        let (name, value) = line.rsplit_once(' ').unwrap();
        let twice = series.insert(name.to_owned(), value.parse().unwrap());
        assert_eq!(twice, None, "{name} is given twice");
    }
    series
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Asks until there is an answer.
pub async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
