//! Every admission rule.

use super::AdmissionRule as Rule;
use super::Holds::{
    ExactlyOneOf, Is, KeysMatch, Matches, NoKeyBeginsWith, PositiveDuration, PositiveQuantity, Quantities,
    QuantityUpTo, Transition, ValuesMatch,
};
use super::predicates;
use crate::patterns::{
    ALERT_NAME, DNS_LABEL, DNS_SUBDOMAIN, DURATION, GRAFANA_FOLDER, GUARD_TIME, HTTP_URL, IMAGE,
    INGRESS_HOST, INTERVAL, LABEL_VALUE, MATCHERS, METRIC_NAME, MOUNT_PATH, PERCENTAGE, PERCENTAGE_UP_TO_100,
    POSTGRES_SETTING, POSTGRES_VERSION, PROBE_PATH, PROMETHEUS_LABEL, QUALIFIED_NAME, REDIS_VERSION,
    ROUTE_PATH, SECRET_KEY, SELECTOR, SERVICE_NAME, URL_PATH, VARIABLE_NAME, WINDOW,
};

const OPERATORS_LABELS: &[&str] = &["app.kubernetes.io/", "observedapp.dev/"];

/// Annotations that once were fields of a pod's security context, and are heeded still.
const SECURITY_PROFILES: &[&str] = &[
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
];

