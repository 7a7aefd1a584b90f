//! A load generator for WAMP routers.
fn main() {}
