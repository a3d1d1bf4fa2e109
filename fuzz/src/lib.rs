//! What must hold whatever the input is, for libFuzzer to look for an input for which it does not.
//!
//! | module | what is tried |
//! |---|---|
//! | [`parse`] | the parser, on any octets |
//! | [`decide`] | the decision, with any tables; token buckets, at any time |
//! | [`answers`] | what refused clients hear |
//! | [`configuration`] | TOML, and what is made of it |
//! | [`prefix_list`] | list files |
//! | [`mmdb`] | the reader of country databases |
//! | [`pcap`] | the reader of captures |
//! | [`table`] | the compiler of prefix tables |
//!
//! Each has a function `check` that panics where something does not hold. `targets/` makes programs of them, `tests/corpora.rs` runs
//! them on what was found before; those that need gate-common alone are run by its own tests too. docs/fuzzing.md says more.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a check panics where something does not hold"
)]

pub mod answers;
mod anything;
pub mod configuration;
pub mod decide;
pub mod mmdb;
pub mod parse;
pub mod pcap;
pub mod prefix_list;
pub mod table;
mod watched;

use gate_user::answer;
