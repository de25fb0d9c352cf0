//! Releases that are tried: whole ones, with the operator killed before and after each write of a record or of the
//! Deployment; and what the rest of the cluster may do meanwhile.
#![allow(clippy::unwrap_used)]

use anyhow::{Context, Result, ensure};
use apiserver_tests::rollout::{BROKEN, FAILING, counting_prometheus, follow};
use apiserver_tests::{
    Crash, Proxy, RunningOperator, TestNamespace, block_on, condition, eventually, options, survive_each,
};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use kube::api::{Api, ListParams, Patch, PatchParams};
use observedapp_api::ObservedApp;
use serde_json::{Value, json};

/// Runs side by side.
const CONCURRENCY: usize = 16;

fn spec(image: &str) -> Value {
    json!({
        "image": image, "metrics": {"port": 8000, "interval": "5s"},
        "health": {"startupSeconds": 1},
        "rollout": {"guard": {"bakeTime": "10s", "watchTime": "10s"}},
        "slos": [{"name": "availability", "objective": 99.9, "indicator": {"availability": {}}}],
    })
}

/// A namespace in which pods follow the app `tasks`, with a Prometheus that counts their requests.
struct Stage {
    ns: TestNamespace,
    proxy: Proxy,
    arguments: [String; 3],
    _pods: tokio_util::task::AbortOnDropHandle<()>,
    _prometheus: tokio_util::task::AbortOnDropHandle<()>,
}

impl Stage {
    async fn new(purpose: &str) -> Result<Self> {
        let ns = TestNamespace::new(purpose).await?;
        let proxy = Proxy::start(&ns).await?;
        let (url, prometheus) = counting_prometheus(&ns).await?;
        Ok(Self {
            arguments: [
                "--namespaces".to_owned(),
                ns.name.clone(),
                format!("--prometheus-url={url}"),
            ],
            proxy,
            _pods: follow(&ns, "tasks"),
            _prometheus: prometheus,
            ns,
        })
    }

    fn start(&self) -> RunningOperator {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        RunningOperator::start(options(&arguments), self.proxy.config())
    }

    async fn ship(&self, image: &str, number: i64, phase: &str) -> Result<ObservedApp> {
        self.ns.apply("tasks", spec(image)).await?;
        self.reaches(number, phase).await
    }

    async fn reaches(&self, number: i64, phase: &str) -> Result<ObservedApp> {
        let what = format!("release {number} is {phase}");
        self.ns
            .until("tasks", &what, |app| {
                let release = app.status.as_ref().and_then(|status| status.release.as_ref());
                release.is_some_and(|release| release.number == number && release.phase == phase)
            })
            .await
    }

    async fn deployment(&self) -> Result<Deployment> {
        let api: Api<Deployment> = Api::namespaced(self.ns.client.clone(), &self.ns.name);
        Ok(api.get("tasks").await?)
    }

    async fn annotate(&self, name: &str, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {name: value}}}));
        self.ns
            .apps()
            .patch("tasks", &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Every record's number, image and phase; what the Deployment runs; and how many pods there are.
    async fn end(&self) -> Result<Vec<String>> {
        let api: Api<ControllerRevision> = Api::namespaced(self.ns.client.clone(), &self.ns.name);
        let mut records = api.list(&ListParams::default()).await?.items;
        records.sort_by_key(|record| record.revision);
        let mut end: Vec<String> = records
            .into_iter()
            .map(|record| {
                let annotations = record.metadata.annotations.unwrap_or_default();
                let of = |name: &str| {
                    annotations
                        .get(&format!("observedapp.dev/release-{name}"))
                        .cloned()
                };
                let data = record.data.map(|data| data.0).unwrap_or_default();
                format!(
                    "{} {} {:?} promoted {:?} withdrawn {:?}",
                    record.revision,
                    data["image"],
                    of("phase"),
                    of("promoted"),
                    of("withdrawn")
                )
            })
            .collect();
        let spec = self.deployment().await?.spec.context("no spec")?;
        let template = spec.template;
        end.push(format!(
            "{:?} {:?} {:?}",
            template
                .metadata
                .and_then(|meta| meta.labels.unwrap_or_default().remove("observedapp.dev/release")),
            template.spec.map(|spec| spec.containers[0].image.clone()),
            spec.min_ready_seconds
        ));
        Ok(end)
    }
}

