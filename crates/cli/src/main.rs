//! The batchnorm program: adapters, verification and benchmarks.
fn main() {}
