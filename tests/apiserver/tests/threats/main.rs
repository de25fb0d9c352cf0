//! What a user who may only create ObservedApps in one namespace cannot do through an operator with the chart's
//! cluster-wide rights. SECURITY.md names each of these tests.
#![allow(clippy::unwrap_used)]

mod intruder;

use anyhow::{Result, ensure};
use apiserver_tests::{TestNamespace, block_on, condition, snapshot};
use intruder::Intruder;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, PostParams};
use observedapp_desired::Kind;
use serde_json::{Value, json};

async fn create(ns: &TestNamespace, kind: Kind, name: &str, rest: Value) -> Result<DynamicObject> {
    let mut object = rest;
    object["apiVersion"] = json!(kind.gvk().api_version());
    object["kind"] = json!(kind.as_str());
    object["metadata"] = json!({"name": name, "namespace": ns.name});
    let object: DynamicObject = serde_json::from_value(object)?;
    Ok(ns.objects(kind).create(&PostParams::default(), &object).await?)
}

#[test]
fn the_user_can_only_create_apps_in_one_namespace() -> Result<()> {
    block_on(async {
        let intruder = Intruder::new("threat-rights").await?;
        let other_namespace = TestNamespace::new("threat-rights-other").await?;
        let own = &intruder.ns.name;
        let other = &other_namespace.name;
        for (method, url) in [
            ("GET", format!("/api/v1/namespaces/{own}/secrets")),
            ("GET", format!("/api/v1/namespaces/{other}/secrets")),
            ("POST", format!("/api/v1/namespaces/{own}/pods")),
            ("POST", format!("/apis/apps/v1/namespaces/{own}/deployments")),
            (
                "POST",
                format!("/apis/monitoring.coreos.com/v1/namespaces/{own}/prometheusrules"),
            ),
            (
                "POST",
                format!("/apis/observedapp.dev/v1alpha1/namespaces/{other}/observedapps"),
            ),
        ] {
            let body = json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": "a"}});
            let response = intruder
                .ask(method, &url, (method == "POST").then_some(&body))
                .await?;
            let refused = format!("{:?}", response.unwrap_err());
            ensure!(refused.contains("forbidden"), "{method} {url}: {refused}");
        }
        Ok(())
    })
}

#[test]
fn a_secret_of_another_namespace_is_not_read() -> Result<()> {
    block_on(async {
        let intruder = Intruder::new("threat-secret").await?;
        let victim = TestNamespace::new("threat-secret-victim").await?;
        create(
            &victim,
            Kind::Secret,
            "vault",
            json!({"stringData": {"token": "known-to-the-victim"}}),
        )
        .await?;
        let proxy = intruder.operator().await?;
        let there = format!("{}/vault", victim.name);
        let reference = json!({"name": "vault", "namespace": victim.name, "key": "token"});
        let tries = [
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": reference}}]}),
            json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": there, "key": "token"}}}]}),
            json!({"envFrom": [{"secretRef": reference}]}),
            json!({"imagePullSecrets": [{"name": there}]}),
            json!({"volumes": [{"name": "a", "secret": {"secretName": there}}]}),
            json!({"volumes": [{"name": "a", "projected": {"sources": [{"secret": reference}]}}]}),
            json!({"volumes": [{"name": "a", "csi": {"driver": "d", "nodePublishSecretRef": reference}}]}),
            json!({"database": {"external": {"secretName": there, "key": "token"}}}),
            json!({"database": {"external": {"secretName": "vault", "namespace": victim.name, "key": "token"}}}),
            json!({"cache": {"external": {"secretName": "vault", "namespace": victim.name, "key": "token"}}}),
            json!({"ingress": {"host": "a.example.com", "tlsSecretName": there}}),
        ];
        for (i, spec) in tries.into_iter().enumerate() {
            let name = format!("try-{i}");
            if intruder.create(&name, spec).await?.is_ok() {
                intruder.decided(&name, "Applied").await?;
            }
        }
        // No object in the namespace has the Secret's data, and the operator has not requested it.
        let made = format!("{:?}", snapshot(&intruder.ns).await?);
        ensure!(!made.contains("known-to-the-victim"), "{made}");
        let encoded = "a25vd24tdG8tdGhlLXZpY3RpbQ";
        ensure!(!made.contains(encoded), "{made}");
        let calls = proxy.calls();
        let request = calls.iter().find(|call| {
            call.namespace.as_deref() == Some(&victim.name) && call.name.as_deref() == Some("vault")
        });
        ensure!(request.is_none(), "{request:?}");
        ensure!(
            made.contains("Deployment/try-0"),
            "no objects were created: {made}"
        );
        Ok(())
    })
}

