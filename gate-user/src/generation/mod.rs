//! A generation: everything that the decision reads, made from a configuration as one immutable whole.
//!
//! [`Plan::new`] computes it (pure); [`host::HostTables`] answers from it in memory; [`crate::kernel`] puts it into the
//! kernel's maps.

pub mod host;
pub mod manifest;
mod numbers;
mod plan;
mod prefix;
mod rules;
mod table;
#[cfg(test)]
mod tests;

pub use manifest::Manifest;
pub use numbers::TooMany;
pub use plan::{Inputs, Plan};
pub use prefix::Prefix;
pub use rules::{RulesError, TooManyDeadlines};
pub use table::{NOTHING, PrefixTable};
