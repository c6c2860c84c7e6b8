//! The plain manifests are the chart with its own values.

use crate::{helm, kept, objects::Object};

const TOP: &str = "\
# Reveille without Helm: what the chart gives with its own values, in namespace
# keda. Generated: see control/tests/deploy/main.rs.
#
#   kubectl apply --server-side -f reveille.yaml
---
apiVersion: v1
kind: Namespace
metadata:
  name: keda
";

/// Lines that only mean something to Helm.
const OF_HELM: [&str; 4] = [
    "# Source: ",
    "app.kubernetes.io/managed-by: Helm",
    "helm.sh/chart: ",
    "helm.sh/resource-policy: ",
];

#[test]
fn the_plain_manifests_are_those_of_the_chart() {
    let Some(helm) = helm::binary() else { return };
    let mut plain = TOP.to_owned();
    // What is applied twice must not lose its routes with the definitions.
    for line in helm::text(helm, &["crds.keep=false"]).lines() {
        // Helm 4 puts an empty line between documents, Helm 3 none.
        while line == "---" && plain.ends_with("\n\n") {
            plain.pop();
        }
        let bare = line.trim_start();
        if !OF_HELM.iter().any(|start| bare.starts_with(start)) {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    assert!(Object::all(&plain).len() > 10);
    kept::same("manifests/reveille.yaml", &plain);
}
