//! Whether the skb marks that are due are set.

use gate_common::abi::NoMetadata;

use super::daemon::Daemon;
use crate::{
    kernel::{KernelError, Maps},
    marking::{self, Missing, Tally},
    pins::Pins,
    sys::Access,
};

/// Looks at what the programs say and count. A daemon looks after the marks, and says itself which are missing.
pub(super) fn check(daemon: &Daemon, pins: &Pins, problems: &mut Vec<String>) {
    if let Some(missing) = daemon.unseen {
        problems.push(missing.unseen());
        return;
    }
    problems.extend(match counted(pins) {
        Ok((NoMetadata::Lost, _)) => Some(marking::LOST.to_owned()),
        Ok((NoMetadata::Never | NoMetadata::NoRoom, tally)) => {
            // What was missing before there was a daemon is no news.
            let missing = tally.missing().filter(|_| !daemon.alive);
            missing.map(Missing::unattended)
        }
        Err(error) => Some(format!(
            "whether skb marks are set cannot be told: {error}; {}",
            error.hint()
        )),
    });
}

fn counted(pins: &Pins) -> Result<(NoMetadata, Tally), KernelError> {
    let maps = Maps::open(pins, Access::Read)?;
    Ok((maps.no_metadata()?, Tally::of(&maps)?))
}
