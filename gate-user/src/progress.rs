//! Signs of life while something takes seconds: a bar on a terminal, nothing elsewhere.

use std::{io::IsTerminal as _, path::Path};

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how far reading and loading the country table are.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// On standard error, if that is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        Self { bar }
    }

    /// So many networks of a database are read.
    pub fn read(&mut self, path: &Path, networks: usize) {
        self.bar
            .set_message(format!("reading {}: {networks} networks", path.display()));
        self.bar.tick();
    }

    /// So many of so many prefixes are in the kernel.
    pub fn loaded(&mut self, done: usize, total: usize) {
        if self.bar.length().is_none() {
            self.bar.set_length(total as u64);
            if let Ok(style) =
                ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len}")
            {
                self.bar.set_style(style);
            }
            self.bar.set_message("loading the country table");
        }
        self.bar.set_position(done as u64);
    }

    /// Takes the bar off the screen.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
