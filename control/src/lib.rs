//! Reveille control.
