//! A generation: everything that the decision reads, made from a configuration as one immutable whole.
//!
//! [`Plan::new`] computes it (pure); [`host::HostTables`] answers from it in memory; [`crate::kernel`] puts it into the
//! kernel's maps.

mod answers;
mod exemptions;
pub mod host;
mod legend;
mod lines;
mod lists;
pub mod manifest;
mod numbers;
mod plan;
mod prefix;
mod prefixes;
mod rules;
mod settings;
mod source_map;
#[cfg(test)]
mod tests;

pub use exemptions::{Exemption, list_file};
pub use legend::Legend;
pub use lines::{Decides, Line};
pub use lists::{CountryTable, ListError, Lists};
pub use manifest::Manifest;
pub use numbers::TooMany;
pub(crate) use plan::classes_since;
pub use plan::{Inputs, NamedInterface, Plan, PlanError};
pub use prefix::Prefix;
pub use prefixes::Prefixes;
pub use rules::{RulesError, TooManyDeadlines, TooManyRules};
pub use source_map::{Source, SourceMap, SourceMapError};
