//! What rule evaluation costs a real Prometheus over 30 days of data, beside the shapes that Sloth
//! publishes for the same SLIs; a third Prometheus without rules is what both are measured above.
//!
//! `cargo bench -p golden-tests --bench rule_cost`; `SLOS=1000` for more than twenty of them.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, SystemTime};

use lab_tools::{Tool, ensure};
use observedapp_slo::{App, Symptoms, parse_slos, rules_for};
use serde_json::{Value, json};

#[allow(dead_code)]
#[path = "../tests/rules/support/fixture.rs"]
mod fixture;

const DAY: u64 = 86_400;
/// What lies in memory, as in a Prometheus that has long been running.
const RECENT: u64 = 2 * 3600;
/// The slots' group runs once in this, and that of the whole window in one of six.
const MEASURED: Duration = Duration::from_mins(5);
/// What is made of the history at a time. Blocks of this length are aligned to it, so that each is made in one go.
const PIECE: u64 = 18 * 3600;
/// How often Sloth's groups run, in seconds.
const SLOTH_INTERVAL: u64 = 30;
/// For so many SLOs two cores can run them as often.
const SLOTH_AT_ONCE: usize = 100;
/// Where they cannot, each evaluation is to be seen still when the next is due: within Prometheus' lookback of 5 m.
const LONGEST_STRETCH: u64 = 8;

fn app(i: usize) -> App {
    App {
        name: format!("app-{i}"),
        probe: None,
        ..fixture::app()
    }
}

/// The groups of the SLOs alone: an app's group with the hash of its rules is not one of them.
fn own_rules(slos: usize) -> Value {
    let spec = fixture::slo("99.9", "30d");
    let mut groups = Vec::new();
    for i in 0..slos {
        let app = app(i);
        let (parsed, problems) = parse_slos(std::slice::from_ref(&spec), &app);
        assert_eq!(problems, []);
        let all = rules_for(&app, &parsed, &Symptoms::default(), &[]).groups;
        for mut group in all.into_iter().filter(|group| group.name.starts_with("slo-")) {
            group.name = format!("{}-{}", app.name, group.name);
            groups.push(group);
        }
    }
    json!({"groups": groups})
}

