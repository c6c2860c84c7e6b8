//! reveille
fn main() {}
