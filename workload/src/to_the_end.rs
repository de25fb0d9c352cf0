//! Work that is done to its end, whether or not somebody still waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use traces::CURRENT;

/// Does its work where it is awaited, and goes on in a task of its own if that is given up. To begin in such a task would
/// cost every request what only those need whose client hangs up.
#[derive(Debug)]
pub struct ToTheEnd<F>(Option<Pin<Box<F>>>)
where
    F: Future<Output: Send> + Send + 'static;

impl<F> ToTheEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    pub fn new(work: F) -> Self {
        Self(Some(Box::pin(work)))
    }
}

impl<F> Future for ToTheEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Out of its place meanwhile: work that panics is not gone on with.
        let Some(mut work) = self.0.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(work);
        }
        polled
    }
}

impl<F> Drop for ToTheEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        // Without a runtime the program itself is at its end.
        if let Some(work) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            match CURRENT.try_with(|context| *context) {
                Ok(context) => drop(runtime.spawn(CURRENT.scope(context, work))),
                Err(_) => drop(runtime.spawn(work)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::sync::oneshot;
    use traces::{SpanContext, SpanId, TraceId};

    use super::*;

    const CONTEXT: SpanContext = SpanContext {
        trace_id: TraceId(1),
        span_id: SpanId(2),
        sampled: true,
    };

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it() {
        let (go_on, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let work = ToTheEnd::new(async move {
            wait.await.unwrap();
            tell.send(CURRENT.try_with(|context| *context).ok()).unwrap();
        });
        let mut waiting = Box::pin(CURRENT.scope(CONTEXT, work));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(waiting);
        go_on.send(()).unwrap();
        assert_eq!(
            told.await.unwrap(),
            Some(CONTEXT),
            "it still belongs to its request"
        );
    }

    #[tokio::test]
    async fn work_that_is_waited_for_is_done_once() {
        let (tell, told) = oneshot::channel();
        let answer = ToTheEnd::new(async move {
            tell.send(tokio::task::id()).unwrap();
            7
        });
        let here = async { (answer.await, tokio::task::id()) };
        let (answer, here) = tokio::spawn(here).await.unwrap();
        assert_eq!((answer, told.await.unwrap()), (7, here));
    }
}
