//! The commands that the documents tell people to type, and what proves that each works.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A command of a document's shell blocks, or of its sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// From the repository's root.
    pub document: String,
    pub text: String,
    /// It is mentioned, not shown in a block of its own.
    pub in_sentence: bool,
}

/// What proves that a command works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// `apiserver-commands` runs it as it stands.
    Run,
    /// It stands in a sentence, for a situation that no test brings about: its program knows its words and flags.
    Understood,
    /// Another test does what it does: the file, and the words in it that do.
    Elsewhere(&'static str, &'static str),
    /// It takes what no machine that runs the tests has: nothing proves it.
    Unproven(&'static str),
}

use Proof::{Elsewhere, Run, Understood, Unproven};

/// With these begin the commands that stand in sentences. Two words are a command's name, not a command.
const PROGRAMS: &[&str] = &["cargo", "curl", "helm", "kubectl", "observedapp", "promtool"];

/// The first line that a command is like is its own: whole, or where `…` stands for the rest of it. A document is named
/// where only its commands are meant.
const PROOFS: &[(&str, &str, Proof)] = &[
    // Building and testing the project itself.
    (
        "",
        "cargo test…",
        Elsewhere("tests/lab/src/layers.rs", r#"["test", "--no-fail-fast"]"#),
    ),
    (
        "",
        "cargo lab test --layer unit",
        Elsewhere("tests/lab/src/layers.rs", "Layer::Unit => &["),
    ),
    (
        "",
        "cargo lab test --layer apiserver",
        Elsewhere("tests/lab/src/layers.rs", "Layer::Apiserver => &["),
    ),
    (
        "",
        "cargo lab test --layer node",
        Elsewhere("tests/lab/src/layers.rs", "Layer::Node => &["),
    ),
    (
        "",
        "cargo lab test --layer node --with ingress,logs,autoscaling",
        Elsewhere("tests/lab/src/layers.rs", r#""addons""#),
    ),
    (
        "",
        "cargo lab test --with ingress,logs,autoscaling",
        Elsewhere("tests/lab/src/layers.rs", r#""addons""#),
    ),
    (
        "",
        "cargo lab test --long",
        Elsewhere("tests/lab/src/layers.rs", "cargo.env(LONG"),
    ),
    ("", "cargo lab test", Elsewhere(".ci/run", "cargo lab test")),
    (
        "",
        "cargo lab up",
        Elsewhere("tests/lab/src/commands/test.rs", "up(Cluster::Embedded"),
    ),
    (
        "",
        "cargo lab up --with ingress",
        Elsewhere("tests/lab/src/layers.rs", r#""addons""#),
    ),
    (
        "",
        "cargo lab up --cluster minikube",
        Unproven("a minikube; what it is started with is tested in tests/lab/src/external_cluster.rs"),
    ),
    (
        "",
        "cargo lab logs",
        Elsewhere(
            "tests/lab/src/pods.rs",
            "a_pod_is_found_by_name_label_or_name_prefix",
        ),
    ),
    (
        "",
        "cargo lab status",
        Elsewhere(
            "tests/e2e/tests/node/status.rs",
            "lab_status_prints_addresses_and_lab_logs_prints_pod_logs",
        ),
    ),
    // The lab builds the same Dockerfiles, but from programs that it has compiled itself.
    ("", "docker build -f …", Unproven("Docker and its registry")),
    ("", "kind load docker-image …", Unproven("kind")),
    (
        "operator/fuzz/README.md",
        "cargo +nightly fuzz run …",
        Unproven("a nightly compiler; the same properties are tested by proptest"),
    ),
    (
        "charts/observedapp/README.md",
        "helm install observedapp …",
        // Where it is run from.
        Elsewhere(
            "README.md",
            "charts/observedapp --namespace observedapp-system --create-namespace --set prober.enabled=true",
        ),
    ),
    (
        "",
        "cargo lab down",
        Elsewhere("tests/lab/src/commands/test.rs", "down leaves nothing behind"),
    ),
    (
        "",
        "UPDATE_GOLDEN=1 cargo test -p observedapp-api",
        Elsewhere("operator/api/src/schema/tests.rs", "UPDATE_GOLDEN"),
    ),
    (
        "",
        "UPDATE_GOLDEN=1 cargo test -p observedapp-controller",
        Elsewhere("operator/controller/src/status/recorded.rs", "UPDATE_GOLDEN"),
    ),
    (
        "",
        "UPDATE_GOLDEN=1 cargo test -p golden-tests",
        Elsewhere("tests/golden/tests/objects/golden.rs", "UPDATE_GOLDEN"),
    ),
    (
        "",
        "cargo run -p observedapp -- crd > crds/observedapps.yaml",
        Elsewhere("operator/cli/tests/crd.rs", "crds/observedapps.yaml"),
    ),
    (
        "",
        "cargo run -p tasks-load -- …",
        Elsewhere("workload/load/src/cli.rs", "think_time"),
    ),
    (
        "",
        "cargo run -p tasks",
        Elsewhere("workload/tests/contract.rs", "/tasks"),
    ),
    (
        "",
        "curl -d '{\"task\":\"Buy milk\"}' localhost:5000/tasks",
        Elsewhere("workload/tests/contract.rs", "Task added"),
    ),
    (
        "",
        "curl localhost:5000/tasks",
        Elsewhere("workload/tests/contract.rs", "/tasks"),
    ),
    (
        "",
        "cargo lab reproduce",
        Elsewhere(".github/workflows/ci.yaml", "cargo lab reproduce"),
    ),
    (
        "SECURITY.md",
        "cargo cyclonedx …",
        Elsewhere(".ci/run", "cargo cyclonedx"),
    ),
    (
        "",
        "UPDATE_GOLDEN=1 cargo test --bin observedapp",
        Elsewhere("operator/cli/src/plugin/screen/tests.rs", "UPDATE_GOLDEN"),
    ),
    // These need a node, or the stack that runs on it.
    (
        "manifests/walkthroughs/first-hour.md",
        "…",
        Elsewhere(
            "tests/e2e/tests/node/walkthrough.rs",
            "the_first_hour_prints_what_it_promises",
        ),
    ),
    (
        "manifests/walkthroughs/a-bad-release.md",
        "…",
        Elsewhere(
            "tests/e2e/tests/node/walkthrough.rs",
            "the_bad_release_prints_what_it_promises",
        ),
    ),
    (
        "",
        "cargo lab load…",
        Elsewhere("tests/e2e/tests/node/resilience.rs", "load::"),
    ),
    (
        "",
        "kubectl apply --server-side -f manifests/install.yaml",
        Elsewhere(
            "tests/apiserver/tests/commands.rs",
            "the_install_manifest_works_without_helm",
        ),
    ),
    (
        "",
        "kubectl top …",
        Elsewhere("tests/lab/src/addons.rs", "metrics-server"),
    ),
    (
        "",
        "kubectl observed status …",
        Elsewhere("operator/cli/tests/plugin.rs", "kubectl-observed"),
    ),
    (
        "",
        "kubectl observed top …",
        Elsewhere("operator/cli/tests/plugin.rs", r#""top""#),
    ),
    (
        "",
        "kubectl observed history …",
        Elsewhere("operator/cli/tests/apiserver_plugin.rs", r#""history""#),
    ),
    // These stand in sentences.
    ("", "cargo fmt --all", Elsewhere(".ci/run", "cargo fmt --all")),
    (
        "",
        "cargo clippy --workspace --test …",
        Elsewhere(".ci/run", "cargo clippy --workspace --test '*'"),
    ),
    (
        "",
        "cargo clippy --workspace --all-targets …",
        Elsewhere(".ci/run", "cargo clippy --workspace --all-targets"),
    ),
    (
        "",
        "cargo deny check",
        Elsewhere(".ci/run", "cargo deny --locked check"),
    ),
    (
        "",
        "cargo bench -p observedapp-slo --bench …",
        Elsewhere("operator/slo/Cargo.toml", "[[bench]]"),
    ),
    (
        "",
        "cargo bench -p observedapp-release --bench verdict",
        Elsewhere("operator/release/Cargo.toml", r#"name = "verdict""#),
    ),
    (
        "",
        "cargo bench -p observedapp-desired --bench build",
        Elsewhere("operator/desired/Cargo.toml", r#"name = "build""#),
    ),
    (
        "",
        "cargo bench -p observedapp --bench render",
        Elsewhere("operator/cli/Cargo.toml", r#"name = "render""#),
    ),
    (
        "",
        "cargo bench -p golden-tests --bench rule_cost",
        Elsewhere("tests/golden/Cargo.toml", r#"name = "rule_cost""#),
    ),
    (
        "",
        "cargo bench -p apiserver-tests --bench …",
        Elsewhere("tests/apiserver/Cargo.toml", "[[bench]]"),
    ),
    (
        "",
        "cargo bench -p lab --bench up",
        Elsewhere("tests/lab/Cargo.toml", r#"name = "up""#),
    ),
    (
        "",
        "cargo bench -p e2e-tests --bench ready",
        Elsewhere("tests/e2e/Cargo.toml", r#"name = "ready""#),
    ),
    (
        "",
        "cargo bench -p tasks --bench …",
        Elsewhere("workload/Cargo.toml", "[[bench]]"),
    ),
    (
        "operator/fuzz/",
        "cargo install cargo-fuzz",
        Elsewhere("operator/fuzz/Cargo.toml", "cargo-fuzz = true"),
    ),
    (
        "operator/fuzz/",
        "cargo +nightly fuzz run --fuzz-dir operator/fuzz promql",
        Elsewhere("operator/fuzz/Cargo.toml", r#"name = "promql""#),
    ),
    (
        "",
        "observedapp check app.yaml",
        Elsewhere("operator/cli/tests/check.rs", "check"),
    ),
    (
        "",
        "observedapp render app.yaml",
        Elsewhere("operator/cli/tests/render.rs", "render"),
    ),
    (
        "",
        "observedapp backtest …",
        Elsewhere("operator/cli/tests/backtest.rs", "backtest"),
    ),
    (
        "",
        "observedapp import FILE",
        Elsewhere("operator/cli/tests/import.rs", "import"),
    ),
    (
        "",
        "curl localhost:8080/readyz",
        Elsewhere("workload/tests/contract.rs", "/readyz"),
    ),
    (
        "",
        "kubectl explain oapp.spec",
        Elsewhere("operator/api/src/spec.rs", r#"shortname = "oapp""#),
    ),
    // The rest is run.
    ("README.md", "…", Run),
    ("manifests/runbooks/", "…", Run),
];

/// Every command of the repository's documents, in their order.
pub fn documented() -> io::Result<Vec<Command>> {
    let root = root();
    let mut documents = Vec::new();
    find(&root, &mut documents)?;
    documents.sort();
    let mut commands = Vec::new();
    for path in documents {
        let document = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let text = fs::read_to_string(&path)?;
        let command = |in_sentence| {
            let document = &document;
            move |text| Command {
                document: document.clone(),
                text,
                in_sentence,
            }
        };
        commands.extend(in_blocks(&text).into_iter().map(command(false)));
        commands.extend(in_sentences(&text).into_iter().map(command(true)));
    }
    Ok(commands)
}

/// What proves a command, if anything does.
pub fn proof(command: &Command) -> Option<Proof> {
    let mut of_all = PROOFS.iter().filter(|(_, like, proof)| {
        // Whole documents are run in their order; what their sentences mention is for other situations.
        !command.in_sentence || (*proof != Run && *like != "…")
    });
    of_all
        .find(|(document, like, _)| command.document.starts_with(document) && is_like(&command.text, like))
        .map(|(_, _, proof)| *proof)
        .or_else(|| (command.in_sentence && runs_alone(command)).then_some(Understood))
}

fn is_like(text: &str, like: &str) -> bool {
    match like.strip_suffix('…') {
        Some(begin) => text.starts_with(begin),
        None => text == like,
    }
}

/// Whether its program can be asked by itself what it understands.
fn runs_alone(command: &Command) -> bool {
    ["kubectl ", "promtool "]
        .iter()
        .any(|program| command.text.starts_with(program))
}

/// Every file that is named as a proof, and the words that it must hold.
pub fn proofs_elsewhere() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROOFS.iter().filter_map(|(_, _, proof)| match proof {
        Elsewhere(file, words) => Some((*file, *words)),
        Run | Understood | Unproven(_) => None,
    })
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn find(folder: &Path, documents: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_ref()) {
            continue;
        }
        if path.is_dir() {
            find(&path, documents)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    Ok(())
}

/// The commands within a document's sentences.
fn in_sentences(document: &str) -> Vec<String> {
    let prose = document.split("```").step_by(2);
    prose
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
        .map(|span| span.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() > 2 && words.first().is_some_and(|first| PROGRAMS.contains(first)))
        .map(|words| words.join(" "))
        .collect()
}

/// The commands of a document's `sh` blocks, without the comments after them.
fn in_blocks(document: &str) -> Vec<String> {
    // Fences come in pairs: prose, the inside of one, prose again.
    let blocks = document.split("```").skip(1).step_by(2);
    let lines = blocks
        .filter_map(|block| block.strip_prefix("sh\n"))
        .flat_map(str::lines);
    lines
        .map(|line| {
            line.split_once(" # ")
                .map_or(line, |(command, _)| command)
                .trim()
                .to_owned()
        })
        .filter(|command| !command.is_empty() && !command.starts_with('#'))
        .collect()
}
