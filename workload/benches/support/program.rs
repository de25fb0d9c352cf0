//! A program being measured.

use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub use super::tests::servers::free_port;

pub struct Program {
    process: Child,
    pub port: u16,
}

impl Program {
    /// Starts a program that listens on `port`, its output going to a file as a container's does, and waits for it.
    pub fn start(mut command: Command, port: u16, log: &Path) -> Self {
        let log = File::create(log).unwrap();
        let mut process = command
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(process.try_wait().unwrap().is_none(), "{command:?} ended");
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { process, port }
    }

    /// The service, with everything on that can be on; it is ready when this returns.
    pub async fn tasks(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tasks"));
        command.env_clear().env("LISTEN_ADDRESS", "127.0.0.1");
        command.envs([
            ("PORT", port.to_string()),
            ("METRICS_PORT", free_port().to_string()),
        ]);
        command.envs(settings.iter().copied());
        let program = Self::start(command, port, &folder.join(format!("tasks-{port}.log")));
        let ready = format!("http://127.0.0.1:{port}/readyz");
        let _ = rustls::crypto::ring::default_provider().install_default();
        while !reqwest::get(&ready)
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        program
    }

    pub fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// What the program has used, with its workers if it has any.
    pub fn cpu_seconds(&self) -> f64 {
        let id = self.process.id().to_string();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let all = std::iter::once(id.as_str()).chain(children.split_whitespace());
        all.map(cpu_seconds).sum()
    }
}

fn cpu_seconds(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

impl Drop for Program {
    fn drop(&mut self) {
        // Gunicorn ends its workers on SIGTERM only.
        let _ = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        std::thread::sleep(Duration::from_millis(300));
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
