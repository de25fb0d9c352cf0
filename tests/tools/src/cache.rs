//! The cache of built programs and its keys.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::go;
use crate::tool::Recipe;

/// The project's folder in the user's cache: `$XDG_CACHE_HOME/observedapp`, else `~/.cache/observedapp`.
///
/// Clones share it.
pub fn cache_dir() -> Result<PathBuf> {
    choose_cache_dir(env::var_os("XDG_CACHE_HOME").map(PathBuf::from), env::home_dir())
}

fn choose_cache_dir(xdg_cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Result<PathBuf> {
    // By the XDG specification, relative paths are ignored.
    if let Some(dir) = xdg_cache_home.filter(|dir| dir.is_absolute()) {
        return Ok(dir.join("observedapp"));
    }
    match home.filter(|dir| dir.is_absolute()) {
        Some(home) => Ok(home.join(".cache/observedapp")),
        None => bail!(
            "no cache folder: neither XDG_CACHE_HOME nor HOME is set; set one of them to an absolute path"
        ),
    }
}

/// The flags of every build, which are part of the key.
pub(crate) fn build_flags(recipe: &Recipe) -> Vec<String> {
    let mut ldflags = vec!["-s".to_owned(), "-w".to_owned()];
    ldflags.extend(
        recipe
            .variables
            .iter()
            .map(|(name, value)| format!("-X {name}={value}")),
    );
    vec![
        "-trimpath".into(),
        "-buildvcs=false".into(),
        format!("-ldflags={}", ldflags.join(" ")),
    ]
}

/// A checksum of a build's inputs, for names in the cache.
#[derive(Debug, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        // Length-prefixed, so that parts cannot run into each other.
        self.0.update(part.len().to_le_bytes());
        self.0.update(part);
    }

    pub fn add_file(&mut self, file: &Path) -> Result<()> {
        self.add(fs::read(file).with_context(|| format!("cannot read {}", file.display()))?);
        Ok(())
    }

    /// All files below the folder, names and contents.
    pub fn add_folder(&mut self, folder: &Path) -> Result<()> {
        for file in files_of(folder)? {
            let name = file.strip_prefix(folder).unwrap_or(&file);
            self.add(name.as_os_str().as_encoded_bytes());
            self.add_file(&file)?;
        }
        Ok(())
    }

    pub fn finish(self) -> String {
        let short = self
            .0
            .finalize()
            .iter()
            .take(8)
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        format!("{short:016x}")
    }
}

/// `NAME-CHECKSUM`: the checksum covers the module's files, the package and the flags.
pub(crate) fn key(recipe: &Recipe, module: &Path) -> Result<String> {
    let mut checksum = Checksum::default();
    checksum.add(recipe.package);
    for flag in build_flags(recipe) {
        checksum.add(flag);
    }
    checksum.add_folder(module)?;
    Ok(format!("{}-{}", recipe.name, checksum.finish()))
}

/// The path of a program, whether it exists or not.
pub(crate) fn program_path(recipe: &Recipe) -> Result<PathBuf> {
    let key = key(recipe, &go::module_folder(recipe.module))?;
    Ok(cache_dir()?.join("tools").join(key).join(recipe.name))
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = |folder: &Path| -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    };
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in list(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Tool;

    #[test]
    fn the_cache_folder_is_xdgs_or_in_home() {
        let choose = |xdg: Option<&str>, home: Option<&str>| {
            choose_cache_dir(xdg.map(Into::into), home.map(Into::into))
        };
        assert_eq!(
            choose(Some("/x"), Some("/h")).unwrap(),
            Path::new("/x/observedapp")
        );
        assert_eq!(
            choose(Some("x"), Some("/h")).unwrap(),
            Path::new("/h/.cache/observedapp")
        );
        assert_eq!(
            choose(None, Some("/h")).unwrap(),
            Path::new("/h/.cache/observedapp")
        );
        assert!(
            choose(None, None)
                .unwrap_err()
                .to_string()
                .contains("XDG_CACHE_HOME")
        );
    }

    #[test]
    fn the_key_depends_on_every_input_and_nothing_else() {
        let module = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(module.path().join(name), text).unwrap();
        write("go.mod", "module x");
        write("go.sum", "a b");
        let etcd = Tool::Etcd.recipe();
        let first = key(&etcd, module.path()).unwrap();
        assert!(first.starts_with("etcd-"), "{first}");
        assert_eq!(
            first,
            key(&etcd, module.path()).unwrap(),
            "the same inputs, the same key"
        );

        write("go.sum", "a c");
        let after_sum = key(&etcd, module.path()).unwrap();
        assert_ne!(first, after_sum, "another go.sum");
        write("main.go", "package main");
        assert_ne!(
            after_sum,
            key(&etcd, module.path()).unwrap(),
            "another source file"
        );
        fs::remove_file(module.path().join("main.go")).unwrap();
        assert_eq!(after_sum, key(&etcd, module.path()).unwrap());

        let other_package = Recipe { package: "y", ..etcd };
        assert_ne!(
            after_sum,
            key(&other_package, module.path()).unwrap(),
            "another package"
        );
        let other_flags = Recipe {
            variables: &[("main.version", "1")],
            ..etcd
        };
        assert_ne!(
            after_sum,
            key(&other_flags, module.path()).unwrap(),
            "another flag"
        );
    }

    #[test]
    fn text_moved_from_one_file_to_the_next_is_another_key() {
        let module = tempfile::tempdir().unwrap();
        let key_of = |a: &str, b: &str| {
            fs::write(module.path().join("a"), a).unwrap();
            fs::write(module.path().join("b"), b).unwrap();
            key(&Tool::Etcd.recipe(), module.path()).unwrap()
        };
        assert_ne!(key_of("xy", "z"), key_of("x", "yz"));
    }
}
