//! The service against its ancestor: the same API in Flask under gunicorn, on the same PostgreSQL and the same cores.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use support::client::Load;
use support::program::{Program, free_port};
use support::{Postgres, compare, fill, median, outcome, promise};

const POOL: usize = 8;
const TASKS: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let programs = virtual_environment();
    let postgres = Postgres::durable();
    let database = postgres.url();
    let service = async || Program::tasks(folder.path(), &[("DATABASE_URL", &database)]).await;
    drop(service().await);
    fill(&postgres, TASKS);

    let workers = best_workers(&programs, &database, folder.path()).await;
    println!("Flask is served best by {workers} workers");
    let flask = async || flask(&programs, &database, folder.path(), workers);

    let what = format!("GET /tasks of {TASKS} tasks");
    let reads = compare(&what, Load::get, ("tasks", service), ("Flask", flask)).await;
    promise("reads at least 5 x Flask", reads.rate_ratio >= 5.0);
    promise("p99 of reads at most 0.3 x Flask's", reads.p99_ratio <= 0.3);
    promise("CPU of a read at most 0.2 x Flask's", reads.cpu_ratio <= 0.2);

    let what = "POST /tasks, one statement and one commit a request on either side";
    let writes = compare(what, Load::post, ("tasks", service), ("Flask", flask)).await;
    let pgbench = median((0..3).map(|_| pgbench(&postgres, folder.path())).collect());
    let of_pgbench = writes.rate / pgbench;
    println!("the same INSERT by pgbench over {POOL} connections: {pgbench:.0}/s; ratio {of_pgbench:.2}");
    promise("writes at least 4 x Flask", writes.rate_ratio >= 4.0);
    promise("p99 of writes at most 0.3 x Flask's", writes.p99_ratio <= 0.3);
    promise("CPU of a write at most 0.2 x Flask's", writes.cpu_ratio <= 0.2);
    println!(
        "resident memory after the load: {:.1} MiB",
        reads.resident_mib.max(writes.resident_mib)
    );
    promise(
        "at most 40 MiB resident under load",
        reads.resident_mib.max(writes.resident_mib) <= 40.0,
    );
    outcome()
}

/// How many workers serve Flask's reads best.
async fn best_workers(programs: &Path, database: &str, folder: &Path) -> usize {
    let mut best = (0.0, 1);
    for workers in [1, 2, 3, 4, 5] {
        let flask = flask(programs, database, folder, workers);
        let load = Load::get(flask.port);
        load.run(Duration::from_secs(1)).await;
        let rate = load.run(Duration::from_secs(3)).await.rate;
        println!("Flask with {workers} workers: {rate:.0} reads/s");
        if rate > best.0 {
            best = (rate, workers);
        }
    }
    best.1
}

fn flask(programs: &Path, database: &str, folder: &Path, workers: usize) -> Program {
    let port = free_port();
    let mut command = Command::new(programs.join("gunicorn"));
    command.args([
        "--workers",
        &workers.to_string(),
        "--threads",
        "4",
        "--keep-alive",
        "60",
    ]);
    command.args([
        "--bind",
        &format!("127.0.0.1:{port}"),
        "--worker-tmp-dir",
        "/dev/shm",
        "app:app",
    ]);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/flask"));
    command.env("DATABASE_URL", database);
    Program::start(command, port, &folder.join("flask"))
}

/// Flask and what it needs, in a folder of their own under the build's.
fn virtual_environment() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("flask");
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/flask/requirements.txt");
    let run = |program: &Path, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).status();
        let done = status.unwrap_or_else(|error| {
            panic!(
                "this benchmark needs {} ({error}): apt-get install python3-venv",
                program.display()
            )
        });
        assert!(done.success(), "{} {arguments:?} failed", program.display());
    };
    run(Path::new("python3"), &["-m", "venv", folder.to_str().unwrap()]);
    let pip = folder.join("bin/pip");
    run(
        &pip,
        &[
            "install",
            "--quiet",
            "--requirement",
            requirements.to_str().unwrap(),
        ],
    );
    folder.join("bin")
}

/// What PostgreSQL's own load generator reaches with the same statement.
fn pgbench(postgres: &Postgres, folder: &Path) -> f64 {
    let script = folder.join("insert.sql");
    std::fs::write(
        &script,
        "INSERT INTO tasks (task) VALUES ('Buy milk') RETURNING id;\n",
    )
    .unwrap();
    std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = postgres
        .command("pgbench")
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--client",
            &POOL.to_string(),
            "--jobs=2",
            "--time=3",
        ])
        .arg("--file")
        .arg(&script)
        .arg(postgres.url())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rate = text.lines().find_map(|line| {
        line.strip_prefix("tps = ")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    rate.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}
