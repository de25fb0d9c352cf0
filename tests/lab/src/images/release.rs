//! The project's programs as they are released: whoever compiles the same sources with the same toolchain, wherever on
//! his disk, gets the same bytes.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::own::OwnImage;
use crate::paths;

/// Only the gnu target's standard library is sure to be there; linked statically it runs `FROM scratch`.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";
const STATIC: &str = "target-feature=+crt-static";
/// Between the flags in `CARGO_ENCODED_RUSTFLAGS`: a path may hold a space.
const SEPARATOR: &str = "\x1f";

/// Compiles these packages' programs; says where they lie.
pub(super) fn compile(packages: &[&str]) -> Result<Vec<PathBuf>> {
    Place {
        sources: paths::workspace_dir(),
        target: target_dir(),
    }
    .compile(packages)
}

/// A target folder that nothing else is built in. Build scripts read variables that are set here and not in a shell: in
/// one folder a benchmark's build and this one would each make cargo compile anew what the other has compiled.
fn target_dir() -> PathBuf {
    paths::target_dir().join("released")
}

/// Where one of the programs lies once it was compiled.
pub fn built(program: &str) -> PathBuf {
    program_in(&target_dir(), program)
}

fn program_in(target: &Path, program: &str) -> PathBuf {
    target.join(TARGET).join("release").join(program)
}

/// Compiles every program that is released here and, from a copy of the sources, in a second place, and compares them:
/// each with those that it is compiled with for its image, because together they decide the features of what they share.
pub fn reproduce() -> Result<()> {
    let folder = paths::state_dir().join("reproduce");
    paths::remove_dir(&folder)?;
    let second = Place {
        sources: folder.join("the same sources"),
        target: folder.join("another target folder"),
    };
    copy_sources(&second.sources)?;
    let mut differ = Vec::new();
    for packages in [OwnImage::OPERATOR.packages, OwnImage::TASKS.packages] {
        let here = compile(packages)?;
        let there = second.compile(packages)?;
        for ((program, here), there) in packages.iter().zip(&here).zip(&there) {
            differ.extend(difference(program, here, there)?);
        }
    }
    ensure!(
        differ.is_empty(),
        "not reproducible: {}; compare {} with {}",
        differ.join(", "),
        program_in(&target_dir(), "").display(),
        program_in(&second.target, "").display()
    );
    paths::remove_dir(&folder)
}

/// In what the two differ, if they do; that they do not is printed.
fn difference(program: &str, here: &Path, there: &Path) -> Result<Option<String>> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (one, other) = (read(here)?, read(there)?);
    let first = one.iter().zip(&other).position(|(a, b)| a != b);
    if one.len() == other.len() && first.is_none() {
        println!("{program}: the same {} bytes from two places", one.len());
        return Ok(None);
    }
    Ok(Some(format!(
        "{program} ({} and {} bytes, from byte {} on)",
        one.len(),
        other.len(),
        first.unwrap_or(one.len().min(other.len()))
    )))
}

/// The files that git knows, as they are now.
fn copy_sources(to: &Path) -> Result<()> {
    let root = paths::workspace_dir();
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(&root)
        .output()
        .context("cannot run `git`, which knows what belongs to the sources")?;
    ensure!(
        output.status.success(),
        "`git ls-files` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let files = String::from_utf8(output.stdout).context("a file's name is no text")?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (root.join(file), to.join(file));
        if let Some(folder) = to.parent() {
            paths::create_dir(folder)?;
        }
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Where the sources are, and where what is made of them goes.
struct Place {
    sources: PathBuf,
    target: PathBuf,
}

impl Place {
    fn compile(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let mut cargo = lab_tools::cargo();
        cargo
            .current_dir(&self.sources)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags()?)
            // A library written in C says when it was compiled.
            .env("SOURCE_DATE_EPOCH", "0")
            .stdin(Stdio::null())
            .args(["build", "--release", "--locked", "--target", TARGET]);
        for package in packages {
            cargo.args(["--package", package, "--bin", package]);
        }
        let status = cargo.status().context("cannot run `cargo`")?;
        if !status.success() {
            bail!(
                "`cargo build --release` of {} failed ({status})",
                packages.join(" and ")
            );
        }
        Ok(packages
            .iter()
            .map(|program| program_in(&self.target, program))
            .collect())
    }

    /// The paths of this machine stand in every message of a panic, unless others are put in their place.
    fn flags(&self) -> Result<OsString> {
        let cargo_home = env::var_os("CARGO_HOME").map_or_else(
            || {
                env::home_dir()
                    .context("neither CARGO_HOME nor HOME is set")
                    .map(|home| home.join(".cargo"))
            },
            |home| Ok(PathBuf::from(home)),
        )?;
        let own = env::var("RUSTFLAGS").unwrap_or_default();
        let mut flags: Vec<OsString> = own.split_whitespace().map(OsString::from).collect();
        flags.extend(["-C".into(), STATIC.into()]);
        // The last that fits counts: the target folder may lie within the sources.
        for (path, name) in [
            (&self.sources, "/src"),
            (&self.target, "/src/target"),
            (&cargo_home, "/cargo"),
        ] {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(path);
            flag.push("=");
            flag.push(name);
            flags.push(flag);
        }
        Ok(flags.join(SEPARATOR.as_ref()))
    }
}
