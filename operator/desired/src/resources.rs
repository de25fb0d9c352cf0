//! CPU and memory: what is given, and what is filled in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use observedapp_api::{Amount, ObservedAppSpec};

/// What a container gets where nothing is given. CPU has no limit: a limit throttles, and a request is a share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    pub cpu_request: &'static str,
    pub memory_request: &'static str,
    pub memory_limit: &'static str,
}

/// The defaults of an app's container.
pub(crate) const APP: Defaults = Defaults {
    cpu_request: "100m",
    memory_request: "128Mi",
    memory_limit: "512Mi",
};

/// Fills in what is not given. A default never makes a limit below its request.
pub(crate) fn fill(given: &ResourceRequirements, defaults: Defaults) -> ResourceRequirements {
    let mut filled = given.clone();
    let requests = filled.requests.get_or_insert_default();
    let limits = filled.limits.get_or_insert_default();
    request(requests, limits, "cpu", defaults.cpu_request);
    request(requests, limits, "memory", defaults.memory_request);
    if !limits.contains_key("memory") {
        let limit = at_least(defaults.memory_limit, requests.get("memory"));
        limits.insert("memory".to_owned(), limit);
    }
    filled
}

fn request(
    requests: &mut BTreeMap<String, Quantity>,
    limits: &BTreeMap<String, Quantity>,
    resource: &str,
    default: &str,
) {
    if !requests.contains_key(resource) {
        requests.insert(resource.to_owned(), at_most(default, limits.get(resource)));
    }
}

fn at_most(default: &str, limit: Option<&Quantity>) -> Quantity {
    pick(default, limit, |default, limit| limit < default)
}

fn at_least(default: &str, request: Option<&Quantity>) -> Quantity {
    pick(default, request, |default, request| request > default)
}

/// The default, unless what is given beats it.
fn pick(default: &str, given: Option<&Quantity>, beats: impl Fn(Amount, Amount) -> bool) -> Quantity {
    let default_amount = default.parse::<Amount>().ok();
    given
        .filter(|given| {
            let given = Amount::try_from(*given).ok();
            default_amount
                .zip(given)
                .is_some_and(|(default, given)| beats(default, given))
        })
        .cloned()
        .unwrap_or_else(|| Quantity(default.to_owned()))
}

/// The memory limit of the app's container, as it is written in its pods.
pub fn app_memory_limit(spec: &ObservedAppSpec) -> Quantity {
    let filled = fill(&spec.resources, APP);
    let limit = filled.limits.and_then(|mut limits| limits.remove("memory"));
    limit.unwrap_or_else(|| Quantity(APP.memory_limit.to_owned()))
}

/// The limits of the app's container, as it will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// In thousandths of a core, where there is one.
    pub cpu: Option<u64>,
    /// In bytes: there always is one.
    pub memory: u64,
}

pub(crate) fn app_limits(spec: &ObservedAppSpec) -> Limits {
    let resources = fill(&spec.resources, APP);
    Limits {
        cpu: amount(resources.limits.as_ref(), "cpu").map(Amount::thousandths),
        memory: amount(resources.limits.as_ref(), "memory").map_or(0, Amount::units),
    }
}

/// One of the given amounts, where there is one that can be read.
pub(crate) fn amount(amounts: Option<&BTreeMap<String, Quantity>>, resource: &str) -> Option<Amount> {
    amounts?
        .get(resource)
        .and_then(|quantity| Amount::try_from(quantity).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(requests: &[(&str, &str)], limits: &[(&str, &str)]) -> (String, String) {
        let list = |amounts: &[(&str, &str)]| {
            let amounts = amounts.iter();
            Some(
                amounts
                    .map(|(k, v)| ((*k).to_owned(), Quantity((*v).to_owned())))
                    .collect(),
            )
        };
        let filled = fill(
            &ResourceRequirements {
                requests: list(requests),
                limits: list(limits),
                claims: None,
            },
            APP,
        );
        let text = |amounts: Option<BTreeMap<String, Quantity>>| {
            let amounts = amounts.unwrap_or_default();
            let amounts = amounts.iter().map(|(k, v)| format!("{k}={}", v.0));
            amounts.collect::<Vec<_>>().join(" ")
        };
        (text(filled.requests), text(filled.limits))
    }

    #[test]
    fn a_default_never_makes_a_limit_below_its_request() {
        for (requests, limits, expected) in [
            (&[][..], &[][..], ("cpu=100m memory=128Mi", "memory=512Mi")),
            (&[("memory", "1Gi")], &[], ("cpu=100m memory=1Gi", "memory=1Gi")),
            (
                &[("memory", "256Mi")],
                &[],
                ("cpu=100m memory=256Mi", "memory=512Mi"),
            ),
            (
                &[],
                &[("memory", "64Mi")],
                ("cpu=100m memory=64Mi", "memory=64Mi"),
            ),
            (
                &[],
                &[("cpu", "0.05")],
                ("cpu=0.05 memory=128Mi", "cpu=0.05 memory=512Mi"),
            ),
            (
                &[("cpu", "2")],
                &[("cpu", "4")],
                ("cpu=2 memory=128Mi", "cpu=4 memory=512Mi"),
            ),
        ] {
            let (requests, limits) = filled(requests, limits);
            assert_eq!((requests.as_str(), limits.as_str()), expected);
        }
    }
}
