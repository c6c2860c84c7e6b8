//! Reveille control.

pub mod manifest;
