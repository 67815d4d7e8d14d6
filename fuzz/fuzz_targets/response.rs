#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| provider::http1::fuzzing::response(data));
