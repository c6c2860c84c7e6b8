//! Tests of manifests from text to checked objects.

mod bad;
mod cases;
mod files;
mod full;
mod hostile;
mod yaml_edges;
