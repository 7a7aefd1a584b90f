//! The `corebar` program.
fn main() {}
