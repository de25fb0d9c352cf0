//! What could come next on kubectl's command line, as kubectl asks its plugins: a line each, then a directive.
//!
//! <https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/> names the program; the lines are Cobra's.

use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::cluster::{Cluster, ClusterArgs, Which};

/// Cobra's directive that nothing is to be completed as a file.
const NO_FILES: &str = ":4";
/// Somebody waits for the key to do something.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which cluster a half-typed command line means.
#[derive(Debug, Parser)]
#[command(ignore_errors = true, disable_help_flag = true)]
struct Typed {
    #[command(flatten)]
    cluster: ClusterArgs,
    _rest: Vec<String>,
}

pub(crate) async fn answer(words: &[String]) -> String {
    let mut lines = match words.split_last() {
        Some((begun, typed)) => match candidates(typed, begun) {
            Candidates::Words(words) => words,
            Candidates::Apps => apps(words, begun).await,
        },
        None => Vec::new(),
    };
    lines.push(NO_FILES.to_owned());
    lines.join("\n") + "\n"
}

#[derive(Debug, PartialEq, Eq)]
enum Candidates {
    Words(Vec<String>),
    /// The names of the apps.
    Apps,
}

fn candidates(typed: &[String], begun: &str) -> Candidates {
    let root = super::Cli::command();
    let command = typed
        .iter()
        .find_map(|word| root.find_subcommand(word))
        .unwrap_or(&root);
    let words: Vec<String> = if begun.starts_with('-') {
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        flags.map(|flag| format!("--{flag}")).collect()
    } else if command.has_subcommands() {
        let names = command.get_subcommands().map(clap::Command::get_name);
        names.map(str::to_owned).collect()
    } else if command.get_positionals().next().is_some() {
        return Candidates::Apps;
    } else {
        Vec::new()
    };
    Candidates::Words(words.into_iter().filter(|word| word.starts_with(begun)).collect())
}

async fn apps(words: &[String], begun: &str) -> Vec<String> {
    let Ok(typed) = Typed::try_parse_from(std::iter::once("kubectl").chain(words.iter().map(String::as_str)))
    else {
        return Vec::new();
    };
    let read = async {
        let cluster = Cluster::connect(&typed.cluster).await.ok()?;
        cluster.read(&Which::In(cluster.namespace.clone())).await.ok()
    };
    let apps = tokio::time::timeout(PATIENCE, read).await.ok().flatten();
    let names = apps.into_iter().flatten().map(|((_, name), _)| name);
    names.filter(|name| name.starts_with(begun)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Candidates {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let begun = words.pop().unwrap_or_default();
        candidates(&words, &begun)
    }

    #[test]
    fn commands_flags_and_names_are_completed() {
        let listed =
            |words: &[&str]| Candidates::Words(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(words("sta"), listed(&["status"]));
        assert_eq!(words("status --nam"), listed(&["--namespace"]));
        assert_eq!(words("status ta"), Candidates::Apps);
        assert_eq!(words("status -n shop ta"), Candidates::Apps);
        assert_eq!(words("history ta"), Candidates::Apps);
        assert_eq!(words("top ta"), listed(&[]));
        let typed = Typed::try_parse_from(["kubectl", "status", "-n", "shop", ""]);
        assert_eq!(
            typed.ok().and_then(|typed| typed.cluster.namespace).as_deref(),
            Some("shop")
        );
    }
}
