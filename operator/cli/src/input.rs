//! Files, folders and standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A text with its name, as messages give it.
#[derive(Debug)]
pub(crate) struct Source {
    pub name: String,
    pub text: String,
}

/// Reads every given file, every YAML or JSON file below a given folder, and standard input for `-`.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .context("standard input cannot be read")?;
            sources.push(Source {
                name: "standard input".to_owned(),
                text,
            });
        } else if path.is_dir() {
            let before = sources.len();
            read_folder(path, &mut sources)?;
            if sources.len() == before {
                bail!("{} holds no .yaml, .yml or .json file", path.display());
            }
        } else {
            sources.push(read_file(path)?);
        }
    }
    Ok(sources)
}

fn read_file(path: &Path) -> anyhow::Result<Source> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

/// In the order of names, so that the same folder gives the same output; what is hidden stays so.
fn read_folder(folder: &Path, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let listing = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries: Vec<PathBuf> = listing
        .with_context(|| format!("{} cannot be listed", folder.display()))?
        .into_iter()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            read_folder(&path, sources)?;
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            sources.push(read_file(&path)?);
        }
    }
    Ok(())
}
