//! Which traces are recorded: OpenTelemetry's `OTEL_TRACES_SAMPLER`.

use crate::context::{SpanContext, TraceId};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sampler {
    /// Do as the caller did, if there is one.
    parent_based: bool,
    /// Share of the traces that begin here, 0 to 1.
    ratio: f64,
}

impl Sampler {
    pub(super) fn parse(name: &str, argument: &str) -> Result<Self, String> {
        let (parent_based, own) = match name.strip_prefix("parentbased_") {
            Some(own) => (true, own),
            None => (name.is_empty(), name),
        };
        let ratio = match own {
            "always_on" | "" => 1.0,
            "always_off" => 0.0,
            "traceidratio" if argument.is_empty() => 1.0,
            "traceidratio" => argument
                .parse()
                .ok()
                .filter(|ratio| (0.0..=1.0).contains(ratio))
                .ok_or("OTEL_TRACES_SAMPLER_ARG: write a share between 0 and 1")?,
            _ => {
                return Err(format!(
                    "OTEL_TRACES_SAMPLER: {name:?} is not known; write always_on, always_off or traceidratio, with or without parentbased_ before it"
                ));
            }
        };
        Ok(Self { parent_based, ratio })
    }

    pub(super) fn samples(self, trace_id: TraceId, caller: Option<&SpanContext>) -> bool {
        match caller {
            Some(caller) if self.parent_based => caller.sampled,
            // The same trace gets the same answer from every service that asks like this.
            _ => {
                let lower_half = (trace_id.0 & u128::from(u64::MAX)) as f64 / u64::MAX as f64;
                self.ratio >= 1.0 || lower_half < self.ratio
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::context::SpanId;

    #[test]
    fn the_names_of_opentelemetry_are_understood() {
        let sampler = |name, argument| Sampler::parse(name, argument).map_err(drop);
        assert_eq!(
            sampler("", ""),
            Ok(Sampler {
                parent_based: true,
                ratio: 1.0
            })
        );
        assert_eq!(
            sampler("always_on", ""),
            Ok(Sampler {
                parent_based: false,
                ratio: 1.0
            })
        );
        assert_eq!(
            sampler("parentbased_always_off", ""),
            Ok(Sampler {
                parent_based: true,
                ratio: 0.0
            })
        );
        assert_eq!(
            sampler("parentbased_traceidratio", "0.25"),
            Ok(Sampler {
                parent_based: true,
                ratio: 0.25
            })
        );
        assert_eq!(sampler("traceidratio", "2"), Err(()));
        assert_eq!(sampler("jaeger_remote", ""), Err(()));
    }

    #[test]
    fn a_caller_decides_for_its_callees() {
        let caller = |sampled| SpanContext {
            trace_id: TraceId(1),
            span_id: SpanId(1),
            sampled,
        };
        let quarter = Sampler::parse("parentbased_traceidratio", "0.25").unwrap();
        assert!(quarter.samples(TraceId(u128::MAX), Some(&caller(true))));
        assert!(!quarter.samples(TraceId(1), Some(&caller(false))));
        let sampled = (0..1000)
            .filter(|_| quarter.samples(TraceId::random(), None))
            .count();
        assert!((150..350).contains(&sampled), "{sampled} of 1000");
    }
}