#[test]
fn a_path_of_the_host_is_not_mounted() -> Result<()> {
    block_on(async {
        let intruder = Intruder::new("threat-host").await?;
        intruder.operator().await?;
        let host = json!({"path": "/"});
        let mount = |more: Value| {
            let mut mount = json!({"name": "a", "mountPath": "/host"});
            mount
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().cloned().unwrap_or_default());
            json!([mount])
        };
        // Refused by the API server: every volume needs exactly one of the allowed sources.
        for kind in ["hostPath", "nfs", "local", "flexVolume"] {
            let spec = json!({"volumes": [{"name": "a", kind: host}], "volumeMounts": mount(json!({}))});
            let refused = intruder.create(&kind.to_lowercase(), spec).await?.unwrap_err();
            ensure!(
                refused.iter().any(|cause| cause.field == "spec.volumes[0]"),
                "{kind}: {refused:?}"
            );
        }
        // Dropped as an unknown field next to an allowed source.
        let beside = json!({"volumes": [{"name": "a", "emptyDir": {}, "hostPath": host}], "volumeMounts": mount(json!({}))});
        intruder.create("beside", beside).await?.unwrap();
        let in_pod_template =
            json!({"podTemplate": {"spec": {"volumes": [{"name": "b", "hostPath": host}]}}});
        intruder.create("pod-template", in_pod_template).await?.unwrap();
        // A path out of a volume: reported by the operator, and not applied.
        let volumes = json!([{"name": "a", "emptyDir": {}}]);
        let out = json!({"volumes": volumes, "volumeMounts": mount(json!({"subPath": "../../etc"}))});
        intruder.create("out", out).await?.unwrap();
        let (valid, message) = intruder.decided("out", "Valid").await?;
        ensure!(
            valid == "False" && message.contains("subPath"),
            "{valid}: {message}"
        );
        // Mount propagation to the host: dropped, too.
        let back =
            json!({"volumes": volumes, "volumeMounts": mount(json!({"mountPropagation": "Bidirectional"}))});
        intruder.create("back", back).await?.unwrap();

        for app in ["back", "beside", "pod-template"] {
            intruder.decided(app, "Applied").await?;
        }
        ensure!(intruder.ns.names(Kind::Deployment).await? == ["back", "beside", "pod-template"]);
        let made = format!("{:?}", snapshot(&intruder.ns).await?);
        ensure!(
            !made.contains("hostPath") && !made.contains("Bidirectional"),
            "{made}"
        );
        Ok(())
    })
}

