//! See `gate_fuzz::pcap`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_fuzz::pcap::check(data));
