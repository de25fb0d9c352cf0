//! `kubectl observed` against a real API server, with statuses that the test writes.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result};
use apiserver_tests::{TestNamespace, block_on, eventually, install, kubeconfig};
use golden_tests::prometheus::Prometheus;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Pod, Service};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lab::apiserver::ApiServer;
use observedapp_api::ObservedApp;
use serde_json::{Value, json};

/// The command line, under the plugin's name, for the cluster of a kubeconfig.
fn plugin(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let folder = kubeconfig.parent().unwrap();
    let link = folder.join("kubectl-observed");
    // Tests run side by side; any of them may have made it.
    let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_observedapp"), &link);
    let mut command = Command::new(link);
    command
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("COLUMNS", "100")
        .env_remove("PROMETHEUS_URL")
        .stdin(Stdio::null());
    command
}

async fn run(kubeconfig: PathBuf, arguments: &[&str]) -> Result<Output> {
    let mut command = plugin(&kubeconfig, arguments);
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

async fn text(kubeconfig: PathBuf, arguments: &[&str]) -> Result<String> {
    let output = run(kubeconfig, arguments).await?;
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

async fn refusal(kubeconfig: PathBuf, arguments: &[&str]) -> Result<String> {
    let output = run(kubeconfig, arguments).await?;
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    Ok(String::from_utf8(output.stderr)?)
}

/// The app of a committed screen, spec and status.
fn example(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/screens/{name}.yaml"));
    serde_yaml::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Makes an app and says of it what the operator might.
async fn make(api: &Api<ObservedApp>, name: &str, spec: &Value, status: &Value) -> Result<()> {
    let app = json!({
        "apiVersion": "observedapp.dev/v1alpha1", "kind": "ObservedApp",
        "metadata": {"name": name}, "spec": spec,
    });
    api.patch(name, &PatchParams::apply("user"), &Patch::Apply(&app))
        .await?;
    write_status(api, name, status).await
}

async fn write_status(api: &Api<ObservedApp>, name: &str, status: &Value) -> Result<()> {
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[test]
fn a_screen_tells_what_the_resource_says() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("screen").await?;
        let config = kubeconfig().await?;
        let burning = example("burning");
        make(&space.apps(), "tasks", &burning["spec"], &burning["status"]).await?;
        let screen = text(config.clone(), &["status", "tasks", "-n", &space.name]).await?;
        for line in [
            &format!("{}/tasks  ready", space.name),
            "  replicas  2 of 2 answer",
            "  database  Postgres 18, built in: ready",
            "22% left, spent in 11h at this rate",
            "  no sparklines: the cluster has no Prometheus object; say where it answers with --prometheus URL",
            "Alerts: 2 firing",
            "  ErrorBudgetBurnFast  critical  availability  for ",
            "  SLOsMet is False for ",
            "    → put what mends it before what is new",
        ] {
            assert!(screen.contains(line), "{line:?} is missing:\n{screen}");
        }
        assert!(
            !screen.contains('\x1b'),
            "coloured, though it is piped:\n{screen}"
        );

        let json = text(config, &["status", "tasks", "-n", &space.name, "-o", "json"]).await?;
        let json: Value = serde_json::from_str(&json)?;
        assert_eq!(json["slos"][0]["budgetRemaining"], "22%", "{json:#}");
        assert_eq!(json["replicas"]["wantedAtLeast"], 2);
        let conditions = json["conditions"].as_array().unwrap();
        let remedies: Vec<&Value> = conditions.iter().filter_map(|one| one.get("remedy")).collect();
        assert_eq!(remedies, ["put what mends it before what is new"]);
        Ok(())
    })
}

#[test]
fn a_history_is_of_the_records_or_of_the_replica_sets() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("history").await?;
        let config = kubeconfig().await?;
        let app = example("rolled-back");
        make(&space.apps(), "tasks", &app["spec"], &app["status"]).await?;
        let history = ["history", "oapp/tasks", "-n", &space.name];
        let table = text(config.clone(), &history).await?;
        assert!(table.contains("20% of 84 failed"), "{table}");
        let list = text(config.clone(), &[history.as_slice(), &["-o", "json"]].concat()).await?;
        let list: Value = serde_json::from_str(&list)?;
        let numbers: Vec<_> = list["releases"]
            .as_array()
            .unwrap()
            .iter()
            .map(|release| &release["number"])
            .collect();
        assert_eq!(numbers, [4, 5, 6, 7]);

        write_status(
            &space.apps(),
            "tasks",
            &json!({"release": null, "releases": null}),
        )
        .await?;
        let output = run(config.clone(), &history).await?;
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr)?;
        assert!(said.contains("nothing of tasks has run yet"), "{said}");
        let deployments: Api<Deployment> = Api::namespaced(space.client.clone(), &space.name);
        let sets: Api<ReplicaSet> = Api::namespaced(space.client.clone(), &space.name);
        let labels = json!({"app.kubernetes.io/instance": "tasks", "app.kubernetes.io/component": "app"});
        for (name, owner, revision) in [("tasks-a", "tasks", "3"), ("tasks-b", "other", "9")] {
            let pods = json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "tasks", "image": "tasks:3"}]},
            }});
            let deployment = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": owner}, "spec": pods,
            });
            let params = PatchParams::apply("user");
            let deployment = deployments
                .patch(owner, &params, &Patch::Apply(&deployment))
                .await?;
            let set = json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {
                    "name": name, "labels": labels, "annotations": {"deployment.kubernetes.io/revision": revision},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": deployment.metadata.uid}],
                },
                "spec": pods,
            });
            sets.patch(name, &params, &Patch::Apply(&set)).await?;
        }
        let table = text(config, &history).await?;
        let rows: Vec<&str> = table.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(rows.len(), 2, "{table}");
        assert!(
            rows[1].starts_with("3 ") && rows[1].contains("tasks:3"),
            "{table}"
        );
        Ok(())
    })
}

