//! Runs the Go toolchain.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

/// A Go module from which files (CRDs, manifests) are read as released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// The folder under `tests/tools/go/` that pins it.
    folder: &'static str,
    path: &'static str,
}

impl Module {
    /// CRDs under `example/prometheus-operator-crd/`, roles under `example/rbac/`.
    pub const PROMETHEUS_OPERATOR: Self = Self {
        folder: "prometheus-operator",
        path: "github.com/prometheus-operator/prometheus-operator",
    };
    /// `deploy/local-path-storage.yaml`.
    pub const LOCAL_PATH_PROVISIONER: Self = Self {
        folder: "prometheus-operator",
        path: "github.com/rancher/local-path-provisioner",
    };
    /// `manifests/base/`.
    pub const METRICS_SERVER: Self = Self {
        folder: "metrics-server",
        path: "sigs.k8s.io/metrics-server",
    };
    /// Every type's schema in `api/openapi-spec/swagger.json`.
    pub const KUBERNETES: Self = Self {
        folder: "kubernetes",
        path: "k8s.io/kubernetes",
    };
    /// CRDs under `config/crd/standard/`, of the version that Traefik is built for.
    pub const GATEWAY_API: Self = Self {
        folder: "traefik",
        path: "sigs.k8s.io/gateway-api",
    };
    /// CRDs under `config/crd/bases/`.
    pub const CLOUDNATIVE_PG: Self = Self {
        folder: "cloudnative-pg",
        path: "github.com/cloudnative-pg/cloudnative-pg",
    };
}

/// The folder of a pinned module's files, downloaded if it is missing.
pub fn module_dir(module: Module) -> Result<PathBuf> {
    let folder = module_folder(module.folder);
    let output = run(go_in(&folder).args(["mod", "download", "-json", module.path]))?;
    // The output is a JSON object with one member per line; only `Dir` is needed.
    let dir = output
        .lines()
        .find_map(|line| line.trim().strip_prefix("\"Dir\": \"")?.strip_suffix("\","))
        .ok_or_else(|| {
            anyhow!(
                "`go mod download -json {}` named no folder: {output}",
                module.path
            )
        })?;
    Ok(PathBuf::from(dir))
}

pub(crate) fn module_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("go").join(name)
}

/// `go`, in a module's folder, with the user's `GOPROXY`, `GOFLAGS` and so on.
pub(crate) fn go_in(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("CGO_ENABLED", "0");
    command
}

/// The error for a `go` that could not be started.
pub(crate) fn not_started(error: &std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        anyhow!(
            "Go is not installed, and the programs of the lab are built with it: install Go 1.26 or newer from \
             https://go.dev/dl/, then `export PATH=$PATH:/usr/local/go/bin`"
        )
    } else {
        anyhow!("`go` could not be started: {error}")
    }
}

/// The oldest Go that downloads a newer toolchain by itself.
const OLDEST: (u32, u32) = (1, 21);

/// Fails with one sentence if this machine's Go cannot be used.
pub fn need_go() -> Result<()> {
    check_version(&run(Command::new("go").arg("version"))?)
}

fn check_version(answer: &str) -> Result<()> {
    let number = |text: &str| -> u32 {
        let digits = text.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    let mut words = answer.split_whitespace();
    let version = words
        .find_map(|word| word.strip_prefix("go").filter(|rest| number(rest) > 0))
        .with_context(|| format!("`go version` names no version: {}", answer.trim()))?;
    let mut parts = version.split('.').map(number);
    if (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST {
        bail!(
            "this machine's Go is {version}, and the programs of the lab are built with Go 1.26: install that or a \
             newer one from https://go.dev/dl/, and put it first in PATH"
        );
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| not_started(&error))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{command:?} printed something that is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_go_that_cannot_fetch_a_newer_one_is_refused() {
        let error = check_version("go version go1.19.8 linux/amd64\n").map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("Go is 1.19.8") && error.contains("go.dev/dl")));
        for good in [
            "go version go1.21 linux/amd64",
            "go version go1.26.5 linux/amd64",
            "go version devel go1.27-abcdef linux/amd64",
        ] {
            assert!(check_version(good).is_ok(), "{good}");
        }
    }
}
