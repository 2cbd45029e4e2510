//! The commands of a fresh machine: bench and test.
fn main() {}
