//! How the gate is, in a line for the service manager.

use gate_user::report;

use super::{Worker, locked, say};

impl Worker {
    /// Tells the service manager how the gate is, if it asked to be told and that is news.
    pub(super) fn tell_health(&mut self) {
        if !self.manager.is_asked() {
            return;
        }
        let standing = say::with_log(locked(&self.standing).clone());
        let health = match report::status_within(self.running.pins(), standing) {
            Ok(status) => status.line(),
            Err(error) => error.to_string(),
        };
        if health != self.health {
            self.manager.status(&health);
            self.health = health;
        }
    }
}
