//! Progress output.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::steps::Event;

/// A line per running step on a terminal; elsewhere a line per finished step.
#[derive(Debug)]
pub struct Screen {
    bars: MultiProgress,
    running: BTreeMap<&'static str, ProgressBar>,
    is_terminal: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self {
            bars: MultiProgress::new(),
            running: BTreeMap::new(),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }
}

impl Screen {
    /// The progress bars, to which steps can add their own.
    pub fn bars(&self) -> MultiProgress {
        self.bars.clone()
    }

    pub fn report(&mut self, step: &'static str, event: Event) {
        match event {
            Event::Started => {
                if self.is_terminal {
                    let bar = self.bars.add(ProgressBar::new_spinner());
                    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}  {elapsed}") {
                        bar.set_style(style);
                    }
                    bar.set_message(step);
                    bar.enable_steady_tick(Duration::from_millis(100));
                    self.running.insert(step, bar);
                }
            }
            Event::Done(took) => {
                self.clear(step);
                self.line(&format!("  ✓ {step}  {:.1}s", took.as_secs_f32()));
            }
            Event::Failed => {
                for (_, bar) in std::mem::take(&mut self.running) {
                    bar.finish_and_clear();
                }
                self.line(&format!("  ✗ {step}"));
            }
        }
    }

    fn clear(&mut self, step: &str) {
        if let Some(bar) = self.running.remove(step) {
            bar.finish_and_clear();
        }
    }

    /// Prints a line above the bars.
    pub fn line(&self, text: &str) {
        if self.is_terminal {
            // It fails only if the terminal is closed.
            let _ = self.bars.println(text);
        } else {
            eprintln!("{text}");
        }
    }
}
