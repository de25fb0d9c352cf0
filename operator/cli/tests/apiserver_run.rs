//! `observedapp run` as a process of its own: what it says of itself while it works, and how it hands over and ends.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use apiserver_tests::{Action, Proxy, TestNamespace, block_on, eventually};
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

/// The metrics that the contract names for the operator itself.
const OWN_METRICS: [&str; 5] = [
    "observedapp_reconciles_total{result=\"done\"}",
    "observedapp_reconcile_duration_seconds_count",
    "observedapp_queue_depth",
    "observedapp_api_requests_total{verb=\"patch\",kind=\"deployments\",code=\"201\"}",
    "observedapp_leader 1",
];

/// The operator as a process, and every line that it has logged.
struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Program {
    fn start(
        space: &TestNamespace,
        proxy: &Proxy,
        folder: &Path,
        identity: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": proxy.url()}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}],
            "users": [{"name": "nobody", "user": {}}],
        });
        let file = folder.join(identity);
        std::fs::write(&file, config.to_string())?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_observedapp"))
            .args(["run", "--listen=127.0.0.1:0", "--leader-elect"])
            .args([
                "--namespaces",
                &space.name,
                "--leader-elect-namespace",
                &space.name,
            ])
            .args(["--identity", identity])
            .env("KUBECONFIG", file)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = BufReader::new(child.stderr.take().context("no log")?);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                said.lock().unwrap().push(line);
            }
        });
        Ok(Self { child, lines })
    }

    /// Every log line, each of which is an object.
    fn log(&self) -> Result<Vec<Value>> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).with_context(|| line.clone()))
            .collect()
    }

    async fn says(&self, what: &str, line: impl Fn(&Value) -> bool) -> Result<Value> {
        eventually(what, async || {
            let log = self.log()?;
            let found = log.iter().find(|one| line(one)).cloned();
            found.with_context(|| format!("{log:#?}"))
        })
        .await
    }

    /// What it answers.
    async fn ask(&self, path: &str) -> Result<(u16, String)> {
        let started = self
            .says("it has started", |line| line["message"] == "started")
            .await?;
        let listen = started["listen"].as_str().context("it listens nowhere")?;
        let answer = reqwest::get(format!("http://{listen}{path}")).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    async fn is_ready(&self) -> Result<()> {
        eventually("it is ready", async || {
            let (code, text) = self.ask("/readyz").await?;
            ensure!(code == 200, "{text}");
            Ok(())
        })
        .await
    }

    async fn shows(&self, metrics: &[&str]) -> Result<()> {
        eventually("its metrics are as they should be", async || {
            let (_, text) = self.ask("/metrics").await?;
            let missing = metrics.iter().find(|metric| !text.contains(**metric));
            ensure!(missing.is_none(), "{missing:?} is not in\n{text}");
            Ok(())
        })
        .await
    }

    /// Asks it to end as Kubernetes does.
    fn terminate(mut self) -> Result<Vec<Value>> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success());
        let child = &mut self.child;
        let status = tokio::task::block_in_place(|| child.wait())?;
        ensure!(status.success(), "it ended with {status}");
        self.log()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes OTLP over HTTP; gives where, and every span that it gets, with the name of the service that it is of.
async fn collector() -> Result<(String, Arc<Mutex<Vec<(Value, Value)>>>)> {
    let spans = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&spans);
    let take = post(async move |body: Bytes| {
        let message = json!(ExportTraceServiceRequest::decode(body).unwrap());
        let resource = &message["resourceSpans"][0];
        let service = &attribute(&resource["resource"], "service.name")["stringValue"];
        let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        let spans = spans.iter().map(|span| (service.clone(), span.clone()));
        taken.lock().unwrap().extend(spans);
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/v1/traces", take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((endpoint, spans))
}

fn attribute<'a>(of: &'a Value, key: &str) -> &'a Value {
    let mut attributes = of["attributes"].as_array().unwrap().iter();
    attributes
        .find(|attribute| attribute["key"] == key)
        .map_or(&Value::Null, |attribute| &attribute["value"])
}

