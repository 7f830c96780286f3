//! What is seen while the demo runs, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A line that moves.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar }
    }

    /// A new phase of `steps` steps; 0 for one whose end is not known. The one before stays readable.
    pub(crate) fn phase(&self, name: &str, steps: usize) {
        let template = if steps == 0 {
            "{spinner} {prefix} {msg}"
        } else {
            "{spinner} {prefix} [{bar:30}] {pos}/{len} {msg}"
        };
        // A template that does not parse is drawn in the library's own style: nothing is lost but looks.
        self.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        self.bar.set_length(u64::try_from(steps).unwrap_or(u64::MAX));
        self.bar.set_position(0);
        self.bar.set_prefix(format!("{name:<28}"));
        self.bar.set_message("");
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn say(&self, text: String) {
        self.bar.set_message(text);
    }

    /// A line that stays.
    pub(crate) fn note(&self, text: &str) {
        self.bar.println(text);
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
