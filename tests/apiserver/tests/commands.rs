//! The commands in the documents, run by the real Helm and kubectl against a real API server. The server is not shared:
//! the commands install the chart and use the default namespace.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use apiserver_tests::{
    RunningOperator, TestNamespace, condition, eventually, install, options, schemaless, set_ready,
};
use golden_tests::commands::{Proof, documented, proof, root};
use kube::api::Api;
use lab::apiserver::ApiServer;
use lab_tools::{Tool, ensure as built};
use observedapp_api::ObservedApp;
use observedapp_desired::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_succeeds() -> Result<()> {
    let server = ApiServer::configure().with_controller_manager().start().await?;
    for kind in [Kind::ServiceMonitor, Kind::Probe, Kind::PrometheusRule] {
        install(&server.client(), &schemaless(kind)?).await?;
    }
    // The operator runs in this process: there is no node for its pods.
    let run = |commands: &[String]| shell(&server, commands);
    let (readme, runbooks): (Vec<_>, Vec<_>) = documented()?
        .into_iter()
        .filter(|command| proof(command) == Some(Proof::Run))
        .partition(|command| command.document == "README.md");
    let texts = |commands: Vec<golden_tests::commands::Command>| -> Vec<String> {
        commands.into_iter().map(|command| command.text).collect()
    };
    ensure!(
        readme.len() >= 3 && runbooks.len() >= 20,
        "{readme:?} {runbooks:?}"
    );
    run(&texts(readme))?;

    let config = kube::Config::from_custom_kubeconfig(
        kube::config::Kubeconfig::read_from(server.kubeconfig())?,
        &kube::config::KubeConfigOptions::default(),
    )
    .await?;
    let _operator = RunningOperator::start(
        options(&[
            "--leader-elect",
            "--leader-elect-namespace=observedapp-system",
            "--prober-url=prober.observedapp-system:9115",
        ]),
        config,
    );
    eventually("the sample app is applied", async || {
        let apps: Api<ObservedApp> = Api::namespaced(server.client(), "default");
        let (status, _, message) = condition(&apps.get("tasks").await?, "Applied");
        ensure!(status == "True", "{message}");
        Ok(())
    })
    .await?;
    let sample = TestNamespace {
        client: server.client(),
        name: "default".to_owned(),
    };
    set_ready(&sample, "tasks", 1).await?;
    eventually("the sample app is probed", async || {
        let probes = sample.names(Kind::Probe).await?;
        ensure!(!probes.is_empty());
        Ok(())
    })
    .await?;
    run(&texts(runbooks))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_install_manifest_works_without_helm() -> Result<()> {
    let server = ApiServer::start().await?;
    let command = "kubectl apply --server-side -f manifests/install.yaml";
    let readme = std::fs::read_to_string(root().join("README.md"))?;
    ensure!(
        readme.contains(&format!("`{command}`")),
        "README.md lacks {command}"
    );
    shell(&server, &[command.to_owned()])
}

/// Commands within sentences cannot be run here; this checks that the program parses them.
#[test]
fn inline_commands_parse() -> Result<()> {
    let programs = built(&[Tool::Kubectl, Tool::Promtool])?;
    let mut understood = 0;
    for command in documented()? {
        if proof(&command) != Some(Proof::Understood) {
            continue;
        }
        let (name, arguments) = command.text.split_once(' ').unwrap_or((&command.text, ""));
        let program = programs
            .iter()
            .find(|(tool, _)| tool.name() == name)
            .map(|(_, path)| path.display());
        let Some(program) = program else {
            bail!("{}: this test cannot check {name}", command.document)
        };
        let output = Command::new("bash")
            .args(["-c", &format!("{program} {arguments}")])
            // The cluster does not exist: a command that fails to connect was parsed.
            .env("KUBECONFIG", "/dev/null")
            .envs([("NS", "default"), ("APP", "tasks")])
            .stdin(std::process::Stdio::null())
            .output()?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        for complaint in [
            "unknown",
            "unexpected",
            "Usage",
            "usage",
            "required",
            "must specify",
        ] {
            ensure!(
                !stderr.contains(complaint),
                "{}: `{}`: {stderr}",
                command.document,
                command.text
            );
        }
        understood += 1;
    }
    ensure!(understood > 5, "only {understood} commands were found");
    Ok(())
}

/// Runs commands in one shell at the repository's root.
fn shell(server: &ApiServer, commands: &[String]) -> Result<()> {
    let programs = tempfile::tempdir()?;
    for (tool, path) in built(&[Tool::Helm, Tool::Kubectl])? {
        symlink(path, programs.path().join(tool.name()))?;
    }
    let mut script = String::from("export NS=default APP=tasks NAMESPACE=default NAME=tasks\n");
    for command in commands {
        // The runbooks of the operator's alerts name an app like this.
        let command = command
            .replace(" NAMESPACE", " default")
            .replace(" NAME", " tasks")
            .replace("=NAME", "=tasks");
        writeln!(script, "echo '>>>' {} >&2\n{command} || exit 1", quoted(&command))?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = vec![programs.path().to_path_buf()];
    all.extend(std::env::split_paths(&path));
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-u", "-c", &script])
        .current_dir(root())
        .env("PATH", std::env::join_paths(all)?)
        .env("KUBECONFIG", server.kubeconfig())
        // Helm must not write to the user's caches.
        .env("HELM_CACHE_HOME", programs.path())
        .env("HELM_CONFIG_HOME", programs.path())
        .env("HELM_DATA_HOME", programs.path())
        .output()?;
    ensure!(
        output.status.success(),
        "the last command failed:\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
