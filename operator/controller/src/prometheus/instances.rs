//! Which of the cluster's Prometheus objects are trusted, and which of them serves which app.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use observedapp_desired::{ObservedPrometheus, Settings};

use super::objects::{self, Instance};
use super::selection::{Labels, Selection};

/// The settings about Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrometheusSettings {
    /// Where it answers, without a slash at its end.
    pub url: Option<String>,
    /// The namespaces whose Prometheus objects are trusted; empty: see [`PrometheusInstances::of`].
    pub namespaces: BTreeSet<String>,
    /// The operator's own ServiceMonitor: its namespace and name.
    pub own_monitor: Option<(String, String)>,
    /// Labels for all monitors, probes and rules.
    pub monitor_labels: Option<Labels>,
    /// The operator is confined to some namespaces, and may not list Prometheus objects.
    pub confined: bool,
}

/// The Prometheus objects of a cluster, as far as they matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrometheusInstances {
    pub settings: PrometheusSettings,
    /// Those that are trusted, the oldest first.
    pub trusted: Vec<Instance>,
    /// `NAMESPACE/NAME` of the oldest that is not.
    pub untrusted: Option<String>,
    /// The labels of the cluster's namespaces, where a trusted Prometheus selects by them.
    namespaces: BTreeMap<String, Labels>,
}

