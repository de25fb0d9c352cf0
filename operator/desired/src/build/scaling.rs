//! How many pods run: who decides, and how few may be left.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::{Component, Object, ObservedReplicas, ValidApp};

pub(super) fn objects(app: &ValidApp) -> Vec<Object> {
    let autoscaler = autoscaler(app).map(Object::from);
    let budget = disruption_budget(app).map(Object::from);
    autoscaler.into_iter().chain(budget).collect()
}

/// The count that the Deployment is sent, if it is sent one at all.
///
/// A field that is no longer sent falls back to its default, which is one pod, unless somebody else owns it. So under
/// autoscaling the present count is sent until the autoscaler has set one of its own.
pub(super) fn replicas(app: &ValidApp) -> Option<i32> {
    let Some(autoscaling) = &app.spec.autoscaling else {
        return Some(app.spec.replicas);
    };
    match app.observed.replicas {
        Some(ObservedReplicas {
            owned_by_other: true, ..
        }) => None,
        // An autoscaler leaves a Deployment of 0 alone.
        Some(ObservedReplicas { count, .. }) if count > 0 => Some(count),
        _ => Some(
            app.spec
                .replicas
                .clamp(autoscaling.min_replicas, autoscaling.max_replicas),
        ),
    }
}

/// The fewest pods that are wanted at any time.
pub(crate) fn fewest(app: &ValidApp) -> i32 {
    let autoscaling = app.spec.autoscaling.as_ref();
    autoscaling.map_or(app.spec.replicas, |autoscaling| autoscaling.min_replicas)
}

fn autoscaler(app: &ValidApp) -> Option<HorizontalPodAutoscaler> {
    let autoscaling = app.spec.autoscaling.as_ref()?;
    Some(HorizontalPodAutoscaler {
        metadata: app.metadata(app.id.name.clone(), Component::App),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: app.id.name.clone(),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(autoscaling.target_cpu_utilization),
                        ..Default::default()
                    },
                }),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// Only where there are two pods or more: over a single one it would block every drain of its node. Pods that do not
/// answer anyway may always be evicted.
fn disruption_budget(app: &ValidApp) -> Option<PodDisruptionBudget> {
    (fewest(app) >= 2).then(|| PodDisruptionBudget {
        metadata: app.metadata(app.id.name.clone(), Component::App),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(app.selector(Component::App)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    })
}
