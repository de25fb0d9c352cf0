//! Writing for people and for pipes.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;

/// YAML that every Kubernetes tool reads back as the same object: text that YAML 1.1 would take for a boolean, a
/// number or a time is quoted, and lines are never folded.
pub(crate) fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    // Through a JSON value, so that every field comes out in one order.
    let value = serde_json::to_value(value)?;
    let options = serde_yaml::ser_options! {
        compact_list_indent: true,
    };
    Ok(serde_yaml::to_string_with_options(&value, options)?)
}

/// Prints to standard output; a reader that has seen enough (`| head`) is no error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_on(text).map(|_| ())
}

/// Prints to standard output, and breaks off when its reader has seen enough.
pub(crate) fn print_on(text: &str) -> io::Result<ControlFlow<()>> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    }
}
