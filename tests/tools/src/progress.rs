//! Shows what is being built, and the remaining time.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::Tool;

/// A bar on a terminal, plain lines anywhere else.
pub(crate) struct Progress {
    bar: ProgressBar,
    multi: MultiProgress,
    total: usize,
    done: usize,
    /// The expected seconds of the finished ones: the bar shows estimated time, not counts.
    done_seconds: u64,
    total_seconds: u64,
}

impl Progress {
    pub(crate) fn start(multi: &MultiProgress, tools: &[Tool]) -> Self {
        let total_seconds = tools.iter().map(|tool| tool.recipe().seconds).sum();
        let bar = multi.add(ProgressBar::new(total_seconds));
        let style = ProgressStyle::with_template("{spinner} [{bar:30}] {msg}");
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> "),
        );
        Self {
            bar,
            multi: multi.clone(),
            total: tools.len(),
            done: 0,
            done_seconds: 0,
            total_seconds,
        }
    }

    pub(crate) fn building(&self, tool: Tool) {
        let left = Duration::from_secs(self.total_seconds - self.done_seconds);
        self.line(&format!(
            "building {tool} ({} of {}), about {} of {} left",
            self.done + 1,
            self.total,
            human(Duration::from_secs(tool.recipe().seconds)),
            human(left)
        ));
    }

    pub(crate) fn tick(&self, tool: Tool, since: Instant) {
        let expected = tool.recipe().seconds;
        let elapsed = since.elapsed();
        // A slow build stops the bar at its estimate.
        let counted = elapsed.as_secs().min(expected);
        let left = self.total_seconds - self.done_seconds - counted;
        self.bar.set_position(self.done_seconds + counted);
        self.bar.set_message(format!(
            "building {tool} ({} of {}), {} so far, about {} left in all",
            self.done + 1,
            self.total,
            human(elapsed),
            human(Duration::from_secs(left))
        ));
        self.bar.tick();
    }

    pub(crate) fn waiting(&self, tool: Tool) {
        self.line(&format!("waiting for another process that is building {tool}"));
        self.bar
            .set_message(format!("waiting for another process that is building {tool}"));
    }

    pub(crate) fn built(&mut self, tool: Tool, duration: Option<Duration>) {
        self.done += 1;
        self.done_seconds += tool.recipe().seconds;
        self.bar.set_position(self.done_seconds);
        if let Some(duration) = duration {
            self.line(&format!("built {tool} in {}", human(duration)));
        }
    }

    fn line(&self, text: &str) {
        if self.multi.is_hidden() {
            eprintln!("{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn human(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_human_readable() {
        assert_eq!(human(Duration::from_secs(7)), "7s");
        assert_eq!(human(Duration::from_secs(61)), "1m01s");
        assert_eq!(human(Duration::from_secs(1024)), "17m04s");
    }
}
