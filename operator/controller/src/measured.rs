//! What is counted and traced of each reconcile, and how soon it is tried again.

use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use observedapp_api::AppRef;
use traces::{Attribute, CURRENT, Span, SpanKind};
use tracing::{debug, warn};

use crate::context::{AppCache, Context};
use crate::error::{Error, jittered};
use crate::metrics::{ErrorLabel, ResultLabel};
use crate::reconcile::Next;

pub async fn measured(
    context: &Context,
    app: &AppRef,
    cache: &mut AppCache,
    reconcile: impl AsyncFnOnce(&mut AppCache) -> Result<Next, Error>,
) -> Action {
    let began = Instant::now();
    let span = context.traces.begin(None);
    let outcome = CURRENT.scope(span, reconcile(&mut *cache)).await;
    let (result, wait) = match &outcome {
        Ok(Next::OnChange) => ("done", jittered(context.resync)),
        Ok(Next::After(wait)) => ("again", jittered(*wait)),
        Err(error) => ("failed", error.backoff(cache.failures)),
    };
    match &outcome {
        Ok(_) => cache.failures = 0,
        Err(error) => {
            cache.failures = cache.failures.saturating_add(1);
            count_error(context, app, cache.failures, error, wait);
        }
    }
    let wait = cache.pod_events.as_ref().map_or(wait, |events| {
        wait.min(events.due_in(Instant::now()).max(Duration::from_secs(1)))
    });
    let duration = began.elapsed();
    let metrics = &context.metrics;
    metrics.reconciles.get_or_create(&ResultLabel { result }).inc();
    metrics.apps.show_failures(app, cache.failures);
    metrics.duration.observe(duration.as_secs_f64());
    let reason = outcome.err().map(|error| error.reason());
    let attributes: Vec<_> = [
        ("k8s.namespace.name", app.namespace.as_str()),
        ("observedapp.app", &app.name),
        ("observedapp.result", result),
    ]
    .into_iter()
    .chain(reason.as_ref().map(|reason| ("error.type", reason.as_str())))
    .map(|(key, value)| (key, Attribute::Text(value)))
    .collect();
    context.traces.record(&Span {
        context: span,
        parent: None,
        kind: SpanKind::Internal,
        name: "reconcile",
        duration,
        attributes: &attributes,
        failed: reason.is_some(),
    });
    debug!(namespace = app.namespace, app = app.name, result, "reconciled");
    Action::requeue(wait)
}

fn count_error(context: &Context, app: &AppRef, failures: u32, error: &Error, wait: Duration) {
    let label = ErrorLabel {
        error: error.reason().to_string(),
    };
    context.metrics.errors.get_or_create(&label).inc();
    if !matches!(error, Error::Stale) {
        warn!(namespace = app.namespace, app = app.name, failures, %error, "tried again in {wait:.1?}");
    }
}
