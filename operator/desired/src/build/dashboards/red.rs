//! Rate, errors, duration: what the app's users see.

use observedapp_slo::{Matcher, Metrics, Selector};

use super::model::Unit;
use super::panel::{Grid, PanelBuilder};
use crate::ValidApp;

pub(super) fn row(app: &ValidApp, grid: &mut Grid) {
    let (Some(metrics), Some(spec)) = (&app.objectives.app.metrics, &app.spec.metrics) else {
        return;
    };
    let red = Red {
        metrics,
        route: spec.names().route,
    };
    grid.row("Requests (RED)");
    for panels in [
        [red.rate(), red.errors(), red.durations()],
        [red.heat_map(), red.rate_by_route(), red.durations_by_route()],
    ] {
        let panels = panels.map(|panel| panel.scraped_every(metrics.interval));
        grid.line(8, panels.into());
    }
}

struct Red<'a> {
    metrics: &'a Metrics,
    /// The label that holds the route.
    route: &'a str,
}

impl Red<'_> {
    fn rate(&self) -> PanelBuilder {
        PanelBuilder::lines("Requests", Unit::RequestsPerSecond)
            .says("Requests a second, of all replicas.")
            .from(0.0)
            .query("requests", self.all_requests())
    }

    fn errors(&self) -> PanelBuilder {
        let failed = format!("sum({})", rate(&self.failed()));
        let all = self.all_requests();
        PanelBuilder::lines("Failed requests", Unit::Ratio)
            .says("The share of requests that failed.")
            .from(0.0)
            .query("failed", format!("({failed} or {all} * 0) / ({all} > 0)"))
    }

    fn durations(&self) -> PanelBuilder {
        let panel = PanelBuilder::lines("Duration", Unit::Seconds)
            .says("Half, nine of ten and 99 of 100 requests were answered within this time.")
            .from(0.0);
        [("p50", "0.5"), ("p90", "0.9"), ("p99", "0.99")]
            .into_iter()
            .fold(panel, |panel, (legend, quantile)| {
                panel.query(legend, self.quantile(quantile, None))
            })
    }

    /// `on ()`: a native histogram's series has other labels than buckets, and would stand beside them.
    fn heat_map(&self) -> PanelBuilder {
        let (buckets, native) = (self.buckets(), self.histogram());
        PanelBuilder::heatmap("Durations", Unit::Seconds)
            .says("How many requests took how long: the darker, the more.")
            .query(
                "{{le}}",
                format!(
                    "sum by (le) (increase({buckets}[$__rate_interval])) or on () sum(increase({native}[$__rate_interval]))"
                ),
            )
    }

    fn rate_by_route(&self) -> PanelBuilder {
        PanelBuilder::lines("Requests by route", Unit::RequestsPerSecond)
            .says(format!("Requests a second, by the label `{}`.", self.route))
            .from(0.0)
            .query(
                &format!("{{{{{}}}}}", self.route),
                format!("sum by ({}) ({})", self.route, rate(&self.requests())),
            )
    }

    fn durations_by_route(&self) -> PanelBuilder {
        PanelBuilder::lines("p99 by route", Unit::Seconds)
            .says(format!(
                "99 of 100 requests were answered within this time, by the label `{}`.",
                self.route
            ))
            .from(0.0)
            .query(
                &format!("{{{{{}}}}}", self.route),
                self.quantile("0.99", Some(self.route)),
            )
    }

    fn all_requests(&self) -> String {
        format!("sum({})", rate(&self.requests()))
    }

    fn requests(&self) -> Selector {
        Selector::new(self.metrics.requests.clone(), own())
    }

    fn failed(&self) -> Selector {
        self.requests().with(self.metrics.errors.iter().cloned())
    }

    /// Of a classic histogram, or of a native one.
    fn quantile(&self, quantile: &str, by: Option<&str>) -> String {
        let classic = by.map_or("le".to_owned(), |label| format!("le, {label}"));
        let native = by.map_or(String::new(), |label| format!(" by ({label}) "));
        format!(
            "histogram_quantile({quantile}, sum by ({classic}) ({})) or histogram_quantile({quantile}, sum{native}({}))",
            rate(&self.buckets()),
            rate(&self.histogram()),
        )
    }

    fn buckets(&self) -> Selector {
        Selector::new(self.metrics.latency.with_suffix("_bucket"), own())
    }

    fn histogram(&self) -> Selector {
        Selector::new(self.metrics.latency.clone(), own())
    }
}

/// The app's own job, by variables.
fn own() -> Vec<Matcher> {
    vec![
        Matcher::equal("namespace", "$namespace"),
        Matcher::equal("job", "$app"),
    ]
}

fn rate(selector: &Selector) -> String {
    format!("rate({selector}[$__rate_interval])")
}
