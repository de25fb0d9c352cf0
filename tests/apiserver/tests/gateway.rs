//! HTTPRoutes, with the released CRDs of the Gateway API. No controller of Gateways runs: the tests write what one would.
#![allow(clippy::unwrap_used)]

use anyhow::{Result, ensure};
use apiserver_tests::{
    Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, install_gateway_api, options,
    rights,
};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use observedapp_api::ObservedApp;
use observedapp_desired::Kind;
use serde_json::{Value, json};

fn gateway(hostnames: &[&str]) -> Value {
    json!({"parentRefs": [{"name": "public", "namespace": "infra"}], "hostnames": hostnames})
}

fn routed(hostnames: &[&str]) -> Value {
    json!({"image": "tasks:1", "replicas": 1, "gateway": gateway(hostnames)})
}

fn url(app: &ObservedApp) -> &str {
    app.status
        .as_ref()
        .and_then(|status| status.url.as_deref())
        .unwrap()
}

/// The hosts of the HTTPRoute of this name; none where there is none.
async fn hosts(ns: &TestNamespace, name: &str) -> Result<Vec<String>> {
    let route = ns.objects(Kind::HTTPRoute).get_opt(name).await?;
    let hosts = route.map(|route| serde_json::from_value(route.data["spec"]["hostnames"].clone()));
    Ok(hosts.transpose()?.unwrap_or_default())
}

async fn has_hosts(ns: &TestNamespace, name: &str, wanted: &[&str]) -> Result<()> {
    eventually(
        &format!("{}/{name} has the hosts {wanted:?}", ns.name),
        async || {
            let found = hosts(ns, name).await?;
            ensure!(found == wanted, "{found:?}");
            Ok(())
        },
    )
    .await
}

/// Writes what the controller of the Gateway `infra/public` says of a route's present generation.
async fn answer(ns: &TestNamespace, accepted: (&str, &str), resolved: (&str, &str)) -> Result<()> {
    let routes = ns.objects(Kind::HTTPRoute);
    let generation = routes.get("tasks").await?.metadata.generation;
    let condition = |type_: &str, (status, reason): (&str, &str)| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let status = json!({"status": {"parents": [{
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "infra"},
        "controllerName": "example.com/gateway",
        "conditions": [condition("Accepted", accepted), condition("ResolvedRefs", resolved)],
    }]}});
    routes
        .patch_status("tasks", &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(())
}

async fn exposed(ns: &TestNamespace, status: &str, reason: &str) -> Result<ObservedApp> {
    ns.until("tasks", &format!("Exposed is {status}, {reason}"), |app| {
        let (is_status, is_reason, _) = condition(app, "Exposed");
        is_status == status && is_reason == reason
    })
    .await
}

#[test]
fn an_app_moves_from_an_ingress_to_a_gateway_and_back() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("moves").await?;
        install_gateway_api(&ns.client).await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let host = "moves.example.com";
        let ingress = json!({"host": host, "tlsSecretName": "tls"});
        let mut spec =
            json!({"image": "tasks:1", "replicas": 1, "service": {"port": 8080}, "ingress": ingress});
        ns.apply("tasks", spec.clone()).await?;
        ns.applied("tasks").await?;

        // Beside the Ingress, which stays the URL.
        spec["gateway"] = gateway(&[host, "*.moves.example.com"]);
        spec["gateway"]["path"] = json!("/shop");
        ns.apply("tasks", spec.clone()).await?;
        let app = ns.applied("tasks").await?;
        assert_eq!(url(&app), "https://moves.example.com/");
        assert_eq!(ns.names(Kind::Ingress).await?, ["tasks"]);
        let route = ns.objects(Kind::HTTPRoute).get("tasks").await?;
        assert!(route.metadata.owner_references.is_some());
        let rule = &route.data["spec"]["rules"][0];
        assert_eq!(
            rule["matches"][0]["path"],
            json!({"type": "PathPrefix", "value": "/shop"})
        );
        assert_eq!(rule["backendRefs"][0]["name"], "tasks");
        assert_eq!(rule["backendRefs"][0]["port"], 8080);
        assert_eq!(hosts(&ns, "tasks").await?, [host, "*.moves.example.com"]);

        spec.as_object_mut().unwrap().remove("ingress");
        ns.apply("tasks", spec.clone()).await?;
        ns.until("tasks", "its URL is the route's", |app| {
            url(app) == "http://moves.example.com/shop"
        })
        .await?;
        assert_eq!(ns.names(Kind::Ingress).await?, Vec::<String>::new());

        spec.as_object_mut().unwrap().remove("gateway");
        ns.apply("tasks", spec).await?;
        ns.until("tasks", "its URL is the Service's", |app| {
            condition(app, "Applied").0 == "True" && url(app).starts_with("http://tasks.")
        })
        .await?;
        assert_eq!(ns.names(Kind::HTTPRoute).await?, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn exposed_follows_what_the_gateways_controller_says_of_the_newest_route() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("accepted").await?;
        install_gateway_api(&ns.client).await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        ns.apply("tasks", routed(&["accepted.example.com"])).await?;
        exposed(&ns, "Unknown", "RouteNotLookedAt").await?;
        answer(&ns, ("False", "NotAllowedByListeners"), ("True", "ResolvedRefs")).await?;
        let app = exposed(&ns, "False", "RouteNotAccepted").await?;
        let (_, _, message) = condition(&app, "Exposed");
        assert!(
            message.contains("infra/public") && message.contains(&ns.name),
            "{message}"
        );
        answer(&ns, ("True", "Accepted"), ("False", "BackendNotFound")).await?;
        exposed(&ns, "False", "RouteNotResolved").await?;
        answer(&ns, ("True", "Accepted"), ("True", "ResolvedRefs")).await?;
        exposed(&ns, "True", "Exposed").await?;
        // What was said of an earlier route says nothing of this one.
        ns.apply(
            "tasks",
            routed(&["accepted.example.com", "more.accepted.example.com"]),
        )
        .await?;
        exposed(&ns, "Unknown", "RouteNotLookedAt").await?;
        answer(&ns, ("True", "Accepted"), ("True", "ResolvedRefs")).await?;
        exposed(&ns, "True", "Exposed").await?;
        Ok(())
    })
}

