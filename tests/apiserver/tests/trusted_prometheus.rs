//! Which Prometheus objects the operator trusts. The server is not shared: an operator for all namespaces would
//! reconcile the apps of other tests.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::{Result, bail, ensure};
use apiserver_tests::{
    Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, install, options, rights,
    schemaless_as,
};
use axum::Router;
use http::HeaderMap;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use lab::certs::{Authority, Pair, Subject};
use observedapp_desired::Kind;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// Serialises the tests: only one operator may run.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn prometheus() -> GroupVersionKind {
    GroupVersionKind::gvk("monitoring.coreos.com", "v1", "Prometheus")
}

fn prometheuses(ns: &TestNamespace) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&prometheus(), "prometheuses");
    Api::namespaced_with(ns.client.clone(), &ns.name, &resource)
}

/// Creates a Prometheus with the same selectors for monitors, probes and rules.
async fn create(
    ns: &TestNamespace,
    name: &str,
    selector: &Value,
    namespaces: &Value,
) -> Result<DynamicObject> {
    let object = json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": name},
        "spec": {
            "serviceMonitorSelector": selector, "serviceMonitorNamespaceSelector": namespaces,
            "probeSelector": selector, "probeNamespaceSelector": namespaces,
            "ruleSelector": selector, "ruleNamespaceSelector": namespaces,
        },
    });
    let object = serde_json::from_value(object)?;
    Ok(prometheuses(ns).create(&PostParams::default(), &object).await?)
}

fn app() -> Value {
    json!({
        "image": "tasks:1", "port": 5000, "metrics": {"port": 8000}, "cache": {"builtin": {}},
        "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
    })
}

/// The `release` labels of the app's monitor and rules.
async fn release(ns: &TestNamespace) -> Result<[Option<String>; 2]> {
    let of = async |kind: Kind| -> Result<Option<String>> {
        let labels = ns.objects(kind).get("tasks").await?.metadata.labels;
        Ok(labels.and_then(|labels| labels.get("release").cloned()))
    };
    Ok([of(Kind::ServiceMonitor).await?, of(Kind::PrometheusRule).await?])
}

/// The namespaces that a policy allows to scrape; null if it allows all.
async fn scrapers(ns: &TestNamespace, policy: &str) -> Result<Value> {
    let policy = serde_json::to_value(ns.objects(Kind::NetworkPolicy).get(policy).await?)?;
    Ok(policy["spec"]["ingress"][1]["from"][0]["namespaceSelector"]["matchExpressions"][0]["values"].clone())
}

/// Waits until a condition has this reason, and its message names each of these.
async fn condition_reports(ns: &TestNamespace, type_: &str, reason: &str, words: &[&str]) -> Result<()> {
    let what = format!("{type_} is {reason} and names {words:?}");
    let reported = |app: &_| {
        let (_, found, message) = condition(app, type_);
        found == reason && words.iter().all(|word| message.contains(word))
    };
    ns.until("tasks", &what, reported).await.map(drop)
}

/// Waits until the operator has listed Prometheus objects twice more: the first list may have been sent before.
async fn listed_twice(proxy: &Proxy) -> Result<()> {
    let looks = || {
        let calls = proxy.calls().into_iter();
        calls.filter(|call| call.resource == "prometheuses").count()
    };
    let before = looks();
    eventually("the Prometheus objects are listed twice more", async || {
        let now = looks();
        ensure!(now >= before + 2, "{now}");
        Ok(())
    })
    .await
}

