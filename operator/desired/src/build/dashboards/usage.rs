//! Use, saturation, errors: what the app's pods take of what they were given.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use observedapp_api::Amount;
use observedapp_slo::deployment_pods;

use super::model::Unit;
use super::panel::{Grid, ORANGE, PanelBuilder, RED};
use crate::{ValidApp, resources};

/// The app's containers in cAdvisor's series: a container of another app may bear the same name.
pub(super) fn containers() -> String {
    format!(
        r#"{{namespace="$namespace",pod=~"{}",container="$app"}}"#,
        deployment_pods("$app")
    )
}

pub(super) fn row(app: &ValidApp, grid: &mut Grid) {
    grid.row("Resources (USE)");
    let mut first = vec![cpu(app), memory(app)];
    // Without a limit nothing is ever throttled, and there is no such series.
    if resources::app_limits(&app.spec).cpu.is_some() {
        first.insert(1, throttling());
    }
    grid.line(8, first);
    grid.line(8, vec![network(), restarts(), replicas()]);
}

fn cpu(app: &ValidApp) -> PanelBuilder {
    let panel = PanelBuilder::lines("CPU", Unit::Cores)
        .says("Cores in use, by pod, against what each asked for and may use.")
        .from(0.0)
        .query(
            "{{pod}}",
            format!(
                "sum by (pod) (rate(container_cpu_usage_seconds_total{}[$__rate_interval]))",
                containers()
            ),
        );
    bounds(app, "cpu", panel, |amount| cores(amount.thousandths()))
}

fn memory(app: &ValidApp) -> PanelBuilder {
    let panel = PanelBuilder::lines("Memory", Unit::Bytes)
        .says("Memory that cannot be taken back, by pod: at the limit the kernel kills the container.")
        .from(0.0)
        .query(
            "{{pod}}",
            format!(
                "max by (pod) (container_memory_working_set_bytes{})",
                containers()
            ),
        );
    bounds(app, "memory", panel, |amount| amount.units().to_string())
}

/// The request and the limit are the spec's own: no series is needed to know them.
fn bounds(
    app: &ValidApp,
    resource: &str,
    panel: PanelBuilder,
    number: impl Fn(Amount) -> String,
) -> PanelBuilder {
    let filled = resources::fill(&app.spec.resources, resources::APP);
    let known = |amounts: Option<&std::collections::BTreeMap<String, Quantity>>| {
        resources::amount(amounts, resource).map(&number)
    };
    let mut panel = panel;
    for (legend, colour, amount) in [
        ("request", ORANGE, known(filled.requests.as_ref())),
        ("limit", RED, known(filled.limits.as_ref())),
    ] {
        if let Some(amount) = amount {
            panel = panel.bound(legend, colour, format!("vector({amount})"));
        }
    }
    panel
}

fn cores(thousandths: u64) -> String {
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

fn throttling() -> PanelBuilder {
    let sum = |name: &str| format!("sum by (pod) (rate({name}{}[$__rate_interval]))", containers());
    PanelBuilder::lines("CPU throttling", Unit::Ratio)
        .says("The share of time slices in which a pod had to wait because of its CPU limit.")
        .from(0.0)
        .query(
            "{{pod}}",
            format!(
                "{} / {}",
                sum("container_cpu_cfs_throttled_periods_total"),
                sum("container_cpu_cfs_periods_total")
            ),
        )
}

/// A pod's network belongs to the pod, not to a container.
fn network() -> PanelBuilder {
    let of_pods = |name: &str| {
        format!(
            r#"sum by (pod) (rate({name}{{namespace="$namespace",pod=~"{}"}}[$__rate_interval]))"#,
            deployment_pods("$app")
        )
    };
    PanelBuilder::lines("Network", Unit::BytesPerSecond)
        .says("Bytes received and sent, by pod.")
        .from(0.0)
        .query(
            "{{pod}} received",
            of_pods("container_network_receive_bytes_total"),
        )
        .query("{{pod}} sent", of_pods("container_network_transmit_bytes_total"))
}

/// From the kubelet's own count: cAdvisor has no series of a container that ends at once.
fn restarts() -> PanelBuilder {
    PanelBuilder::lines("Restarts", Unit::Count)
        .says("How often the containers of each pod, the database's and the cache's too, were started again since the pod was made.")
        .from(0.0)
        .decimals(0)
        .query(
            "{{pod}}",
            r#"max by (pod) (observedapp_app_restarts{namespace="$namespace",app="$app"})"#,
        )
}

fn replicas() -> PanelBuilder {
    PanelBuilder::lines("Replicas", Unit::Count)
        .says("Pods that are wanted, that answer, and that run the newest version.")
        .from(0.0)
        .decimals(0)
        .query(
            "{{state}}",
            r#"max by (state) (observedapp_app_replicas{namespace="$namespace",app="$app"})"#,
        )
}
