//! A check from outside, by a blackbox exporter that is there already.

use super::{exposure, monitors};
use crate::Kind;
use crate::monitoring::{Probe, ProbeSpec, ProbeTargets, Prober, StaticTargets};
use crate::{Component, Object, ValidApp};

/// The blackbox exporter's module that wants any answer from 200 to 299.
const MODULE: &str = "http_2xx";

pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    probe(app).map(Object::from).into_iter().collect()
}

fn probe(app: &ValidApp) -> Option<Probe> {
    // An API that is missing is reported at once, not when the app answers.
    let is_served = app.observed.optional_kinds.contains(&Kind::Probe);
    if is_served && !app.observed.has_answered {
        return None;
    }
    let given = app.spec.probe.as_ref()?;
    let prober = app.settings.prober_url.clone()?;
    Some(Probe {
        metadata: monitors::select(
            app,
            app.metadata(app.id.name.clone(), Component::App),
            &app.observed.prometheus.probe_labels,
        ),
        spec: ProbeSpec {
            job_name: app.id.probe_job(),
            interval: given.interval.clone(),
            module: MODULE.to_owned(),
            prober: Prober { url: prober },
            targets: ProbeTargets {
                static_config: StaticTargets {
                    urls: vec![format!("{}{}", exposure::origin(app), given.path)],
                    labels: [("namespace".to_owned(), app.id.namespace.clone())].into(),
                },
            },
            limits: monitors::limits(),
        },
    })
}
