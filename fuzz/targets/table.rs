//! See `gate_fuzz::table`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_fuzz::table::check(data));
