//! What refused clients hear: real ones, and every octet of it.
//!
//! | module | what it tries |
//! |---|---|
//! | `clients` | what `connect` says, behind each kind of line, in both modes |
//! | `frames` | the answers themselves, taken off the link and read by others: etherparse, tshark |
//! | `judge` | what an answer has to look like, whoever made it |
//! | `silence` | what is refused and not answered, and the word that counts it |

mod clients;
mod frames;
mod judge;
mod silence;

use libtest_mimic::Trial;

use crate::bench::Found;

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [
        clients::trials(found),
        frames::trials(found),
        silence::trials(found),
    ]
    .into_iter()
    .flatten()
    .collect()
}
