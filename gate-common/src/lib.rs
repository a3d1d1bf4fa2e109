//! What the gate knows about packets and policy: one source for the kernel program and for the host.
//!
//! * [`parse`] reads a frame and says what it is ([`Shape`], [`Flow`]);
//! * [`decide`](decide::decide) says what becomes of it ([`Decision`](decide::Decision)), asking a
//!   [`Tables`](decide::Tables) for whatever the operator configured;
//! * [`answer`] builds what a refused client hears;
//! * [`carry`] says how the class of a connection shows to those behind the gate: skb mark, DSCP;
//! * [`limit`] is the token bucket;
//! * [`sets`] is where what is known of single addresses is kept;
//! * [`table`] is how every list of prefixes is looked up;
//! * [`abi`] is the layout of everything that the kernel program and its readers share.
//!
//! Invariants, as absences: no I/O, no allocation, no clock, no `unsafe`, no dependency on how bytes are read or on
//! how tables are looked up. Nothing outside this crate decides about a packet.

#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
mod addr;
pub mod answer;
pub mod carry;
mod country;
pub mod decide;
pub mod limit;
pub mod parse;
pub mod sets;
mod shape;
pub mod table;
mod words;

pub use addr::Addr;
pub use country::Country;
pub use parse::Flow;
pub use shape::{Shape, ShapePolicy};
pub use words::{
    Action, Answer, Answered, Bucket, Identity, Over, Policy, Reason, Rehearsed, Role, Scope,
    Shown, Told, UnknownWord, Verdict,
};
