//! What the other tests rely on: pods, volumes, Services, DNS, limits, and kubectl's access to pods.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e_tests::{Cluster, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, DeleteParams, LogParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const IMAGE: &str = "docker.io/library/busybox:1.37";
const TIMEOUT: Duration = Duration::from_mins(1);

/// A pod under the restricted Pod Security Standard that runs a shell script.
fn pod(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main",
                "image": IMAGE,
                "command": ["sh", "-c", script],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

fn volume_claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    })
}

/// Mounts a claim at `/data`.
fn with_volume(mut pod: Value, claim: &str) -> Value {
    pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}]);
    pod
}

struct Fixture {
    cluster: Cluster,
    namespace: e2e_tests::TempNamespace,
}

impl Fixture {
    async fn new(name: &str) -> Result<Self> {
        let cluster = Cluster::connect().await?;
        let namespace = cluster.temp_namespace(&format!("fixture-{name}")).await?;
        // Pods need the namespace's service account, which a controller creates.
        let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(cluster.client.clone(), &namespace.name);
        eventually("the namespace has its service account", TIMEOUT, async || {
            accounts.get("default").await.map(drop)
        })
        .await?;
        Ok(Self { cluster, namespace })
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace.name)
    }

    async fn apply(&self, objects: &[Value]) -> Result<()> {
        for object in objects {
            self.cluster
                .apply(&self.namespace.name, &object.to_string())
                .await?;
        }
        Ok(())
    }

    /// Waits until the pod is in this phase, and returns its log.
    async fn log_when(&self, pod: &str, phase: &str) -> Result<String> {
        eventually(&format!("pod {pod} is {phase}"), TIMEOUT, async || {
            let status = self.pods().get(pod).await?.status.unwrap_or_default();
            if status.phase.as_deref() != Some(phase) {
                bail!("{status:?}");
            }
            anyhow::Ok(())
        })
        .await?;
        Ok(self.pods().logs(pod, &LogParams::default()).await?)
    }

    async fn delete_pod(&self, pod: &str) -> Result<()> {
        self.pods().delete(pod, &DeleteParams::default()).await?;
        eventually(&format!("pod {pod} is deleted"), TIMEOUT, async || {
            match self.pods().get_opt(pod).await? {
                None => anyhow::Ok(()),
                Some(_) => bail!("it still exists"),
            }
        })
        .await
    }

    async fn end(self) -> Result<()> {
        self.namespace.delete().await
    }
}

#[tokio::test]
async fn a_pod_that_breaks_the_restricted_standard_is_refused() -> Result<()> {
    let fixture = Fixture::new("restricted").await?;
    let mut loose = pod("loose", "true");
    loose["spec"]["securityContext"]["runAsNonRoot"] = json!(false);
    let loose: Pod = serde_json::from_value(loose)?;
    let refused = fixture.pods().create(&PostParams::default(), &loose).await;
    let message = refused.unwrap_err().to_string();
    ensure!(message.contains("runAsNonRoot"), "{message}");
    fixture.end().await
}

#[tokio::test]
async fn a_restricted_pod_has_no_root_a_read_only_root_and_seccomp() -> Result<()> {
    let fixture = Fixture::new("confined").await?;
    fixture
        .apply(&[pod(
            "who",
            "id -u; touch /bin/x 2>/dev/null || echo read-only; grep Seccomp: /proc/self/status; grep CapEff /proc/self/status",
        )])
        .await?;
    let log = fixture.log_when("who", "Succeeded").await?;
    let lines: Vec<&str> = log.lines().collect();
    ensure!(
        lines == ["1000", "read-only", "Seccomp:\t2", "CapEff:\t0000000000000000"],
        "{lines:?}"
    );
    fixture.end().await
}

#[tokio::test]
async fn a_volume_outlives_its_pod() -> Result<()> {
    let fixture = Fixture::new("volume").await?;
    let writer = with_volume(pod("writer", "echo kept > /data/file"), "data");
    fixture.apply(&[volume_claim("data"), writer]).await?;
    fixture.log_when("writer", "Succeeded").await?;
    fixture.delete_pod("writer").await?;
    fixture
        .apply(&[with_volume(pod("reader", "cat /data/file"), "data")])
        .await?;
    let log = fixture.log_when("reader", "Succeeded").await?;
    ensure!(log == "kept\n", "{log}");
    fixture.end().await
}

