//! What the tests share: the load generator as a process, and a service that lies.
#![allow(dead_code, unreachable_pub, missing_debug_implementations)]

pub mod liar;

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// As short as can be, with a few users who hardly pause.
const USUAL: [(&str, &str); 4] = [
    ("--users", "5"),
    ("--spawn-rate", "5"),
    ("--duration", "2s"),
    ("--think-time", "10ms"),
];

/// One run of `tasks-load`, with all that it left behind.
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub summary: Value,
    pub report: String,
}

impl Run {
    pub fn against(host: &str, arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let (summary, report) = (
            folder.path().join("summary.json"),
            folder.path().join("report.html"),
        );
        let mut all = vec!["--host", host, "--progress", "1"];
        all.extend([
            "--summary",
            summary.to_str().unwrap(),
            "--report",
            report.to_str().unwrap(),
        ]);
        for (argument, value) in USUAL {
            if !arguments.contains(&argument) {
                all.extend([argument, value]);
            }
        }
        let output = tasks_load(&[&all, arguments].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        let read = |file| std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{error}: {stderr}"));
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            summary: serde_json::from_str(&read(&summary)).unwrap_or_default(),
            report: read(&report),
            stderr,
        }
    }

    pub fn count(&self, figure: &str) -> u64 {
        self.summary[figure]
            .as_u64()
            .unwrap_or_else(|| panic!("no {figure} in {}", self.summary))
    }

    /// What failed, without how often.
    pub fn failures(&self) -> Vec<&str> {
        let failures = self.summary["failures"].as_array().unwrap();
        failures
            .iter()
            .map(|failure| failure["what"].as_str().unwrap())
            .collect()
    }
}

pub fn tasks_load(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tasks-load"))
        .args(arguments)
        .output()
        .unwrap()
}
