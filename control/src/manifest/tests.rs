//! Tests of manifests from text to checked objects.

mod yaml_edges;