impl PrometheusInstances {
    /// No Prometheus object is known yet, or may be listed.
    pub fn nothing(settings: PrometheusSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Finds the Prometheus objects. A cluster without their API has none.
    pub async fn find(client: &Client, settings: &PrometheusSettings) -> kube::Result<Self> {
        let all = objects::list(client, &settings.namespaces).await?;
        let namespaces = if all.iter().any(Instance::needs_namespaces) {
            objects::namespace_labels(client).await?
        } else {
            BTreeMap::new()
        };
        let own = match &settings.own_monitor {
            Some((namespace, name)) if settings.namespaces.is_empty() && !all.is_empty() => {
                objects::monitor_labels(client, namespace, name)
                    .await?
                    .map(|labels| (namespace.as_str(), labels))
            }
            _ => None,
        };
        Ok(Self::of(settings, all, namespaces, own))
    }

    /// Trusted are those in the namespaces of the settings. Without any, the oldest that selects the operator's
    /// own monitor, and what else does so in its namespace: anybody can write one that selects everything, but not an
    /// older one.
    fn of(
        settings: &PrometheusSettings,
        all: Vec<Instance>,
        namespaces: BTreeMap<String, Labels>,
        own_monitor: Option<(&str, Labels)>,
    ) -> Self {
        let selects_own = |one: &Instance| {
            own_monitor.as_ref().is_some_and(|(namespace, labels)| {
                one.monitors.selects(labels)
                    && one
                        .monitors
                        .namespaces
                        .contain(&one.namespace, namespace, namespaces.get(*namespace))
            })
        };
        let home = all
            .iter()
            .find(|one| selects_own(one))
            .map(|one| one.namespace.clone());
        let (trusted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| {
            settings.namespaces.contains(&one.namespace)
                || (home.as_ref() == Some(&one.namespace) && selects_own(one))
        });
        Self {
            settings: settings.clone(),
            untrusted: others.first().map(ToString::to_string),
            namespaces: if trusted.iter().any(Instance::needs_namespaces) {
                namespaces
            } else {
                BTreeMap::new()
            },
            trusted,
        }
    }

    /// The Prometheus of the apps in a namespace: the one that takes up most of what is made there, of equals the oldest.
    pub fn chosen(&self, namespace: &str) -> Option<&Instance> {
        self.trusted.iter().min_by_key(|one| {
            let selections = [&one.monitors, &one.probes, &one.rules];
            let taken = selections
                .iter()
                .filter(|selection| self.takes(one, selection, namespace));
            Reverse(taken.count())
        })
    }

    /// Whether a Prometheus takes up what is made in a namespace.
    pub fn takes(&self, one: &Instance, selection: &Selection, namespace: &str) -> bool {
        let labelled = match &self.settings.monitor_labels {
            Some(given) => selection.selects(given),
            None => selection.labels.is_ok(),
        };
        labelled && self.reaches(one, selection, namespace)
    }

    /// Whether a Prometheus selects objects in a namespace.
    pub fn reaches(&self, one: &Instance, selection: &Selection, namespace: &str) -> bool {
        selection
            .namespaces
            .contain(&one.namespace, namespace, self.namespaces.get(namespace))
    }

    /// Where the Prometheus of the apps in a namespace answers.
    pub fn url(&self, namespace: &str) -> Option<&str> {
        match &self.settings.url {
            Some(url) => Some(url),
            None => self.chosen(namespace).map(|one| one.url.as_str()),
        }
    }

    /// What objects in a namespace are to carry so that they are selected, and who may scrape.
    pub fn observed(&self, namespace: &str, settings: &Settings) -> ObservedPrometheus {
        let chosen = self.chosen(namespace);
        let labels = |of: fn(&Instance) -> &Selection| {
            let labels = chosen.and_then(|one| of(one).labels.clone().ok());
            labels.unwrap_or_default()
        };
        ObservedPrometheus {
            monitor_labels: labels(|one| &one.monitors),
            probe_labels: labels(|one| &one.probes),
            rule_labels: labels(|one| &one.rules),
            namespaces: if self.settings.namespaces.is_empty() {
                self.trusted.iter().map(|one| one.namespace.clone()).collect()
            } else {
                self.settings.namespaces.clone()
            },
            prober_namespace: settings.prober_url.as_deref().and_then(namespace_of),
        }
    }
}

/// The namespace in the name of a Service: `blackbox.monitoring.svc:9115`.
fn namespace_of(address: &str) -> Option<String> {
    let host = address.rsplit("://").next()?.split([':', '/']).next()?;
    let mut parts = host.split('.');
    parts.next()?;
    parts
        .next()
        .filter(|namespace| !namespace.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    /// One that selects monitors, probes and rules alike; `age` is the order in which they were made.
    fn one(namespace: &str, age: u32, selector: &Value, namespaces: &Value) -> Instance {
        let spec: serde_json::Map<String, Value> = ["serviceMonitor", "probe", "rule"]
            .iter()
            .flat_map(|kind| {
                [
                    (format!("{kind}Selector"), selector.clone()),
                    (format!("{kind}NamespaceSelector"), namespaces.clone()),
                ]
            })
            .collect();
        Instance::read(
            &serde_json::from_value(json!({
                "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus",
                "metadata": {
                    "namespace": namespace, "name": "p",
                    "creationTimestamp": format!("2026-01-01T00:00:{age:02}Z"),
                },
                "spec": spec,
            }))
            .unwrap(),
        )
    }

    fn release(name: &str) -> Value {
        json!({"matchLabels": {"release": name}})
    }

    fn names(found: &PrometheusInstances) -> Vec<String> {
        found.trusted.iter().map(ToString::to_string).collect()
    }

    fn by_default(all: Vec<Instance>) -> PrometheusInstances {
        let namespaces = [
            ("system".to_owned(), labels(&[("tier", "infra")])),
            ("shop".to_owned(), labels(&[("tier", "apps")])),
        ];
        let own = Some(("system", labels(&[("release", "kps")])));
        PrometheusInstances::of(&PrometheusSettings::default(), all, namespaces.into(), own)
    }

    #[test]
    fn without_a_setting_only_who_selects_the_own_monitor_is_trusted_and_no_younger_stranger() {
        let all = json!({});
        let found = by_default(vec![
            one("elsewhere", 1, &release("other"), &all),
            one("own-namespace-only", 2, &release("kps"), &Value::Null),
            one(
                "apps-only",
                3,
                &release("kps"),
                &json!({"matchLabels": {"tier": "apps"}}),
            ),
            one(
                "monitoring",
                4,
                &release("kps"),
                &json!({"matchLabels": {"tier": "infra"}}),
            ),
            one("hostile", 5, &all, &all),
        ]);
        assert_eq!(names(&found), ["monitoring/p"]);
        assert_eq!(found.untrusted.as_deref(), Some("elsewhere/p"));
        let none = PrometheusInstances::of(
            &PrometheusSettings::default(),
            vec![one("hostile", 1, &all, &all)],
            BTreeMap::new(),
            None,
        );
        assert!(none.trusted.is_empty(), "there is no own monitor");
        assert_eq!(none.url("shop"), None);
        assert_eq!(
            none.observed("shop", &Settings::default()),
            ObservedPrometheus::default()
        );
    }

    #[test]
    fn each_app_has_the_prometheus_that_watches_its_namespace() {
        let settings = PrometheusSettings {
            namespaces: ["a", "b", "unread"].map(str::to_owned).into(),
            ..PrometheusSettings::default()
        };
        let tier = |tier: &str| json!({"matchLabels": {"tier": tier}});
        let all = vec![
            one("a", 1, &release("a"), &tier("infra")),
            one("b", 2, &release("b"), &tier("apps")),
        ];
        let namespaces = [
            ("shop".to_owned(), labels(&[("tier", "apps")])),
            ("system".to_owned(), labels(&[("tier", "infra")])),
        ];
        let mut found = PrometheusInstances::of(&settings, all, namespaces.into(), None);
        let observed =
            |found: &PrometheusInstances, namespace: &str| found.observed(namespace, &Settings::default());
        for (namespace, release) in [("shop", "b"), ("system", "a")] {
            let observed = observed(&found, namespace);
            assert_eq!(observed.monitor_labels, labels(&[("release", release)]));
            assert_eq!(observed.rule_labels, labels(&[("release", release)]));
            assert_eq!(observed.namespaces, settings.namespaces, "all of them may scrape");
            let url = format!("http://prometheus-operated.{release}.svc:9090");
            assert_eq!(found.url(namespace), Some(url.as_str()));
        }
        found.settings.url = Some("https://thanos".to_owned());
        assert_eq!(found.url("shop"), Some("https://thanos"));
    }

    #[test]
    fn a_selector_that_no_object_can_satisfy_gives_no_labels() {
        let settings = PrometheusSettings {
            namespaces: ["a".to_owned()].into(),
            ..PrometheusSettings::default()
        };
        let odd = one("a", 1, &release("not valid"), &json!({}));
        let found = PrometheusInstances::of(&settings, vec![odd], BTreeMap::new(), None);
        assert_eq!(
            found.observed("shop", &Settings::default()).monitor_labels,
            Labels::new()
        );
        let one = found.chosen("shop").unwrap();
        assert!(!found.takes(one, &one.monitors, "shop"));
    }

    #[test]
    fn the_prober_s_namespace_is_in_its_address() {
        assert_eq!(
            namespace_of("blackbox.monitoring.svc:9115"),
            Some("monitoring".to_owned())
        );
        assert_eq!(namespace_of("blackbox:9115"), None);
    }
}
