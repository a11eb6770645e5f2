#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bulwark_fuzz::run("websocket_frames", bytes));