#[test]
fn nothing_runs_privileged() -> Result<()> {
    block_on(async {
        let intruder = Intruder::new("threat-privileged").await?;
        intruder.operator().await?;
        let restricted = TestNamespace::new("threat-privileged-restricted").await?;
        restricted.enforce_restricted().await?;
        let container = json!({
            "privileged": true, "allowPrivilegeEscalation": true, "procMount": "Unmasked",
            "capabilities": {"add": ["SYS_ADMIN"]}, "seccompProfile": {"type": "Unconfined"},
        });
        let tries = [
            json!({"securityContext": container}),
            json!({"hostPID": true, "hostNetwork": true, "hostIPC": true, "hostUsers": true}),
            json!({"podTemplate": {"spec": {"hostPID": true, "containers": [{"name": "b", "securityContext": container}]}}}),
            json!({"initContainers": [{"name": "b", "image": "b", "securityContext": container}]}),
            json!({"serviceAccount": {"name": "admin", "automountServiceAccountToken": true}, "serviceAccountName": "admin"}),
            json!({"securityContext": {"addNetBindService": true}, "automountServiceAccountToken": true}),
        ];
        let count = tries.len();
        for (i, spec) in tries.into_iter().enumerate() {
            let name = format!("try-{i}");
            // Fields that are not in the schema are dropped.
            intruder.create(&name, spec).await?.unwrap();
            let (applied, message) = intruder.decided(&name, "Applied").await?;
            ensure!(applied == "True", "{name}: {message}");
        }
        for (i, annotation) in [
            "container.apparmor.security.beta.kubernetes.io/a",
            "seccomp.security.alpha.kubernetes.io/pod",
        ]
        .into_iter()
        .enumerate()
        {
            let spec = json!({"podTemplate": {"annotations": {annotation: "unconfined"}}});
            let refused = intruder
                .create(&format!("annotated-{i}"), spec)
                .await?
                .unwrap_err();
            ensure!(refused[0].field == "spec.podTemplate.annotations", "{refused:?}");
        }
        let deployments = intruder
            .ns
            .objects(Kind::Deployment)
            .list(&ListParams::default())
            .await?;
        ensure!(deployments.items.len() == count);
        for deployment in deployments {
            let name = deployment.name_any();
            let deployment = serde_json::to_value(&deployment)?;
            let pod = &deployment["spec"]["template"]["spec"];
            ensure!(pod["serviceAccountName"] == *name, "{name}: {pod}");
            ensure!(pod["automountServiceAccountToken"] == false, "{name}: {pod}");
            ensure!(
                pod["containers"].as_array().map(Vec::len) == Some(1),
                "{name}: {pod}"
            );
            let response = restricted.would_run(&deployment).await?.unwrap();
            ensure!(response.is_ok(), "{name}: {response:?}");
        }
        Ok(())
    })
}

