//! A real Prometheus over blocks made for a test, and promtool.
#![allow(clippy::missing_panics_doc, clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab_tools::{Tool, ensure};
use tempfile::TempDir;

/// promtool, built if it is missing.
pub fn promtool() -> Command {
    Command::new(&ensure(&[Tool::Promtool]).expect("promtool can be built")[&Tool::Promtool])
}

/// Stops with the test.
#[derive(Debug)]
pub struct Prometheus {
    folder: TempDir,
    server: Option<(Child, String)>,
    /// The file of the rules that it evaluates.
    rules: Option<String>,
}

impl Prometheus {
    /// With the samples of an OpenMetrics text, whatever their time.
    pub fn with_openmetrics(text: &str) -> Self {
        Self::with(text, None)
    }

    /// With samples until now, which groups of rules in a file of that name are evaluated over from now on; it also
    /// scrapes itself, every second.
    pub fn with_rules(text: &str, file: &str, groups: &serde_json::Value) -> Self {
        Self::with(text, Some((file, groups)))
    }

    fn with(text: &str, rules: Option<(&str, &serde_json::Value)>) -> Self {
        let mut prometheus = Self {
            folder: tempfile::tempdir().unwrap(),
            server: None,
            rules: rules.map(|(file, _)| file.to_owned()),
        };
        let input = prometheus.folder.path().join("input.om");
        fs::write(&input, text).unwrap();
        run(promtool()
            .args([
                "tsdb",
                "create-blocks-from",
                "--max-block-duration=1000h",
                "openmetrics",
            ])
            .arg(&input)
            .arg(prometheus.data()));
        if let Some((file, groups)) = rules {
            let groups = serde_json::json!({"groups": groups});
            fs::write(prometheus.folder.path().join(file), groups.to_string()).unwrap();
        }
        prometheus.start();
        prometheus
    }

    /// JSON is YAML.
    fn configuration(&self, address: &str) -> serde_json::Value {
        match &self.rules {
            None => serde_json::json!({}),
            Some(file) => serde_json::json!({
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "rule_files": [file],
                "scrape_configs": [{"job_name": "prometheus", "static_configs": [{"targets": [address]}]}],
            }),
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&mut self) {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let program = &ensure(&[Tool::Prometheus]).expect("Prometheus can be built")[&Tool::Prometheus];
        fs::write(
            self.folder.path().join("prometheus.yml"),
            self.configuration(&address).to_string(),
        )
        .unwrap();
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .arg(format!(
                "--config.file={}",
                self.folder.path().join("prometheus.yml").display()
            ))
            .arg(format!("--storage.tsdb.path={}", self.data().display()))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=warn"])
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        self.server = Some((child, url.clone()));
        let patience = Instant::now() + Duration::from_mins(1);
        while !promtool()
            .args(["check", "ready", "--url", &url])
            .output()
            .unwrap()
            .status
            .success()
        {
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(
                Instant::now() < patience,
                "Prometheus does not become ready: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn stop(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> &str {
        &self.server.as_ref().expect("it runs").1
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
