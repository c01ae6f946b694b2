//! Evaluating SX: whatever is evaluated keeps to its bounds, and comes to the same again.

#![no_main]

use fedsx_sx::fuzz::sx_eval;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sx_eval(bytes));
