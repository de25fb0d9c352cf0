//! The lab's folders: the repository's target folder, the user's cache folder (see `lab_tools`) and
//! `/run/observedapp-lab`, the state folder of its containerd, whose sockets need a short path.

use std::{
    env,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Sockets and mount points of the node's containerd; one per machine, as there is one node per machine.
pub const RUN: &str = "/run/observedapp-lab";

/// The lab's folder, `target/lab`.
pub fn state_dir() -> PathBuf {
    target_dir().join("lab")
}

/// The workspace's root folder.
pub fn workspace_dir() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace_dir().join(dir),
        None => workspace_dir().join("target"),
    }
}

/// The path of this program, also if a newer build has replaced its file.
pub(crate) fn own_program() -> Result<PathBuf> {
    let path = env::current_exe().context("the path of this program is unknown")?;
    Ok(of_now(path))
}

/// Linux appends ` (deleted)` to the path of a replaced file.
fn of_now(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => path.into(),
        None => path,
    }
}

/// Writes a file atomically.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    write_with_mode(path, content.as_ref(), 0o666)
}

/// As `write`, readable by the owner only: for keys and files with keys.
pub(crate) fn write_private(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    write_with_mode(path, content.as_ref(), 0o600)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}", std::process::id()));
    let new = path.with_file_name(name);
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    // A leftover file of a killed process would keep its mode.
    let _ = fs::remove_file(&new);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| file.write_all(content))
        .with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Removes a folder and its contents; it may be missing.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuilt_program_is_found_by_its_path() {
        let path = PathBuf::from("/target/debug/lab");
        assert_eq!(of_now("/target/debug/lab (deleted)".into()), path);
        assert_eq!(of_now(path.clone()), path);
    }
}
