//! Tests of the API server for tests.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use lab::{apiserver::ApiServer, wait};
use serde_json::json;

const TIMEOUT: Duration = Duration::from_secs(30);

fn namespace(name: &str) -> Namespace {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

/// The processes with this working folder in their arguments.
fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let line = fs::read(entry.ok()?.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&dir).then_some(line)
        })
        .collect()
}

async fn until_no_process(dir: &Path) -> Result<()> {
    wait::eventually("the end of the server's processes", TIMEOUT, || async {
        let left = processes(dir);
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn servers_run_side_by_side_and_leave_nothing() -> Result<()> {
    let (one, other) = tokio::try_join!(ApiServer::start(), ApiServer::start())?;
    ensure!(one.url() != other.url());
    let create = PostParams::default();
    Api::all(one.client())
        .create(&create, &namespace("only-here"))
        .await?;
    ensure!(
        Api::<Namespace>::all(other.client())
            .get_opt("only-here")
            .await?
            .is_none()
    );

    let dir = one.logs().parent().context("no folder")?.to_path_buf();
    ensure!(!processes(&dir).is_empty());
    drop(one);
    ensure!(processes(&dir).is_empty() && !dir.exists());
    other.stop()
}

#[tokio::test]
async fn blocking_owner_references_need_the_finalizers_right() -> Result<()> {
    let server = ApiServer::start().await?;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "limited"},
        // It may write ConfigMaps, but not the finalizers subresource of any kind.
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "limited"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}],
    });
    let rules = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "limited"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}],
    });
    for (path, object) in [("clusterroles", rules), ("clusterrolebindings", role)] {
        let uri = format!("/apis/rbac.authorization.k8s.io/v1/{path}");
        let request = http::Request::post(uri)
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&object)?)?;
        server.client().request_text(request).await?;
    }
    let mut config = Config::from_custom_kubeconfig(
        Kubeconfig::read_from(server.kubeconfig())?,
        &KubeConfigOptions::default(),
    )
    .await?;
    config.auth_info.impersonate = Some("limited".to_owned());
    let limited: Api<ConfigMap> = Api::namespaced(Client::try_from(config)?, "default");

    let owned = |block: bool| -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {
                "generateName": "owned-",
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "Deployment", "name": "owner", "uid": "0",
                    "blockOwnerDeletion": block,
                }],
            },
        }))
        .unwrap()
    };
    limited.create(&PostParams::default(), &owned(false)).await?;
    let refused = limited
        .create(&PostParams::default(), &owned(true))
        .await
        .unwrap_err();
    ensure!(refused.to_string().contains("blockOwnerDeletion"), "{refused}");
    server.stop()
}

#[tokio::test]
async fn the_controller_manager_removes_a_deleted_namespace() -> Result<()> {
    let server = ApiServer::configure().with_controller_manager().start().await?;
    let namespaces = Api::<Namespace>::all(server.client());
    namespaces
        .create(&PostParams::default(), &namespace("brief"))
        .await?;
    namespaces.delete("brief", &DeleteParams::default()).await?;
    wait::eventually("the namespace's end", TIMEOUT, || async {
        ensure!(namespaces.get_opt("brief").await?.is_none(), "it still exists");
        Ok(())
    })
    .await?;
    server.stop()
}

/// Set for the child process of the next test, which only holds a server.
const HOLD: &str = "HOLD_A_SERVER";

#[tokio::test]
async fn a_server_ends_with_its_test_even_if_the_test_is_killed() -> Result<()> {
    if env::var_os(HOLD).is_some() {
        let server = ApiServer::start().await?;
        println!(
            "folder={}",
            server.logs().parent().context("no folder")?.display()
        );
        return std::future::pending().await;
    }
    let mut holder = Command::new(env::current_exe()?)
        .args([
            "--exact",
            "--nocapture",
            "a_server_ends_with_its_test_even_if_the_test_is_killed",
        ])
        .env(HOLD, "yes")
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(holder.stdout.take().context("no output")?).lines();
    let dir = lines
        .map_while(Result::ok)
        .find_map(|line| Some(PathBuf::from(line.split_once("folder=")?.1)))
        .context("the child process started no server")?;
    ensure!(!processes(&dir).is_empty());
    holder.kill()?;
    holder.wait()?;
    until_no_process(&dir).await?;
    // The next server removes its files.
    ApiServer::start().await?.stop()?;
    ensure!(!dir.exists());
    Ok(())
}
