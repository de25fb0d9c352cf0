//! One file a capability: each a function from the app to its objects.

mod alerts;
mod app;
mod cache;
mod dashboards;
mod database;
mod exposure;
mod monitors;
mod network;
mod pod;
mod probe;
mod releases;
mod scaling;

pub use alerts::rules;
pub use dashboards::fleet_dashboard;
pub use exposure::origin;
pub(crate) use monitors::own_port as own_metrics_port;
pub use releases::record;

use crate::{Desired, Kind, Object, ValidApp};

/// Every object that should exist for the app.
pub fn desired(app: &ValidApp) -> Desired {
    let mut desired = Desired {
        held_routes: app.observed.held_routes.clone(),
        notes: app.notes.clone(),
        ..Desired::default()
    };
    database::add(app, &mut desired);
    alerts::add(app, &mut desired);
    let releases = app.releases();
    releases::keep(app, releases.as_ref(), &mut desired);
    let plan = releases.as_ref().map(|releases| &releases.plan);
    let running = plan.and_then(|plan| app.running(plan.template));
    let running = running.as_ref().unwrap_or(app);
    desired
        .objects
        .extend(app::objects(app, running, releases.as_ref()));
    desired
        .objects
        .extend(network::objects(app, releases::other(app, plan)));
    for capability in [
        scaling::objects,
        exposure::objects,
        cache::objects,
        monitors::objects,
        probe::objects,
        dashboards::objects,
    ] {
        desired.objects.append(&mut capability(app));
    }
    let served = |kind: Kind| !kind.is_optional() || app.observed.optional_kinds.contains(&kind);
    let (mut objects, missing): (Vec<_>, Vec<_>) = desired
        .objects
        .into_iter()
        .partition(|object| served(object.kind()));
    objects.sort_by(|a, b| (a.kind(), a.name()).cmp(&(b.kind(), b.name())));
    desired.objects = objects;
    desired.missing = missing.iter().map(Object::kind).collect();
    desired.missing.sort_unstable();
    desired.missing.dedup();
    desired.releases = releases;
    desired
}
