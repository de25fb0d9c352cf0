//! A folder for the user's PATH with the pinned kubectl and the project's plugin.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use lab_tools::Tool;
use tokio::process::Command;

use crate::{images, paths, programs::program};

pub fn dir() -> PathBuf {
    paths::state_dir().join("bin")
}

/// Links both. The plugin is the operator's binary under another name, if that is built.
pub async fn offer() -> Result<()> {
    let dir = dir();
    paths::create_dir(&dir)?;
    link(&program(Tool::Kubectl).await?, &dir.join("kubectl"))?;
    let built = [images::built("observedapp"), debug_build()];
    let age = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    if let Some(plugin) = built
        .into_iter()
        .filter(|path| path.exists())
        .max_by_key(|path| age(path))
    {
        for name in ["observedapp", "kubectl-observed"] {
            link(&plugin, &dir.join(name))?;
        }
    }
    Ok(())
}

fn debug_build() -> PathBuf {
    paths::target_dir().join("debug/observedapp")
}

/// Compiles the plugin if the operator's binary was only built inside an image.
pub async fn build_plugin() -> Result<()> {
    let status = Command::from(lab_tools::cargo())
        .args(["build", "--quiet", "--bin", "observedapp"])
        .current_dir(paths::workspace_dir())
        .stdin(Stdio::null())
        .status()
        .await
        .context("cannot run `cargo`")?;
    ensure!(
        status.success(),
        "`cargo build --bin observedapp` failed ({status})"
    );
    Ok(())
}

fn link(program: &Path, name: &Path) -> Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(program, name),
    }
    .with_context(|| format!("cannot link {}", name.display()))
}
