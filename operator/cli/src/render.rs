//! `observedapp render`: every object that the operator would make, without a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use observedapp_desired::{Object, ValidApp, desired};

use crate::app;
use crate::args::RenderArgs;
use crate::{input, output};

pub(crate) fn run(args: &RenderArgs) -> anyhow::Result<ExitCode> {
    let sources = input::read(&args.files)?;
    let apps = app::read(&sources, &args.preview.preview());
    for diagnostic in &apps.diagnostics {
        eprintln!("{diagnostic}");
    }
    if apps.has_problems() {
        return Ok(ExitCode::FAILURE);
    }
    let objects: Vec<Object> = apps
        .apps
        .iter()
        .flat_map(objects)
        .filter(|object| args.only.is_empty() || args.only.iter().any(|only| only.0 == object.kind()))
        .collect();
    if let Some(folder) = &args.output_dir {
        write_files(folder, &objects)?;
    } else {
        let texts: Result<Vec<_>, _> = objects.iter().map(output::yaml).collect();
        output::print(&texts?.join("---\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the operator would make for an app, in the order in which it would; Secrets with passwords to be generated hold no data yet.
fn objects(app: &ValidApp) -> Vec<Object> {
    let desired = desired(app);
    let records = desired.releases.into_iter().flat_map(|releases| releases.writes);
    desired
        .generated
        .into_iter()
        .map(Object::from)
        .chain(records.map(|write| write.object.into()))
        .chain(desired.objects)
        .collect()
}

/// One file an object, named by kind and name; in a folder for each namespace where there is more than one.
fn write_files(folder: &Path, objects: &[Object]) -> anyhow::Result<()> {
    let namespace = |object: &Object| object.metadata().namespace.clone().unwrap_or_default();
    let namespaces: BTreeSet<String> = objects.iter().map(namespace).collect();
    for object in objects {
        let folder = if namespaces.len() > 1 {
            folder.join(namespace(object))
        } else {
            folder.to_owned()
        };
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let kind = object.kind().as_str().to_lowercase();
        let file = folder.join(format!("{kind}-{}.yaml", object.name()));
        fs::write(&file, output::yaml(object)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
