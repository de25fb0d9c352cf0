//! The last day, which no status holds: Prometheus is asked for it with the user's own rights.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use observedapp_api::ObservedApp;
use observedapp_slo::names;

use super::cluster::Cluster;
use super::report::LastDay;
use crate::prometheus::{Prometheus, Series, Span};

/// Half an hour for each point.
const STEP: i64 = 1_800;
const POINTS: i64 = 48;
/// A screen without sparklines is better than none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is asked, or why there is nobody.
pub(crate) struct Source(Result<Prometheus, String>);

impl Source {
    /// At the given address, else through the API server where the cluster's Prometheus object says.
    pub async fn find(cluster: &Cluster, url: Option<&str>, token: Option<String>) -> Self {
        const REMEDY: &str = "say where it answers with --prometheus URL";
        if let Some(url) = url {
            return Self(Prometheus::at(url, token).map_err(|error| format!("{error:#}")));
        }
        let found =
            tokio::time::timeout(PATIENCE, observedapp_controller::prometheus_path(&cluster.client)).await;
        Self(match found {
            Ok(Ok(Some(path))) => Ok(Prometheus::behind(cluster.client.clone(), &path)),
            Ok(Ok(None)) => Err(format!("the cluster has no Prometheus object; {REMEDY}")),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err(format!(
                "you may not list the cluster's Prometheus objects; {REMEDY}"
            )),
            Ok(Err(error)) => Err(format!(
                "the Prometheus objects cannot be listed: {error}; {REMEDY}"
            )),
            Err(_) => Err(format!("the Prometheus objects are not listed in time; {REMEDY}")),
        })
    }

    pub fn prometheus(self) -> Result<Prometheus, String> {
        self.0
    }

    pub async fn last_day(&self, app: &ObservedApp) -> LastDay {
        let prometheus = match &self.0 {
            Ok(prometheus) => prometheus,
            Err(why) => return LastDay::Missing(why.clone()),
        };
        if app.spec.slos.is_empty() {
            return LastDay::Known(BTreeMap::new());
        }
        let end = Timestamp::now().as_second();
        let span = Span {
            begin: end - STEP * (POINTS - 1),
            end,
            step: STEP,
        };
        let query = format!(
            r#"max_over_time({}{{namespace="{}",app="{}"}}[{STEP}s])"#,
            names::BURN_RATE,
            app.namespace().unwrap_or_default(),
            app.name_any()
        );
        match tokio::time::timeout(PATIENCE, prometheus.range(&query, span)).await {
            Ok(Ok(series)) => LastDay::Known(by_objective(&series, span)),
            Ok(Err(error)) => LastDay::Missing(format!("{error:#}")),
            Err(_) => LastDay::Missing("Prometheus does not answer in time".to_owned()),
        }
    }
}

/// One point for each step, where there is one.
fn by_objective(series: &[Series], span: Span) -> BTreeMap<String, Vec<Option<f64>>> {
    series
        .iter()
        .map(|series| {
            let mut day = vec![None; POINTS as usize];
            for (at, rate) in series.points().filter(|(_, rate)| rate.is_finite()) {
                let index = usize::try_from((at - span.begin) / span.step).ok();
                if let Some(point) = index.and_then(|index| day.get_mut(index)) {
                    *point = Some(rate);
                }
            }
            (series.metric.get("slo").cloned().unwrap_or_default(), day)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn points_stand_at_their_half_hour_and_gaps_stay_gaps() {
        let span = Span {
            begin: 1_000_000,
            end: 1_000_000 + STEP * (POINTS - 1),
            step: STEP,
        };
        let series: Vec<Series> = serde_json::from_value(serde_json::json!([{
            "metric": {"slo": "availability"},
            "values": [[span.begin, "0.5"], [span.begin + STEP, "NaN"], [span.end, "2"], [span.end + STEP, "9"]],
        }]))
        .unwrap();
        let day = &by_objective(&series, span)["availability"];
        assert_eq!(day.len(), 48);
        assert_eq!((day[0], day[1], day[47]), (Some(0.5), None, Some(2.0)));
    }
}
