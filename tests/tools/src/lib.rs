//! The real programs that the lab and the tests run: Kubernetes, etcd, Prometheus and the rest.
//!
//! Each is pinned by a Go module under `tests/tools/go/` and built from source, once, into the user's cache
//! ([`cache_dir`]). A program of exactly that version on `PATH` is used instead.
//!
//! ```no_run
//! use lab_tools::{Tool, ensure};
//!
//! let programs = ensure(&[Tool::Etcd, Tool::KubeApiserver])?;
//! std::process::Command::new(&programs[&Tool::Etcd]).arg("--version").status()?;
//! # anyhow::Ok(())
//! ```

mod build;
mod cache;
mod cargo;
mod go;
mod on_path;
mod progress;
mod room;
mod tool;
pub mod upstream;

pub use build::{build_once, ensure, ensure_with};
pub use cache::{Checksum, cache_dir};
pub use cargo::{cargo, without_package};
pub use go::{Module, module_dir, need_go};
pub use room::need_room;
pub use tool::Tool;
