//! Local mode: everything in one process, from YAML files, without a cluster.
//!
//! `world.rs` builds targets, services and process pools from manifests;
//! `examples.rs` holds the manifests that the binary brings along; `hello.rs`
//! is the workload of the built-in example.

pub mod connectors;
pub mod examples;
pub mod hello;
mod world;

pub use world::{Wired, World};
