//! The service against its ancestor: the same API in Flask under gunicorn, on the same PostgreSQL and the same cores.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use support::client::{CONNECTIONS, Load};
use support::program::{Program, free_port};
use support::{Postgres, compare, fill, median, outcome, promise};

const POOL: usize = 8;
/// Each connection that writes has one of its own.
const TASKS: usize = CONNECTIONS;

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
    promise("reads at least 10 x Flask", reads.rate_ratio >= 10.0);

    let what = "POST /tasks, one statement for all that wait; Flask: one each";
    let posts = compare(what, Load::post, ("tasks", service), ("Flask", flask)).await;
    promise("new tasks at least 5 x Flask", posts.rate_ratio >= 5.0);

    // Both sides wait for one commit a request, and so does `pgbench`, which does nothing else.
    let what = "PUT /tasks/ID, one statement a request";
    let puts = compare(what, Load::put, ("tasks", service), ("Flask", flask)).await;
    let pgbench = median((0..3).map(|_| pgbench(&postgres, folder.path())).collect());
    let of_pgbench = puts.rate / pgbench;
    println!("the same UPDATE by pgbench over {POOL} connections: {pgbench:.0}/s; ratio {of_pgbench:.2}");
    promise("changes at least 0.8 x pgbench", of_pgbench >= 0.8);
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
    let script = folder.join("update.sql");
    std::fs::write(
        &script,
        "UPDATE tasks SET task = 'Buy milk' WHERE id = :client_id + 1;\n",
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
