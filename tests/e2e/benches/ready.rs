//! The time from `kubectl apply` of the sample to `Ready`, and to all conditions True, next to a floor from the same
//! run: a bare Deployment of the same image, without a database.
//!
//!     export KUBECONFIG=…   # as `cargo lab kubeconfig` prints it
//!     cargo bench -p e2e-tests --bench ready
#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e_tests::{App, Cluster, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

#[path = "../../promises.rs"]
mod promises;

const SAMPLE: &str = include_str!("../../../manifests/samples/tasks.yaml");
const ROUNDS: usize = 3;
const TIMEOUT: Duration = Duration::from_mins(5);
const READY_LIMIT: f64 = 30.0;
const TRUE_LIMIT: f64 = 90.0;

const BARE: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: bare}
spec:
  selector: {matchLabels: {app: bare}}
  template:
    metadata: {labels: {app: bare}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: bare
        image: ghcr.io/observedapp/tasks:0.1.0
        imagePullPolicy: IfNotPresent
        env: [{name: DATABASE_URL, value: "sqlite::memory:"}]
        readinessProbe: {httpGet: {path: /readyz, port: 5000}, periodSeconds: 1}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"#;

struct Round {
    bare: f64,
    ready: f64,
    all: f64,
}

async fn round(cluster: &Cluster) -> Result<Round> {
    let namespace = cluster.temp_namespace("bench-ready").await?;
    let began = Instant::now();
    cluster.apply(&namespace.name, BARE).await?;
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &namespace.name);
    eventually("the bare Deployment is ready", TIMEOUT, async || {
        let status = deployments.get("bare").await?.status.context("no status")?;
        ensure!(status.ready_replicas == Some(1), "{status:?}");
        anyhow::Ok(())
    })
    .await?;
    let bare = began.elapsed().as_secs_f64();

    let began = Instant::now();
    let app = App::apply(cluster, &namespace.name, SAMPLE).await?;
    app.condition("Ready", "True", TIMEOUT).await?;
    let ready = began.elapsed().as_secs_f64();
    app.all_true(TIMEOUT).await?;
    let all = began.elapsed().as_secs_f64();
    namespace.delete().await?;
    Ok(Round { bare, ready, all })
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cluster = Cluster::connect().await?;
    let mut rounds = Vec::new();
    println!("round   bare Deployment   Ready   all conditions True   (seconds)");
    for number in 1..=ROUNDS {
        let round = round(&cluster).await?;
        println!(
            "{number:5} {:17.1} {:7.1} {:21.1}",
            round.bare, round.ready, round.all
        );
        rounds.push(round);
    }
    let worst = |of: fn(&Round) -> f64| rounds.iter().map(of).fold(0.0, f64::max);
    let (bare, ready, all) = (worst(|r| r.bare), worst(|r| r.ready), worst(|r| r.all));
    println!(
        "slowest: Ready after {ready:.1} s, {:.1} x the bare Deployment's; all True after {all:.1} s",
        ready / bare
    );
    promises::promise(&format!("Ready within {READY_LIMIT} s"), ready <= READY_LIMIT);
    promises::promise(
        &format!("all conditions True within {TRUE_LIMIT} s"),
        all <= TRUE_LIMIT,
    );
    Ok(promises::outcome())
}
