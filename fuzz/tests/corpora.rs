//! Every input in `corpus/` and `crashes/`, once, without libFuzzer: what was found before stays mended.
//!
//! The parser, the decision and the answers are in gate-common's tests.

#[path = "../src/files.rs"]
mod files;

use files::each;

#[test]
fn configurations() {
    each("configuration", gate_fuzz::configuration::check);
}

#[test]
fn prefix_lists() {
    each("prefix_list", gate_fuzz::prefix_list::check);
}

#[test]
fn databases() {
    each("mmdb", gate_fuzz::mmdb::check);
}

#[test]
fn captures() {
    each("pcap", gate_fuzz::pcap::check);
}

#[test]
fn tables() {
    each("table", gate_fuzz::table::check);
}
