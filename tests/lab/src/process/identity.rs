//! Processes as `/proc` shows them.

use std::{
    fs,
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::MARK;

/// Identifies a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// The start time in clock ticks since boot.
    started: u64,
    boot: String,
}

impl Identity {
    /// The process that has this pid now, unless it has ended.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses, which may contain spaces and parentheses.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self {
            pid,
            started,
            boot: boot_id(),
        })
    }

    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends SIGTERM, and SIGKILL after the grace period.
    pub fn end(&self, grace_period: Duration) -> Result<()> {
        if !grace_period.is_zero() {
            self.signal(Signal::TERM)?;
            if self.gone_within(grace_period) {
                return Ok(());
            }
        }
        self.signal(Signal::KILL)?;
        if self.gone_within(Duration::from_secs(10)) {
            return Ok(());
        }
        bail!(
            "process {} does not end after SIGKILL; `cat /proc/{}/stack` shows why",
            self.pid,
            self.pid
        )
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) else {
            return Ok(());
        };
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot end process {}", self.pid)),
        }
    }

    fn gone_within(&self, limit: Duration) -> bool {
        let start = Instant::now();
        while self.is_alive() {
            if start.elapsed() > limit {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

fn boot_id() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned()
    })
    .clone()
}

/// The pids of all running processes whose mark satisfies `wanted`; other users' processes are not readable.
pub(crate) fn marked(wanted: impl Fn(&str) -> bool) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let prefix = format!("{MARK}=");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else {
                return false;
            };
            environ
                .split(|byte| *byte == 0)
                .filter_map(|variable| std::str::from_utf8(variable).ok()?.strip_prefix(&prefix))
                .any(&wanted)
        })
        .filter(|pid| Identity::of(*pid).is_some())
        .collect()
}

/// Whether the process runs this command, or what its wrappers (`nsenter …`) executed.
pub(super) fn runs(pid: i32, command: &[String]) -> bool {
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let line: Vec<&[u8]> = line
        .strip_suffix(b"\0")
        .unwrap_or(&line)
        .split(|byte| *byte == 0)
        .collect();
    line.len() <= command.len()
        && command
            .iter()
            .rev()
            .zip(line.iter().rev())
            .all(|(wanted, is)| wanted.as_bytes() == *is)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_reused_pid_is_not_ours() {
        let me = Identity::of(std::process::id().cast_signed()).unwrap();
        assert!(me.is_alive());
        assert!(
            !Identity {
                started: me.started + 1,
                ..me.clone()
            }
            .is_alive()
        );
        assert!(
            !Identity {
                boot: "another boot".to_owned(),
                ..me
            }
            .is_alive()
        );
    }
}
