//! An event as one line of JSON, written straight to its bytes.
//!
//! tracing-subscriber's own JSON lines say the same, as a test compares, but to write them was the greatest part of what
//! being observed costs a request.

use std::cell::Cell;
use std::fmt::Debug;
use std::io::Write;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

/// Microseconds always, so that lines of one second sort as text.
const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
/// A buffer that a long line made larger than this is given back to the system.
const KEEP: usize = 4 * 1024;

thread_local! {
    static LINE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes every event to `W`.
#[derive(Debug)]
pub(super) struct JsonLines<W>(pub(super) W);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Taken, not borrowed: what a value's `Debug` logs in its turn finds an empty buffer.
        let mut line = LINE.take();
        write_line(&mut line, Timestamp::now(), event);
        // A log that cannot be written has nobody left to be told to.
        let _ = self.0.make_writer().write_all(&line);
        line.clear();
        line.shrink_to(KEEP);
        LINE.set(line);
    }
}

fn write_line(line: &mut Vec<u8>, time: Timestamp, event: &Event<'_>) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    // A Vec takes every write, and every time since 1970 has a form.
    let _ = TIME.print_timestamp(&time, &mut *line);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(event.metadata().level().as_str().as_bytes());
    line.push(b'"');
    event.record(&mut Fields(line));
    line.extend_from_slice(b"}\n");
}

/// Appends fields to an object that has some already.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn write(&mut self, field: &Field, value: impl Serialize) {
        self.name(field);
        // Numbers and texts always have a JSON form.
        let written = value.serialize(&mut serde_json::Serializer::new(&mut *self.0));
        debug_assert!(written.is_ok());
    }

    /// A field's name is written by the program's authors, as a Rust name most often: it needs no quoting.
    fn name(&mut self, field: &Field) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(field.name().as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        let written = serde_json::Serializer::new(&mut *self.0).collect_str(&format_args!("{value:?}"));
        debug_assert!(written.is_ok());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::File;
    use std::io::{Read, Seek};
    use std::sync::Arc;

    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    /// What is written of these events, a line each, without its time.
    fn lines<L>(layer: impl FnOnce(Arc<File>) -> L, events: fn()) -> Vec<Value>
    where
        L: Layer<tracing_subscriber::Registry> + Send + Sync,
    {
        let file = Arc::new(tempfile::tempfile().unwrap());
        tracing::subscriber::with_default(registry().with(layer(Arc::clone(&file))), events);
        let mut text = String::new();
        (&*file).rewind().unwrap();
        (&*file).read_to_string(&mut text).unwrap();
        let line = |line: &str| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            let form: String = time.as_str().unwrap().replace(|c: char| c.is_ascii_digit(), "0");
            assert_eq!(form, "0000-00-00T00:00:00.000000Z");
            line
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn the_lines_are_those_of_tracing_subscriber() {
        let events = || {
            tracing::info!(
                method = "GET",
                status = 200_u16,
                duration = 0.000_25,
                "{} called",
                "/a\"b\n\u{1}"
            );
            tracing::warn!(error = %"no \"host\"", debug = ?Some("x"), late = true, offset = -3_i64, "über");
            tracing::error!(not_a_number = f64::NAN, largest = u64::MAX, wide = u128::MAX);
        };
        let theirs = |file| {
            fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_target(false)
                .with_writer(file)
        };
        let own = lines(JsonLines, events);
        assert_eq!(own.len(), 3);
        assert_eq!(own, lines(theirs, events));
    }
}
