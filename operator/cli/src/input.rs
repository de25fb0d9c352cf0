//! Files, folders and standard input.

use std::collections::BTreeSet;
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
            let mut bytes = Vec::new();
            io::stdin()
                .read_to_end(&mut bytes)
                .context("standard input cannot be read")?;
            sources.push(source("standard input".to_owned(), bytes)?);
        } else if path.is_dir() {
            let before = sources.len();
            read_folder(path, &mut BTreeSet::new(), &mut sources)?;
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
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    source(path.display().to_string(), bytes)
}

fn source(name: String, bytes: Vec<u8>) -> anyhow::Result<Source> {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Source { name, text }),
        _ => bail!("{name} is not text in UTF-8: give a YAML or JSON file"),
    }
}

/// In the order of names, so that the same folder gives the same output; what is hidden stays so. Links may lead back
/// to a folder that was read already: each is read once.
fn read_folder(folder: &Path, read: &mut BTreeSet<PathBuf>, sources: &mut Vec<Source>) -> anyhow::Result<()> {
    let resolved =
        fs::canonicalize(folder).with_context(|| format!("{} cannot be found", folder.display()))?;
    if !read.insert(resolved) {
        return Ok(());
    }
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
            read_folder(&path, read, sources)?;
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            sources.push(read_file(&path)?);
        }
    }
    Ok(())
}
