//! What is seen of the app from outside: all there is to see of one without metrics.

use super::model::Unit;
use super::panel::{GREEN, Grid, PanelBuilder, RED};
use crate::ValidApp;

/// The prober's series of the app.
const PROBE: &str = r#"{namespace="$namespace",job="$app-probe"}"#;

pub(super) fn row(app: &ValidApp, grid: &mut Grid) {
    let Some(probe) = app
        .objectives
        .app
        .probe
        .filter(|_| app.settings.prober_url.is_some())
    else {
        return;
    };
    grid.row("Probe");
    let panels = [answered(), phases()].map(|panel| panel.scraped_every(probe.interval));
    grid.line(8, panels.into());
}

fn answered() -> PanelBuilder {
    PanelBuilder::lines("Answered from outside", Unit::Ratio)
        .says("Whether the prober was answered as it should be: 1 yes, 0 no.")
        .from(0.0)
        .to(1.0)
        .thresholds(RED, &[(1.0, GREEN)])
        .query("answered", format!("min(probe_success{PROBE})"))
}

fn phases() -> PanelBuilder {
    PanelBuilder::lines("Duration of a probe", Unit::Seconds)
        .says("Where a probe's time goes: finding the address, connecting, TLS, waiting for the answer, taking it.")
        .from(0.0)
        .query(
            "{{phase}}",
            format!("max by (phase) (probe_http_duration_seconds{PROBE})"),
        )
}