#[test]
fn an_untrusted_prometheus_changes_nothing() -> Result<()> {
    block_on(async {
        let _turn = TURN.lock().await;
        let shop = TestNamespace::new("trust-shop").await?;
        install(&shop.client, &schemaless_as(&prometheus(), "prometheuses")?).await?;
        rights::grant_cluster_wide(&shop.client).await?;
        let [hostile, monitoring] = [
            TestNamespace::new("hostile").await?,
            TestNamespace::new("monitoring").await?,
        ];
        let everything = json!({});
        // First by namespace and name, and the oldest.
        create(
            &hostile,
            "aaa",
            &json!({"matchLabels": {"release": "not valid"}}),
            &everything,
        )
        .await?;
        let proxy = Proxy::start_as(shop.client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
        let system = format!("--leader-elect-namespace={}", rights::SYSTEM);
        let arguments = [system.as_str(), "--service-monitor=observedapp"];
        let operator = RunningOperator::start(options(&arguments), proxy.config());
        shop.apply("tasks", app()).await?;
        shop.applied("tasks").await?;
        let untrusted = format!("{}/aaa", hostile.name);
        let words = [
            &untrusted,
            "not trusted",
            "prometheus.namespaces",
            "--prometheus-namespaces",
        ];
        condition_reports(&shop, "Monitored", "PrometheusNotTrusted", &words).await?;
        ensure!(release(&shop).await? == [None, None]);
        ensure!(
            scrapers(&shop, "tasks").await?.is_null(),
            "no trusted Prometheus scrapes"
        );

        // The one that selects the operator's own monitor is trusted.
        let monitor: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
            "metadata": {"name": "observedapp", "labels": {"release": "kps"}}, "spec": {},
        }))?;
        let kind = Kind::ServiceMonitor;
        let resource = ApiResource::from_gvk_with_plural(&kind.gvk(), kind.plural());
        Api::<DynamicObject>::namespaced_with(shop.client.clone(), rights::SYSTEM, &resource)
            .create(&PostParams::default(), &monitor)
            .await?;
        let ours = create(
            &monitoring,
            "kps",
            &json!({"matchLabels": {"release": "kps"}}),
            &everything,
        )
        .await?;
        let url = format!("http://prometheus-operated.{}.svc:9090", monitoring.name);
        condition_reports(&shop, "Monitored", "PrometheusUnreachable", &[&url]).await?;
        shop.applied("tasks").await?;
        let kps = [Some("kps".to_owned()), Some("kps".to_owned())];
        ensure!(release(&shop).await? == kps);
        ensure!(scrapers(&shop, "tasks").await? == json!([monitoring.name]));
        ensure!(scrapers(&shop, "tasks-cache").await? == json!([monitoring.name]));

        // Younger ones that select everything are not, even if they select the operator's monitor. Timestamps have
        // whole seconds.
        eventually("a younger Prometheus exists", async || {
            let created = create(&hostile, "everything", &everything, &everything).await?;
            if created.metadata.creation_timestamp > ours.metadata.creation_timestamp {
                return Ok(());
            }
            prometheuses(&hostile)
                .delete("everything", &DeleteParams::default())
                .await?;
            bail!("it has the same age")
        })
        .await?;
        for (name, selector) in [
            ("odd", json!({"matchLabels": 7})),
            (
                "large",
                json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": vec!["x"; 9_000]}]}),
            ),
        ] {
            create(&hostile, name, &selector, &selector).await?;
        }
        let writes = proxy.writes().len();
        listed_twice(&proxy).await?;
        condition_reports(&shop, "Monitored", "PrometheusUnreachable", &[&url]).await?;
        let more = proxy.writes().split_off(writes);
        ensure!(more.is_empty(), "untrusted objects caused writes: {more:#?}");
        operator.stop().await?;

        // A namespace in the list is trusted whatever its Prometheus selects, and no other is.
        let namespaces = format!("--prometheus-namespaces={}", monitoring.name);
        let operator = RunningOperator::start(options(&[system.as_str(), &namespaces]), proxy.config());
        listed_twice(&proxy).await?;
        condition_reports(&shop, "Monitored", "PrometheusUnreachable", &[&url]).await?;
        ensure!(release(&shop).await? == kps);
        prometheuses(&monitoring)
            .delete("kps", &DeleteParams::default())
            .await?;
        let words = ["no Prometheus object was found", &monitoring.name];
        condition_reports(&shop, "Monitored", "NoPrometheus", &words).await?;
        shop.applied("tasks").await?;
        ensure!(release(&shop).await? == [None, None]);
        ensure!(scrapers(&shop, "tasks-cache").await? == json!([monitoring.name]));
        shop.delete("tasks").await?;
        shop.gone("tasks").await?;
        operator.stop().await
    })
}

