//! Exemptions that a person changed.

use gate_user::{
    control::{Attempt, By, Outcome},
    generation::Prefix,
    run::Means,
};

use super::{Worker, say};

impl Worker {
    /// Puts the exemptions of their file in force.
    pub(super) fn exempt(&mut self, prefix: Prefix) -> Attempt {
        let by = By::Exempt;
        self.begin(by);
        say::begin(by, false);
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let means = Means {
            object: self.object,
            cancelled: &|| ended.is_set(),
        };
        let outcome = match self.running.exempt(prefix, means) {
            Ok(Some(change)) => Outcome::Loaded {
                change: Box::new(change),
            },
            Ok(None) => Outcome::Unchanged { generation: before },
            Err(error) => {
                say::error(&error);
                Outcome::of(&error, self.running.manifest().number)
            }
        };
        if self.running.manifest().number != before {
            let path = self.running.manifest().exemptions.as_ref();
            if let Some((path, known)) = path.and_then(|it| self.running.files().get_key_value(it))
            {
                self.watch.take(path, known);
            }
            if let Err(error) = self.open_packet_log() {
                say::error(&error);
            }
        }
        self.note(by, false, outcome, true)
    }
}
