//! Builds a folder with a Dockerfile into an archive in the cache.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use lab_tools::{Checksum, Tool};

use super::{Archive, Image, sources};
use crate::paths;

/// The input of a build.
pub(super) struct Input<'a> {
    pub reference: &'a str,
    pub dockerfile: &'a Path,
    /// The target stage, if it is not the last one.
    pub stage: Option<&'a str>,
    pub build_args: &'a [(&'a str, &'a str)],
    /// Of all files of the build context.
    pub context: Checksum,
}

pub(super) fn stand_in(image: &Image, programs: &BTreeMap<Tool, PathBuf>) -> Result<Archive> {
    let folder = paths::workspace_dir().join("tests/lab/images").join(image.folder);
    let programs: Vec<&Path> = image
        .tools
        .iter()
        .filter_map(|tool| programs.get(tool))
        .map(PathBuf::as_path)
        .collect();
    let mut context = Checksum::default();
    context.add_folder(&folder)?;
    for program in &programs {
        // A program's path in the cache has the checksum of its inputs.
        context.add(program.as_os_str().as_encoded_bytes());
    }
    let input = Input {
        reference: image.reference,
        dockerfile: &folder.join("Dockerfile"),
        stage: None,
        build_args: image.build_args,
        context,
    };
    archive(input, |context| {
        copy_folder(&folder, context)?;
        for program in &programs {
            copy_into(program, context)?;
        }
        sources::debian(&folder.join("debian-packages"), &context.join("debian"))?;
        sources::python(&folder.join("requirements.txt"), &context.join("python"))
    })
}

/// Builds the image unless the cache has it; `fill_context` copies the files of the build context.
pub(super) fn archive(input: Input<'_>, fill_context: impl FnOnce(&Path) -> Result<()>) -> Result<Archive> {
    let Input {
        reference,
        dockerfile,
        stage,
        build_args,
        context,
    } = input;
    let mut checksum = context;
    checksum.add(reference);
    checksum.add_file(dockerfile)?;
    for (name, value) in build_args {
        checksum.add(name);
        checksum.add(value);
    }
    let checksum = checksum.finish();
    let name = reference
        .rsplit('/')
        .next()
        .unwrap_or(reference)
        .replace(':', "-");
    let path = lab_tools::cache_dir()?
        .join("images")
        .join(format!("{name}-{checksum}"))
        .join("image.tar");
    let waiting = || eprintln!("waiting for another process that is building {reference}");
    lab_tools::build_once(&path, waiting, |path| {
        // In the archive's folder, which a later build removes if this one is killed.
        let work = path.with_extension("work");
        let context = work.join("context");
        paths::create_dir(&context)?;
        fill_context(&context)?;
        let buildah = Buildah {
            storage: work.join("storage"),
        };
        buildah.build(reference, dockerfile, stage, build_args, &context)?;
        buildah.save(reference, path)?;
        paths::remove_dir(&work)
    })
    .with_context(|| format!("cannot build the image {reference}"))?;
    Ok(Archive {
        reference: reference.to_owned(),
        path,
        checksum,
    })
}

/// Buildah with a temporary storage: the user's images are not touched.
struct Buildah {
    storage: PathBuf,
}

impl Buildah {
    fn build(
        &self,
        reference: &str,
        dockerfile: &Path,
        stage: Option<&str>,
        build_args: &[(&str, &str)],
        context: &Path,
    ) -> Result<()> {
        let mut command = self.command("build");
        // Chroot isolation needs neither a runtime nor a network namespace, so it works inside a container.
        command.args([
            "--isolation=chroot",
            "--network=host",
            "--layers=false",
            // For reproducible images.
            "--timestamp=0",
            "--tag",
            reference,
            "--file",
        ]);
        command.arg(dockerfile);
        if let Some(stage) = stage {
            command.arg("--target").arg(stage);
        }
        for (name, value) in build_args {
            command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        run(command.arg(context))
    }

    fn save(&self, reference: &str, archive: &Path) -> Result<()> {
        let target = format!("docker-archive:{}:{reference}", archive.display());
        run(self.command("push").args(["--quiet", reference, &target]))
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new("buildah");
        // vfs copies instead of mounting, which is fast for images of one layer.
        command
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.storage.join("root"));
        command.arg("--runroot").arg(self.storage.join("run")).arg(verb);
        command
    }
}

/// Runs a program to its end; an error has the end of its output.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(std::process::Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("`{program}` is not installed: `cargo lab up` installs what images need")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot run `{program}`")),
    };
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let last: Vec<&str> = printed.lines().rev().take(20).collect();
    let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
    bail!("`{program}` failed ({}): {last}", output.status)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    paths::create_dir(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            copy_folder(&path, &to.join(path.file_name().unwrap_or_default()))?;
        } else {
            copy_into(&path, to)?;
        }
    }
    Ok(())
}

pub(super) fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    let target = folder.join(file.file_name().unwrap_or_default());
    fs::copy(file, &target)
        .with_context(|| format!("cannot copy {} to {}", file.display(), target.display()))?;
    Ok(())
}
