//! See `gate_fuzz::decide`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_fuzz::decide::check(data));
