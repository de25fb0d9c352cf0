//! The real programs, built when they are first asked for.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lab_tools::Tool;

/// The path of a built program. Building one for the first time takes minutes, so it has a thread to itself.
pub async fn program(tool: Tool) -> Result<PathBuf> {
    let mut programs = tokio::task::spawn_blocking(move || lab_tools::ensure(&[tool])).await??;
    programs
        .remove(&tool)
        .with_context(|| format!("{tool} was not built"))
}
