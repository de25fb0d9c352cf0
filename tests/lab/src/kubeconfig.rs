//! Self-contained kubeconfig files. The lab never changes the user's.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::{certs::Pair, paths};

/// Writes a kubeconfig whose only context, `lab`, connects to `url` with this certificate.
pub fn write(path: &Path, url: &str, ca: &Path, user: &Pair) -> Result<()> {
    let data = |file: &Path| -> Result<String> {
        Ok(STANDARD.encode(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?))
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": url, "certificate-authority-data": data(ca)?}}],
        "users": [{"name": "lab", "user": {
            "client-certificate-data": data(&user.cert)?,
            "client-key-data": data(&user.key)?,
        }}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    });
    // JSON is YAML.
    paths::write_private(path, serde_json::to_vec_pretty(&config)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_kubeconfig_is_readable_by_the_owner_only_even_if_it_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair {
            cert: dir.path().join("a.crt"),
            key: dir.path().join("a.key"),
        };
        let path = dir.path().join("kubeconfig");
        for file in [&pair.cert, &pair.key, &path] {
            fs::write(file, "x").unwrap();
        }
        write(&path, "https://127.0.0.1:6443", &pair.cert, &pair).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
