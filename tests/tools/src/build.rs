//! Builds missing programs once, also if several processes need them.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::MultiProgress;

use crate::tool::Recipe;
use crate::{Tool, cache, go, need_room, on_path, progress::Progress};

/// Packages that Go compiles in parallel: the lab is made for two cores.
const PARALLEL: &str = "2";
const LOG_LINES_SHOWN: usize = 20;
/// Go's build cache grows by about a GiB in this many seconds of compiling.
const SECONDS_A_GIB: u64 = 90;

/// Builds the missing ones of these programs, with a progress bar on standard error; returns the paths of all.
pub fn ensure(tools: &[Tool]) -> Result<BTreeMap<Tool, PathBuf>> {
    ensure_with(tools, &MultiProgress::new())
}

/// As [`ensure`], with the bar in an existing group.
pub fn ensure_with(tools: &[Tool], bars: &MultiProgress) -> Result<BTreeMap<Tool, PathBuf>> {
    let mut programs = BTreeMap::new();
    let mut missing = BTreeMap::new();
    for &tool in tools {
        let path = cache::program_path(&tool.recipe())?;
        if path.is_file() {
            programs.insert(tool, path);
        } else if let Some(own) = on_path::find(&tool.recipe()) {
            programs.insert(tool, own);
        } else {
            missing.insert(tool, path);
        }
    }
    if missing.is_empty() {
        return Ok(programs);
    }
    let order: Vec<Tool> = missing.keys().copied().collect();
    need_room(&cache::cache_dir()?, room_for(&order), "XDG_CACHE_HOME")?;
    let mut progress = Progress::start(bars, &order);
    for (tool, path) in missing {
        let took = build_once(
            &path,
            || progress.waiting(tool),
            |target| {
                progress.building(tool);
                compile(tool, target, &progress)
            },
        )
        .with_context(|| format!("cannot build {tool}"))?;
        progress.built(tool, took);
        programs.insert(tool, path);
    }
    Ok(programs)
}

/// The disk space of these programs and of Go's build cache, in GiB.
fn room_for(tools: &[Tool]) -> u64 {
    let seconds: u64 = tools.iter().map(|tool| tool.recipe().seconds).sum();
    1 + seconds / SECONDS_A_GIB
}

/// Runs `build` unless its result exists, under a lock between processes. `path` appears complete or not at all; its
/// folder is reserved for it, and `build` may write other files there. Returns the duration of a build; `waiting` is
/// called if another process holds the lock.
pub fn build_once(
    path: &Path,
    waiting: impl FnOnce(),
    build: impl FnOnce(&Path) -> Result<()>,
) -> Result<Option<Duration>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        bail!("{} has no parent folder", path.display());
    };
    let _lock = lock(&beside(folder, ".lock"), waiting)?;
    if path.is_file() {
        return Ok(None);
    }
    let start = Instant::now();
    // Under the lock, these are leftovers of a killed build.
    let unfinished = beside(folder, ".unfinished");
    for leftover in [&unfinished, folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
    build(&unfinished.join(name))?;
    fs::rename(&unfinished, folder)
        .with_context(|| format!("cannot move the build to {}", folder.display()))?;
    Ok(Some(start.elapsed()))
}

/// A sibling path; not by `with_extension`, because versions have dots.
fn beside(folder: &Path, suffix: &str) -> PathBuf {
    let mut path = folder.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File> {
    let context = || format!("cannot lock {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let file = File::create(path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            waiting();
            file.lock().with_context(context)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    Ok(file)
}

fn compile(tool: Tool, target: &Path, progress: &Progress) -> Result<()> {
    let recipe = tool.recipe();
    let log = target.with_extension("log");
    let output = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
    let start = Instant::now();
    let mut go = with_parent_death_signal(
        go::go_in(&go::module_folder(recipe.module))
            .args(["build", "-p", PARALLEL])
            .args(cache::build_flags(&recipe))
            .arg("-o")
            .args([target.as_os_str(), recipe.package.as_ref()]),
    )
    .stdin(Stdio::null())
    .stdout(Stdio::null())
    .stderr(output)
    .spawn()
    .map_err(|error| go::not_started(&error))?;
    let status = loop {
        if let Some(status) = go.try_wait()? {
            break status;
        }
        progress.tick(tool, start);
        thread::sleep(Duration::from_millis(200));
    };
    if !status.success() {
        bail!(
            "{}",
            failure(&recipe, status, &fs::read_to_string(&log).unwrap_or_default())
        );
    }
    fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))
}