#[test]
fn an_object_of_another_owner_is_not_taken_over() -> Result<()> {
    block_on(async {
        let intruder = Intruder::new("threat-foreign").await?;
        let ns = &intruder.ns;
        let pod = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
        let ports = json!([{"port": 1}]);
        let mut others = Vec::new();
        for (kind, name, rest) in [
            (Kind::ServiceAccount, "tasks", json!({})),
            (
                Kind::Secret,
                "tasks-db-app",
                json!({"stringData": {"password": "of another"}}),
            ),
            (
                Kind::Secret,
                "tasks-db-superuser",
                json!({"stringData": {"password": "of another"}}),
            ),
            (Kind::ConfigMap, "tasks-dashboards", json!({"data": {"a": "b"}})),
            (Kind::ConfigMap, "tasks-db", json!({"data": {"a": "b"}})),
            (
                Kind::PersistentVolumeClaim,
                "tasks-db",
                json!({"spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                }}),
            ),
            (Kind::NetworkPolicy, "tasks", json!({"spec": {"podSelector": {}}})),
            (Kind::Service, "tasks", json!({"spec": {"ports": ports}})),
            (
                Kind::Deployment,
                "tasks",
                json!({"spec": {
                    "selector": {"matchLabels": {"a": "b"}}, "template": pod,
                }}),
            ),
            (Kind::PrometheusRule, "tasks", json!({"spec": {"groups": []}})),
            // A privileged one: pods that used it would have its rights, or its data.
            (Kind::ServiceAccount, "deployer", json!({})),
            (
                Kind::PersistentVolumeClaim,
                "orders-db",
                json!({"spec": {
                    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                }}),
            ),
        ] {
            let object = create(ns, kind, name, rest).await?;
            others.push((kind, name, object.metadata.resource_version));
        }
        intruder.operator().await?;
        let database = json!({"database": {"builtin": {}}});
        for (name, spec) in [
            ("tasks", database.clone()),
            ("deployer", json!({})),
            ("orders", database),
        ] {
            intruder.create(name, spec).await?.unwrap();
            let app = ns
                .until(name, "the conflict is reported", |app| {
                    condition(app, "Applied").1 == "ForeignObject"
                })
                .await?;
            let message = condition(&app, "Applied").2;
            ensure!(
                message.contains("exists already and is left alone"),
                "{name}: {message}"
            );
        }
        for (kind, name, version) in others {
            let now = ns.objects(kind).get(name).await?;
            ensure!(
                now.metadata.resource_version == version,
                "the {} {name} was changed",
                kind.as_str()
            );
        }
        let deployments = ns.names(Kind::Deployment).await?;
        ensure!(
            !deployments.contains(&"deployer".to_owned()),
            "pods run under another's ServiceAccount"
        );
        let stateful_sets = ns.names(Kind::StatefulSet).await?;
        ensure!(
            stateful_sets.is_empty(),
            "{stateful_sets:?} run on another's claim"
        );
        Ok(())
    })
}

#[test]
fn no_rule_harms_the_shared_prometheus() -> Result<()> {
    block_on(async {
        let intruder = Intruder::new("threat-rules").await?;
        let ns = &intruder.ns;
        intruder.operator().await?;
        let alert = |rest: Value| {
            let mut alert = json!({"alert": "Mine", "expr": "up == 0"});
            alert
                .as_object_mut()
                .unwrap()
                .extend(rest.as_object().cloned().unwrap_or_default());
            json!({"alerts": {"extra": [alert]}})
        };
        let expr = |expr: &str| alert(json!({"expr": expr}));
        let ratio = |errors: &str| json!({"slos": [{"name": "a", "objective": 99, "indicator": {"ratio": {"errors": errors, "total": "b"}}}]});
        let nested = format!("{}up{} > 0", "(".repeat(2000), ")".repeat(2000));
        let tries = [
            // Reads data of others.
            expr(r#"up{namespace="kube-system"}"#),
            expr(r#"up{namespace=~".+"}"#),
            expr(r#"{__name__=~".+"}"#),
            expr(r#"{job="prometheus"}"#),
            ratio(r#"a{namespace="kube-system"}"#),
            ratio(r#"a{b="c"} or up{namespace!="x"}"#),
            alert(json!({"annotations": {"summary": r#"{{ query "up" }}"#}})),
            alert(json!({"labels": {"severity": r#"{{ query "up" | first | value }}"#}})),
            // Is too expensive.
            expr("rate(up[10y]) > 0"),
            expr("max_over_time(rate(up[5m])[30d:1s]) > 0"),
            expr("up offset 10y"),
            expr(r#"up{pod=~"(((a{1,100}){1,100}){1,100}){1,100}"}"#),
            expr(&nested),
            // Breaks the rule file that all apps share.
            expr("sum by ("),
            expr("up @ -9999999999999999"),
            alert(json!({"annotations": {"summary": "{{ .Open"}})),
            alert(json!({"labels": {"a-b": "c"}})),
            // Impersonates another app.
            alert(json!({"labels": {"namespace": "kube-system"}})),
            alert(json!({"labels": {"app": "billing"}})),
            alert(json!({"alert": "DatabaseDown"})),
            json!({"alerts": {"extra": (0..51).map(|i| json!({"alert": format!("A{i}"), "expr": "up"})).collect::<Vec<_>>()}}),
        ];
        for (i, spec) in tries.into_iter().enumerate() {
            let name = format!("try-{i}");
            let attempt = format!("{spec:.200}");
            if intruder.create(&name, spec).await?.is_ok() {
                let (valid, message) = intruder.decided(&name, "Valid").await?;
                ensure!(valid == "False", "{attempt} is taken");
                ensure!(
                    message.contains("extra[0]") || message.contains("slos[0]"),
                    "{attempt}: {message}"
                );
            }
        }
        let rules = ns.names(Kind::PrometheusRule).await?;
        ensure!(rules.is_empty(), "{rules:?}");

        // Accepted rules select only their own namespace, and no group has unbounded size.
        intruder
            .create("taken", expr("sum(rate(errors_total[5m])) / on() sum(up) > 0.5"))
            .await?
            .unwrap();
        intruder.decided("taken", "Applied").await?;
        let rule = serde_json::to_value(ns.objects(Kind::PrometheusRule).get("taken").await?)?;
        let groups = rule["spec"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let mine = rules.clone().find(|rule| rule["alert"] == "Mine").unwrap();
        let own = format!("namespace=\"{}\"", ns.name);
        ensure!(
            mine["expr"].as_str().unwrap().matches(&own).count() == 2,
            "{mine}"
        );
        ensure!(
            mine["labels"]["namespace"] == ns.name.as_str() && mine["labels"]["app"] == "taken",
            "{mine}"
        );
        for group in groups {
            ensure!(group["limit"].as_u64().is_some_and(|limit| limit > 0), "{group}");
        }
        Ok(())
    })
}
