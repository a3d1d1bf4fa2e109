//! The inputs in `fuzz/corpus` and `fuzz/crashes` that are about this crate, once each, with what the fuzzer checks.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "modules of other crates, here to be tests of this one"
)]

#[path = "../../gate-user/src/answer.rs"]
mod answer;
#[path = "../../fuzz/src/answers.rs"]
mod answers;
#[path = "../../fuzz/src/anything.rs"]
mod anything;
#[path = "../../fuzz/src/decide.rs"]
mod decide;
#[path = "../../fuzz/src/files.rs"]
mod files;
#[path = "../../fuzz/src/parse.rs"]
mod parse;
#[path = "../../fuzz/src/watched.rs"]
mod watched;

use files::each;

#[test]
fn frames() {
    each("parse", parse::check);
}

#[test]
fn decisions() {
    each("decide", decide::check);
}

#[test]
fn refusals() {
    each("answers", answers::check);
}
