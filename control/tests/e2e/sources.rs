//! Pages that are fetched scale a process: no collector, no sender.

use crate::support::{Reveille, Sidecar, Target, wait_until};

/// The target `web`, scaled by the calls of the last three seconds.
fn scaled_by_calls(targets: &str) -> String {
    let query = "sum(increase(dapr_runtime_service_invocation_req_sent_total\
                 {dst_app_id=\\\"web\\\"}[3s]))";
    let trigger = format!("metricQuery: \"{query}\", targetValue: '10'");
    let manifest = Target::hello().scaled("maxReplicaCount: 3").to_string();
    let manifest = manifest.replace("interceptorRoute: web", &trigger);
    let source = format!(
        "---\napiVersion: local.reveille.dev/v1alpha1\nkind: MetricSource\n\
         metadata: {{name: sidecars}}\nspec: {{{targets}, interval: 100ms}}\n"
    );
    format!("{manifest}{source}")
}

#[test]
fn the_first_call_of_a_sidecar_wakes_and_many_scale() {
    let sidecar = Sidecar::start();
    sidecar.counts(0);
    let manifest = scaled_by_calls(&format!("addresses: ['{}']", sidecar.addr()));
    let reveille = Reveille::of(manifest).start();
    reveille.until_asleep("web");
    wait_until("the query is known", || {
        let metrics = reveille.ask("/metrics").body;
        !metrics.contains("\nreveille_registered_queries 0\n")
    });
    // Two that were begun after that: the row is looked for, and is not there.
    sidecar.until_served(3);
    sidecar.counts(1);
    reveille.until("web", "it is woken", |now| now.replicas() == (1, 1));
    sidecar.counts(200);
    reveille.until("web", "three replicas serve", |now| {
        now.replicas() == (3, 3)
    });
    // Nothing more is called: a quiet source is zero, not an error.
    reveille.until_asleep("web");

    let sources = reveille.ask("/api/v1/sources").body;
    for wanted in [
        r#""name":"default/sidecars""#,
        r#""state":"up""#,
        r#""samples":1"#,
        r#""job":"sidecars""#,
    ] {
        assert!(sources.contains(wanted), "{wanted}: {sources}");
    }
    let metrics = reveille.ask("/metrics").body;
    let source = r#"{source_name="sidecars",source_namespace="default"}"#;
    for line in [
        format!("reveille_scrape_targets{source} 1"),
        format!("reveille_scrape_targets_up{source} 1"),
        format!("reveille_scrape_samples{source} 1"),
        format!("reveille_scrape_failures_total{source} 0"),
    ] {
        assert!(
            metrics.lines().any(|other| other == line),
            "{line}:\n{metrics}"
        );
    }
    reveille.stop();
}

#[test]
fn sources_and_their_files_are_followed() {
    let sidecar = Sidecar::start();
    sidecar.counts(5);
    let starter = Reveille::of(scaled_by_calls("file: targets.txt"))
        .arg("--manifest-reload-interval", "20ms")
        .file("targets.txt", "# none yet\n");
    let reveille = starter.start();
    wait_until("the source is known", || {
        reveille
            .ask("/api/v1/sources")
            .body
            .contains("default/sidecars")
    });
    let line = format!("{} zone=a\n", sidecar.addr());
    std::fs::write(reveille.path("targets.txt"), line).expect("written");
    wait_until("its target is fetched", || {
        let sources = reveille.ask("/api/v1/sources").body;
        sources.contains(r#""state":"up""#) && sources.contains(r#""zone":"a""#)
    });
    let bad = "nonsense\n";
    std::fs::write(reveille.path("targets.txt"), bad).expect("written");
    wait_until("the file's problem is told", || {
        let sources = reveille.ask("/api/v1/sources").body;
        sources.contains("line 1") && sources.contains(r#""state":"up""#)
    });
    let manifest = Target::hello().to_string();
    std::fs::write(reveille.path("test.yaml"), manifest).expect("written");
    wait_until("the source is gone", || {
        reveille.ask("/api/v1/sources").body == r#"{"sources":[]}"#
    });
    reveille.stop();
}
