//! What Prometheus answers to a query.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One sample of an instant query.
#[derive(Debug, Deserialize)]
pub struct Sample {
    pub metric: BTreeMap<String, String>,
    value: (f64, String),
}

impl Sample {
    pub fn value(&self) -> f64 {
        self.value.1.parse().unwrap_or(f64::NAN)
    }

    /// When it was asked for by Prometheus' own clock, in seconds since the epoch.
    pub fn asked_at(&self) -> f64 {
        self.value.0
    }

    pub fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }
}

/// One series of a range query.
#[derive(Debug, Deserialize)]
pub struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Series {
    pub fn label(&self, name: &str) -> &str {
        self.metric.get(name).map_or("", String::as_str)
    }

    /// Its values, each with its time in seconds since the epoch.
    pub fn values(&self) -> impl Iterator<Item = (i64, f64)> {
        self.values
            .iter()
            .filter_map(|(at, value)| Some((at.round() as i64, value.parse().ok()?)))
    }
}

#[derive(Deserialize)]
pub struct Matrix {
    pub result: Vec<Series>,
}

#[derive(Deserialize)]
pub struct Vector {
    pub result: Vec<Sample>,
}
