//! The project's release builds: the same sources and toolchain give the same bytes, whatever the path.

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

/// The gnu target's standard library is always installed; statically linked programs run `FROM scratch`.
pub(super) const TARGET: &str = "x86_64-unknown-linux-gnu";
const STATIC: &str = "target-feature=+crt-static";
/// The separator of `CARGO_ENCODED_RUSTFLAGS`, which allows spaces in paths.
const SEPARATOR: &str = "\x1f";

/// Compiles the programs of these packages; returns their paths.
pub(super) fn compile(packages: &[&str]) -> Result<Vec<PathBuf>> {
    Place {
        sources: paths::workspace_dir(),
        target: target_dir(),
    }
    .compile(packages)
}

/// A separate target folder. Build scripts depend on variables that are set here and not in a shell: in a shared
/// folder, this build and a benchmark's would each invalidate the other's.
fn target_dir() -> PathBuf {
    paths::target_dir().join("released")
}

/// The path of a compiled program.
pub fn built(program: &str) -> PathBuf {
    program_in(&target_dir(), program)
}

fn program_in(target: &Path, program: &str) -> PathBuf {
    target.join(TARGET).join("release").join(program)
}

/// Compiles every released program here and from a copy of the sources elsewhere, and compares them. Programs of one
/// image are compiled together, as for the image, because features are unified among them.
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

/// The difference of two programs, if there is one; otherwise prints that they are equal.
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

/// Copies the files that git tracks, with their current contents.
fn copy_sources(to: &Path) -> Result<()> {
    let root = paths::workspace_dir();
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(&root)
        .output()
        .context("cannot run `git`, which lists the source files")?;
    ensure!(
        output.status.success(),
        "`git ls-files` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let files = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
    for file in files.split('\0').filter(|file| !file.is_empty()) {
        let (from, to) = (root.join(file), to.join(file));
        if let Some(folder) = to.parent() {
            paths::create_dir(folder)?;
        }
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// The folder of the sources and the target folder.
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
            // A C library has its build time in it.
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

    /// Panic messages have source paths: machine-specific prefixes are remapped.
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
        // The last matching prefix counts: the target folder may be within the sources.
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
