//! A folder for the user's PATH: the pinned kubectl, and the project's plugin of it.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lab_tools::Tool;

use crate::{images, paths, programs::program};

pub fn dir() -> PathBuf {
    paths::state_dir().join("bin")
}

/// Puts both there. The plugin is the operator's binary by another name, once that was built for its image.
pub async fn offer() -> Result<()> {
    let dir = dir();
    paths::create_dir(&dir)?;
    link(&program(Tool::Kubectl).await?, &dir.join("kubectl"))?;
    let plugin = images::built("observedapp");
    if plugin.exists() {
        link(&plugin, &dir.join("kubectl-observed"))?;
    }
    Ok(())
}

fn link(program: &Path, name: &Path) -> Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => symlink(program, name),
    }
    .with_context(|| format!("cannot link {}", name.display()))
}
