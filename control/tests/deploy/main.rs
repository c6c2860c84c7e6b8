//! What `deploy/` holds: CRDs, the chart, manifests rendered from it, alerts,
//! examples. Everything is rendered by helm and decoded strictly; what is
//! generated is compared. When something generated is stale, run
//! `REVEILLE_REGENERATE=1 cargo test -p control --test deploy` and commit.

mod chart;
mod combinations;
mod crds;
mod examples;
mod fit;
mod helm;
mod image;
mod kept;
mod manifests;
mod monitoring;
mod objects;
mod terraform;
mod values;

use std::path::{Path, PathBuf};

/// A path below `deploy/`.
fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(path)
}

/// A file below `deploy/`.
fn read(path: &str) -> String {
    let path = deploy(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
