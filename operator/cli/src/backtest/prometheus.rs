//! Two range queries, in as many parts as Prometheus lets through.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, bail};
use observedapp_slo::PromDuration;
use observedapp_slo::backtest::Sample;
use serde::Deserialize;

/// Prometheus answers at most 11,000 points a query.
const POINTS: i64 = 10_000;

pub(super) struct Prometheus {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    values: Vec<(f64, String)>,
}

impl Prometheus {
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// What happened in each step that has a sample of events.
    pub(super) async fn samples(
        &self,
        errors: &str,
        events: &str,
        seconds: Range<i64>,
        step: PromDuration,
    ) -> anyhow::Result<Vec<Sample>> {
        let step = i64::try_from(step.millis() / 1000)?.max(1);
        let mut samples = Vec::new();
        let mut begin = seconds.start + step;
        while begin <= seconds.end {
            let end = seconds.end.min(begin + step * (POINTS - 1));
            let failed = self.range(errors, begin, end, step).await?;
            let all = self.range(events, begin, end, step).await?;
            samples.extend(all.into_iter().map(|(at, events)| Sample {
                at,
                errors: failed.get(&at).copied().unwrap_or(0.0),
                events,
            }));
            begin = end + step;
        }
        Ok(samples)
    }

    async fn range(
        &self,
        query: &str,
        begin: i64,
        end: i64,
        step: i64,
    ) -> anyhow::Result<BTreeMap<i64, f64>> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", begin.to_string()),
            ("end", end.to_string()),
            ("step", step.to_string()),
        ];
        let mut request = self
            .client
            .post(format!("{}/api/v1/query_range", self.url))
            .form(&parameters);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.with_context(|| {
            format!(
                "cannot ask {}: is it reachable from here? kubectl port-forward makes it so",
                self.url
            )
        })?;
        let status = response.status();
        let answer: Answer = response.json().await.with_context(|| {
            format!(
                "{} answered {status}, and not as Prometheus does: check the URL",
                self.url
            )
        })?;
        if answer.status != "success" {
            bail!(
                "{} refused the query {query}: {}",
                self.url,
                answer.error.unwrap_or_default()
            );
        }
        let series = answer.data.and_then(|data| data.result.into_iter().next());
        let values = series.into_iter().flat_map(|series| series.values);
        // Rounded to seconds below 2^53.
        #[allow(clippy::cast_possible_truncation)]
        Ok(values
            .filter_map(|(at, value)| Some((at.round() as i64, value.parse().ok()?)))
            .collect())
    }
}
