//! Manifests that change while they are served: what is new is served, what
//! stays goes on, what is broken is refused as a whole.

mod backends;
mod held;
mod processes;
mod refused;
mod routes;
mod scaling;
mod traffic;

use crate::support::{Reveille, Starter};
use std::fs;

/// `reveille local` of this manifest, which looks for changes all the time.
fn following(manifest: impl Into<String>) -> Starter {
    Reveille::of(manifest).arg("--manifest-reload-interval", "20ms")
}

/// Replaces the manifest as an editor does, and waits until it is served.
fn edit(reveille: &Reveille, manifest: impl Into<String>) {
    let before = reveille.manifests().reloads_applied;
    replace(reveille, manifest);
    reveille.until_manifests("the edited manifest is served", |now| {
        now.reloads_applied > before
    });
}

/// Replaces the manifest: another file takes its name.
fn replace(reveille: &Reveille, manifest: impl Into<String>) {
    let (file, other) = (reveille.path("test.yaml"), reveille.path(".test.yaml.new"));
    fs::write(&other, manifest.into()).expect("written");
    fs::rename(&other, &file).expect("renamed");
}
