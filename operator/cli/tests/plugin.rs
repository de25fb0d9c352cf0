//! `kubectl observed` where there is no cluster: what it says, and how it is called.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The program under the name by which kubectl finds it, at home in an empty folder.
struct Plugin {
    home: TempDir,
}

impl Plugin {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_observedapp"),
            home.path().join("kubectl-observed"),
        )
        .unwrap();
        Self { home }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.home.path().join(name);
        fs::write(&file, text).unwrap();
        file
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(&self.home.path().join("kubectl-observed"), arguments)
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("HOME", self.home.path())
            .env_remove("KUBECONFIG")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .output()
            .unwrap()
    }

    /// What it says when it fails.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn kubeconfig(server: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: here,
clusters: [{{name: c, cluster: {{server: '{server}'}}}}],
users: [{{name: u, user: {{}}}}],
contexts: [{{name: here, context: {{cluster: c, user: u}}}}, {{name: there, context: {{cluster: c, user: u}}}}]}}"
    )
}

#[test]
fn its_name_makes_it_the_plugin() {
    let plugin = Plugin::new();
    let help = String::from_utf8(plugin.run(&["--help"]).stdout).unwrap();
    assert!(help.contains("Usage: kubectl observed <COMMAND>"), "{help}");
    assert!(help.contains("status") && help.contains("top"), "{help}");
    assert!(!help.contains("render"), "{help}");
    let help = String::from_utf8(plugin.run(&["status", "--help"]).stdout).unwrap();
    assert!(help.contains("Usage: kubectl observed status"), "{help}");
    assert!(
        help.contains("kubectl observed status tasks -n shop --watch"),
        "{help}"
    );
    // Under its own name it has these commands too, beside all others.
    let own = plugin.command(Path::new(env!("CARGO_BIN_EXE_observedapp")), &["--help"]);
    let help = String::from_utf8(own.stdout).unwrap();
    for command in ["status", "top", "render", "kubectl-observed"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn without_a_kubeconfig_it_says_how_to_give_one() {
    let plugin = Plugin::new();
    let said = plugin.refusal(&["status", "tasks"]);
    assert!(said.starts_with("kubectl observed: "), "{said}");
    assert!(said.contains(".kube/config cannot be read"), "{said}");
    assert!(
        said.contains("set KUBECONFIG, or give --kubeconfig FILE"),
        "{said}"
    );
    let said = plugin.refusal(&["top", "--kubeconfig", "/nowhere/config"]);
    assert!(said.contains("/nowhere/config cannot be read"), "{said}");
}

#[test]
fn a_context_that_is_not_there_is_answered_with_those_that_are() {
    let plugin = Plugin::new();
    let file = plugin.write("config", &kubeconfig("https://127.0.0.1:1"));
    let said = plugin.refusal(&[
        "top",
        "--kubeconfig",
        file.to_str().unwrap(),
        "--context",
        "elsewhere",
    ]);
    assert!(
        said.contains("no context \"elsewhere\": it has here, there: choose one with --context"),
        "{said}"
    );
}

#[test]
fn a_cluster_that_is_out_of_reach_is_named() {
    let plugin = Plugin::new();
    let file = plugin.write("config", &kubeconfig("https://127.0.0.1:1"));
    let file = file.to_str().unwrap();
    for arguments in [
        ["status", "tasks"].as_slice(),
        &["status", "tasks", "--watch"],
        &["top", "-A"],
        &["history", "tasks"],
    ] {
        let said = plugin.refusal(&[arguments, &["--kubeconfig", file]].concat());
        assert!(
            said.contains("the cluster at https://127.0.0.1:1/ cannot be reached: Connection refused"),
            "{said}"
        );
        assert!(
            said.contains("does it run, and is it the context you mean?"),
            "{said}"
        );
    }
}

#[test]
fn one_namespace_and_all_of_them_exclude_each_other() {
    let output = Plugin::new().run(&["top", "-A", "-n", "shop"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("cannot be used with")
    );
}

#[test]
fn a_command_that_needs_no_cluster_is_told_where_it_is() {
    let output = Plugin::new().run(&["check", "app.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("type `observedapp check`"), "{said}");
}

#[test]
fn names_are_taken_as_kubectl_prints_them() {
    let plugin = Plugin::new();
    for name in ["oapp/tasks", "observedapps.observedapp.dev/tasks"] {
        let said = plugin.refusal(&["status", name]);
        assert!(
            !said.contains("oapp/") && !said.contains("another resource"),
            "{said}"
        );
    }
    let output = plugin.run(&["status", "pod/tasks"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn kubectl_is_told_what_could_come_next() {
    let plugin = Plugin::new();
    let program = plugin.home.path().join("kubectl_complete-observed");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_observedapp"), &program).unwrap();
    let completed = |words: &[&str]| String::from_utf8(plugin.command(&program, words).stdout).unwrap();
    assert_eq!(completed(&["st"]), "status\n:4\n");
    assert_eq!(completed(&["status", "--nam"]), "--namespace\n:4\n");
    // Without a cluster there is nothing to offer, and nothing to say.
    assert_eq!(completed(&["status", "ta"]), ":4\n");
}
