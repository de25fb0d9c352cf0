//! Handing images to the node's containerd.

use std::{path::Path, process::Command, thread};

use anyhow::{Context, Result, anyhow, bail};

use super::{Archive, build::run};

/// The label by which an image that is there already is known to be this very one.
const LABEL: &str = "observedapp.dev/checksum";

/// Makes the image known to the kubelet under its upstream name. Says whether it had to be imported.
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

/// As [`import`], side by side: each spends most of its time waiting for the disk. Says how many it imported.
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
