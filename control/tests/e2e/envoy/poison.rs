//! A route that Envoy refuses harms no other.
//!
//! Envoys with a low limit for the size of patterns refuse the host of a deep
//! path, whose pattern for undecided paths is long.

use super::{StopOnDrop, until_direct, with_envoy};
use crate::support::{Bootstrap, Envoy, Reveille, backend_manifest, named_backend, wait_until};
use serde::Deserialize;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// A pattern for all methods that may be retried has 32 instructions, one for
/// paths of six segments has 43.
const STRICT: &str = "
layered_runtime:
  layers:
    - {name: limits, static_layer: {re2.max_program_size.error_level: 35}}
";

const DEEP: &str = "/1/2/3/4/5/6";

/// What this test reads of `/api/v1/xds`.
#[derive(Debug, Deserialize)]
struct View {
    clients: Vec<ClientView>,
}

#[derive(Debug, Deserialize)]
struct ClientView {
    node: String,
    quarantined: Vec<Quarantined>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Quarantined {
    host: String,
    instead: String,
    reason: String,
}

fn view(reveille: &Reveille) -> Vec<ClientView> {
    let body = reveille.ask("/api/v1/xds").body;
    let view: View = serde_json::from_str(&body).expect("as it was");
    view.clients
}

/// A backend of each name.
fn backends(names: &[&str]) -> String {
    let backend = |name: &&str| backend_manifest(name, named_backend(name));
    names.iter().map(backend).collect()
}

/// Routes of hosts `NAME.test` with these paths.
fn routes(all: &[(&str, &str)]) -> String {
    let route = |(name, path): &(&str, &str)| {
        format!(
            "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: {name}}}
spec:
  target: {{service: {name}, port: 80}}
  rules: [{{hosts: [{name}.test], paths: [{{value: {path}}}]}}]
  scalingMetric: {{concurrency: {{targetValue: 100}}}}
"
        )
    };
    all.iter().map(route).collect()
}

/// Waits until an answer comes straight from the backend, or through us.
fn until_answered(envoy: &Envoy, name: &str, path: &str, through_us: bool) {
    let client = envoy.client(name);
    wait_until(&format!("{name}{path}: through us: {through_us}"), || {
        let answer = client.get(path);
        answer.status == 200 && answer.body == name && answer.cold_start().is_some() == through_us
    });
}

#[test]
fn a_route_that_envoy_refuses_harms_no_other() {
    let backends = backends(&["web", "deep", "more", "late"]);
    let manifest = |all: &[(&str, &str)]| format!("{backends}{}", routes(all));
    let reveille = with_envoy(manifest(&[("web", "/")]))
        .arg("--manifest-reload-interval", "50ms")
        .start();
    let serve = |all: &[(&str, &str)]| {
        std::fs::write(reveille.path("test.yaml"), manifest(all)).expect("written");
    };
    let fleet = Bootstrap::fleet(reveille.xds());
    let strict = fleet.clone().and(STRICT);
    let own = Bootstrap::own_listener(reveille.xds()).and(STRICT);
    let lax = fleet.start("lax");
    let mut picky = vec![
        (strict.start("delta"), "reveille"),
        (strict.clone().whole_states().start("whole"), "reveille"),
        (own.start("own"), "mine"),
        (own.whole_states().start("own-whole"), "mine"),
    ];
    let refused = |(envoy, listener): &(Envoy, &str)| {
        envoy.stat(&format!("http.{listener}.rds.reveille.update_rejected"))
    };
    for (envoy, _) in &picky {
        wait_until("it has routes", || {
            envoy.client("web").get("/").status == 200
        });
        until_direct(&envoy.client("web"));
    }
    until_direct(&lax.client("web"));

    // What is there goes on, straight, whatever comes.
    let stop = AtomicBool::new(false);
    let listeners: Vec<_> = picky.iter().map(|(envoy, _)| envoy.client("web")).collect();
    thread::scope(|scope| {
        let _stops = StopOnDrop(&stop);
        for client in &listeners {
            scope.spawn(|| {
                let mut connection = client.connect();
                while !stop.load(Ordering::Relaxed) {
                    connection.request("GET", "/");
                    let answer = connection.answer();
                    assert_eq!((answer.status, answer.cold_start()), (200, None));
                }
            });
        }

        let poisoned = [("web", "/"), ("deep", DEEP), ("more", "/more")];
        serve(&poisoned);
        // One that has never had any routes: what is good is served, too.
        for bootstrap in [strict.clone(), strict.whole_states()] {
            picky.push((bootstrap.start("late"), "reveille"));
        }
        for one in &picky {
            until_answered(&one.0, "deep", DEEP, true);
            until_answered(&one.0, "more", "/more", false);
            until_answered(&one.0, "web", "/", false);
            assert!(refused(one) > 0);
            assert_eq!(one.0.client("more").get("/").status, 404);
        }
        until_answered(&lax, "deep", DEEP, false);
        for client in view(&reveille) {
            let Some(quarantined) = client.quarantined.first() else {
                assert_eq!(client.node, "lax");
                continue;
            };
            assert_eq!(client.quarantined.len(), 1, "{client:?}");
            assert_eq!(quarantined.host, "deep.test");
            assert_eq!(quarantined.instead, "proxy");
            assert!(quarantined.reason.contains("program size"), "{client:?}");
        }
        let all = u32::try_from(picky.len()).expect("few");
        let quarantined = || reveille.metric("reveille_xds_quarantined_hosts");
        assert_eq!(quarantined(), Some(f64::from(all)));
        let line = reveille.until_logged("an Envoy refuses virtual hosts");
        assert!(
            line.contains("deep.test") && line.contains("program size"),
            "{line}"
        );

        // Another change does not bring it up again.
        let before: Vec<u64> = picky.iter().map(refused).collect();
        serve(&[("web", "/"), ("deep", DEEP), ("late", "/")]);
        for (envoy, _) in &picky {
            until_answered(envoy, "late", "/", false);
            until_answered(envoy, "deep", DEEP, true);
            wait_until("it is gone", || {
                envoy.client("more").get("/more").status == 404
            });
        }
        assert_eq!(picky.iter().map(refused).collect::<Vec<u64>>(), before);

        // Once it is good, it goes straight.
        serve(&[("web", "/"), ("deep", "/1"), ("late", "/")]);
        for (envoy, _) in &picky {
            until_answered(envoy, "deep", DEEP, false);
        }
        wait_until("none is quarantined", || quarantined() == Some(0.0));
    });
}
