//! Imports images into the node's containerd.

use std::{path::Path, process::Command, thread};

use anyhow::{Context, Result, anyhow, bail};

use super::{Archive, build::run};

/// The label with the checksum of an imported image.
const LABEL: &str = "observedapp.dev/checksum";

/// Imports the image under its upstream name. Returns whether it was missing.
pub fn import(containerd_socket: &Path, archive: &Archive) -> Result<bool> {
    let ctr = || {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address")
            .arg(containerd_socket)
            .args(["--namespace", "k8s.io", "images"]);
        ctr
    };
    let filter = format!(
        "name=={},labels.\"{LABEL}\"=={}",
        archive.reference, archive.checksum
    );
    let listed = ctr()
        .args(["list", "--quiet", &filter])
        .output()
        .context("cannot run `ctr`")?;
    if !listed.status.success() {
        bail!(
            "`ctr images list` failed: {}",
            String::from_utf8_lossy(&listed.stderr).trim()
        );
    }
    if !listed.stdout.is_empty() {
        return Ok(false);
    }
    run(ctr().arg("import").arg(&archive.path))
        .and_then(|()| {
            run(ctr().args([
                "label",
                &archive.reference,
                &format!("{LABEL}={}", archive.checksum),
            ]))
        })
        .with_context(|| format!("cannot import {} into containerd", archive.reference))?;
    Ok(true)
}

/// As [`import`], in parallel: each mostly waits for the disk. Returns how many were imported.
pub fn import_all(containerd_socket: &Path, archives: &[Archive]) -> Result<usize> {
    thread::scope(|scope| {
        let imports: Vec<_> = archives
            .iter()
            .map(|archive| scope.spawn(|| import(containerd_socket, archive)))
            .collect();
        let mut imported = 0;
        for import in imports {
            let new = import
                .join()
                .map_err(|_| anyhow!("an import of an image panicked"))??;
            imported += usize::from(new);
        }
        Ok(imported)
    })
}
