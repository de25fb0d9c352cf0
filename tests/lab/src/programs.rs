//! Builds the real programs on first use.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lab_tools::Tool;

/// Returns the path of a program. It is built in a blocking thread, as that can take minutes.
pub async fn program(tool: Tool) -> Result<PathBuf> {
    let mut programs = tokio::task::spawn_blocking(move || lab_tools::ensure(&[tool])).await??;
    programs
        .remove(&tool)
        .with_context(|| format!("{tool} was not built"))
}
