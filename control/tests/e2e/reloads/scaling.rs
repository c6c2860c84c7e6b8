//! What scales, edited.

use super::{edit, following};
use crate::support::{Connection, Target};
use scaler::externalscaler::{ScaledObjectRef, external_scaler_client::ExternalScalerClient};
use tonic::transport::Endpoint;

fn wanting(concurrency: u32) -> Target {
    Target::python()
        .metric(&format!("concurrency: {{targetValue: {concurrency}}}"))
        .scaled("maxReplicaCount: 10")
}

#[test]
fn another_target_value_makes_another_number_of_replicas() {
    let reveille = following(wanting(100)).start();
    let client = reveille.client("web");
    let mut open: Vec<Connection> = (0..4)
        .map(|_| client.begin("GET", "/wait/answer-all"))
        .collect();
    reveille.until("web", "all are on the only replica", |now| {
        now.replicas() == (1, 1) && now.endpoints[0].in_flight == 4
    });
    reveille.until("web", "the window is full of them", |now| {
        (now.concurrency - 4.0).abs() < 0.001
    });
    edit(&reveille, wanting(1));
    reveille.until("web", "there are as many as requests", |now| {
        now.replicas() == (4, 4)
    });
    assert_eq!(reveille.target("web").in_flight, 4);
    reveille.touch("answer-all");
    for connection in &mut open {
        assert_eq!(connection.answer().status, 200);
    }
    reveille.until_asleep("web");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keda_is_told_of_another_target_value() {
    let reveille = following(wanting(100)).start();
    let scaler = format!("http://{}", reveille.grpc());
    let scaler = Endpoint::from_shared(scaler).expect("an address");
    let mut client = ExternalScalerClient::new(scaler.connect().await.expect("it listens"));
    let metadata = [("interceptorRoute", "web")].map(|(name, value)| (name.into(), value.into()));
    let of = ScaledObjectRef {
        name: "web".into(),
        namespace: "default".into(),
        scaler_metadata: metadata.into(),
    };
    let stream = client.stream_metric_spec(of).await.expect("it is known");
    let mut specs = stream.into_inner();
    let told = specs.message().await.expect("open").expect("not ended");
    assert_eq!(told.metric_specs[0].target_size, 100);
    // What is not about the target is not told: the next message is of 7.
    edit(&reveille, wanting(100).process("env: {A: b}"));
    edit(&reveille, wanting(7));
    let told = specs.message().await.expect("open").expect("not ended");
    assert_eq!(told.metric_specs[0].target_size, 7);
}

#[test]
fn a_scaled_object_that_comes_scales_and_one_that_goes_leaves_what_there_is() {
    let whole = Target::python().scaled("minReplicaCount: 1").to_string();
    let parts = whole.rsplit_once("---\napiVersion: keda.sh");
    let (unscaled, _) = parts.expect("it is the last");
    let reveille = following(unscaled).start();
    assert!(reveille.target("web").is_asleep());
    edit(&reveille, whole.clone());
    let warm = reveille.until("web", "it is scaled", |now| now.replicas() == (1, 1));
    assert_eq!(warm.scaled_object.as_deref(), Some("default/web"));
    let process = reveille.until_workloads(1);
    edit(&reveille, unscaled);
    assert!(reveille.target("web").scaled_object.is_none());
    assert_eq!(reveille.client("web").get("/").status, 200);
    assert_eq!(reveille.until_workloads(1), process);
}
