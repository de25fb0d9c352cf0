//! Which trace a piece of work belongs to: W3C Trace Context.

use http::{HeaderMap, HeaderName, HeaderValue};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    /// What the running task works for: a request, or a reconcile.
    pub static CURRENT: SpanContext;
}

/// A span's place: its trace, its own id, and whether it is to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub sampled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub u128);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub u64);

/// An id as it is written, in lower-case hexadecimal digits: without `{:x}` and its machinery, for a request writes four.
#[derive(Debug, Clone, Copy)]
pub struct Digits<const COUNT: usize>([u8; COUNT]);

impl TraceId {
    pub fn random() -> Self {
        // Zero is no id.
        Self(rand::random::<u128>().max(1))
    }

    pub fn digits(self) -> Digits<32> {
        Digits::of(self.0)
    }
}

impl SpanId {
    pub fn random() -> Self {
        Self(rand::random::<u64>().max(1))
    }

    pub fn digits(self) -> Digits<16> {
        Digits::of(self.0.into())
    }
}

impl<const COUNT: usize> Digits<COUNT> {
    fn of(mut value: u128) -> Self {
        let mut digits = [b'0'; COUNT];
        for digit in digits.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(value & 0xf) as usize];
            value >>= 4;
        }
        Self(digits)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl SpanContext {
    /// The caller's span, if the request names one.
    pub fn of_caller(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        // Of two the right one cannot be told.
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        Self::parse(value.to_str().ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version_is_known = version == "00" && parts.next().is_none();
        // A later version may say more, behind what this one says.
        let version_is_later = hex(version, 2)? > 0 && version != "ff";
        let trace_id = hex(trace_id, 32).filter(|id| *id != 0)?;
        let span_id = u64::try_from(hex(span_id, 16)?).ok().filter(|id| *id != 0)?;
        let sampled = hex(flags, 2)? & 1 == 1;
        (version_is_known || version_is_later).then_some(Self {
            trace_id: TraceId(trace_id),
            span_id: SpanId(span_id),
            sampled,
        })
    }

    pub fn header(&self) -> Option<HeaderValue> {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        header[3..35].copy_from_slice(&self.trace_id.digits().0);
        header[36..52].copy_from_slice(&self.span_id.digits().0);
        header[54] += u8::from(self.sampled);
        HeaderValue::from_bytes(&header).ok()
    }
}

/// Exactly so many lower-case hexadecimal digits.
fn hex(digits: &str, count: usize) -> Option<u128> {
    let well_formed = digits.len() == count
        && digits
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if well_formed {
        u128::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_callers_span_is_read_and_written_back() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = SpanContext::parse(text).unwrap();
        assert_eq!(
            context.trace_id,
            TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736)
        );
        assert!(context.sampled);
        assert_eq!(context.header().unwrap(), text);
        assert!(
            !SpanContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
                .unwrap()
                .sampled
        );
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert!(SpanContext::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more").is_some());
    }

    #[test]
    fn what_is_malformed_begins_a_new_trace() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(SpanContext::parse(wrong), None, "{wrong:?}");
        }
    }
}
