//! Signs of life while something takes seconds: a line on a terminal, nothing elsewhere. And whether it is still wanted.

use std::{fmt, io::IsTerminal as _, path::Path};

use indicatif::ProgressBar;

use crate::geoip::Cancelled;

/// Shows how far reading the country databases is.
pub struct Progress<'c> {
    bar: ProgressBar,
    cancelled: Cancelled<'c>,
}

impl<'c> Progress<'c> {
    /// On standard error, if that is a terminal. Nobody gives up what takes long.
    #[must_use]
    pub fn new() -> Self {
        Self::until(&|| false)
    }

    /// The same, for what is given up once `cancelled`.
    #[must_use]
    pub fn until(cancelled: Cancelled<'c>) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        Self { bar, cancelled }
    }

    /// Whether the rest is to be given up.
    pub fn cancelled(&self) -> Cancelled<'c> {
        self.cancelled
    }

    /// So many networks of a database are read.
    pub fn read(&mut self, path: &Path, networks: usize) {
        self.bar
            .set_message(format!("reading {}: {networks} networks", path.display()));
        self.bar.tick();
    }

    /// Takes the line off the screen.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Default for Progress<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("bar", &self.bar)
            .finish_non_exhaustive()
    }
}