/// Seventeen rules in three groups, each 30 s: ratios of seven windows from the raw counters, the period
/// as the unweighted mean of the five-minute ratios, seven records about these, and two alerts. They run `stretch` times
/// as rarely.
fn sloth_shapes(slos: usize, stretch: u64) -> Value {
    let interval = format!("{}s", SLOTH_INTERVAL * stretch);
    let mut groups = Vec::new();
    for i in 0..slos {
        let job = format!(r#"namespace="shop",job="app-{i}""#);
        let id =
            format!(r#"sloth_id="app-{i}-availability",sloth_service="app-{i}",sloth_slo="availability""#);
        let labels = json!({"sloth_id": format!("app-{i}-availability"), "sloth_service": format!("app-{i}"), "sloth_slo": "availability"});
        let with = |name: &str, value: &str| {
            let mut labels = labels.clone();
            labels[name] = json!(value);
            labels
        };
        let record = |name: &str, expr: String, labels: &Value| json!({"record": name, "expr": expr, "labels": labels});
        let mut sli = Vec::new();
        for window in ["5m", "30m", "1h", "2h", "6h", "1d", "3d"] {
            let expr = format!(
                "(sum(rate(http_requests_total{{{job},code=~\"5..\"}}[{window}]))) / (sum(rate(http_requests_total{{{job}}}[{window}])))"
            );
            sli.push(record(
                &format!("slo:sli_error:ratio_rate{window}"),
                expr,
                &with("sloth_window", window),
            ));
        }
        sli.push(record(
            "slo:sli_error:ratio_rate30d",
            format!("sum_over_time(slo:sli_error:ratio_rate5m{{{id}}}[30d]) / ignoring (sloth_window) count_over_time(slo:sli_error:ratio_rate5m{{{id}}}[30d])"),
            &with("sloth_window", "30d"),
        ));
        let burn = |window: &str| {
            format!(
                "slo:sli_error:ratio_rate{window}{{{id}}} / on(sloth_id, sloth_slo, sloth_service) group_left slo:error_budget:ratio{{{id}}}"
            )
        };
        let meta = vec![
            record("slo:objective:ratio", "vector(0.999)".to_owned(), &labels),
            record("slo:error_budget:ratio", "vector(1-0.999)".to_owned(), &labels),
            record("slo:time_period:days", "vector(30)".to_owned(), &labels),
            record("slo:current_burn_rate:ratio", burn("5m"), &labels),
            record("slo:period_burn_rate:ratio", burn("30d"), &labels),
            record(
                "slo:period_error_budget_remaining:ratio",
                format!("1 - slo:period_burn_rate:ratio{{{id}}}"),
                &labels,
            ),
            record(
                "sloth_slo_info",
                "vector(1)".to_owned(),
                &with("sloth_objective", "99.9"),
            ),
        ];
        let pair = |short: &str, long: &str, factor: &str| {
            let one = |window| {
                format!(
                    "max(slo:sli_error:ratio_rate{window}{{{id}}} > ({factor} * 0.001)) without (sloth_window)"
                )
            };
            format!("({} and {})", one(short), one(long))
        };
        let alert = |severity: &str, one: String, other: String| json!({"alert": "ErrorBudgetBurn", "expr": format!("{one} or {other}"), "labels": {"sloth_severity": severity}});
        let alerts = vec![
            alert("page", pair("5m", "1h", "14.4"), pair("30m", "6h", "6")),
            alert("ticket", pair("2h", "1d", "3"), pair("6h", "3d", "1")),
        ];
        for (part, rules) in [("sli", sli), ("meta", meta), ("alerts", alerts)] {
            groups
                .push(json!({"name": format!("sloth-{part}-app-{i}"), "interval": interval, "rules": rules}));
        }
    }
    json!({"groups": groups})
}

/// What both read of this time, as it is at `present`: raw counters of four days, and each side's own records of thirty.
fn write_history(out: &mut impl Write, slos: usize, time: Range<u64>, present: u64) {
    let mut series = |name: &str, days: u64, every: u64, value: &dyn Fn(u64) -> f64| {
        let oldest = time.start.max(present - days * DAY).next_multiple_of(every);
        let mut text = String::new();
        for at in (oldest..time.end).step_by(every as usize) {
            let _ = writeln!(text, "{name} {} {at}", value(at / every));
        }
        out.write_all(text.as_bytes()).unwrap();
    };
    // Samples of one family lie together.
    for i in 0..slos {
        for (code, step) in [("500", 1.0), ("200", 999.0)] {
            series(&counter(i, code), 4, 15, &|k| k as f64 * step);
        }
    }
    let own = |i: usize| format!(r#"{{namespace="shop",app="app-{i}",slo="availability"}}"#);
    for (events, in_a_slot) in [("errors", 20.0), ("events", 20_000.0)] {
        for i in 0..slos {
            series(&format!("slo:{events}:slot5m{}", own(i)), 30, 300, &|_| in_a_slot);
        }
        for i in 0..slos {
            series(&format!("slo:{events}:closed{}", own(i)), 1, 300, &|k| {
                k as f64 * in_a_slot
            });
        }
        for i in 0..slos {
            series(&format!("slo:{events}:total{}", own(i)), 4, 30, &|k| {
                k as f64 * in_a_slot / 10.0
            });
        }
    }
    for i in 0..slos {
        let labels = format!(
            r#"{{sloth_id="app-{i}-availability",sloth_service="app-{i}",sloth_slo="availability",sloth_window="5m"}}"#
        );
        series(&format!("slo:sli_error:ratio_rate5m{labels}"), 30, 30, &|k| {
            0.001 + (k % 7) as f64 * 1e-5
        });
    }
    out.write_all(b"# EOF\n").unwrap();
}

fn counter(i: usize, code: &str) -> String {
    format!(r#"http_requests_total{{namespace="shop",job="app-{i}",code="{code}",instance="a"}}"#)
}

/// What is scraped: the last hours first, because a Prometheus that runs has them in memory and not in a block, and from
/// then on the counters as they are.
fn serve_the_present(slos: usize, begin: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(move || {
        let mut scraped = HashSet::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            // Each Prometheus asks under a name of its own.
            let path = String::from_utf8_lossy(&head[..read])
                .split(' ')
                .nth(1)
                .unwrap()
                .to_owned();
            let mut page = Vec::new();
            if scraped.insert(path) {
                write_history(&mut page, slos, begin..now(), now());
            } else {
                for i in 0..slos {
                    for (code, step) in [("500", 1.0), ("200", 999.0)] {
                        writeln!(page, "{} {}", counter(i, code), now() as f64 / 15.0 * step).unwrap();
                    }
                }
                page.extend_from_slice(b"# EOF\n");
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                page.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &page].concat());
        }
    });
    address
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, name: &str, target: &str, rules: &Value) -> Self {
        let own = folder.join(name);
        let copied = Command::new("cp")
            .arg("-r")
            .arg(folder.join("data"))
            .arg(&own)
            .status()
            .unwrap();
        assert!(copied.success());
        fs::write(folder.join(format!("{name}-rules.yaml")), rules.to_string()).unwrap();
        let config = folder.join(format!("{name}.yml"));
        // A record has the labels of its rule, and none of a target.
        let without = |label: &str| json!({"source_labels": ["__name__"], "regex": "slo:.*", "target_label": label, "replacement": ""});
        fs::write(
            &config,
            json!({
                "rule_files": [format!("{name}-rules.yaml")],
                "scrape_configs": [{
                    "job_name": name,
                    "scrape_interval": "15s",
                    "scrape_timeout": "15s",
                    "honor_labels": true,
                    "metric_relabel_configs": [without("job"), without("instance")],
                    "metrics_path": format!("/{name}"),
                    "static_configs": [{"targets": [target]}],
                }],
            })
            .to_string(),
        )
        .unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(&ensure(&[Tool::Prometheus]).unwrap()[&Tool::Prometheus])
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", own.display()))
            // No compaction of what was made: only rules shall work.
            .args([
                "--storage.tsdb.retention.time=1y",
                "--storage.tsdb.min-block-duration=2h",
            ])
            .args(["--storage.tsdb.max-block-duration=2h", "--log.level=error"])
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, address };
        let patience = Instant::now() + Duration::from_mins(2);
        let scraped = |server: &Self| server.metric("prometheus_tsdb_head_samples_appended_total") > 1000.0;
        while server
            .get("/-/ready")
            .is_none_or(|answer| !answer.contains("200 OK"))
            || !scraped(&server)
        {
            assert!(
                Instant::now() < patience,
                "Prometheus does not become ready, or has not scraped"
            );
            sleep(Duration::from_millis(200));
        }
        server
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The sum of a metric over its labels.
    fn metric(&self, name: &str) -> f64 {
        let page = self.get("/metrics").unwrap();
        let of = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next()? == name)
                .then(|| value.trim().parse::<f64>().ok())
                .flatten()
        };
        page.lines().filter_map(of).sum()
    }

    /// How many series a selector finds now.
    fn count(&self, selector: &str) -> f64 {
        let mut query = String::new();
        for byte in format!("count({selector})").bytes() {
            write!(query, "%{byte:02X}").unwrap();
        }
        let answer = self.get(&format!("/api/v1/query?query={query}")).unwrap();
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let count = &body["data"]["result"][0]["value"][1];
        count.as_str().unwrap().parse().unwrap()
    }

    fn cost(&self) -> [f64; 2] {
        [
            self.metric("process_cpu_seconds_total"),
            self.metric("prometheus_engine_query_samples_total"),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes Prometheus' data of thirty days up to `present`, piece by piece.
fn make_blocks(folder: &Path, slos: usize, present: u64) {
    let promtool = &ensure(&[Tool::Promtool]).unwrap()[&Tool::Promtool];
    let history = folder.join("history.om");
    let oldest = present - 30 * DAY;
    for begin in (oldest / PIECE * PIECE..present).step_by(PIECE as usize) {
        let mut out = BufWriter::new(File::create(&history).unwrap());
        write_history(&mut out, slos, begin..present.min(begin + PIECE), present);
        out.flush().unwrap();
        let made = Command::new(promtool)
            .args(["tsdb", "create-blocks-from"])
            .arg(format!("--max-block-duration={PIECE}s"))
            .args(["openmetrics", "--quiet"])
            .args([&history, &folder.join("data")])
            .status()
            .unwrap();
        assert!(made.success());
    }
    fs::remove_file(&history).unwrap();
}

fn main() {
    let slos: usize = std::env::var("SLOS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let stretch = (slos.div_ceil(SLOTH_AT_ONCE) as u64).min(LONGEST_STRETCH);
    let recent = now() - RECENT;
    println!("writing 30 days of {slos} SLOs");
    make_blocks(folder.path(), slos, recent);

    let target = serve_the_present(slos, recent);
    let start = |name: &str, rules: &Value| Server::start(folder.path(), name, &target, rules);
    let servers = [
        start("idle", &json!({"groups": []})),
        start("own", &own_rules(slos)),
        start("sloth", &sloth_shapes(slos, stretch)),
    ];
    println!("evaluating for {} s", MEASURED.as_secs());
    if stretch > 1 {
        println!(
            "Sloth's groups run every {} s, not every {SLOTH_INTERVAL}, and each evaluation counts {stretch} times",
            SLOTH_INTERVAL * stretch
        );
    }
    let before = servers.each_ref().map(Server::cost);
    sleep(MEASURED);
    let after = servers.each_ref().map(Server::cost);
    let spent = |server: usize, what: usize| after[server][what] - before[server][what];
    let [_, own, sloth] = &servers;

    let of = |server: usize, what: usize| {
        (spent(server, what) - spent(0, what)) / MEASURED.as_secs_f64() / slos as f64
    };
    println!(
        "\nper SLO and second            {:>14} {:>14} {:>9}",
        "here", "Sloth's", "ratio"
    );
    for (what, title, unit) in [(0, "CPU of rule evaluation", 1e6), (1, "samples read", 1.0)] {
        let unit_name = if what == 0 { "µs" } else { "" };
        let (ours, theirs) = (of(1, what) * unit, of(2, what) * unit * stretch as f64);
        println!(
            "{title:<28} {ours:>12.1}{unit_name:<2} {theirs:>12.1}{unit_name:<2} {:>9.3}",
            ours / theirs
        );
    }
    let series = |server: &Server, selector: &str| server.count(selector) / slos as f64;
    let (ours, theirs) = (
        series(own, r#"{__name__=~"slo:.*",slo!=""}"#),
        series(sloth, r#"{sloth_id!=""}"#),
    );
    println!(
        "{:<28} {ours:>12.1}   {theirs:>12.1}   {:>9.3}",
        "series per SLO",
        ours / theirs
    );
    for (server, name) in [(own, "here"), (sloth, "Sloth's")] {
        let missed = server.metric("prometheus_rule_group_iterations_missed_total");
        let failed = server.metric("prometheus_rule_evaluation_failures_total");
        println!("{name}: {missed} evaluations missed, {failed} failed");
        assert!(missed + failed == 0.0, "these figures are not of the same work");
    }
}
