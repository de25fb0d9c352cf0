//! What is counted and traced of each reconcile, and how soon it is tried again.

use std::time::{Duration, Instant};

use kube::runtime::controller::Action;
use observedapp_api::AppRef;
use opentelemetry::trace::{FutureExt as _, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{KeyValue, global};
use tracing::{debug, warn};

use crate::context::{AppCache, Context};
use crate::error::{Error, jittered};
use crate::metrics::{ErrorLabel, ResultLabel};
use crate::traces::TRACER;

/// When an app is to be reconciled again.
#[derive(Clone, Copy, Debug)]
pub enum Next {
    /// When something changes.
    OnChange,
    After(Duration),
}

pub async fn measured(
    context: &Context,
    app: &AppRef,
    cache: &mut AppCache,
    reconcile: impl AsyncFnOnce(&mut AppCache) -> Result<Next, Error>,
) -> Action {
    let began = Instant::now();
    let trace = opentelemetry::Context::new().with_span(global::tracer(TRACER).start("reconcile"));
    let outcome = reconcile(&mut *cache).with_context(trace.clone()).await;
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
    let metrics = &context.metrics;
    metrics.reconciles.get_or_create(&ResultLabel { result }).inc();
    metrics.apps.show_failures(app, cache.failures);
    metrics.duration.observe(began.elapsed().as_secs_f64());
    let span = trace.span();
    span.set_attributes([
        KeyValue::new("k8s.namespace.name", app.namespace.clone()),
        KeyValue::new("observedapp.app", app.name.clone()),
        KeyValue::new("observedapp.result", result),
    ]);
    if let Err(error) = outcome {
        span.set_attribute(KeyValue::new("error.type", error.reason().to_string()));
        span.set_status(Status::error(""));
    }
    span.end();
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
