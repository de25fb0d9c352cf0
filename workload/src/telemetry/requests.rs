//! Rate, errors and duration of the requests, and the same figures under the names that the
//! dashboards of the earlier Flask services use.
//!
//! A request costs a few atomic additions in a table indexed by route, method and code; the series
//! are made from it when Prometheus asks. The table's size is fixed, so no client can add series.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::histogram::Histogram;

/// Requests for anything that is no route.
const UNMATCHED: &str = "unmatched";
const OTHER: &str = "other";

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const CODES: [u16; 10] = [200, 201, 400, 404, 405, 408, 413, 500, 503, 499];

/// A method of a route that the service offers, with the codes it is known to answer:
/// these series exist, at zero, from the start.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    pub method: &'static str,
    pub route: &'static str,
    pub codes: &'static [u16],
}

#[derive(Debug)]
pub struct RequestMetrics {
    routes: Vec<Route>,
    in_flight: AtomicI64,
}

#[derive(Debug)]
struct Route {
    name: &'static str,
    /// One for each of `METHODS`, then one for all other methods.
    methods: [Series; METHODS.len() + 1],
}

#[derive(Debug, Default)]
struct Series {
    offered: bool,
    known: [bool; CODES.len() + 1],
    codes: [AtomicU64; CODES.len() + 1],
    duration: Histogram,
}

impl RequestMetrics {
    pub fn new(endpoints: &[Endpoint]) -> Self {
        let mut metrics = Self {
            routes: Vec::new(),
            in_flight: AtomicI64::new(0),
        };
        for endpoint in endpoints {
            let series = metrics.route_mut(endpoint.route).method_mut(endpoint.method);
            series.offered = true;
            for code in endpoint.codes {
                series.known[code_index(*code)] = true;
            }
        }
        // The last one, where `record` finds it.
        let unmatched = metrics.route_mut(UNMATCHED).method_mut("GET");
        unmatched.offered = true;
        unmatched.known[code_index(404)] = true;
        metrics
    }

    fn route_mut(&mut self, name: &'static str) -> &mut Route {
        let index = self
            .routes
            .iter()
            .position(|route| route.name == name)
            .unwrap_or_else(|| {
                self.routes.push(Route {
                    name,
                    methods: Default::default(),
                });
                self.routes.len() - 1
            });
        &mut self.routes[index]
    }

    /// Counts a request as being worked on until the returned value is dropped.
    pub fn start(&'static self) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// The route of this pattern, if the service offers it.
    pub fn route(&self, pattern: &str) -> Option<&'static str> {
        let known = self.routes.iter().find(|route| route.name == pattern);
        known.map(|route| route.name)
    }

    /// Counts a finished request.
    pub fn record(&self, route: Option<&str>, method: &Method, code: StatusCode, duration: Duration) {
        let unmatched = self.routes.len() - 1;
        let route = route
            .and_then(|name| self.routes.iter().position(|route| route.name == name))
            .unwrap_or(unmatched);
        let series = &self.routes[route].methods[method_index(method.as_str())];
        series.duration.observe(duration);
        series.codes[code_index(code.as_u16())].fetch_add(1, Ordering::Relaxed);
    }

    /// Every series that is offered or has counted something, with the names of its route and method.
    fn series(&self) -> impl Iterator<Item = (&'static str, &'static str, &Series)> {
        self.routes
            .iter()
            .flat_map(|route| {
                let names = METHODS.iter().copied().chain([OTHER]);
                names
                    .zip(&route.methods)
                    .map(|(method, series)| (route.name, method, series))
            })
            .filter(|(_, _, series)| series.offered || series.total() > 0)
    }

    /// A counter that is the sum of some codes, under an older name and older labels.
    fn encode_legacy_counter(
        &self,
        encoder: &mut DescriptorEncoder,
        name: &str,
        help: &str,
        count: impl Fn(&Series) -> u64,
    ) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (route, method, series) in self.series() {
            encode_counter(
                &mut family,
                &[("method", method), ("endpoint", route)],
                count(series),
            )?;
        }
        Ok(())
    }
}

impl Route {
    fn method_mut(&mut self, method: &str) -> &mut Series {
        &mut self.methods[method_index(method)]
    }
}

impl Series {
    fn count(&self, matches: impl Fn(u16) -> bool) -> u64 {
        let codes = CODES.iter().copied().chain([0]);
        codes
            .zip(&self.codes)
            .filter(|(code, _)| matches(*code))
            .map(|(_, n)| n.load(Ordering::Relaxed))
            .sum()
    }

    fn total(&self) -> u64 {
        self.count(|_| true)
    }
}

fn method_index(method: &str) -> usize {
    METHODS
        .iter()
        .position(|known| *known == method)
        .unwrap_or(METHODS.len())
}

fn code_index(code: u16) -> usize {
    CODES
        .iter()
        .position(|known| *known == code)
        .unwrap_or(CODES.len())
}

fn encode_counter<const N: usize>(
    family: &mut MetricEncoder,
    labels: &[(&str, &str); N],
    value: u64,
) -> std::fmt::Result {
    family
        .encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> std::fmt::Result {
        let help = "Requests answered, by method, route and status code";
        let mut family = encoder.encode_descriptor("http_requests", help, None, MetricType::Counter)?;
        for (route, method, series) in self.series() {
            let code_names = CODES.iter().map(u16::to_string).chain([OTHER.to_owned()]);
            for ((code, known), count) in code_names.zip(series.known).zip(&series.codes) {
                let count = count.load(Ordering::Relaxed);
                if known || count > 0 {
                    let labels = [("method", method), ("route", route), ("code", code.as_str())];
                    encode_counter(&mut family, &labels, count)?;
                }
            }
        }

        for (name, label) in [
            ("http_request_duration_seconds", "route"),
            ("request_processing_seconds", "endpoint"),
        ] {
            let help = "Time from a request's head to its answer, in seconds";
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (route, method, series) in self.series() {
                let labels = [("method", method), (label, route)];
                series.duration.encode(family.encode_family(&labels)?)?;
            }
        }

        let help = "Requests being worked on now";
        encoder
            .encode_descriptor("http_requests_in_flight", help, None, MetricType::Gauge)?
            .encode_gauge(&self.in_flight.load(Ordering::Relaxed))?;

        self.encode_legacy_counter(&mut encoder, "request_count", "Requests answered", Series::total)?;
        let errors = |series: &Series| series.count(|code| code >= 400);
        let help = "Requests answered with a status of 400 or more";
        self.encode_legacy_counter(&mut encoder, "error_count", help, errors)?;
        let all: u64 = self.series().map(|(_, _, series)| series.total()).sum();
        encoder
            .encode_descriptor("app_requests", "Requests answered", None, MetricType::Counter)?
            .encode_counter::<NoLabelSet, _, u64>(&all, None)
    }
}

/// A request being worked on.
#[derive(Debug)]
pub struct InFlight(&'static RequestMetrics);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
