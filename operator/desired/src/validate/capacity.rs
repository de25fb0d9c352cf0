//! What the fields of one spec mean together: whether it can run, roll and scale as it says.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use observedapp_api::{Amount, DEFAULT_REPLICAS, ObservedAppSpec, Scalar};
use observedapp_slo::PromDuration;

use super::{Findings, pods};
use crate::Database;

pub(super) fn check(spec: &ObservedAppSpec, database: Option<&Database>, findings: &mut Findings) {
    image(spec, findings);
    ports(spec, findings);
    scaling(spec, findings);
    rollout(spec, findings);
    volumes(spec, findings);
    scraping(spec, findings);
    probe(spec, findings);
    latency(spec, findings);
    if let Some(database) = database {
        parameters(database, findings);
        connections(spec, database, findings);
    }
    if !spec.security_context.run_as_non_root {
        findings.note(
            "spec.securityContext.runAsNonRoot",
            "the pods may run as root, which namespaces under the restricted Pod Security Standard refuse",
            "leave it true and set runAsUser, wherever the image allows it",
        );
    }
}

fn image(spec: &ObservedAppSpec, findings: &mut Findings) {
    let last = spec.image.rsplit('/').next().unwrap_or_default();
    let tag = last
        .split('@')
        .next()
        .and_then(|name| name.split_once(':'))
        .map(|(_, tag)| tag);
    if !last.contains('@') && tag.is_none_or(|tag| tag == "latest") {
        findings.note(
            "spec.image",
            format!(
                "{:?} may mean another image tomorrow, so that no rollout can be told nor taken back",
                spec.image
            ),
            "name a version or a digest",
        );
    }
}

fn ports(spec: &ObservedAppSpec, findings: &mut Findings) {
    const FIRST_UNPRIVILEGED: i32 = 1024;
    let metrics = spec.metrics.as_ref().and_then(|metrics| metrics.port);
    for (field, port) in [("spec.port", Some(spec.port)), ("spec.metrics.port", metrics)] {
        if port.is_some_and(|port| port < FIRST_UNPRIVILEGED) && !spec.security_context.add_net_bind_service {
            findings.note(
                field,
                "a port below 1024 cannot be opened on every node by an app that is not root",
                "use a port from 1024 on, or set securityContext.addNetBindService",
            );
        }
    }
}

fn scaling(spec: &ObservedAppSpec, findings: &mut Findings) {
    let requests = spec.resources.requests.as_ref();
    let cpu = requests
        .and_then(|requests| requests.get("cpu"))
        .and_then(|cpu| Amount::try_from(cpu).ok());
    if spec.autoscaling.is_some() && cpu.is_some_and(|cpu| cpu.thousandths() == 0) {
        findings.problem(
            "spec.resources.requests.cpu",
            "autoscaling aims at a share of the CPU requested, and none is",
            "request what one pod needs, such as 100m",
        );
    }
    if let Some(autoscaling) = &spec.autoscaling
        && spec.replicas != DEFAULT_REPLICAS
    {
        findings.note(
            "spec.replicas",
            format!(
                "{} does nothing beside spec.autoscaling, which keeps between {} and {} pods; nor does `kubectl scale`",
                spec.replicas, autoscaling.min_replicas, autoscaling.max_replicas
            ),
            "change minReplicas and maxReplicas, or remove spec.autoscaling",
        );
    }
    let (fewest, _) = pods(spec);
    if fewest == 1 {
        let field = if spec.autoscaling.is_some() {
            "spec.autoscaling.minReplicas"
        } else {
            "spec.replicas"
        };
        findings.note(
            field,
            "one pod has no PodDisruptionBudget, so draining its node interrupts the app",
            "use 2 or more",
        );
    }
}

fn rollout(spec: &ObservedAppSpec, findings: &mut Findings) {
    let (fewest, _) = pods(spec);
    let may_stop_all = match &spec.rollout.max_unavailable {
        IntOrString::Int(count) => *count >= fewest,
        IntOrString::String(percentage) => percentage.trim_end_matches('%').parse() == Ok(100),
    };
    if fewest > 0 && may_stop_all {
        findings.note(
            "spec.rollout.maxUnavailable",
            "a rollout may stop every pod at once",
            "use less than the number of pods, or 0",
        );
    }
}

/// The volume that the operator adds for /tmp.
const TMP_VOLUME: &str = "observedapp-tmp";

fn volumes(spec: &ObservedAppSpec, findings: &mut Findings) {
    for (i, volume) in spec.volumes.iter().enumerate() {
        if volume.name == TMP_VOLUME {
            findings.problem(
                format!("spec.volumes[{i}].name"),
                format!("{TMP_VOLUME} is the operator's own volume"),
                "give it another name",
            );
        }
    }
    for (i, mount) in spec.volume_mounts.iter().enumerate() {
        if mount
            .sub_path
            .iter()
            .chain(&mount.sub_path_expr)
            .any(|path| path.split('/').any(|part| part == ".."))
        {
            findings.problem(
                format!("spec.volumeMounts[{i}].subPath"),
                "`..` leads out of the volume",
                "name a folder inside it",
            );
        }
    }
}

/// Every app is scraped by the same Prometheus: below this an interval costs all of them more than it shows of this one.
const FASTEST_INTERVAL: PromDuration = PromDuration::from_secs(5);
/// Rates over five minutes need two samples in every window, also when one scrape is late.
const SLOWEST_INTERVAL: PromDuration = PromDuration::from_minutes(2);

