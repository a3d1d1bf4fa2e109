//! What holds for every frame and every policy, tried on many.
//!
//! | module | what it is |
//! |---|---|
//! | `sent` | TCP packets that etherparse writes, and what was put into them |
//! | `bounds` | the parser reads nothing that is not there, and nothing that does not matter |
//! | `decode` | the parser finds what was put in, and of a part of a packet nothing else |
//! | `decide` | whatever the tables say, every packet has a decision, and some decisions are none |
//! | `parse`, `anything`, `watched` | what is checked, which the fuzzer checks too |

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test that cannot be set up may panic; modules of the fuzzer have more than is needed here"
)]

#[path = "../../fuzz/src/anything.rs"]
mod anything;
#[path = "properties/bounds.rs"]
mod bounds;
#[path = "properties/decide.rs"]
mod decide;
#[path = "properties/decode.rs"]
mod decode;
#[path = "../../fuzz/src/parse.rs"]
mod parse;
#[path = "properties/sent.rs"]
mod sent;
#[path = "../../fuzz/src/watched.rs"]
mod watched;
