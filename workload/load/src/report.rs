//! The outcome: figures for machines, a page with plots for people, a few lines for the terminal.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::cli::Cli;
use crate::tally::{Counts, OPERATIONS, Second, Tally};

#[derive(Debug, Serialize)]
pub struct Summary {
    hosts: Vec<String>,
    users: usize,
    spawn_rate: usize,
    seconds: f64,
    pub requests: u64,
    failed: u64,
    pub failed_percent: f64,
    requests_per_second: f64,
    all: Figures,
    operations: Vec<Figures>,
    failures: Vec<Failure>,
    timeline: Vec<Second>,
}

#[derive(Debug, Serialize)]
struct Figures {
    name: &'static str,
    requests: u64,
    failed: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Serialize)]
struct Failure {
    what: String,
    count: u64,
}

impl Summary {
    pub fn new(cli: &Cli, tally: &Tally, elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs_f64();
        let all = Figures::new("all", &tally.all());
        let operations = OPERATIONS.iter().zip(&tally.operations);
        let failures = tally.failures.clone().into_iter();
        let mut failures: Vec<_> = failures.map(|(what, count)| Failure { what, count }).collect();
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
            all,
            operations: operations
                .map(|(name, counts)| Figures::new(name, counts))
                .collect(),
            failures,
            timeline: tally.seconds.clone(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Figures> {
        self.operations.iter().chain([&self.all])
    }

    pub fn to_text(&self) -> String {
        let mut text = format!(
            "\n{:<20}{:>10}{:>9}{:>10}{:>10}{:>10}{:>10}\n",
            "", "requests", "failed", "p50 ms", "p90 ms", "p99 ms", "max ms"
        );
        for row in self.rows() {
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
        let served = series(|second| (second.requests - second.failed) as f64);
        let failed = series(|second| second.failed as f64);
        let requests = [("served", "#2a7", served), ("failed", "#c33", failed)];
        let times = [
            ("p50", "#27a", series(|second| second.p50_ms)),
            ("p99", "#e80", series(|second| second.p99_ms)),
        ];
        let users = [("users", "#555", series(|second| second.users as f64))];
        let rows = self.rows().map(|row| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td><td>{:.1}</td></tr>",
                row.name, row.requests, row.failed, row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms
            )
        });
        let failures = self.failures.iter().map(|failure| {
            let what = escape(&failure.what);
            format!("<tr><td>{what}</td><td>{}</td></tr>", failure.count)
        });
        let none = "<tr><td>none</td><td></td></tr>".to_owned();
        let none = self.failures.is_empty().then_some(none);
        format!(
            include_str!("report.html"),
            users = self.users,
            rate = self.spawn_rate,
            hosts = escape(&self.hosts.join(", ")),
            requests = self.requests,
            seconds = self.seconds,
            per_second = self.requests_per_second,
            failed = self.failed,
            percent = self.failed_percent,
            rows = rows.collect::<String>(),
            plots = plot("Requests a second", &requests)
                + &plot("Answer time in ms", &times)
                + &plot("Users", &users),
            failures = failures.chain(none).collect::<String>(),
        )
    }
}

impl Figures {
    fn new(name: &'static str, counts: &Counts) -> Self {
        Self {
            name,
            requests: counts.requests(),
            failed: counts.failed,
            p50_ms: counts.percentile_ms(50.0),
            p90_ms: counts.percentile_ms(90.0),
            p99_ms: counts.percentile_ms(99.0),
            max_ms: counts.percentile_ms(100.0),
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A plot over the seconds of the run, as SVG.
fn plot(title: &str, lines: &[(&str, &str, Vec<f64>)]) -> String {
    let values = lines.iter().flat_map(|(_, _, values)| values);
    let highest = values.copied().fold(1.0, f64::max);
    let seconds = lines.first().map_or(0, |(_, _, values)| values.len());
    let x = |second: usize| 50.0 + 800.0 * second as f64 / seconds.saturating_sub(1).max(1) as f64;
    let y = |value: f64| 210.0 - 200.0 * value / highest;
    let mut svg = format!(r#"<h2>{title}</h2><svg viewBox="0 0 900 250" role="img" aria-label="{title}">"#);
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (value, line, text) = (highest * share, y(highest * share), y(highest * share) + 4.0);
        let _ = write!(
            svg,
            r##"<line x1="50" x2="850" y1="{line:.1}" y2="{line:.1}" stroke="#ddd"/><text x="44" y="{text:.1}" text-anchor="end">{value:.0}</text>"##,
        );
    }
    for (index, (name, colour, values)) in lines.iter().enumerate() {
        let mut points = String::new();
        for (second, value) in values.iter().enumerate() {
            let _ = write!(points, "{:.1},{:.1} ", x(second), y(*value));
        }
        let left = 50 + 100 * index;
        let _ = write!(
            svg,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/><text x="{left}" y="244" style="fill:{colour}">{name}</text>"#,
        );
    }
    svg + &format!(
        r#"<text x="50" y="226">0 s</text><text x="850" y="226" text-anchor="end">{seconds} s</text></svg>"#
    )
}
