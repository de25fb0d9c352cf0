//! Starts, identifies and ends the lab's programs.
//!
//! A process is identified by its pid, start time and boot, so that the lab never signals another process that reused
//! the pid.

mod identity;

use std::{
    fs::{self, File, OpenOptions},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

pub use identity::Identity;
pub(crate) use identity::marked;
use identity::runs;

use crate::paths;

/// An environment variable of every process that the lab starts, inherited by their children. Its value is the state
/// folder and the component, so that unrecorded processes of a killed lab are found, too.
pub const MARK: &str = "OBSERVEDAPP_LAB";

/// A program and how to run it.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    pub path: PathBuf,
    pub args: Vec<String>,
}

impl Program {
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
            args: Vec::new(),
        }
    }

    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }
}

/// How long a process may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Ends with the process that started it, however that one ends.
    Owned,
    /// Keeps running in its own session after the lab has ended.
    Detached,
}

/// Manages the processes that are recorded in one folder.
#[derive(Debug, Clone)]
pub struct Supervisor {
    dir: PathBuf,
    lifetime: Lifetime,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    identity: Identity,
    command: Vec<String>,
}

impl Supervisor {
    pub fn new(dir: impl Into<PathBuf>, lifetime: Lifetime) -> Self {
        Self {
            dir: dir.into(),
            lifetime,
        }
    }

    pub fn log_path(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }

    fn record_path(&self, name: &str) -> PathBuf {
        self.dir.join("run").join(format!("{name}.json"))
    }

    /// Makes sure that the program runs with these arguments: starts it if it does not run, and restarts it if it runs
    /// with others. Returns whether it was started.
    pub fn ensure(&self, program: &Program) -> Result<bool> {
        let command = command_line(program);
        if let Some(record) = self.record(&program.name)
            && record.identity.is_alive()
        {
            if record.command == command {
                return Ok(false);
            }
            record.identity.end(Duration::from_secs(10))?;
        }
        // An unrecorded process of a killed lab would hold the ports and locks.
        let mark = self.mark(&program.name);
        for stray in marked(|value| value == mark)
            .into_iter()
            .filter(|pid| runs(*pid, &command))
        {
            if let Some(identity) = Identity::of(stray) {
                identity.end(Duration::from_secs(10))?;
            }
        }
        self.start(program, command)?;
        Ok(true)
    }

    fn start(&self, program: &Program, command: Vec<String>) -> Result<()> {
        let log = self.log_path(&program.name);
        paths::create_dir(&self.dir.join("logs"))?;
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut wrapped = match self.lifetime {
            Lifetime::Detached => Command::new("setsid"),
            Lifetime::Owned => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "KILL"]);
                command
            }
        };
        wrapped
            .arg(&program.path)
            .args(&program.args)
            .env(MARK, self.mark(&program.name))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let pid = spawn(wrapped)?;
        let identity = Identity::of(pid)
            .with_context(|| format!("{} ended at once; its log is {}", program.name, log.display()))?;
        let record = serde_json::to_vec_pretty(&Record { identity, command })?;
        paths::write(&self.record_path(&program.name), record)
    }

    fn mark(&self, name: &str) -> String {
        format!("{}:{name}", self.dir.display())
    }

    fn record(&self, name: &str) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.record_path(name)).ok()?).ok()
    }

    /// The running process of this name.
    pub fn running(&self, name: &str) -> Option<Identity> {
        self.record(name)
            .map(|record| record.identity)
            .filter(Identity::is_alive)
    }

    /// Fails, with the end of its log, if the program does not run.
    pub fn check(&self, name: &str) -> Result<()> {
        if self.running(name).is_some() {
            return Ok(());
        }
        let log = self.log_path(name);
        Err(anyhow!(
            "{name} has ended:\n{}\nThe full log: {}",
            tail(&log, 12),
            log.display()
        ))
    }

    /// The names of all programs that were started here.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join("run")).into_iter().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                Some(
                    entry
                        .ok()?
                        .file_name()
                        .to_str()?
                        .strip_suffix(".json")?
                        .to_owned(),
                )
            })
            .collect();
        names.sort();
        names
    }

    /// Ends the program of this name, if it runs.
    pub fn end(&self, name: &str, grace_period: Duration) -> Result<()> {
        if let Some(identity) = self.running(name) {
            identity.end(grace_period)?;
        }
        Ok(())
    }

    /// Ends every process with this supervisor's mark, recorded or not.
    pub fn end_all(&self) -> Result<()> {
        // A starting process has no readable environment for a moment, so recorded ones are ended first.
        for name in self.names() {
            self.end(&name, Duration::ZERO)?;
        }
        let prefix = format!("{}:", self.dir.display());
        loop {
            let left = marked(|value| value.starts_with(&prefix));
            if left.is_empty() {
                return Ok(());
            }
            for identity in left.into_iter().filter_map(Identity::of) {
                identity.end(Duration::ZERO)?;
            }
        }
    }
}

