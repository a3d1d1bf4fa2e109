//! What people asked of the gate that keeps it from being as configured, in the words of `gate status`.

use jiff::Timestamp;

use crate::{bypass::Bypass, generation::Manifest};

/// That a reload waits for a person.
pub(super) fn unconfirmed(until: Timestamp, manifest: &Manifest, alive: bool) -> String {
    let left = until.duration_since(Timestamp::now()).as_secs();
    let left = if left > 0 {
        format!("{} min {} s left", left / 60, left % 60)
    } else {
        "its time is over".to_owned()
    };
    let nobody = if alive {
        ""
    } else {
        "; no daemon runs that would do it, one that starts does"
    };
    format!(
        "generation {} waits for a confirmation until {until:.0} ({left}), then the gate goes back{nobody}; \
         `gate reload --confirmed` keeps it, `gate rollback` goes back now",
        manifest.number
    )
}

/// That what is in force was before already.
pub(super) fn rolled_back(manifest: &Manifest) -> Option<String> {
    manifest.rolled_back.as_ref().map(|it| {
        format!(
            "{it}; changes of data are held: `gate reload` puts {} in force, `gate rollback` what was rolled back",
            manifest.config.display()
        )
    })
}

/// That nothing is refused.
pub(super) fn bypassed(bypass: &Bypass) -> String {
    format!(
        "bypassed {bypass}; everything is observed and nothing refused; `gate bypass off` ends that before its time"
    )
}