/// In the order of the spec.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule::new("", Is {
        cel: "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        rust: |app| app["metadata"]["name"].as_str().is_none_or(|name| name.len() <= 40 && crate::patterns::matches(SERVICE_NAME, name)),
    }, "metadata.name must be at most 40 of [a-z0-9-] with a letter first, because it becomes the names of Services").blaming("metadata.name"),

    // The app.
    Rule::new("spec.image", Matches(IMAGE),
        "image must be an image reference such as ghcr.io/acme/shop:1.4.2"),
    Rule::new("spec.imagePullSecrets[].name", Matches(DNS_SUBDOMAIN),
        "imagePullSecrets must be names of Secrets"),
    Rule::new("spec.autoscaling", Is {
        cel: "self.minReplicas <= self.maxReplicas",
        rust: predicates::minimum_is_not_above_maximum,
    }, "autoscaling.minReplicas must not be above maxReplicas").blaming("minReplicas"),
    Rule::new("spec.env[].name", Matches(VARIABLE_NAME),
        "env names must consist of letters, digits, '-', '_' and '.', and not begin with a digit"),
    Rule::new("spec.env[]", Is {
        cel: "!has(self.valueFrom) || !has(self.value) || self.value == ''",
        rust: predicates::value_or_value_from,
    }, "env takes value or valueFrom, not both").blaming("valueFrom"),
    Rule::new("spec.env[].valueFrom", ExactlyOneOf(&["configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"]),
        "env valueFrom must have exactly one of configMapKeyRef, fieldRef, resourceFieldRef, secretKeyRef"),
    Rule::new("spec.envFrom[]", ExactlyOneOf(&["configMapRef", "secretRef"]),
        "envFrom must have exactly one of configMapRef, secretRef"),
    Rule::new("spec.volumes[].name", Matches(DNS_LABEL),
        "volumes names must consist of [a-z0-9-]"),
    Rule::new("spec.volumes[]", ExactlyOneOf(&["configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "downwardAPI", "csi", "ephemeral"]),
        "volumes must each have exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected, downwardAPI, csi, ephemeral"),
    Rule::new("spec.volumeMounts[].mountPath", Matches(MOUNT_PATH),
        "volumeMounts mountPath must be an absolute path without ':'"),
    Rule::new("spec.volumeMounts[]", Is {
        cel: "!has(self.subPath) || !has(self.subPathExpr)",
        rust: predicates::one_sub_path,
    }, "volumeMounts takes subPath or subPathExpr, not both").blaming("subPathExpr"),
    Rule::new("spec", Is {
        cel: "!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes) && self.volumes.exists(volume, volume.name == mount.name))",
        rust: predicates::mounts_name_volumes,
    }, "volumeMounts must name volumes that are in spec.volumes").blaming("volumeMounts"),
    Rule::new("spec.resources.requests", Quantities,
        "resources.requests must be quantities such as 100m or 128Mi, and not negative"),
    Rule::new("spec.resources.limits", Quantities,
        "resources.limits must be quantities such as 1 or 512Mi, and not negative"),
    Rule::new("spec.resources", REQUESTS_WITHIN_LIMITS,
        "resources.requests must not be above resources.limits").blaming("requests"),
    Rule::new("spec.securityContext", Is {
        cel: "!self.runAsNonRoot || !has(self.runAsUser) || self.runAsUser != 0",
        rust: predicates::no_root_unless_allowed,
    }, "securityContext.runAsUser must not be 0 (root) while runAsNonRoot is true").blaming("runAsUser"),
    Rule::new("spec.serviceAccount.annotations", KeysMatch(QUALIFIED_NAME),
        "serviceAccount.annotations must have keys such as example.com/name"),
    Rule::new("spec.health.livenessPath", Matches(URL_PATH),
        "health.livenessPath must begin with '/' and have no query"),
    Rule::new("spec.health.readinessPath", Matches(URL_PATH),
        "health.readinessPath must begin with '/' and have no query"),
    Rule::new("spec.rollout.maxSurge", Is {
        cel: "type(self) == int ? self >= 0 : type(self) == string && self.matches('^[0-9]{1,4}%$')",
        rust: |value| predicates::count_or_percentage(value, PERCENTAGE),
    }, "rollout.maxSurge must be a number such as 1 or a percentage such as 25%"),
    Rule::new("spec.rollout.maxUnavailable", Is {
        cel: "type(self) == int ? self >= 0 : type(self) == string && self.matches('^(100|[0-9]{1,2})%$')",
        rust: |value| predicates::count_or_percentage(value, PERCENTAGE_UP_TO_100),
    }, "rollout.maxUnavailable must be a number such as 1 or a percentage of at most 100%"),
    Rule::new("spec.rollout", Is {
        cel: "!(string(self.maxSurge) in ['0', '0%', '00%']) || !(string(self.maxUnavailable) in ['0', '0%', '00%'])",
        rust: predicates::a_pod_can_be_replaced,
    }, "rollout.maxSurge and maxUnavailable must not both be 0, because then no pod could ever be replaced").blaming("maxSurge"),
    Rule::new("spec.rollout", Is {
        cel: "!has(self.guard) || !(string(self.maxSurge) in ['0', '0%', '00%'])",
        rust: predicates::a_release_can_be_tried,
    }, "rollout.guard needs maxSurge above 0, because a release is tried on a pod beside the others").blaming("maxSurge"),
    Rule::new("spec.rollout.guard.bakeTime", Matches(GUARD_TIME),
        "rollout.guard.bakeTime must be a duration from 10s to 7d in one unit, such as 5m"),
    Rule::new("spec.rollout.guard.watchTime", Matches(GUARD_TIME),
        "rollout.guard.watchTime must be a duration from 10s to 7d in one unit, such as 1h"),
    Rule::new("spec.placement.nodeSelector", KeysMatch(QUALIFIED_NAME),
        "placement.nodeSelector must have label keys such as example.com/name"),
    Rule::new("spec.placement.nodeSelector", ValuesMatch(LABEL_VALUE),
        "placement.nodeSelector must have label values: at most 63 letters, digits, '-', '_' and '.'"),
    Rule::new("spec.placement.priorityClassName", Matches(DNS_SUBDOMAIN),
        "placement.priorityClassName must be the name of a PriorityClass"),
    Rule::new("spec.podTemplate.labels", KeysMatch(QUALIFIED_NAME),
        "podTemplate.labels must have label keys such as example.com/name"),
    Rule::new("spec.podTemplate.labels", ValuesMatch(LABEL_VALUE),
        "podTemplate.labels must have label values: at most 63 letters, digits, '-', '_' and '.'"),
    Rule::new("spec.podTemplate.labels", NoKeyBeginsWith(OPERATORS_LABELS),
        "podTemplate.labels must not set app.kubernetes.io/ or observedapp.dev/ labels, which are the operator's"),
    Rule::new("spec.podTemplate.annotations", KeysMatch(QUALIFIED_NAME),
        "podTemplate.annotations must have keys such as example.com/name"),
    Rule::new("spec.podTemplate.annotations", NoKeyBeginsWith(&["observedapp.dev/"]),
        "podTemplate.annotations must not set observedapp.dev/ annotations, which are the operator's"),
    Rule::new("spec.podTemplate.annotations", NoKeyBeginsWith(SECURITY_PROFILES),
        "podTemplate.annotations must not choose AppArmor or seccomp profiles, which the restricted Pod Security Standard fixes"),

    // How it is reached.
    Rule::new("spec.service", Is {
        cel: "!has(self.nodePort) || self.type != 'ClusterIP'",
        rust: predicates::node_port_is_possible,
    }, "service.nodePort needs service.type NodePort or LoadBalancer").blaming("nodePort"),
    Rule::new("spec.service.annotations", KeysMatch(QUALIFIED_NAME),
        "service.annotations must have keys such as example.com/name"),
    Rule::new("spec.ingress.host", Matches(INGRESS_HOST),
        "ingress.host must be a lower-case DNS name such as shop.example.com, without scheme, port or path"),
    Rule::new("spec.ingress.path", Matches(URL_PATH),
        "ingress.path must begin with '/' and have no query"),
    Rule::new("spec.ingress.className", Matches(DNS_SUBDOMAIN),
        "ingress.className must be the name of an IngressClass"),
    Rule::new("spec.ingress.tlsSecretName", Matches(DNS_SUBDOMAIN),
        "ingress.tlsSecretName must be the name of a Secret"),
    Rule::new("spec.ingress.annotations", KeysMatch(QUALIFIED_NAME),
        "ingress.annotations must have keys such as example.com/name"),
    Rule::new("spec.gateway.parentRefs", Is {
        cel: "self.all(a, self.exists_one(b, a.name == b.name && \
              (has(a.__namespace__) ? a.__namespace__ : '') == (has(b.__namespace__) ? b.__namespace__ : '') && \
              (!has(a.sectionName) || !has(b.sectionName) || a.sectionName == b.sectionName)))",
        rust: predicates::parents_differ,
    }, "gateway.parentRefs must name a Gateway once, or each time another sectionName of it"),
    Rule::new("spec.gateway.parentRefs[].name", Matches(DNS_SUBDOMAIN),
        "gateway.parentRefs name must be the name of a Gateway"),
    Rule::new("spec.gateway.parentRefs[].namespace", Matches(DNS_LABEL),
        "gateway.parentRefs namespace must be the name of a namespace"),
    Rule::new("spec.gateway.parentRefs[].sectionName", Matches(DNS_SUBDOMAIN),
        "gateway.parentRefs sectionName must be the name of a listener"),
    Rule::new("spec.gateway.hostnames[]", Matches(INGRESS_HOST),
        "gateway.hostnames must be lower-case DNS names such as shop.example.com, without scheme, port or path"),
    Rule::new("spec.gateway.path", Matches(ROUTE_PATH),
        "gateway.path must begin with '/', have no query, and no segment that is empty, '.', '..' or not plain ASCII"),
    Rule::new("spec.networkPolicy.metricsFrom[]", Is {
        cel: "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
        rust: predicates::block_or_selectors,
    }, "networkPolicy.metricsFrom must each have either ipBlock, or podSelector and namespaceSelector or one of them"),
    Rule::new("spec.networkPolicy.metricsFrom[].ipBlock.cidr", Is {
        cel: "isCIDR(self)",
        rust: predicates::is_cidr,
    }, "networkPolicy.metricsFrom ipBlock.cidr must be an address range such as 10.0.0.0/8"),

    // Its database.
    Rule::new("spec.database", ExactlyOneOf(&["builtin", "cloudNativePG", "external"]),
        "database must have exactly one of builtin, cloudNativePG, external"),
    Rule::new("spec.database", Transition(
        "has(self.builtin) == has(oldSelf.builtin) && has(self.cloudNativePG) == has(oldSelf.cloudNativePG) && has(self.external) == has(oldSelf.external)",
    ), "database cannot change its kind while it is set: remove it first (what deletionPolicy retains is kept), then add the other"),
    Rule::new("spec.database.env", Matches(VARIABLE_NAME),
        "database.env must be the name of an environment variable"),
    Rule::new("spec.database.builtin.version", Matches(POSTGRES_VERSION),
        "database.builtin.version must be a version of Postgres from 14 on, such as 18"),
    Rule::new("spec.database.builtin.image", Matches(IMAGE),
        "database.builtin.image must be an image reference such as docker.io/library/postgres:18"),
    Rule::new("spec.database.builtin.storage.size", PositiveQuantity,
        "database.builtin.storage.size must be a quantity above 0 such as 10Gi"),
    Rule::new("spec.database.builtin.storage", SAME_CLASS,
        "database.builtin.storage.className cannot be changed").blaming("className"),
    Rule::new("spec.database.builtin.storage.className", Matches(DNS_SUBDOMAIN),
        "database.builtin.storage.className must be the name of a StorageClass"),
    Rule::new("spec.database.builtin.resources.requests", Quantities,
        "database.builtin.resources.requests must be quantities such as 100m or 128Mi, and not negative"),
    Rule::new("spec.database.builtin.resources.limits", Quantities,
        "database.builtin.resources.limits must be quantities such as 1 or 512Mi, and not negative"),
    Rule::new("spec.database.builtin.resources", REQUESTS_WITHIN_LIMITS,
        "database.builtin.resources.requests must not be above its limits").blaming("requests"),
    Rule::new("spec.database.builtin.parameters", KeysMatch(POSTGRES_SETTING),
        "database.builtin.parameters must have names of Postgres settings"),
    Rule::new("spec.database.cloudNativePG.version", Matches(POSTGRES_VERSION),
        "database.cloudNativePG.version must be a version of Postgres from 14 on, such as 18"),
    Rule::new("spec.database.cloudNativePG.storage.size", PositiveQuantity,
        "database.cloudNativePG.storage.size must be a quantity above 0 such as 10Gi"),
    Rule::new("spec.database.cloudNativePG.storage.size", NEVER_SHRINKS,
        "database.cloudNativePG.storage.size may grow and never shrink"),
    Rule::new("spec.database.cloudNativePG.storage", SAME_CLASS,
        "database.cloudNativePG.storage.className cannot be changed").blaming("className"),
    Rule::new("spec.database.cloudNativePG.storage.className", Matches(DNS_SUBDOMAIN),
        "database.cloudNativePG.storage.className must be the name of a StorageClass"),
    Rule::new("spec.database.cloudNativePG.parameters", KeysMatch(POSTGRES_SETTING),
        "database.cloudNativePG.parameters must have names of Postgres settings"),
    Rule::new("spec.database.external.secretName", Matches(DNS_SUBDOMAIN),
        "database.external.secretName must be the name of a Secret"),
    Rule::new("spec.database.external.key", Matches(SECRET_KEY),
        "database.external.key must be a key of a Secret: letters, digits, '-', '_' and '.'"),
    Rule::new("spec", Is {
        cel: "!has(self.database) || !has(self.env) || !self.env.exists(variable, variable.name == self.database.env)",
        rust: predicates::env_leaves_out_the_databases,
    }, "database.env must not name a variable that env sets too").blaming("database.env"),

    // Its cache.
    Rule::new("spec.cache", ExactlyOneOf(&["builtin", "external"]),
        "cache must have exactly one of builtin, external"),
    Rule::new("spec.cache.env", Matches(VARIABLE_NAME),
        "cache.env must be the name of an environment variable"),
    Rule::new("spec.cache.builtin.version", Matches(REDIS_VERSION),
        "cache.builtin.version must be a version of Redis from 6 on, such as 8"),
    Rule::new("spec.cache.builtin.image", Matches(IMAGE),
        "cache.builtin.image must be an image reference such as docker.io/library/redis:8"),
    Rule::new("spec.cache.builtin.memory", PositiveQuantity,
        "cache.builtin.memory must be a quantity above 0 such as 64Mi"),
    Rule::new("spec.cache.builtin.memory", QuantityUpTo("1Ti"),
        "cache.builtin.memory must not be above 1Ti, more than a node has"),
    Rule::new("spec.cache.external.secretName", Matches(DNS_SUBDOMAIN),
        "cache.external.secretName must be the name of a Secret"),
    Rule::new("spec.cache.external.key", Matches(SECRET_KEY),
        "cache.external.key must be a key of a Secret: letters, digits, '-', '_' and '.'"),
    Rule::new("spec", Is {
        cel: "!has(self.cache) || !has(self.env) || !self.env.exists(variable, variable.name == self.cache.env)",
        rust: predicates::env_leaves_out_the_caches,
    }, "cache.env must not name a variable that env sets too").blaming("cache.env"),
    Rule::new("spec", Is {
        cel: "!has(self.cache) || !has(self.database) || self.cache.env != self.database.env",
        rust: predicates::cache_and_database_differ,
    }, "cache.env must not name the variable of database.env").blaming("cache.env"),

    // What is measured.
    Rule::new("spec.metrics.path", Matches(URL_PATH),
        "metrics.path must begin with '/' and have no query"),
    Rule::new("spec.metrics.interval", PositiveDuration,
        "metrics.interval must be a duration above 0 such as 15s"),
    Rule::new("spec.metrics.interval", Matches(INTERVAL),
        "metrics.interval must be from 5s, below which scraping costs more than it tells, to 2m, because alerts need two samples in five minutes"),
    Rule::new("spec.metrics.requests", Matches(METRIC_NAME),
        "metrics.requests must be the name of a metric; label matchers go into the objectives"),
    Rule::new("spec.metrics.errors", Matches(MATCHERS),
        "metrics.errors must be label matchers such as code=~\"5..\""),
    Rule::new("spec.metrics.latency", Matches(METRIC_NAME),
        "metrics.latency must be the name of a histogram, without _bucket"),
    Rule::new("spec.probe.path", Matches(PROBE_PATH),
        "probe.path must begin with '/'"),
    Rule::new("spec.probe.interval", PositiveDuration,
        "probe.interval must be a duration above 0 such as 15s"),
    Rule::new("spec.probe.interval", Matches(INTERVAL),
        "probe.interval must be from 5s, below which probing costs more than it tells, to 2m, because alerts need two samples in five minutes"),

    // What is promised.
    Rule::new("spec.slos[].name", Matches(SERVICE_NAME),
        "slos names must be of [a-z0-9-] with a letter first"),
    Rule::new("spec.slos[].objective", Is {
        cel: "self > 0.0 && self < 100.0",
        rust: predicates::is_percentage_between,
    }, "slos objective must be a percentage above 0 and below 100"),
    Rule::new("spec.slos[].window", Matches(DURATION),
        "slos window must be a duration such as 30d"),
    Rule::new("spec.slos[].window", Matches(WINDOW),
        "slos window must be from 1d to 90d"),
    Rule::new("spec.slos[].indicator", ExactlyOneOf(&["availability", "latency", "ratio", "probe"]),
        "slos indicator must have exactly one of availability, latency, ratio, probe"),
    Rule::new("spec.slos[].indicator.availability.matchers", Matches(MATCHERS),
        "slos indicator.availability.matchers must be label matchers such as route=\"/tasks\""),
    Rule::new("spec.slos[].indicator.latency.matchers", Matches(MATCHERS),
        "slos indicator.latency.matchers must be label matchers such as route=\"/tasks\""),
    Rule::new("spec.slos[].indicator.latency.threshold", PositiveDuration,
        "slos indicator.latency.threshold must be a duration above 0 such as 300ms"),
    Rule::new("spec.slos[].indicator.ratio.errors", Matches(SELECTOR),
        "slos indicator.ratio.errors must be a counter with label matchers such as jobs_failed_total{queue=\"mail\"}"),
    Rule::new("spec.slos[].indicator.ratio.total", Matches(SELECTOR),
        "slos indicator.ratio.total must be a counter with label matchers such as jobs_total{queue=\"mail\"}"),
    Rule::new("spec", Is {
        cel: "!has(self.slos) || has(self.metrics) || self.slos.all(slo, !has(slo.indicator.availability) && !has(slo.indicator.latency))",
        rust: predicates::metrics_are_there_if_counted,
    }, "slos that count availability or latency need spec.metrics").blaming("slos"),
    Rule::new("spec", Is {
        cel: "!has(self.slos) || has(self.probe) || self.slos.all(slo, !has(slo.indicator.probe))",
        rust: predicates::probe_is_there_if_counted,
    }, "slos that count probe need spec.probe").blaming("slos"),
    Rule::new("spec.slos[].alerting.runbookURL", Matches(HTTP_URL),
        "slos alerting.runbookURL must be an http or https URL"),
    Rule::new("spec.slos[].alerting.labels", ALERT_LABELS,
        "slos alerting.labels must be label names, and not namespace, app, slo or alertname, which are the operator's"),
    Rule::new("spec.slos[].alerting.page.labels", ALERT_LABELS,
        "slos alerting.page.labels must be label names, and not namespace, app, slo or alertname, which are the operator's"),
    Rule::new("spec.slos[].alerting.ticket.labels", ALERT_LABELS,
        "slos alerting.ticket.labels must be label names, and not namespace, app, slo or alertname, which are the operator's"),
    Rule::new("spec.slos[].alerting.annotations", KeysMatch(PROMETHEUS_LABEL),
        "slos alerting.annotations must have names of letters, digits and '_'"),

    // Alerts.
    Rule::new("spec.alerts.highCPU.for", Matches(DURATION), "alerts.highCPU.for must be a duration such as 5m"),
    Rule::new("spec.alerts.highMemory.for", Matches(DURATION), "alerts.highMemory.for must be a duration such as 5m"),
    Rule::new("spec.alerts.highErrorRate.for", Matches(DURATION), "alerts.highErrorRate.for must be a duration such as 5m"),
    Rule::new("spec.alerts.replicasUnavailable.for", Matches(DURATION), "alerts.replicasUnavailable.for must be a duration such as 5m"),
    Rule::new("spec.alerts.metricsAbsent.for", Matches(DURATION), "alerts.metricsAbsent.for must be a duration such as 10m"),
    Rule::new("spec.alerts.databaseDown.for", Matches(DURATION), "alerts.databaseDown.for must be a duration such as 2m"),
    Rule::new("spec.alerts.probeFailing.for", Matches(DURATION), "alerts.probeFailing.for must be a duration such as 2m"),
    Rule::new("spec.alerts.extra[].alert", Matches(ALERT_NAME),
        "alerts.extra alert must be a name of letters, digits and '_'"),
    Rule::new("spec.alerts.extra[].alert", Is {
        cel: "!(self in ['ErrorBudgetBurnFast', 'ErrorBudgetBurnSlow', 'HighCPUUsage', 'HighMemoryUsage', 'HighErrorRate', 'ReplicasUnavailable', 'MetricsAbsent', 'DatabaseDown', 'ProbeFailing'])",
        rust: predicates::is_no_alert_of_the_operators,
    }, "alerts.extra alert must not be the name of an alert that the operator makes"),
    Rule::new("spec.alerts.extra[].for", Matches(DURATION), "alerts.extra for must be a duration such as 5m"),
    Rule::new("spec.alerts.extra[].keepFiringFor", Matches(DURATION), "alerts.extra keepFiringFor must be a duration such as 5m"),
    Rule::new("spec.alerts.extra[].labels", ALERT_LABELS,
        "alerts.extra labels must be label names, and not namespace, app, slo or alertname, which are the operator's"),
    Rule::new("spec.alerts.extra[].annotations", KeysMatch(PROMETHEUS_LABEL),
        "alerts.extra annotations must have names of letters, digits and '_'"),
    Rule::new("spec.dashboards.folder", Matches(GRAFANA_FOLDER),
        "dashboards.folder must be the name of a Grafana folder, or several with '/' between them, none with a '.' first"),
    Rule::new("spec.dashboards.labels", KeysMatch(QUALIFIED_NAME),
        "dashboards.labels must have label keys such as example.com/name"),
    Rule::new("spec.dashboards.labels", ValuesMatch(LABEL_VALUE),
        "dashboards.labels must have label values: at most 63 letters, digits, '-', '_' and '.'"),
    Rule::new("spec.dashboards.labels", NoKeyBeginsWith(&["app.kubernetes.io/", "observedapp.dev/", "grafana_dashboard"]),
        "dashboards.labels must not set app.kubernetes.io/ or observedapp.dev/ labels nor grafana_dashboard, which are the operator's"),
];

const REQUESTS_WITHIN_LIMITS: super::Holds = Is {
    cel: "!has(self.requests) || !has(self.limits) || self.requests.all(key, !(key in self.limits) || \
          !isQuantity(string(self.requests[key])) || !isQuantity(string(self.limits[key])) || \
          quantity(string(self.requests[key])).compareTo(quantity(string(self.limits[key]))) <= 0)",
    rust: predicates::requests_within_limits,
};
const ALERT_LABELS: super::Holds = Is {
    cel: "self.all(key, key.matches('^([a-zA-Z]|_[a-zA-Z0-9])[a-zA-Z0-9_]*$') && \
          !(key in ['namespace', 'app', 'slo', 'alertname']))",
    rust: predicates::alert_labels_are_free,
};
const NEVER_SHRINKS: super::Holds = Transition(
    "!isQuantity(string(self)) || !isQuantity(string(oldSelf)) || \
     quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
);
const SAME_CLASS: super::Holds = Transition(
    "has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)",
);
