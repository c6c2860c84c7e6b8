//! loadtests
fn main() {}
