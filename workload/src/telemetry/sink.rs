//! Where log lines go: a buffer in memory that a thread of its own writes to standard output.
//!
//! A request must never wait for whoever reads the log. Lines are appended to one shared buffer; the
//! thread swaps it for an empty one and writes the whole of it at once. When the reader is so slow
//! that the buffer is full, lines are dropped and counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

const FULL: usize = 4 * 1024 * 1024;
/// A buffer that a burst made larger than this is given back to the system.
const KEEP: usize = 64 * 1024;
/// Lines are gathered this long, so that a busy service wakes the thread a hundred times a second, not ten thousand.
const GATHER: Duration = Duration::from_millis(10);

#[derive(Debug, Clone)]
pub struct LogSink(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    lines_waiting: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    writing: bool,
    hurry: bool,
}

impl LogSink {
    /// Starts the thread that writes to standard output.
    pub fn stdout() -> io::Result<Self> {
        // Not `Stdout`: that one flushes at every line.
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let sink = Self(Arc::default());
        let shared = Arc::clone(&sink.0);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&shared, output))?;
        Ok(sink)
    }

    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Waits until every line so far is written.
    pub fn flush(&self) {
        let mut state = self.0.lock();
        state.hurry = true;
        self.0.lines_waiting.notify_one();
        while state.writing || !state.lines.is_empty() {
            state = self.0.written.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.hurry = false;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_lines(shared: &Shared, mut output: File) {
    let mut batch = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.lines.is_empty() {
            state = shared
                .lines_waiting
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !state.hurry {
            (state, _) = shared
                .lines_waiting
                .wait_timeout_while(state, GATHER, |state| {
                    !state.hurry && state.lines.len() < FULL / 2
                })
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.lines, &mut batch);
        state.writing = true;
        drop(state);

        // With standard output gone there is nobody left to tell.
        let _ = output.write_all(&batch);
        batch.clear();
        batch.shrink_to(KEEP);

        shared.lock().writing = false;
        shared.written.notify_all();
    }
}

impl Write for &LogSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.lines.len() + line.len() > FULL {
            state.dropped += 1;
        } else {
            let was_empty = state.lines.is_empty();
            state.lines.extend_from_slice(line);
            if was_empty {
                self.0.lines_waiting.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = &'a LogSink;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}
