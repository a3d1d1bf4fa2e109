//! What `gate replay` and `gate explain` have in common: a private instance of the program, and the line of the configuration that a
//! verdict comes from.
//!
//! | module | what it is |
//! |---|---|
//! | `instance` | the program in the kernel with maps of its own, attached to nothing and pinned nowhere |
//! | `rule` | which line of the configuration a verdict comes from |

mod instance;
mod rule;

use gate_common::{Country, Reason, Verdict};

pub(crate) use self::{instance::Instance, rule::Rules};
pub use self::{instance::InstanceError, rule::Rule};

/// The verdict on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) reason: Reason,
    /// Class and country, of a connection that has a class.
    pub(crate) class: Option<(u8, Country)>,
}