/// The command with a parent-death signal: an orphaned build would use two cores for minutes.
fn with_parent_death_signal(command: &Command) -> Command {
    // Part of util-linux; without it, an orphaned build runs to its end.
    let can_bind = Command::new("setpriv")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    let mut bound = if can_bind {
        let mut bound = Command::new("setpriv");
        bound
            .args(["--pdeathsig", "TERM", "--"])
            .arg(command.get_program());
        bound
    } else {
        Command::new(command.get_program())
    };
    bound.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bound.current_dir(folder);
    }
    bound
}

fn failure(recipe: &Recipe, status: std::process::ExitStatus, log: &str) -> String {
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| !line.starts_with("go: downloading "))
        .collect();
    let last = errors[errors.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n");
    format!(
        "`go build {}` in tests/tools/go/{} failed ({status}); without a network, or behind a proxy of your own, set \
         GOPROXY. It errors:\n{last}",
        recipe.package, recipe.module
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_required_disk_space_follows_from_what_is_built() {
        assert!((10..20).contains(&room_for(Tool::BASE)));
        assert_eq!(room_for(&[Tool::Pause]), 1);
    }

    #[test]
    fn concurrent_callers_build_once() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etcd-1.2.3-123/etcd");
        let builds = AtomicUsize::new(0);
        let build = || {
            build_once(
                &path,
                || {},
                |target| {
                    builds.fetch_add(1, Ordering::SeqCst);
                    Ok(fs::write(target, "program")?)
                },
            )
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(build)).collect();
            let times = threads.into_iter().map(|thread| thread.join().unwrap().unwrap());
            assert_eq!(times.flatten().count(), 1, "it is built once");
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), "program");
        assert!(
            root.path().join("etcd-1.2.3-123.lock").exists(),
            "locks are per build"
        );
    }

    #[test]
    fn a_failed_or_killed_build_leaves_no_result() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("etcd-123/etcd");
        let failed = build_once(
            &path,
            || {},
            |target| {
                fs::write(target, "half")?;
                bail!("killed")
            },
        );
        assert_eq!(failed.unwrap_err().to_string(), "killed");
        assert!(!path.exists());

        build_once(
            &path,
            || {},
            |target| {
                assert!(!target.exists(), "the leftover is gone");
                Ok(fs::write(target, "whole")?)
            },
        )
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
    }

    /// Set for the child process of this test, which only builds.
    const DOOMED: &str = "LAB_TOOLS_DOOMED";

    #[cfg(target_os = "linux")]
    #[test]
    fn a_build_ends_when_its_caller_is_killed() {
        if std::env::var_os(DOOMED).is_some() {
            // With empty caches, this takes long.
            ensure(&[Tool::Etcd]).unwrap();
            return;
        }
        let caches = tempfile::tempdir().unwrap();
        let mark = format!("{DOOMED}={}", caches.path().display());
        let building = || {
            fs::read_dir("/proc").unwrap().flatten().any(|process| {
                let read = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
                let environment = read("environ");
                read("comm") == b"go\n"
                    && environment
                        .split(|byte| *byte == 0)
                        .any(|one| one == mark.as_bytes())
            })
        };
        let until = |what: &str, holds: &dyn Fn() -> bool| {
            let began = Instant::now();
            while !holds() {
                assert!(began.elapsed() < Duration::from_mins(2), "never: {what}");
                thread::sleep(Duration::from_millis(20));
            }
        };
        let this = "build::tests::a_build_ends_when_its_caller_is_killed";
        let mut doomed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(DOOMED, caches.path())
            .env("XDG_CACHE_HOME", caches.path())
            .env("GOCACHE", caches.path().join("go"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("it builds", &building);
        doomed.kill().unwrap();
        doomed.wait().unwrap();
        until("the build ends", &|| !building());
    }

    #[test]
    fn a_failure_shows_gos_errors_without_its_downloads() {
        use std::os::unix::process::ExitStatusExt as _;
        let log = "go: downloading example.com/x v1.0.0\npackage x: no such thing\n";
        let text = failure(&Tool::Etcd.recipe(), std::process::ExitStatus::from_raw(256), log);
        assert!(
            text.contains("package x: no such thing") && !text.contains("downloading"),
            "{text}"
        );
        assert!(text.contains("tests/tools/go/etcd"), "{text}");
    }
}
