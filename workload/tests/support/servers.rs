//! Real servers for the service to talk to, each of them a process of the test's own on a free port.

use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::service::{PATIENCE, signal};

/// PostgreSQL refuses to run as root, so there it runs as this user.
const NOBODY: u32 = 65534;

pub struct Postgres {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    durable: bool,
    server: Option<Child>,
}

impl Postgres {
    /// A server for tests: fast, and nothing survives a crash of the machine.
    pub fn start() -> Self {
        Self::new(false)
    }

    /// A server that syncs every commit, as a real one does.
    pub fn durable() -> Self {
        Self::new(true)
    }

    fn new(durable: bool) -> Self {
        let programs = programs();
        let folder = TempDir::with_prefix("tasks-postgres-").unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut server = Self {
            programs,
            folder,
            port: free_port(),
            durable,
            server: None,
        };
        let made = server
            .command("initdb")
            .args([
                "--username=app",
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
                "--pgdata",
            ])
            .arg(server.data())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        server.run();
        server
    }

    /// Starts the server, at the beginning or after `stop`.
    pub fn run(&mut self) {
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        command
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "max_connections=200"]);
        if !self.durable {
            command.args(["-c", "fsync=off", "-c", "synchronous_commit=off"]);
        }
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        self.server = Some(
            command
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap(),
        );
        let ready = || {
            let mut probe = self.command("pg_isready");
            probe
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .unwrap()
                .success()
        };
        wait_until("PostgreSQL", ready);
    }

    /// Ends the server and every session at once.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // SIGINT is PostgreSQL's fast shutdown.
            signal(server.id(), "INT");
            server.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// The URL for a client that reaches a server through this port.
    pub fn url_at(port: u16) -> String {
        format!("postgres://app@127.0.0.1:{port}/postgres")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn process(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Runs SQL and gives what psql prints of it.
    pub fn sql(&self, statement: &str) -> String {
        let output = self
            .command("psql")
            .args([&self.url(), "-XAtc", statement])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// One of PostgreSQL's programs, to be run as the user that the server runs as.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where the newest PostgreSQL's programs are.
fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(|version| version.file_name());
        version
            .and_then(|version| version.to_str())
            .and_then(|version| version.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).collect::<Vec<_>>();
    folders
        .into_iter()
        .rev()
        .chain(in_path)
        .find(|folder| folder.join("initdb").exists() && folder.join("pg_isready").exists())
        .expect("these tests need PostgreSQL: apt-get install postgresql")
}

pub struct Redis {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Redis {
    pub fn start() -> Self {
        let mut redis = Self {
            folder: TempDir::with_prefix("tasks-redis-").unwrap(),
            port: free_port(),
            server: None,
        };
        std::fs::set_permissions(redis.folder.path(), Permissions::from_mode(0o755)).unwrap();
        redis.run();
        redis
    }

    /// Starts the server, at the beginning or after `kill`; it remembers nothing.
    pub fn run(&mut self) {
        let server = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("these tests need Redis ({error}): apt-get install redis-server"));
        self.server = Some(server);
        wait_until("Redis", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Stops the server's clock: connections stay open, nothing is answered.
    pub fn freeze(&self) {
        signal(self.server.as_ref().unwrap().id(), "STOP");
    }

    pub fn thaw(&self) {
        signal(self.server.as_ref().unwrap().id(), "CONT");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command by redis-cli and gives what it prints.
    pub fn command(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| {
                panic!("these tests need redis-cli ({error}): apt-get install redis-tools")
            });
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

fn wait_until(what: &str, ready: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "{what} did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}