#[test]
fn the_app_with_the_least_budget_is_on_top() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("top").await?;
        let config = kubeconfig().await?;
        for (name, budget) in [("calm", "90%"), ("spent", "-4%"), ("low", "9%")] {
            let slo = json!({"name": "a", "objective": "99%", "window": "7d", "budgetRemaining": budget, "state": "Met"});
            make(
                &space.apps(),
                name,
                &json!({"image": "tasks:1"}),
                &json!({"worstSLO": slo, "firingAlerts": 0}),
            )
            .await?;
        }
        make(&space.apps(), "young", &json!({"image": "tasks:1"}), &json!({})).await?;
        let table = text(config.clone(), &["top", "-n", &space.name]).await?;
        let names: Vec<&str> = table
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().nth(1))
            .collect();
        assert_eq!(names, ["spent", "low", "calm", "young"], "{table}");
        let all = text(config.clone(), &["top", "--all-namespaces", "-o", "json"]).await?;
        let all: Vec<Value> = serde_json::from_str(&all)?;
        let here: Vec<&Value> = all
            .iter()
            .filter(|row| row["namespace"] == space.name.as_str())
            .map(|row| &row["name"])
            .collect();
        assert_eq!(here, ["spent", "low", "calm", "young"]);

        let empty = TestNamespace::new("empty").await?;
        let output = run(config, &["top", "-n", &empty.name]).await?;
        assert!(output.status.success() && output.stdout.is_empty());
        assert!(String::from_utf8(output.stderr)?.contains("-A looks in all"));
        Ok(())
    })
}

