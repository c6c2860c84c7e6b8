//! Reveille control.

pub mod autoscaler;
