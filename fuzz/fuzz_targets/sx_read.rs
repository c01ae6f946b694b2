//! Reading SX: whatever is read prints and reads back as the same.

#![no_main]

use fedsx_sx::fuzz::sx_read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sx_read(bytes));
