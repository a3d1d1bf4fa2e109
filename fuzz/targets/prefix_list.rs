//! See `gate_fuzz::prefix_list`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_fuzz::prefix_list::check(data));