#[tokio::test]
async fn a_service_answers_under_all_its_names() -> Result<()> {
    let fixture = Fixture::new("service").await?;
    let namespace = fixture.namespace.name.clone();
    let mut server = pod(
        "web",
        "while true; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello\\n' | nc -l -p 8080 >/dev/null; done",
    );
    server["spec"]["containers"][0]["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    // DNS learns of the Service with a delay, and the server restarts for each connection.
    let ask = |host: &str| {
        format!(
            "for _ in {{1..60}}; do (exec 3<>/dev/tcp/{host}/80 && echo >&3 && tail -n 1 <&3) 2>/dev/null && break; sleep 0.5; done"
        )
    };
    let names = [
        "web".to_owned(),
        format!("web.{namespace}"),
        format!("web.{namespace}.svc"),
        format!("web.{namespace}.svc.cluster.local"),
    ];
    let script: Vec<String> = names.iter().map(|name| ask(name)).collect();
    let mut client = pod("client", "");
    // This image has bash, which supports TCP, and a C library that reads the pod's resolv.conf.
    client["spec"]["containers"][0]["image"] = json!("docker.io/library/redis:8");
    client["spec"]["containers"][0]["command"] = json!(["bash", "-c", script.join("; ")]);
    fixture.apply(&[server, service, client]).await?;
    let log = fixture.log_when("client", "Succeeded").await?;
    ensure!(log == "hello\n".repeat(names.len()), "{log}");
    fixture.end().await
}

#[tokio::test]
async fn a_pod_over_its_memory_limit_is_killed() -> Result<()> {
    let fixture = Fixture::new("limit").await?;
    // An endless line: the tool must hold it in memory.
    let mut greedy = pod("greedy", "tail /dev/zero");
    greedy["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "24Mi", "cpu": "500m"}});
    fixture.apply(&[greedy]).await?;
    fixture.log_when("greedy", "Failed").await?;
    let status = fixture.pods().get("greedy").await?.status.context("no status")?;
    let ended = status
        .container_statuses
        .and_then(|containers| containers.into_iter().next()?.state?.terminated)
        .context("it has not terminated")?;
    ensure!(ended.reason.as_deref() == Some("OOMKilled"), "{ended:?}");
    fixture.end().await
}

#[tokio::test]
async fn logs_exec_and_port_forward_reach_a_pod() -> Result<()> {
    let fixture = Fixture::new("reach").await?;
    fixture
        .apply(&[pod(
            "web",
            "echo started; while true; do echo through | nc -l -p 8080; done",
        )])
        .await?;
    fixture.log_when("web", "Running").await?;
    eventually("the log holds the first line", TIMEOUT, async || {
        let log = fixture.pods().logs("web", &LogParams::default()).await?;
        ensure!(log == "started\n", "{log}");
        anyhow::Ok(())
    })
    .await?;

    let mut exec = fixture
        .pods()
        .exec(
            "web",
            ["sh", "-c", "echo output; exit 3"],
            &AttachParams::default(),
        )
        .await?;
    let mut output = String::new();
    exec.stdout()
        .context("no output")?
        .read_to_string(&mut output)
        .await?;
    let status = exec
        .take_status()
        .context("no status")?
        .await
        .context("no exit status")?;
    ensure!(output == "output\n", "{output}");
    ensure!(
        status
            .message
            .as_deref()
            .is_some_and(|message| message.contains("exit code 3")),
        "{status:?}"
    );

    let heard = eventually("the forwarded port responds", TIMEOUT, async || {
        let mut forward = fixture.pods().portforward("web", &[8080]).await?;
        let mut stream = forward.take_stream(8080).context("the port was not forwarded")?;
        stream.write_all(b"hello\n").await?;
        let mut heard = vec![0; 8];
        stream.read_exact(&mut heard).await?;
        anyhow::Ok(heard)
    })
    .await?;
    ensure!(heard == b"through\n", "{heard:?}");
    fixture.end().await
}

#[tokio::test]
async fn node_and_container_metrics_are_scraped() -> Result<()> {
    let fixture = Fixture::new("measured").await?;
    let mut idle = pod("idle", "sleep 600");
    idle["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "32Mi"}});
    fixture.apply(&[idle]).await?;
    let selector = format!(r#"namespace="{}",container="main""#, fixture.namespace.name);
    let prometheus = fixture.cluster.prometheus();
    eventually(
        "the container's memory and its limit are in Prometheus",
        Duration::from_mins(2),
        async || {
            let used = prometheus
                .value(&format!("container_memory_working_set_bytes{{{selector}}}"))
                .await?;
            let limit = prometheus
                .value(&format!("container_spec_memory_limit_bytes{{{selector}}}"))
                .await?;
            ensure!(
                used > 0.0 && (limit - 32.0 * 1024.0 * 1024.0).abs() < 1.0,
                "{used} of {limit}"
            );
            anyhow::Ok(())
        },
    )
    .await?;
    fixture.end().await
}
