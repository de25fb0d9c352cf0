//! Checks free disk space before it is needed: the errors of a full disk are worse.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Fails if the disk of this folder, which `variable` selects, has less free space.
pub fn need_room(folder: &Path, gib: u64, variable: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let stat = rustix::fs::statvfs(folder)
        .with_context(|| format!("cannot read the free space of {}", folder.display()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free >> 30 < gib {
        bail!(
            "{} has {:.1} GiB free and the lab needs {gib}; free some space, or set {variable} to a folder on a bigger disk",
            folder.display(),
            free as f64 / f64::from(1 << 30),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_error_of_a_full_disk_is_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        assert!(need_room(folder.path(), 0, "HOME").is_ok());
        let error = need_room(folder.path(), u64::MAX, "CARGO_TARGET_DIR")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("free some space, or set CARGO_TARGET_DIR"),
            "{error}"
        );
    }
}
