//! Asking the Go toolchain.

use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

/// A Go module whose files (CRDs, manifests) are read as they were released.
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
    /// CRDs under `config/crd/bases/`.
    pub const CLOUDNATIVE_PG: Self = Self {
        folder: "cloudnative-pg",
        path: "github.com/cloudnative-pg/cloudnative-pg",
    };
}

/// The folder that holds a pinned module's own files, downloaded when it is not there yet.
pub fn module_dir(module: Module) -> Result<PathBuf> {
    let folder = module_folder(module.folder);
    let output = run(go_in(&folder).args(["mod", "download", "-json", module.path]))?;
    // The answer is a small JSON object, one member a line; its Dir is all that is wanted.
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

/// `go`, in a module's folder. `GOPROXY`, `GOFLAGS` and the like are the user's.
pub(crate) fn go_in(folder: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("CGO_ENABLED", "0");
    command
}

/// The sentence for a `go` that could not be started.
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
