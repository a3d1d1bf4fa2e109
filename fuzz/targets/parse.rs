//! See `gate_fuzz::parse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_fuzz::parse::check(data));
