//! The project's own images, from its own Dockerfiles.
//!
//! `docker build -f operator/Dockerfile .` and `minikube image build` compile inside the `build` stage. Without a
//! registry for that stage's base image, the lab compiles on the host, and the same Dockerfile copies the result:
//!
//! ```dockerfile
//! ARG BINARIES=build
//! FROM docker.io/library/rust:1 AS build
//! …
//! FROM scratch AS prebuilt
//! COPY target/x86_64-unknown-linux-gnu/release/observedapp /out/
//! FROM ${BINARIES} AS binaries
//! FROM scratch
//! COPY --from=binaries /out/observedapp /bin/observedapp
//! ```
//!
//! Buildah (from 1.28) and BuildKit skip the unused stage, so its base image is not pulled.

use anyhow::{Context, Result};
use lab_tools::Checksum;

use super::{
    Archive,
    build::{self, Input},
    release,
};
use crate::paths;

/// An image made from this repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnImage {
    pub reference: &'static str,
    pub(crate) dockerfile: &'static str,
    /// The target stage of the Dockerfile.
    pub(crate) stage: Option<&'static str>,
    /// The packages whose programs the Dockerfile copies.
    pub(super) packages: &'static [&'static str],
}

impl OwnImage {
    pub const OPERATOR: Self = Self {
        reference: concat!("ghcr.io/observedapp/observedapp:", env!("CARGO_PKG_VERSION")),
        dockerfile: "operator/Dockerfile",
        stage: None,
        packages: &["observedapp"],
    };
    pub const TASKS: Self = Self {
        reference: concat!("ghcr.io/observedapp/tasks:", env!("CARGO_PKG_VERSION")),
        dockerfile: "workload/Dockerfile",
        stage: Some("tasks"),
        packages: WORKLOAD,
    };
    pub const TASKS_LOAD: Self = Self {
        reference: concat!("ghcr.io/observedapp/tasks-load:", env!("CARGO_PKG_VERSION")),
        dockerfile: "workload/Dockerfile",
        stage: Some("tasks-load"),
        packages: WORKLOAD,
    };
}

const WORKLOAD: &[&str] = &["tasks", "tasks-load"];

/// Compiles the programs and builds the image.
pub fn build_own(image: &OwnImage) -> Result<Archive> {
    let programs = release::compile(image.packages)
        .with_context(|| format!("cannot compile the programs of {}", image.reference))?;
    let mut context = Checksum::default();
    for program in &programs {
        context.add_file(program)?;
    }
    let input = Input {
        reference: image.reference,
        dockerfile: &paths::workspace_dir().join(image.dockerfile),
        stage: image.stage,
        build_args: &[("BINARIES", "prebuilt")],
        context,
    };
    build::archive(input, |context| {
        let folder = context.join("target").join(release::TARGET).join("release");
        paths::create_dir(&folder)?;
        programs
            .iter()
            .try_for_each(|program| build::copy_into(program, &folder))
    })
}
