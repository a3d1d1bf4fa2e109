//! See `gate_fuzz::configuration`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_fuzz::configuration::check(data));
