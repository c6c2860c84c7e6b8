//! Tests of manifests from text to checked objects.

mod bad;
mod cases;
mod examples;
mod files;
mod full;
mod hostile;
mod published;
mod yaml_edges;
