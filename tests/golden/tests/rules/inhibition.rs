//! Which alert silences which: the one rule of the lab and of the values that are handed out, in a real Alertmanager.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use golden_tests::commands::root;
use lab_tools::{Tool, ensure};
use observedapp_slo::names::alerts;
use serde_json::{Value, json};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(1);
const VALUES: &str = "manifests/values-kube-prometheus-stack.yaml";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What the embedded lab's Alertmanager is given.
fn of_the_lab() -> Value {
    let objects: Vec<Value> =
        serde_yaml::from_multiple(&read("tests/lab/manifests/prometheus.yaml")).unwrap();
    let secret = objects
        .iter()
        .find(|object| object["metadata"]["name"] == "alertmanager-lab")
        .unwrap();
    serde_yaml::from_str(secret["stringData"]["alertmanager.yaml"].as_str().unwrap()).unwrap()
}

/// What the handed out values say of Alertmanager's configuration; with the example that stands in them as a comment, or
/// with the chart's own receiver.
fn handed_out(with_example: bool) -> Value {
    let mut text = read(VALUES);
    if with_example {
        let (before, rest) = text.split_once("    # Uncomment from here\n").unwrap();
        let (example, after) = rest.split_once("    # to here\n").unwrap();
        let example: Vec<&str> = example
            .lines()
            .map(|line| line.strip_prefix("    # ").unwrap())
            .collect();
        text = format!("{before}    {}\n{after}", example.join("\n    "));
    }
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let mut config = values["alertmanager"]["config"].clone();
    if !with_example {
        config["route"] = json!({"receiver": "null"});
        config["receivers"] = json!([{"name": "null"}]);
    }
    config
}

#[test]
fn the_lab_and_the_values_that_are_handed_out_have_the_same_rule() {
    let ours = |config: &Value| -> Vec<Value> {
        let rules = config["inhibit_rules"].as_array().unwrap();
        rules
            .iter()
            .filter(|rule| rule.to_string().contains(alerts::ERROR_BUDGET_BURN_FAST))
            .cloned()
            .collect()
    };
    let lab = of_the_lab();
    assert_eq!(ours(&lab), ours(&handed_out(false)));
    assert_eq!(lab["inhibit_rules"].as_array().unwrap().len(), 1);
}

#[test]
fn a_page_silences_its_own_ticket_and_nothing_else() {
    for config in [of_the_lab(), handed_out(false), handed_out(true)] {
        let alertmanager = Alertmanager::start(&config);
        let (fast, slow) = (alerts::ERROR_BUDGET_BURN_FAST, alerts::ERROR_BUDGET_BURN_SLOW);
        let alert = |name: &str, severity: &str, more: &[(&str, &str)]| {
            let mut labels = json!({"alertname": name, "severity": severity, "namespace": "shop"});
            for (label, value) in more {
                labels[*label] = json!(value);
            }
            json!({ "labels": labels })
        };
        let (tasks, availability) = (("app", "tasks"), ("slo", "availability"));
        alertmanager.send(&json!([
            alert(fast, "critical", &[tasks, availability]),
            alert(alerts::DATABASE_DOWN, "critical", &[tasks]),
            alert(slow, "warning", &[tasks, availability]),
            alert(slow, "warning", &[tasks, ("slo", "latency")]),
            alert(slow, "warning", &[("app", "mail"), availability]),
            alert(alerts::HIGH_ERROR_RATE, "warning", &[tasks]),
            alert("KubePodNotReady", "warning", &[]),
        ]));
        let began = Instant::now();
        let silenced = loop {
            let all = alertmanager.alerts();
            let silenced: Vec<Value> = all
                .iter()
                .filter(|alert| alert["status"]["inhibitedBy"] != json!([]))
                .map(|alert| alert["labels"].clone())
                .collect();
            if all.len() == 7 && !silenced.is_empty() {
                break silenced;
            }
            assert!(began.elapsed() < LIMIT, "nothing is silenced: {all:?}");
            sleep(Duration::from_millis(50));
        };
        let ticket = alert(slow, "warning", &[tasks, availability]);
        assert_eq!(silenced, [ticket["labels"].clone()], "{config:#}");
    }
}

/// A real one, which ends with the test.
struct Alertmanager {
    address: String,
    process: Child,
    folder: TempDir,
}

impl Alertmanager {
    /// Waits until it is ready: it refuses a configuration that is wrong.
    fn start(config: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yaml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let program = &ensure(&[Tool::Alertmanager]).unwrap()[&Tool::Alertmanager];
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // Alone: it would look for an address by which others reach it.
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut alertmanager = Self {
            address,
            process,
            folder,
        };
        let began = Instant::now();
        while !alertmanager
            .request("GET", "/-/ready", "")
            .is_some_and(|answer| answer.starts_with("HTTP/1.0 200"))
        {
            let ended = alertmanager.process.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < LIMIT,
                "it does not run: {}",
                fs::read_to_string(alertmanager.folder.path().join("log")).unwrap()
            );
            sleep(Duration::from_millis(50));
        }
        alertmanager
    }

    fn send(&self, alerts: &Value) {
        let answer = self
            .request("POST", "/api/v2/alerts", &alerts.to_string())
            .unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }

    fn alerts(&self) -> Vec<Value> {
        let answer = self.request("GET", "/api/v2/alerts", "").unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// By HTTP/1.0, whose answers come whole and end with the connection.
    fn request(&self, method: &str, path: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