#[test]
fn each_app_uses_the_prometheus_that_selects_its_namespace() -> Result<()> {
    block_on(async {
        let _turn = TURN.lock().await;
        let test_namespaces = [
            TestNamespace::new("trust-a").await?,
            TestNamespace::new("trust-b").await?,
        ];
        let client = &test_namespaces[0].client;
        install(client, &schemaless_as(&prometheus(), "prometheuses")?).await?;
        rights::grant_cluster_wide(client).await?;
        let monitoring = [
            TestNamespace::new("monitoring-a").await?,
            TestNamespace::new("monitoring-b").await?,
        ];
        for (ns, home) in test_namespaces.iter().zip(&monitoring) {
            let selector = json!({"matchLabels": {"release": home.name}});
            let namespaces = json!({"matchLabels": {"kubernetes.io/metadata.name": ns.name}});
            create(home, "main", &selector, &namespaces).await?;
            ns.apply("tasks", app()).await?;
        }
        let names = monitoring.each_ref().map(|home| home.name.as_str());
        let namespaces = format!("--prometheus-namespaces={}", names.join(","));
        let proxy = Proxy::start_as(client.clone(), &rights::operator_in(rights::SYSTEM)).await?;
        let operator = RunningOperator::start(options(&[&namespaces]), proxy.config());
        for (ns, home) in test_namespaces.iter().zip(names) {
            ns.applied("tasks").await?;
            ensure!(release(ns).await? == [Some(home.to_owned()), Some(home.to_owned())]);
            ensure!(
                scrapers(ns, "tasks").await? == json!(names),
                "all of them may scrape"
            );
            let url = format!("http://prometheus-operated.{home}.svc:9090");
            condition_reports(ns, "Monitored", "PrometheusUnreachable", &[&url]).await?;
        }
        for ns in &test_namespaces {
            ns.delete("tasks").await?;
            ns.gone("tasks").await?;
        }
        operator.stop().await
    })
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Starts a Prometheus API without series; returns its URL, and the tokens that it gets.
async fn empty_prometheus(pair: &Pair) -> Result<(String, Arc<Mutex<Vec<String>>>)> {
    let certificates = CertificateDer::pem_file_iter(&pair.cert)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_file(&pair.key)?)?;
    let listener = Tls {
        listener: TcpListener::bind("127.0.0.1:0").await?,
        acceptor: TlsAcceptor::from(Arc::new(config)),
    };
    let url = format!("https://{}", listener.listener.local_addr()?);
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let shown = Arc::clone(&tokens);
    let router = Router::new().fallback(async move |headers: HeaderMap| {
        let token = headers.get(http::header::AUTHORIZATION);
        let token = token.map(|token| String::from_utf8_lossy(token.as_bytes()).into_owned());
        shown.lock().unwrap().push(token.unwrap_or_default());
        r#"{"status": "success", "data": {"resultType": "vector", "result": []}}"#
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, tokens))
}

#[test]
fn a_namespaced_operator_queries_the_given_url_by_tls_with_its_token() -> Result<()> {
    block_on(async {
        let _turn = TURN.lock().await;
        let ns = TestNamespace::new("trust-confined").await?;
        let folder = tempfile::tempdir()?;
        let authority = Authority::open(folder.path())?;
        let subject = Subject {
            user: "prometheus",
            ips: &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            ..Subject::default()
        };
        let (url, tokens) = empty_prometheus(&authority.issue("prometheus", &subject)?).await?;
        let token = folder.path().join("token");
        std::fs::write(&token, "secret")?;
        let proxy = Proxy::start(&ns).await?;
        let arguments = [
            format!("--namespaces={}", ns.name),
            format!("--prometheus-url={url}/"),
            format!("--prometheus-token-file={}", token.display()),
            format!("--prometheus-ca-file={}", authority.cert().display()),
            "--prometheus-namespaces=observability".to_owned(),
            "--monitor-labels=release=prom".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let operator = RunningOperator::start(options(&arguments), proxy.config());
        ns.apply("tasks", app()).await?;
        ns.applied("tasks").await?;
        condition_reports(&ns, "Monitored", "NoTargets", &["no target of the job tasks"]).await?;
        let tokens = tokens.lock().unwrap().clone();
        ensure!(tokens.iter().all(|token| token == "Bearer secret"), "{tokens:?}");
        ensure!(release(&ns).await? == [Some("prom".to_owned()), Some("prom".to_owned())]);
        // The namespaces that scrape can be configured, because it may not list Prometheus objects.
        for policy in ["tasks", "tasks-cache"] {
            ensure!(scrapers(&ns, policy).await? == json!(["observability"]));
        }
        operator.stop().await
    })
}
