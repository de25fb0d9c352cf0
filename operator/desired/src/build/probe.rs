//! A check from outside, by a blackbox exporter that is there already.

use super::{exposure, monitors};
use crate::Kind;
use crate::monitoring::{Probe, ProbeSpec, ProbeTargets, Prober, StaticTargets};
use crate::{App, Component, Object};

/// The blackbox exporter's module that wants any answer from 200 to 299.
const MODULE: &str = "http_2xx";

pub(super) fn objects(app: &App) -> Vec<Object> {
    probe(app).map(Object::from).into_iter().collect()
}

fn probe(app: &App) -> Option<Probe> {
    // An API that is missing is told at once, not when the app answers.
    let is_served = app.observed.optional_kinds.contains(&Kind::Probe);
    if is_served && !app.observed.has_answered {
        return None;
    }
    let given = app.spec.probe.as_ref()?;
    let prober = app.settings.prober_url.clone()?;
    Some(Probe {
        metadata: monitors::select(
            app,
            app.metadata(app.name.clone(), Component::App),
            &app.observed.prometheus.probe_labels,
        ),
        spec: ProbeSpec {
            job_name: app.child("probe"),
            interval: given.interval.clone(),
            module: MODULE.to_owned(),
            prober: Prober { url: prober },
            targets: ProbeTargets {
                static_config: StaticTargets {
                    urls: vec![format!("{}{}", exposure::origin(app), given.path)],
                    labels: [("namespace".to_owned(), app.namespace.clone())].into(),
                },
            },
            limits: monitors::limits(),
        },
    })
}