#[test]
fn a_foreign_route_is_reported_kept_and_replaced_once_deleted() -> Result<()> {
    block_on(async {
        let ns = TestNamespace::new("foreign-route").await?;
        install_gateway_api(&ns.client).await?;
        let (_proxy, _operator) = RunningOperator::behind_proxy(&ns).await?;
        let routes = ns.objects(Kind::HTTPRoute);
        let foreign = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "tasks"},
            "spec": {"hostnames": ["foreign.example.com"]},
        }))?;
        let before = routes.create(&PostParams::default(), &foreign).await?;
        ns.apply("tasks", routed(&["foreign.example.com"])).await?;
        let app = ns
            .until("tasks", "the foreign HTTPRoute is reported", |app| {
                condition(app, "Applied").1 == "ForeignObject"
            })
            .await?;
        assert!(condition(&app, "Applied").2.contains("HTTPRoute tasks"));
        assert_eq!(condition(&app, "Exposed").1, "NotCreated");
        assert!(url(&app).starts_with("http://tasks."), "{}", url(&app));
        let after = routes.get("tasks").await?;
        assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
        routes.delete("tasks", &DeleteParams::default()).await?;
        ns.applied("tasks").await?;
        assert!(routes.get("tasks").await?.metadata.owner_references.is_some());
        Ok(())
    })
}

#[test]
fn a_host_belongs_to_one_app_whichever_kind_carries_it() -> Result<()> {
    block_on(async {
        let theirs = TestNamespace::new("kinds-a").await?;
        let ours = TestNamespace::new("kinds-b").await?;
        install_gateway_api(&ours.client).await?;
        let names = [theirs.name.as_str(), ours.name.as_str()];
        rights::grant_in_namespaces(&theirs.client, names[0], &names).await?;
        let proxy = Proxy::start(&theirs).await?;
        let _operator = RunningOperator::start(options(&["--namespaces", &names.join(",")]), proxy.config());
        let by_ingress =
            |path: &str| json!({"image": "tasks:1", "ingress": {"host": "kinds.example.com", "path": path}});
        let taken = async |ns: &TestNamespace, app: &str, holder: &str| {
            let holder = format!("{}/{holder}", theirs.name);
            ns.until(app, &format!("{holder} has the host"), |app| {
                let (_, reason, message) = condition(app, "Exposed");
                reason == "HostTaken" && message.contains(&holder)
            })
            .await
        };
        theirs.apply("tasks", by_ingress("/")).await?;
        theirs.applied("tasks").await?;

        // Of an HTTPRoute, only the host that another app has is left out.
        ours.apply("tasks", routed(&["kinds.example.com", "own.kinds.example.com"]))
            .await?;
        has_hosts(&ours, "tasks", &["own.kinds.example.com"]).await?;
        let app = taken(&ours, "tasks", "tasks").await?;
        assert_eq!(url(&app), "http://own.kinds.example.com/");

        // The app that has it moves to a Gateway and keeps it.
        let mut both = by_ingress("/");
        both["gateway"] = gateway(&["kinds.example.com"]);
        theirs.apply("tasks", both).await?;
        has_hosts(&theirs, "tasks", &["kinds.example.com"]).await?;
        theirs.apply("tasks", routed(&["kinds.example.com"])).await?;
        eventually("its Ingress is gone", async || {
            ensure!(theirs.names(Kind::Ingress).await?.is_empty());
            Ok(())
        })
        .await?;
        taken(&ours, "tasks", "tasks").await?;

        // An Ingress in its namespace gets another path of the host and not the same.
        theirs.apply("again", by_ingress("/")).await?;
        taken(&theirs, "again", "tasks").await?;
        assert_eq!(theirs.names(Kind::Ingress).await?, Vec::<String>::new());
        theirs.apply("again", by_ingress("/login")).await?;
        eventually("it has an Ingress", async || {
            ensure!(theirs.names(Kind::Ingress).await? == ["again"]);
            Ok(())
        })
        .await?;

        // Once nobody there has it, it goes to who has asked for it.
        for app in ["again", "tasks"] {
            theirs.apply(app, json!({"image": "tasks:1"})).await?;
        }
        has_hosts(&ours, "tasks", &["kinds.example.com", "own.kinds.example.com"]).await
    })
}
