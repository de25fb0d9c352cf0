//! The container images of the embedded node, which are built here because the machine may have no registry.
//!
//! Each has a folder under `tests/lab/images/` with its Dockerfile and the files for it. `debian-packages` (one name a
//! line; extracted under `debian/`) and `requirements.txt` (installed by pip under `python/`) are optional. The image's
//! programs are copied into the context's root.
//!
//! An image is built once and kept as an archive in the user's cache, under a checksum of its inputs.

mod build;
mod import;
mod own;
mod release;
mod sources;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar};
use lab_tools::{Tool, upstream};
use std::{path::PathBuf, time::Duration};

pub use import::{import, import_all};
pub use own::{OwnImage, build_own};
pub use release::{built, reproduce};

/// A replacement for an upstream image: the same name, entry point, paths and user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The upstream image's full name.
    pub reference: &'static str,
    /// Its folder under `tests/lab/images/`.
    folder: &'static str,
    tools: &'static [Tool],
    build_args: &'static [(&'static str, &'static str)],
}

const fn image(reference: &'static str, folder: &'static str, tools: &'static [Tool]) -> Image {
    Image {
        reference,
        folder,
        tools,
        build_args: &[],
    }
}

pub const PAUSE: Image = image(upstream::PAUSE, "pause", &[Tool::Pause]);
pub const COREDNS: Image = image(upstream::COREDNS, "coredns", &[Tool::Coredns]);
pub const LOCAL_PATH_PROVISIONER: Image = image(
    upstream::LOCAL_PATH_PROVISIONER,
    "local-path-provisioner",
    &[Tool::LocalPathProvisioner],
);
pub const BUSYBOX: Image = image(upstream::BUSYBOX, "busybox", &[]);
pub const POSTGRES: Image = image(upstream::POSTGRES, "postgres", &[]);
/// For tests of major upgrades; not part of the stack.
pub const POSTGRES_16: Image = Image {
    reference: upstream::POSTGRES_16,
    folder: "postgres",
    tools: &[],
    build_args: &[
        ("MAJOR", "16"),
        ("INSTALL", "pginstall"),
        ("PGDATA", "/var/lib/postgresql/data"),
    ],
};
pub const REDIS: Image = image(upstream::REDIS, "redis", &[]);
pub const POSTGRES_EXPORTER: Image = image(
    upstream::POSTGRES_EXPORTER,
    "postgres-exporter",
    &[Tool::PostgresExporter],
);
pub const REDIS_EXPORTER: Image = image(upstream::REDIS_EXPORTER, "redis-exporter", &[Tool::RedisExporter]);
pub const BLACKBOX_EXPORTER: Image = image(
    upstream::BLACKBOX_EXPORTER,
    "blackbox-exporter",
    &[Tool::BlackboxExporter],
);
pub const PROMETHEUS: Image = image(upstream::PROMETHEUS, "prometheus", &[Tool::Prometheus]);
pub const ALERTMANAGER: Image = image(upstream::ALERTMANAGER, "alertmanager", &[Tool::Alertmanager]);
pub const PROMETHEUS_OPERATOR: Image = image(
    upstream::PROMETHEUS_OPERATOR,
    "prometheus-operator",
    &[Tool::PrometheusOperator],
);
pub const PROMETHEUS_CONFIG_RELOADER: Image = image(
    upstream::PROMETHEUS_CONFIG_RELOADER,
    "prometheus-config-reloader",
    &[Tool::PrometheusConfigReloader],
);

/// The images of every embedded cluster; the first ones are needed to start any pod.
pub const BASE: &[Image] = &[
    PAUSE,
    COREDNS,
    LOCAL_PATH_PROVISIONER,
    BUSYBOX,
    POSTGRES,
    REDIS,
    POSTGRES_EXPORTER,
    REDIS_EXPORTER,
    BLACKBOX_EXPORTER,
    PROMETHEUS,
    ALERTMANAGER,
    PROMETHEUS_OPERATOR,
    PROMETHEUS_CONFIG_RELOADER,
];

pub const METRICS_SERVER: Image = image(upstream::METRICS_SERVER, "metrics-server", &[Tool::MetricsServer]);
pub const TRAEFIK: Image = image(upstream::TRAEFIK, "traefik", &[Tool::Traefik]);
pub const LOKI: Image = image(upstream::LOKI, "loki", &[Tool::Loki]);
pub const OTELCOL: Image = image(upstream::OTELCOL, "otelcol", &[Tool::Otelcol]);

/// An image's archive in the user's cache, for [`import`].
#[derive(Debug, Clone)]
pub struct Archive {
    pub reference: String,
    pub path: PathBuf,
    /// The checksum of the image's inputs.
    checksum: String,
}

/// Builds the missing programs and images; returns the archives.
pub fn build(images: &[Image], bars: &MultiProgress) -> Result<Vec<Archive>> {
    let mut tools: Vec<Tool> = images.iter().flat_map(|image| image.tools).copied().collect();
    tools.sort_unstable();
    tools.dedup();
    let programs = lab_tools::ensure_with(&tools, bars)?;
    let bar = bars.add(ProgressBar::new_spinner());
    bar.enable_steady_tick(Duration::from_millis(100));
    let built = images
        .iter()
        .map(|image| {
            bar.set_message(format!("building the image {}", image.reference));
            build::stand_in(image, &programs)
        })
        .collect();
    bar.finish_and_clear();
    built
}
