//! `observedapp check`: the operator's validation without a cluster.

use std::process::ExitCode;

use crate::app;
use crate::args::{CheckArgs, CheckFormat};
use crate::diagnostic::Severity;
use crate::{input, output};

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let sources = input::read(&args.files)?;
    let mut apps = app::read(&sources, &args.preview.preview());
    apps.diagnostics
        .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    match args.output {
        CheckFormat::Json => {
            output::print(&format!("{}\n", serde_json::to_string_pretty(&apps.diagnostics)?))?;
        }
        CheckFormat::Text => {
            for diagnostic in &apps.diagnostics {
                output::print(&format!("{diagnostic}\n"))?;
            }
        }
    }
    let problems = apps
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Problem)
        .count();
    if !args.quiet {
        eprintln!("{}", summary(apps.count, apps.others, problems));
    }
    Ok(if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn summary(apps: usize, others: usize, problems: usize) -> String {
    let mut summary = match apps {
        0 => "no ObservedApp found".to_owned(),
        apps => format!("{}, {}", counted(apps, "app"), counted(problems, "problem")),
    };
    if others > 0 {
        summary += &format!("; skipped {} of other kinds", counted(others, "object"));
    }
    summary
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
