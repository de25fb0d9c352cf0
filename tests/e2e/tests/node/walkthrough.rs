//! Runs the commands of the walkthroughs and compares their output with the documents.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e_tests::Cluster;

const FIRST_HOUR: &str = include_str!("../../../../manifests/walkthroughs/first-hour.md");
const BAD_RELEASE: &str = include_str!("../../../../manifests/walkthroughs/a-bad-release.md");

/// A block of commands and the expected output.
#[derive(Debug, PartialEq)]
struct Step<'a> {
    commands: &'a str,
    promised: &'a str,
}

/// The ```sh blocks of a document, each with the ```text block that follows it.
fn steps(document: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut parts = document.split("```");
    parts.next();
    // Fences come in pairs: block, prose, block.
    while let Some(block) = parts.next() {
        parts.next();
        if let Some(commands) = block.strip_prefix("sh\n") {
            steps.push(Step {
                commands,
                promised: "",
            });
        } else if let (Some(promised), Some(step)) = (block.strip_prefix("text\n"), steps.last_mut()) {
            step.promised = promised;
        }
    }
    steps
}

/// Whether the output matches the document, where `…` matches anything, also several lines. Column spacing depends on
/// the values, so it is ignored.
fn keeps(promised: &str, actual: &str) -> bool {
    let (promised, actual) = (with_single_spaces(promised), with_single_spaces(actual));
    let mut rest = actual.trim();
    let mut pieces = promised.trim().split('…').map(|piece| piece.trim_matches('\n'));
    let Some(first) = pieces.next() else { return true };
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    let mut open = false;
    for piece in pieces {
        open = piece.is_empty();
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    open || rest.trim().is_empty()
}

fn with_single_spaces(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_ellipsis_matches_anything() {
    assert!(keeps("a\nb", "a\nb\n"));
    assert!(keeps("a …\n…", "a 1\nb 2\n"));
    assert!(keeps("a\n…\nz", "a\nb\nc\nz\n"));
    assert!(!keeps("a\nb", "a\nc"));
    assert!(!keeps("a\n…\nz", "a\nb"));
    assert!(!keeps("a", "a\nb"));
}

#[test]
fn columns_may_be_wider_than_in_the_document() {
    assert!(keeps(
        "NAME  SLI   AGE\ntasks  …",
        "NAME   SLI       AGE\ntasks  100.00%   1m\n"
    ));
    assert!(!keeps("NAME SLI", "NAME BUDGET"));
}

#[test]
fn blocks_are_found_with_their_output() {
    let found = steps("x\n```sh\nls\n```\n\n```text\nfile\n```\n```sh\npwd\n```\n");
    assert_eq!(
        found,
        [
            Step {
                commands: "ls\n",
                promised: "file\n"
            },
            Step {
                commands: "pwd\n",
                promised: ""
            }
        ]
    );
}

#[tokio::test]
async fn the_first_hour_prints_what_it_promises() -> Result<()> {
    follow("first-hour", FIRST_HOUR).await
}

#[tokio::test]
async fn the_bad_release_prints_what_it_promises() -> Result<()> {
    // It takes ten minutes; the short form of the same story is releases.rs.
    if !lab::layers::is_long() {
        return Ok(());
    }
    follow("bad-release", BAD_RELEASE).await
}

/// Runs a document, whose app lives in this namespace.
async fn follow(namespace: &str, document: &str) -> Result<()> {
    let cluster = Cluster::connect().await?;
    cluster.delete_namespace(namespace).await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");

    // A separate kubeconfig: the commands set a namespace in it.
    let kubeconfig = std::env::temp_dir().join(format!("{namespace}-{}.kubeconfig", std::process::id()));
    std::fs::copy(&cluster.kubeconfig, &kubeconfig)?;

    // One shell for all steps: later ones use what earlier ones define.
    let marker = "=== end of step";
    let mut script = String::from("set -u\n");
    for step in steps(document) {
        write!(script, "{}\necho \"{marker} $?\"\n", step.commands)?;
    }
    let mut shell = Command::new("bash");
    lab_tools::without_package(&mut shell);
    let mut shell = shell
        .arg("-s")
        .current_dir(&root)
        .env("KUBECONFIG", &kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let mut stdin = shell.stdin.take().context("no standard input")?;
    let feeder = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let output = shell.wait_with_output()?;
    feeder.join().unwrap()?;
    std::fs::remove_file(&kubeconfig)?;

    let output = String::from_utf8(output.stdout)?;
    let mut outputs = output.split(marker);
    for step in steps(document) {
        let actual = outputs.next().unwrap_or_default();
        // The previous step's exit code follows its marker on the same line.
        let actual = actual
            .split_once('\n')
            .filter(|(code, _)| code.trim().parse::<i32>().is_ok())
            .map_or(actual, |(_, rest)| rest);
        ensure!(
            keeps(step.promised, actual),
            "the walkthrough says\n{}\nprints\n{}\nbut it printed\n{actual}",
            step.commands,
            step.promised
        );
    }
    Ok(())
}