/// A program that watches; it ends with the test.
struct Watching {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Watching {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// All up to the next line that ends a screen.
    fn screen(&mut self) -> String {
        let mut screen = String::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "it has ended after {screen}{}", self.end().1);
            if line == "---\n" {
                return screen;
            }
            screen += &line;
        }
    }

    /// Waits for its end.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watch_shows_every_change_until_the_app_is_deleted() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("watch").await?;
        let healthy = example("healthy");
        make(&space.apps(), "tasks", &healthy["spec"], &healthy["status"]).await?;
        let command = plugin(
            &kubeconfig().await?,
            &["status", "tasks", "--watch", "-n", &space.name],
        );
        let mut watching = Watching::start(command);
        let (mut watching, first) = tokio::task::spawn_blocking(move || {
            let first = watching.screen();
            (watching, first)
        })
        .await?;
        assert!(first.contains("Conditions: all 12 are True"), "{first}");
        write_status(&space.apps(), "tasks", &example("burning")["status"]).await?;
        let (mut watching, second) = tokio::task::spawn_blocking(move || {
            let second = watching.screen();
            (watching, second)
        })
        .await?;
        assert!(second.contains("Conditions: 11 of 12 are True"), "{second}");
        space.delete("tasks").await?;
        let (code, said) = tokio::task::spawn_blocking(move || watching.end()).await?;
        assert_eq!(
            (code, said.as_str()),
            (Some(1), "kubectl observed: tasks is deleted\n")
        );
        Ok(())
    })
}

#[test]
fn who_looks_in_the_wrong_place_is_told_the_right_one() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("elsewhere").await?;
        let config = kubeconfig().await?;
        make(
            &space.apps(),
            "elsewhere-only",
            &json!({"image": "tasks:1"}),
            &json!({}),
        )
        .await?;
        let said = refusal(config.clone(), &["status", "elsewhere-only", "-n", "default"]).await?;
        assert!(
            said.contains(&format!(
                "there is no ObservedApp elsewhere-only in the namespace default; there is one in {0}: add -n {0}",
                space.name
            )),
            "{said}"
        );
        let said = refusal(config, &["status", "taks", "-n", &space.name]).await?;
        assert!(said.contains("; there are: elsewhere-only"), "{said}");
        Ok(())
    })
}

#[test]
fn who_may_not_is_told_what_to_ask_for() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("forbidden").await?;
        // The administrator in the shoes of somebody without any right.
        let config = kubeconfig().await?;
        let mut value: Value = serde_yaml::from_str(&fs::read_to_string(&config)?)?;
        value["users"][0]["user"]["as"] = json!("somebody");
        let file = config.with_file_name("kubeconfig-of-somebody");
        fs::write(&file, value.to_string())?;
        for (arguments, verb) in [(["status", "tasks"].as_slice(), "get"), (&["top"], "list")] {
            let said = refusal(file.clone(), &[arguments, &["-n", &space.name]].concat()).await?;
            assert!(
                said.contains(&format!(
                    "you may not {verb} ObservedApps in the namespace {}",
                    space.name
                )),
                "{said}"
            );
            assert!(
                said.contains("\"somebody\"") && said.contains("ask for a role"),
                "{said}"
            );
        }
        Ok(())
    })
}

/// A burn rate that was low all day and is high since an hour ago.
fn day(namespace: &str) -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let mut text = String::from("# TYPE slo:burn_rate:rate1h gauge\n");
    for at in (now - 90_000..=now).step_by(60) {
        let rate = if at > now - 3_600 { 14.2 } else { 0.1 };
        let _ = writeln!(
            text,
            r#"slo:burn_rate:rate1h{{namespace="{namespace}",app="tasks",slo="availability"}} {rate} {at}"#
        );
    }
    text + "# EOF\n"
}

/// An address of this machine that is not the loopback's: the API server connects to no Service there. Nothing is sent.
fn own_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket
        .connect("192.0.2.1:9")
        .context("this machine has no address but the loopback's")?;
    Ok(socket.local_addr()?.ip())
}