fn command_line(program: &Program) -> Vec<String> {
    let mut line = vec![program.path.display().to_string()];
    line.extend(program.args.iter().cloned());
    line
}

/// Spawns from a thread that lives as long as this process: a parent-death signal is sent when the parent *thread*
/// ends, and a test's thread ends before the tests that share its server.
fn spawn(command: Command) -> Result<i32> {
    type Order = (Command, mpsc::Sender<std::io::Result<i32>>);
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                let child = command.spawn().map(|mut child| {
                    let pid = child.id().cast_signed();
                    // Reaps the child.
                    thread::spawn(move || child.wait().map(ExitStatusExt::into_raw));
                    pid
                });
                // The caller may be cancelled.
                let _ = answer.send(child);
            }
        });
        orders
    });
    let (answer, reply) = mpsc::channel();
    let program = command.get_program().display().to_string();
    orders
        .send((command, answer))
        .map_err(|_| anyhow!("the thread that starts programs has ended"))?;
    reply
        .recv()?
        .with_context(|| format!("cannot run {program} (Debian has it in util-linux)"))
}

/// The last lines of a file.
pub fn tail(path: &Path, lines: usize) -> String {
    let Ok(mut file) = File::open(path) else {
        return "(no log)".to_owned();
    };
    let mut text = String::new();
    {
        use std::io::{Read, Seek, SeekFrom};
        let length = file.metadata().map_or(0, |meta| meta.len());
        let mut end = Vec::new();
        if file
            .seek(SeekFrom::Start(length.saturating_sub(64 * 1024)))
            .is_ok()
            && file.read_to_end(&mut end).is_ok()
        {
            text = String::from_utf8_lossy(&end).into_owned();
        }
    }
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sleeper(seconds: &str) -> Program {
        Program::new("sleeper", "/bin/sleep").args([seconds])
    }

    #[test]
    fn a_running_program_is_kept_and_a_changed_one_is_restarted() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(dir.path(), Lifetime::Owned);
        assert!(supervisor.ensure(&sleeper("600")).unwrap());
        let first = supervisor.running("sleeper").unwrap();
        assert!(!supervisor.ensure(&sleeper("600")).unwrap());
        assert_eq!(supervisor.running("sleeper").unwrap(), first);
        assert!(supervisor.ensure(&sleeper("601")).unwrap());
        assert!(!first.is_alive());
        supervisor.end_all().unwrap();
        assert_eq!(supervisor.running("sleeper"), None);
    }

    #[test]
    fn an_unrecorded_program_is_found_by_its_mark() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(dir.path(), Lifetime::Detached);
        supervisor.ensure(&sleeper("602")).unwrap();
        let lost = supervisor.running("sleeper").unwrap();
        while !runs(lost.pid, &command_line(&sleeper("602"))) {
            thread::yield_now();
        }
        fs::remove_file(supervisor.record_path("sleeper")).unwrap();
        supervisor.end_all().unwrap();
        assert!(!lost.is_alive());
    }

    #[test]
    fn the_error_of_an_ended_program_has_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new(dir.path(), Lifetime::Owned);
        let program = Program::new("loud", "/bin/sh").args(["-c", "echo the port is taken; sleep 600"]);
        supervisor.ensure(&program).unwrap();
        while tail(&supervisor.log_path("loud"), 1).is_empty() {
            thread::yield_now();
        }
        supervisor.end("loud", Duration::ZERO).unwrap();
        assert!(
            supervisor
                .check("loud")
                .unwrap_err()
                .to_string()
                .contains("the port is taken")
        );
    }
}