fn scraping(spec: &ObservedAppSpec, findings: &mut Findings) {
    let metrics = spec.metrics.as_ref().map(|metrics| &metrics.interval);
    let probe = spec.probe.as_ref().map(|probe| &probe.interval);
    for (field, interval) in [("spec.metrics.interval", metrics), ("spec.probe.interval", probe)] {
        let parsed = interval.and_then(|interval| interval.parse::<PromDuration>().ok());
        if parsed.is_some_and(|interval| interval < FASTEST_INTERVAL) {
            findings.problem(
                field,
                "so many samples cost the Prometheus that all apps share more than they tell",
                format!("use at least {FASTEST_INTERVAL}"),
            );
        }
        if parsed.is_some_and(|interval| interval > SLOWEST_INTERVAL) {
            findings.problem(
                field,
                "objectives and alerts look at spans of five minutes, which must hold two samples or more",
                format!("use at most {SLOWEST_INTERVAL}"),
            );
        }
    }
}

fn probe(spec: &ObservedAppSpec, findings: &mut Findings) {
    if spec.probe.is_none() {
        return;
    }
    let is_wildcard = |host: &String| host.starts_with("*.");
    let (what, field) = match (&spec.ingress, &spec.gateway) {
        (Some(ingress), _) if is_wildcard(&ingress.host) => ("ingress", "ingress.host"),
        (None, Some(gateway)) if gateway.hostnames.iter().all(is_wildcard) => {
            ("gateway", "gateway.hostnames")
        }
        _ => return,
    };
    findings.problem(
        "spec.probe",
        format!("the {what} answers to a wildcard host, which is no address that can be probed"),
        format!("give {field} one name, or remove probe"),
    );
}

/// What client libraries' first bucket is, where nobody has chosen buckets.
const FIRST_BUCKET: PromDuration = PromDuration::from_millis(5);

fn latency(spec: &ObservedAppSpec, findings: &mut Findings) {
    for (i, slo) in spec.slos.iter().enumerate() {
        let threshold = slo
            .indicator
            .latency
            .as_ref()
            .map(|latency| latency.threshold.parse::<PromDuration>());
        if let Some(Ok(threshold)) = threshold
            && threshold < FIRST_BUCKET
        {
            findings.note(
                format!("spec.slos[{i}].indicator.latency.threshold"),
                format!(
                    "{threshold} is below {FIRST_BUCKET}, the first bucket that most client libraries have"
                ),
                "make sure that the histogram has a bucket at the threshold: without one there is no data",
            );
        }
    }
}

/// Settings on which the pod depends.
const OPERATORS_SETTINGS: [&str; 8] = [
    "listen_addresses",
    "port",
    "data_directory",
    "config_file",
    "hba_file",
    "ident_file",
    "unix_socket_directories",
    "external_pid_file",
];

fn parameters(database: &Database, findings: &mut Findings) {
    let (path, parameters) = match database {
        Database::Builtin(builtin) => ("spec.database.builtin.parameters", &builtin.parameters),
        Database::CloudNativePg(cluster) => ("spec.database.cloudNativePG.parameters", &cluster.parameters),
        Database::External(_) => return,
    };
    for (name, value) in parameters {
        let field = format!("{path}.{name}");
        if OPERATORS_SETTINGS.contains(&name.to_lowercase().as_str()) {
            findings.problem(
                field,
                "the setting is the operator's: the pod depends on it",
                "leave it out",
            );
        } else if value.as_str().contains(['\n', '\r', '\0']) {
            findings.problem(field, "a setting is one line", "remove the line break");
        } else if name.eq_ignore_ascii_case("max_connections") && max_connections(value).is_none() {
            findings.problem(
                field,
                format!("{:?} is no number of connections", value.as_str()),
                "use a whole number from 10 to 10000",
            );
        }
    }
}

fn max_connections(value: &Scalar) -> Option<i32> {
    value
        .as_str()
        .parse()
        .ok()
        .filter(|connections| (10..=10_000).contains(connections))
}

/// Postgres' own, and the exporter's.
const RESERVED_CONNECTIONS: i32 = 4;
const DEFAULT_CONNECTIONS: i32 = 100;
/// The pools of most libraries are larger than this.
const SMALL_POOL: i32 = 5;

fn connections(spec: &ObservedAppSpec, database: &Database, findings: &mut Findings) {
    let (path, parameters) = match database {
        Database::Builtin(builtin) => ("spec.database.builtin.parameters", &builtin.parameters),
        Database::CloudNativePg(cluster) => ("spec.database.cloudNativePG.parameters", &cluster.parameters),
        Database::External(_) => return,
    };
    let total = parameters
        .get("max_connections")
        .map_or(Some(DEFAULT_CONNECTIONS), max_connections);
    let (_, most) = pods(spec);
    let pods = most.saturating_add(surge(&spec.rollout.max_surge, most));
    let Some(total) = total.filter(|_| pods > 0) else {
        return;
    };
    let each = (total - RESERVED_CONNECTIONS) / pods;
    if each >= SMALL_POOL {
        return;
    }
    let field = format!("{path}.max_connections");
    let arithmetic = format!(
        "{total} connections, of which {RESERVED_CONNECTIONS} are kept, leave {each} for each of {pods} pods (with those of a rollout)"
    );
    if each == 0 {
        findings.problem(
            field,
            arithmetic,
            format!("allow at least {}", pods + RESERVED_CONNECTIONS),
        );
    } else {
        findings.note(
            field,
            arithmetic,
            "keep the app's pool that small, or allow more connections",
        );
    }
}

fn surge(max_surge: &IntOrString, pods: i32) -> i32 {
    match max_surge {
        IntOrString::Int(count) => *count,
        IntOrString::String(percentage) => {
            let percent: i64 = percentage.trim_end_matches('%').parse().unwrap_or_default();
            i32::try_from((i64::from(pods) * percent + 99) / 100).unwrap_or(i32::MAX)
        }
    }
}
