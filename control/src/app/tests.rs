//! A part that crashes ends the run in order, with nobody left behind. What
//! can be seen from outside is tested there: `tests/e2e`.

use super::*;
use crate::{crew::Crew, manifest};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Two processes that are started at boot and write down who they are.
fn two_processes() -> String {
    let one = |name: &str| {
        format!(
            "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: {name}}}
spec:
  target: {{service: {name}, port: 80}}
  rules: [{{hosts: [{name}.test]}}]
  scalingMetric: {{concurrency: {{targetValue: 1}}}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {{name: {name}}}
spec: {{command: [sh, -c, 'echo $$ > {name}.part; mv {name}.part {name}; exec sleep 1000']}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  minReplicaCount: 1
  triggers:
  - type: external-push
    metadata: {{scalerAddress: \"x:1\", interceptorRoute: {name}}}
"
        )
    };
    ["a", "b"].map(one).concat()
}

fn settings() -> Settings {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Settings {
        proxy_addr: any,
        proxy_tls_addr: any,
        tls: TlsConfig::default(),
        grpc_addr: any,
        grpc: GrpcSettings::default(),
        admin_addr: any,

        access: AccessSettings::default(),
        proxy: ProxyConfig::default(),
        ledger: LedgerConfig::default(),
        peers: None,
        access_log: None,
        otlp: None,
        ingest: crate::ingest::IngestSettings::default(),
        xds: None,
        shutdown_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(1),
    }
}

/// The app with both processes up, and their ids.
async fn running() -> (App, [String; 2], TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let manifests = manifest::parse("test.yaml", folder.path(), &two_processes());
    assert!(manifests.problems.is_empty(), "{:?}", manifests.problems);
    let app = App::local(settings(), Duration::from_secs(1), manifests).expect("it starts");
    let mut pids = ["a", "b"].map(str::to_owned);
    for pid in &mut pids {
        let file = folder.path().join(&*pid);
        until("it says who it is", || file.exists()).await;
        *pid = fs::read_to_string(&file)
            .expect("written")
            .trim()
            .to_owned();
    }
    (app, pids, folder)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(20), look).await;
    assert!(seen.is_ok(), "waited in vain until {what}");
}

/// A zombie does not count: whoever inherited it has not looked yet.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn crew(app: &mut App) -> &mut Crew {
    match &mut app.mode {
        Mode::Local(local) => local.workloads.crew(),
        Mode::Kubernetes(_) => panic!("it is local mode"),
    }
}

#[tokio::test]
async fn a_pool_that_panics_takes_its_replicas_with_it_and_ends_the_run() {
    let (mut app, pids, _folder) = running().await;
    assert!(pids.iter().all(|pid| lives(pid)));
    // Both pools become part of a task that panics: unwinding drops them just
    // as a panic of their own would.
    let pools = std::mem::take(crew(&mut app));
    crew(&mut app).handle().spawn("default/a", async move {
        let _pools = pools;
        panic!("a bug in a pool");
    });
    let error = format!("{:#}", app.failed().await);
    assert!(error.starts_with("a process pool crashed: "), "{error}");
    assert!(error.contains("a bug in a pool"), "{error}");
    until("nobody is left", || !pids.iter().any(|pid| lives(pid))).await;
    app.stop().await;
}

#[tokio::test]
async fn when_another_part_crashes_the_stop_ends_all_replicas() {
    let (mut app, pids, _folder) = running().await;
    app.tasks
        .keda
        .spawn(async { panic!("a bug in the scaler") });
    let error = format!("{:#}", app.failed().await);
    assert!(error.starts_with("gRPC crashed: "), "{error}");
    assert!(
        pids.iter().all(|pid| lives(pid)),
        "they serve until the stop"
    );
    app.stop().await;
    assert!(!pids.iter().any(|pid| lives(pid)));
}

#[tokio::test]
async fn dropped_without_a_stop_it_leaves_nobody_behind() {
    let (app, pids, _folder) = running().await;
    drop(app);
    until("nobody is left", || !pids.iter().any(|pid| lives(pid))).await;
}