/// Passes connections on to where Prometheus listens.
async fn reachable(url: &str) -> Result<(IpAddr, u16)> {
    let target = url.trim_start_matches("http://").to_owned();
    let listener = tokio::net::TcpListener::bind((own_address()?, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let target = target.clone();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    Ok((address.ip(), address.port()))
}

/// What prometheus-operator leaves in a cluster: its object, and the Service of what it runs.
async fn install_prometheus(client: &Client, address: (IpAddr, u16)) -> Result<()> {
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "prometheuses.monitoring.coreos.com"},
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": {"kind": "Prometheus", "plural": "prometheuses", "singular": "prometheus"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    });
    install(client, &serde_json::from_value(crd)?).await?;
    let gvk = GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus");
    let resource = ApiResource::from_gvk_with_plural(&gvk, "prometheuses");
    let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    let object = json!({"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": "k8s"}, "spec": {}});
    objects
        .create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    let (ip, port) = address;
    // The API server connects to pods only.
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = json!({"metadata": {"name": "prometheus-k8s-0"}, "spec": {"containers": [{"name": "prometheus", "image": "prometheus"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    let status = json!({"status": {"podIP": ip, "podIPs": [{"ip": ip}]}});
    pods.patch_status("prometheus-k8s-0", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    let target = json!({"kind": "Pod", "namespace": "default", "name": "prometheus-k8s-0"});
    let meta = json!({"name": "prometheus-operated"});
    let service =
        json!({"metadata": meta, "spec": {"ports": [{"name": "web", "port": 9090, "targetPort": port}]}});
    Api::<Service>::namespaced(client.clone(), "default")
        .create(&PostParams::default(), &serde_json::from_value(service)?)
        .await?;
    let endpoints = json!({
        "metadata": meta,
        "subsets": [{"addresses": [{"ip": ip, "targetRef": target}], "ports": [{"name": "web", "port": port}]}],
    });
    Api::<Endpoints>::namespaced(client.clone(), "default")
        .create(&PostParams::default(), &serde_json::from_value(endpoints)?)
        .await?;
    Ok(())
}

#[test]
fn from_a_cluster_without_the_api_to_sparklines() -> Result<()> {
    block_on(async {
        let server = ApiServer::start().await?;
        let client = server.client();
        let config = server.kubeconfig();
        for arguments in [["top"].as_slice(), &["status", "tasks"]] {
            let said = refusal(config.clone(), arguments).await?;
            assert!(
                said.contains("does not know ObservedApps: install the operator with its chart"),
                "{said}"
            );
        }
        install(&client, &observedapp_api::crd()).await?;
        eventually("the namespace default exists", async || {
            let found = Api::<Namespace>::all(client.clone()).get_opt("default").await?;
            found.map(drop).context("not found")
        })
        .await?;
        let burning = example("burning");
        let apps: Api<ObservedApp> = Api::namespaced(client.clone(), "default");
        make(&apps, "tasks", &burning["spec"], &burning["status"]).await?;

        let prometheus =
            tokio::task::spawn_blocking(|| Prometheus::with_openmetrics(&day("default"))).await?;
        let direct = ["status", "tasks", "-o", "json", "--prometheus", prometheus.url()];
        let json: Value = serde_json::from_str(&text(config.clone(), &direct).await?)?;
        let day = json["slos"][0]["burnRateLastDay"].as_array().unwrap().clone();
        assert_eq!(day.len(), 48, "{json:#}");
        assert_eq!((&day[0], &day[47]), (&json!(0.1), &json!(14.2)), "{json:#}");

        install_prometheus(&client, reachable(prometheus.url()).await?).await?;
        let screen = text(config.clone(), &["status", "tasks"]).await?;
        assert!(
            screen.contains("14.2x last hour, at most 14.2x last day"),
            "{screen}"
        );
        assert!(screen.contains("▁▁▁█"), "{screen}");

        // With Prometheus gone there is the screen still, and a line that says what is missing.
        drop(prometheus);
        let screen = text(config, &["status", "tasks"]).await?;
        assert!(screen.contains("22% left, spent in 11h at this rate"), "{screen}");
        assert!(screen.contains("  no sparklines: "), "{screen}");
        Ok(())
    })
}
