//! What holds for every frame and every policy, tried on many.
//!
//! | module | what it is |
//! |---|---|
//! | `sent` | TCP packets that etherparse writes, and what was put into them |
//! | `bounds` | the parser reads nothing that is not there, and nothing that does not matter |
//! | `decode` | the parser finds what was put in, and of a part of a packet nothing else |
//! | `decide` | whatever the tables say, every packet has a decision, and some decisions are none |

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up may panic"
)]

#[path = "properties/bounds.rs"]
mod bounds;
#[path = "properties/decide.rs"]
mod decide;
#[path = "properties/decode.rs"]
mod decode;
#[path = "properties/sent.rs"]
mod sent;
