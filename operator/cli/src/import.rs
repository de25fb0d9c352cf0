//! `observedapp import`: SLOs of other tools as `slos:`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use observedapp_slo::{import, spec};
use serde::Serialize;
use serde_json::Value;

use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of Sloth, Pyrra or OpenSLO specs; - reads standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Slos {
    slos: Vec<spec::Slo>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut slos = Vec::new();
    for file in &args.files {
        let name = file.display();
        let text = read(file).with_context(|| format!("cannot read {name}"))?;
        let documents: Vec<Value> =
            serde_yaml::from_multiple(&text).with_context(|| format!("{name} is not YAML"))?;
        for (i, document) in documents.iter().enumerate() {
            match import::import(document) {
                Ok(imported) => {
                    for remark in imported.remarks {
                        eprintln!("{name}: {remark}");
                    }
                    slos.extend(imported.slos);
                }
                Err(refusal) => eprintln!("{name}: document {} {refusal}", i + 1),
            }
        }
    }
    if slos.is_empty() {
        bail!("nothing could be imported: the lines above say why");
    }
    output::print(&output::yaml(&Slos { slos })?)?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(text)
    } else {
        fs::read_to_string(file)
    }
}
