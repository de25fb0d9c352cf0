//! One Grafana dashboard an app, in the order in which one reads in an incident: what was promised, what users see, what
//! the pods take, and the database and cache that they use.

mod backends;
mod fleet;
mod frame;
mod model;
mod panel;
mod probe;
mod red;
mod slos;
mod table;
mod usage;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use observedapp_slo::names::{RELEASE_BEGAN, RELEASE_INFO, alerts};

use self::frame::{TAG, datasource, framed, written};
use self::model::{Annotation, Choice, Dashboard, Link, Listed, PROMETHEUS, Variable};
use self::panel::Grid;
use crate::{Component, Object, ValidApp, dashboard_uid};

pub use self::fleet::json as fleet_dashboard;

/// The label by which Grafana's sidecar finds dashboards.
const SIDECAR_LABEL: &str = "grafana_dashboard";
/// The annotation that names the folder for it.
const FOLDER_ANNOTATION: &str = "grafana_folder";
pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    let dashboards = &app.spec.dashboards;
    if !dashboards.enabled {
        return Vec::new();
    }
    let mut metadata = app.metadata(app.id.dashboards(), Component::App);
    let mut labels = dashboards.labels.clone();
    labels.extend(metadata.labels.take().unwrap_or_default());
    labels.insert(SIDECAR_LABEL.to_owned(), "1".to_owned());
    let folder = dashboards.folder.as_ref();
    let config_map = ConfigMap {
        metadata: ObjectMeta {
            labels: Some(labels),
            annotations: folder.map(|folder| [(FOLDER_ANNOTATION.to_owned(), folder.clone())].into()),
            ..metadata
        },
        // The sidecar writes every namespace's into one folder: names with a dot in them never meet.
        data: Some(
            [(
                format!("{}.{}.json", app.id.namespace, app.id.name),
                written(&dashboard(app)),
            )]
            .into(),
        ),
        ..Default::default()
    };
    vec![config_map.into()]
}

/// As Grafana reads it from a file.
fn dashboard(app: &ValidApp) -> Dashboard {
    let mut grid = Grid::default();
    slos::row(app, &mut grid);
    red::row(app, &mut grid);
    probe::row(app, &mut grid);
    usage::row(app, &mut grid);
    backends::rows(app, &mut grid);
    Dashboard {
        templating: Listed {
            list: vec![
                datasource(),
                constant("namespace", "Namespace", &app.id.namespace),
                constant("app", "App", &app.id.name),
            ],
        },
        annotations: Listed { list: marks(app) },
        links: links(app),
        ..framed(
            dashboard_uid(&app.id),
            format!("{} / {}", app.id.namespace, app.id.name),
            format!("The app {} in the namespace {}.", app.id.name, app.id.namespace),
            TAG,
            grid,
        )
    }
}

fn constant(name: &'static str, label: &'static str, value: &str) -> Variable {
    Variable {
        kind: "constant",
        name,
        label,
        query: value.to_owned(),
        hide: 2,
        skip_url_sync: true,
        current: Some(Choice {
            text: value.to_owned(),
            value: value.to_owned(),
        }),
        values: None,
    }
}

/// A ReplicaSet that was not there five minutes ago is a rollout: pods are named after theirs. Scaling and evictions
/// make no new one.
fn rollouts() -> Annotation {
    let replica_sets = |offset: &str| {
        format!(
            "count by (replicaset) (label_replace(container_start_time_seconds{}{offset}, \
             \"replicaset\", \"$1\", \"pod\", \"(.+)-[^-]+\"))",
            usage::containers()
        )
    };
    Annotation {
        name: "Rollouts".to_owned(),
        datasource: PROMETHEUS,
        enable: true,
        hide: false,
        icon_color: "blue".to_owned(),
        expr: format!("{} unless {}", replica_sets(""), replica_sets(" offset 5m")),
        step: "60s".to_owned(),
        title_format: "Rollout".to_owned(),
        text_format: "{{replicaset}}".to_owned(),
    }
}

fn marks(app: &ValidApp) -> Vec<Annotation> {
    let mut marks = vec![rollouts()];
    if app.spec.rollout.guard.is_some() {
        marks.push(releases());
    }
    marks
}

/// When the spec asked for a release. It holds as long as a rollout's mark, and comes from the time that the operator
/// exports: a series that is new may be that of another replica of the operator.
fn releases() -> Annotation {
    let of_app = r#"{namespace="$namespace",app="$app"}"#;
    Annotation {
        name: "Releases".to_owned(),
        icon_color: "purple".to_owned(),
        expr: format!(
            "max by (release, image) ({RELEASE_INFO}{of_app}) \
             and on (release) (time() - max by (release) ({RELEASE_BEGAN}{of_app}) < 300)"
        ),
        title_format: "Release {{release}}".to_owned(),
        text_format: "{{image}}".to_owned(),
        ..rollouts()
    }
}

/// One page for each alert.
fn links(app: &ValidApp) -> Vec<Link> {
    let base = app.settings.runbook_url.trim_end_matches('/');
    alerts::ALL
        .into_iter()
        .map(|alert| Link {
            title: alert.to_owned(),
            url: format!("{base}/{alert}.md"),
            kind: "link",
            icon: "doc",
            tooltip: format!("What to do when {alert} fires"),
            tags: Vec::new(),
            as_dropdown: false,
            target_blank: true,
            include_vars: false,
            keep_time: false,
        })
        .collect()
}