/// Ships three releases, the second good and the third bad; returns how it ends, and the number of writes.
async fn ship_three(crash: Crash, expected: Option<&[String]>) -> Result<(Vec<String>, usize)> {
    let stage = Stage::new("releases").await?;
    let coming = crash.prepare(&stage.proxy, |call| {
        ["controllerrevisions", "deployments"].contains(&call.resource.as_str())
    });
    let first = stage.start();
    let story = async {
        stage.ship("tasks:1", 1, "Stable").await?;
        stage.ship("tasks:2", 2, "Stable").await?;
        stage.ship(FAILING, 3, "RolledBack").await?;
        anyhow::Ok(())
    };
    tokio::select! {
        done = story => done?,
        error = coming.kill_and_restart(&stage.proxy, first, || stage.start()) => match error? {},
    }
    let end = match expected {
        None => stage.end().await?,
        Some(expected) => {
            eventually("it ends as without a crash", async || {
                let end = stage.end().await?;
                ensure!(end == expected, "{end:#?}");
                Ok(end)
            })
            .await?
        }
    };
    Ok((end, coming.writes()))
}

#[test]
fn a_crash_before_or_after_any_write_of_a_release_ends_the_same() -> Result<()> {
    block_on(async {
        let (end, writes) = ship_three(Crash::Never, None).await?;
        println!("without a crash, {writes} writes of records and Deployments end in {end:#?}");
        let phases: Vec<bool> = ["Stable", "Stable", "RolledBack"]
            .iter()
            .zip(&end)
            .map(|(phase, record)| record.contains(phase))
            .collect();
        ensure!(end.len() == 4 && phases.iter().all(|is| *is), "{end:#?}");
        let end = &end;
        let survived = survive_each(writes, CONCURRENCY, |crash| ship_three(crash, Some(end))).await?;
        println!("recovered from {survived} crashes");
        Ok(())
    })
}

#[test]
fn one_that_never_answers_is_taken_back_until_a_person_says_otherwise() -> Result<()> {
    block_on(async {
        let stage = Stage::new("never-ready").await?;
        let _operator = stage.start();
        stage.ship("tasks:1", 1, "Stable").await?;
        stage.ns.apply("tasks", spec(BROKEN)).await?;
        let baking = stage.reaches(2, "Baking").await?;
        assert_eq!(condition(&baking, "Available").0, "True", "the old pods serve");
        assert_eq!(condition(&baking, "Reconciling").1, "Baking");
        let app = stage.reaches(2, "NeverReady").await?;
        let (status, reason, message) = condition(&app, "Released");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "NeverReady"));
        assert!(
            message.starts_with("release 2 was taken back; release 1 runs: its pod"),
            "{message}"
        );
        assert_eq!(condition(&app, "Stalled").0, "True");

        stage
            .annotate("observedapp.dev/release-anyway", "the check is wrong")
            .await?;
        let app = stage.reaches(2, "RollingOut").await?;
        assert_eq!(condition(&app, "Stalled").0, "");
        let history = app.status.unwrap().releases;
        assert_eq!(
            history[1].verdict.as_deref(),
            Some("released anyway: the check is wrong")
        );
        Ok(())
    })
}

#[test]
fn what_is_not_recorded_by_the_app_is_left_alone() -> Result<()> {
    block_on(async {
        let stage = Stage::new("foreign-record").await?;
        let foreign = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "tasks-release-1"}, "revision": 1, "data": {},
        });
        let api: Api<ControllerRevision> = Api::namespaced(stage.ns.client.clone(), &stage.ns.name);
        api.create(
            &kube::api::PostParams::default(),
            &serde_json::from_value(foreign)?,
        )
        .await?;
        let _operator = stage.start();
        stage.ns.apply("tasks", spec("tasks:1")).await?;
        let app = stage
            .ns
            .until("tasks", "the record is foreign", |app| {
                condition(app, "Applied").1 == "ForeignObject"
            })
            .await?;
        let message = condition(&app, "Applied").2;
        assert!(message.contains("tasks-release-1"), "{message}");
        ensure!(
            stage.deployment().await.is_err(),
            "pods follow records, and never the other way round"
        );
        Ok(())
    })
}

#[test]
fn without_a_guard_nothing_is_recorded_and_no_pod_is_labelled() -> Result<()> {
    block_on(async {
        let stage = Stage::new("unguarded").await?;
        let _operator = stage.start();
        stage.ns.apply("tasks", json!({"image": "tasks:1"})).await?;
        let app = stage.ns.applied("tasks").await?;
        assert_eq!(condition(&app, "Released").0, "");
        let end = stage.end().await?;
        assert_eq!(end, [r#"None Some(Some("tasks:1")) None"#]);
        let asked = stage
            .proxy
            .calls()
            .into_iter()
            .filter(|call| call.resource == "controllerrevisions");
        ensure!(
            asked
                .clone()
                .all(|call| call.verb == "list" || call.verb == "watch"),
            "{:?}",
            asked.collect::<Vec<_>>()
        );

        // Switched on later, what runs is recorded without a trial.
        let app = stage.ship("tasks:1", 1, "Stable").await?;
        assert_eq!(app.status.unwrap().releases.len(), 1);
        Ok(())
    })
}
