//! Local mode: everything in one process, from YAML files, without a cluster.
//!
//! `world.rs` makes targets of manifests, `services.rs` what serves them,
//! `connectors.rs` TLS towards that, `scaled.rs` what scales it,
//! `sources.rs` where metrics are fetched; `reload.rs`
//! does it again when the files change, on the thread of `disk.rs`, and
//! `reloads.rs` remembers how that went. `examples.rs` holds the manifests that the binary brings along;
//! `hello.rs` is the workload of the built-in example.

pub mod connectors;
mod disk;
pub mod examples;
pub mod hello;
mod reload;
mod reloads;
mod scaled;
mod services;
mod sources;
mod world;

pub use reload::{Reloader, log_problems};
pub use reloads::{Refused, Reloads};
pub use world::{Applied, Plan, World};

use crate::manifest::Object;

fn key<S>(object: &Object<S>) -> (String, String) {
    (object.meta.namespace.clone(), object.meta.name.clone())
}

fn full_name((namespace, name): &(String, String)) -> String {
    format!("{namespace}/{name}")
}