/// A pod of the app whose container the kubelet has started again so often.
async fn restarted(space: &TestNamespace, name: &str, restarts: i32) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(space.client.clone(), &space.name);
    let pod = json!({
        "metadata": {"name": name, "labels": {
            "app.kubernetes.io/instance": "tasks", "app.kubernetes.io/component": "app",
            "app.kubernetes.io/managed-by": "observedapp",
        }},
        "spec": {"containers": [{"name": "tasks", "image": "tasks:1"}]},
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    let status = json!({"status": {"containerStatuses": [{
        "name": "tasks", "image": "tasks:1", "imageID": "", "ready": false, "restartCount": restarts,
    }]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

#[test]
fn what_it_does_can_be_followed() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("followed").await?;
        let proxy = Proxy::start(&space).await?;
        let folder = tempfile::tempdir()?;
        let (endpoint, spans) = collector().await?;
        let program = Program::start(
            &space,
            &proxy,
            folder.path(),
            "one",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)],
        )?;
        program.is_ready().await?;
        assert_eq!(program.ask("/healthz").await?, (200, "ok".to_owned()));
        space
            .apply("tasks", json!({"image": "tasks:1", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;

        program.shows(&OWN_METRICS).await?;
        let ready = format!(
            "observedapp_app_ready{{namespace=\"{}\",app=\"tasks\"}} 0",
            space.name
        );
        program.shows(&[&ready]).await?;
        restarted(&space, "tasks-5d8f9c7b6d-x7k2p", 3).await?;
        let restarts = format!(
            "observedapp_app_restarts{{namespace=\"{}\",app=\"tasks\",pod=\"tasks-5d8f9c7b6d-x7k2p\"}} 3",
            space.name
        );
        program.shows(&[&restarts]).await?;
        let applied = |line: &Value| {
            line["message"] == "applied"
                && (&line["namespace"], &line["kind"], &line["object"])
                    == (&json!(space.name), &json!("Deployment"), &json!("tasks"))
        };
        program.says("which object was applied", applied).await?;

        let (reconcile, patch) = eventually("a reconcile and its request are one trace", async || {
            let all = spans.lock().unwrap().clone();
            let mut patches = all.iter().filter(|(_, span)| span["name"] == "patch deployments");
            let found = patches.find_map(|(service, patch)| {
                assert_eq!(service, "observedapp");
                let mut others = all.iter().map(|(_, span)| span);
                let parent = others.find(|span| span["spanId"] == patch["parentSpanId"])?;
                Some((parent.clone(), patch.clone()))
            });
            found.with_context(|| format!("{all:#?}"))
        })
        .await?;
        assert_eq!(reconcile["name"], "reconcile");
        assert_eq!(reconcile["traceId"], patch["traceId"]);
        assert_eq!(
            attribute(&reconcile, "k8s.namespace.name")["stringValue"],
            space.name
        );
        assert_eq!(attribute(&reconcile, "observedapp.app")["stringValue"], "tasks");
        assert_eq!(attribute(&reconcile, "observedapp.result")["stringValue"], "done");
        assert_ne!(reconcile["status"]["code"], 2, "nothing failed");
        assert_eq!(attribute(&patch, "http.response.status_code")["intValue"], "201");

        proxy.on_request(|call| match (call.verb, &*call.resource) {
            ("patch", "services") => Action::Fail(403),
            _ => Action::Pass,
        });
        space
            .apply(
                "tasks",
                json!({"image": "tasks:1", "replicas": 1, "service": {"port": 81}}),
            )
            .await?;
        eventually("what failed is in its trace", async || {
            let all = spans.lock().unwrap().clone();
            let failed = all.iter().find(|(_, span)| {
                attribute(span, "error.type")["stringValue"] == "Forbidden" && span["status"]["code"] == 2
            });
            failed.map(drop).with_context(|| format!("{all:#?}"))
        })
        .await?;
        program
            .shows(&["observedapp_errors_total{error=\"Forbidden\"}"])
            .await?;
        let failures = format!(
            "observedapp_app_failed_reconciles{{namespace=\"{}\",app=\"tasks\"}} ",
            space.name
        );
        eventually("the app's failures are counted", async || {
            let (_, text) = program.ask("/metrics").await?;
            let count = text.lines().find_map(|line| line.strip_prefix(&failures));
            ensure!(count.is_some_and(|count| count != "0"), "{text}");
            Ok(())
        })
        .await?;
        proxy.on_request(|_| Action::Pass);
        program.shows(&[&format!("{failures}0\n")]).await?;
        program.terminate()?;
        Ok(())
    })
}

#[test]
fn a_collector_that_takes_nothing_is_logged_once() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("unheard").await?;
        let proxy = Proxy::start(&space).await?;
        let folder = tempfile::tempdir()?;
        let refused = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&refused);
        let refuse = async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            StatusCode::BAD_REQUEST
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let program = Program::start(&space, &proxy, folder.path(), "one", &environment)?;
        program.is_ready().await?;
        for replicas in 1.. {
            let spec = json!({"image": "tasks:1", "replicas": replicas % 5});
            space.apply("tasks", spec).await?;
            space.applied("tasks").await?;
            if refused.load(Ordering::Relaxed) > 2 {
                break;
            }
        }
        let log = program.terminate()?;
        let about = |line: &&Value| line.to_string().contains("export");
        let lines: Vec<_> = log.iter().filter(about).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert_eq!(lines[0]["collector"], endpoint);
        Ok(())
    })
}

#[test]
fn one_that_stands_by_is_ready_and_takes_over_from_one_that_is_asked_to_end() -> Result<()> {
    block_on(async {
        let space = TestNamespace::new("handover").await?;
        let [one, two] = [Proxy::start(&space).await?, Proxy::start(&space).await?];
        let folder = tempfile::tempdir()?;
        let leases: Api<Lease> = Api::namespaced(space.client.clone(), &space.name);
        let holder = async || {
            let lease = leases.get_opt("observedapp").await?;
            anyhow::Ok(lease.and_then(|lease| lease.spec?.holder_identity))
        };
        let leads = async |who: &str| {
            eventually(&format!("{who} leads"), async || {
                let holder = holder().await?;
                ensure!(holder.as_deref() == Some(who), "{holder:?}");
                Ok(())
            })
            .await
        };
        let first = Program::start(&space, &one, folder.path(), "one", &[])?;
        leads("one").await?;
        let second = Program::start(&space, &two, folder.path(), "two", &[])?;
        second.is_ready().await?;
        space
            .apply("tasks", json!({"image": "tasks:1", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        first.shows(&["observedapp_leader 1", "app=\"tasks\""]).await?;
        let (_, metrics) = second.ask("/metrics").await?;
        assert!(metrics.contains("observedapp_leader 0"), "{metrics}");
        assert!(
            !metrics.contains("app=\"tasks\""),
            "one that does not lead knows nothing:\n{metrics}"
        );
        assert!(two.writes().is_empty(), "{:#?}", two.writes());

        let log = first.terminate()?;
        // Given up, not left to run out.
        assert!(
            log.iter().any(|line| line["message"] == "the lease is given up"),
            "{log:#?}"
        );
        leads("two").await?;
        space
            .apply("tasks", json!({"image": "tasks:2", "replicas": 1}))
            .await?;
        space.applied("tasks").await?;
        second.shows(&["observedapp_leader 1", "app=\"tasks\""]).await?;
        second.terminate()?;
        Ok(())
    })
}
