//! The outcome: figures for machines, a page with plots for people, a few lines for the terminal.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::cli::Cli;
use crate::tally::{Counts, OPERATIONS, Second, Tally};

#[derive(Debug, Serialize)]
pub struct Summary {
    pub hosts: Vec<String>,
    pub users: usize,
    pub spawn_rate: usize,
    pub seconds: f64,
    pub requests: u64,
    pub failed: u64,
    pub failed_percent: f64,
    pub requests_per_second: f64,
    pub all: Figures,
    pub operations: Vec<Figures>,
    pub failures: Vec<Failure>,
    pub timeline: Vec<Second>,
}

#[derive(Debug, Serialize)]
pub struct Figures {
    pub name: &'static str,
    pub requests: u64,
    pub failed: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

#[derive(Debug, Serialize)]
pub struct Failure {
    pub what: String,
    pub count: u64,
}

impl Summary {
    pub fn new(cli: &Cli, tally: &Tally, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let by_operation = tally.operations();
        let mut all = Counts::default();
        for counts in &by_operation {
            all.add(counts);
        }
        let timeline = tally.seconds();
        let mut failures: Vec<Failure> = tally
            .failures()
            .into_iter()
            .map(|(what, count)| Failure { what, count })
            .collect();
        failures.sort_by_key(|failure| std::cmp::Reverse(failure.count));
        Self {
            hosts: cli.hosts.clone(),
            users: cli.users,
            spawn_rate: cli.spawn_rate,
            seconds,
            requests: all.requests,
            failed: all.failed,
            failed_percent: 100.0 * all.failed as f64 / all.requests.max(1) as f64,
            requests_per_second: all.requests as f64 / seconds,
            all: Figures::new("all", &all),
            operations: OPERATIONS
                .iter()
                .zip(&by_operation)
                .map(|(name, counts)| Figures::new(name, counts))
                .collect(),
            failures,
            timeline,
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = format!(
            "\n{:<20}{:>10}{:>9}{:>10}{:>10}{:>10}{:>10}\n",
            "", "requests", "failed", "p50 ms", "p90 ms", "p99 ms", "max ms"
        );
        for row in self.operations.iter().chain([&self.all]) {
            let _ = writeln!(
                text,
                "{:<20}{:>10}{:>9}{:>10.1}{:>10.1}{:>10.1}{:>10.1}",
                row.name, row.requests, row.failed, row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms
            );
        }
        let _ = writeln!(
            text,
            "{} users, {:.1} s, {:.1} requests a second, {:.3} % failed",
            self.users, self.seconds, self.requests_per_second, self.failed_percent
        );
        for failure in &self.failures {
            let _ = writeln!(text, "{:>10} x {}", failure.count, failure.what);
        }
        text
    }

    /// One file that needs nothing else: the plots are drawn into it.
    pub fn to_html(&self) -> String {
        let series = |value: fn(&Second) -> f64| self.timeline.iter().map(value).collect::<Vec<f64>>();
        let plots = [
            plot(
                "Requests a second",
                &[
                    ("served", "#2a7", series(|s| (s.requests - s.failed) as f64)),
                    ("failed", "#c33", series(|s| s.failed as f64)),
                ],
            ),
            plot(
                "Answer time in ms",
                &[
                    ("p50", "#27a", series(|s| s.p50_ms)),
                    ("p99", "#e80", series(|s| s.p99_ms)),
                ],
            ),
            plot("Users", &[("users", "#555", series(|s| s.users as f64))]),
        ];
        let mut rows = String::new();
        for row in self.operations.iter().chain([&self.all]) {
            let _ = write!(
                rows,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td></tr>",
                row.name, row.requests, row.failed, row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms
            );
        }
        let mut failures = String::new();
        for failure in &self.failures {
            let _ = write!(
                failures,
                "<tr><td>{}</td><td>{}</td></tr>",
                escape(&failure.what),
                failure.count
            );
        }
        if failures.is_empty() {
            failures.push_str("<tr><td>none</td><td></td></tr>");
        }
        format!(
            r#"<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Load on the task service</title><style>
body {{ font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0 }} td, th {{ padding: .2em .8em; text-align: right; border-bottom: 1px solid #ddd }}
td:first-child, th:first-child {{ text-align: left }} svg {{ width: 100%; height: auto }} svg text {{ font: 12px sans-serif; fill: #555 }}
</style></head><body>
<h1>Load on the task service</h1>
<p>{users} users, {rate} more each second, on {hosts}: {requests} requests in {seconds:.1} s ({per_second:.1} a second), <strong>{failed} failed ({percent:.3} %)</strong>.</p>
<table><tr><th></th><th>requests</th><th>failed</th><th>p50 ms</th><th>p90 ms</th><th>p99 ms</th><th>max ms</th></tr>{rows}</table>
{plots}
<h2>Failures</h2><table><tr><th>what</th><th>how often</th></tr>{failures}</table>
</body></html>
"#,
            users = self.users,
            rate = self.spawn_rate,
            hosts = escape(&self.hosts.join(", ")),
            requests = self.requests,
            seconds = self.seconds,
            per_second = self.requests_per_second,
            failed = self.failed,
            percent = self.failed_percent,
            plots = plots.concat(),
        )
    }
}

impl Figures {
    fn new(name: &'static str, counts: &Counts) -> Self {
        Self {
            name,
            requests: counts.requests,
            failed: counts.failed,
            p50_ms: counts.percentile_ms(50),
            p90_ms: counts.percentile_ms(90),
            p99_ms: counts.percentile_ms(99),
            max_ms: counts.percentile_ms(100),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 50.0;

/// A plot over the seconds of the run, as SVG.
fn plot(title: &str, lines: &[(&str, &str, Vec<f64>)]) -> String {
    let highest = lines
        .iter()
        .flat_map(|(_, _, values)| values)
        .copied()
        .fold(0.0, f64::max)
        .max(1.0);
    let seconds = lines
        .iter()
        .map(|(_, _, values)| values.len())
        .max()
        .unwrap_or_default();
    let x = |second: usize| MARGIN + WIDTH * second as f64 / seconds.saturating_sub(1).max(1) as f64;
    let y = |value: f64| 10.0 + HEIGHT * (1.0 - value / highest);
    let mut svg = format!(
        r#"<h2>{title}</h2><svg viewBox="0 0 {} {}" role="img" aria-label="{title}">"#,
        WIDTH + 2.0 * MARGIN,
        HEIGHT + 50.0
    );
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (height, value) = (y(highest * share), highest * share);
        let _ = write!(
            svg,
            r##"<line x1="{MARGIN}" x2="{}" y1="{height:.1}" y2="{height:.1}" stroke="#ddd"/><text x="{}" y="{:.1}" text-anchor="end">{value:.0}</text>"##,
            MARGIN + WIDTH,
            MARGIN - 6.0,
            height + 4.0
        );
    }
    for (index, (name, colour, values)) in lines.iter().enumerate() {
        let points: Vec<String> = values
            .iter()
            .enumerate()
            .map(|(second, value)| format!("{:.1},{:.1}", x(second), y(*value)))
            .collect();
        let _ = write!(
            svg,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{}"/><text x="{}" y="{}" style="fill:{colour}">{name}</text>"#,
            points.join(" "),
            MARGIN + 100.0 * index as f64,
            HEIGHT + 44.0
        );
    }
    let _ = write!(
        svg,
        r#"<text x="{MARGIN}" y="{0}">0 s</text><text x="{1}" y="{0}" text-anchor="end">{seconds} s</text></svg>"#,
        HEIGHT + 26.0,
        MARGIN + WIDTH
    );
    svg
}
