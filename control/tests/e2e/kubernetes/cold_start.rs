//! The whole circle: a request is held, KEDA is told, KEDA scales, the new Pod
//! is found before the cluster calls it ready, the request is served, and in
//! the end KEDA is told that it is quiet again.

use super::objects::{in_state, route, scaled_object, service, serving};
use crate::support::{ApiServer, PATIENCE, Pod, Reveille};
use scaler::externalscaler::{
    GetMetricsRequest, ScaledObjectRef, external_scaler_client::ExternalScalerClient,
};
use serde_json::json;
use tonic::{Streaming, transport::Channel};

fn reference() -> ScaledObjectRef {
    ScaledObjectRef {
        name: "web".to_owned(),
        namespace: "default".to_owned(),
        scaler_metadata: [("interceptorRoute".to_owned(), "web".to_owned())].into(),
    }
}

async fn keda(reveille: &Reveille) -> ExternalScalerClient<Channel> {
    let address = format!("http://{}", reveille.grpc());
    let channel = Channel::from_shared(address).expect("an address");
    ExternalScalerClient::new(channel.connect().await.expect("it listens"))
}

async fn next<T>(stream: &mut Streaming<T>) -> T {
    let next = tokio::time::timeout(PATIENCE, stream.message()).await;
    next.expect("in time")
        .expect("no error")
        .expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_wakes_its_workload_and_is_served_by_a_pod_that_is_not_ready_yet() {
    let api = ApiServer::start();
    let deployment =
        json!({"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 0}});
    api.put_all([
        route("web"),
        service("web"),
        scaled_object("web"),
        deployment,
    ]);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    let mut keda = keda(&reveille).await;
    let stream = keda.stream_is_active(reference()).await.expect("opened");
    let mut stream = stream.into_inner();

    let mut held = reveille.client("web").begin("GET", "/");
    while !next(&mut stream).await.result {}
    reveille.until_held("web", 1);
    let metric = GetMetricsRequest {
        scaled_object_ref: Some(reference()),
        metric_name: String::new(),
    };
    let values = keda
        .get_metrics(metric)
        .await
        .expect("answered")
        .into_inner();
    assert!(
        values.metric_values[0].metric_value_float >= 1.0,
        "{values:?}"
    );

    // KEDA scales; the kubelet starts the Pod, whose address is published
    // before it listens.
    let addr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound")
    };
    let announced = super::objects::endpoint("web-1", addr, json!({"ready": false}));
    api.put(super::objects::slice(
        "web",
        0,
        addr.port(),
        vec![announced],
    ));
    let pod = Pod::start_at("web-1", addr);
    let answer = held.answer();
    assert_eq!((answer.status, answer.body.as_str()), (200, "web-1"));
    assert_eq!(answer.cold_start(), Some("true"));

    // The cluster sees it too; then it is quiet, and the Pod goes.
    api.put(serving("web", 0, &pod));
    reveille.until_warm("web");
    let is_quiet = async {
        loop {
            let answer = keda.is_active(reference()).await.expect("answered");
            if !answer.into_inner().result {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, is_quiet)
        .await
        .expect("in time");
    api.put(in_state(
        "web",
        0,
        &pod,
        json!({"ready": false, "serving": false, "terminating": true}),
    ));
    reveille.until("web", "it is cold", |now| now.state == "cold");
    reveille.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_sync_keda_gets_errors_and_not_zeros() {
    let api = ApiServer::start();
    api.put_all([route("web"), service("web")]);
    api.permit("list", "Service", false);
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_logged("the permission to list services");
    let mut keda = keda(&reveille).await;
    let answer = keda.is_active(reference()).await;
    assert_eq!(
        answer.expect_err("not known").code(),
        tonic::Code::Unavailable
    );
    api.permit("list", "Service", true);
    reveille.until_ready();
    assert!(
        !keda
            .is_active(reference())
            .await
            .expect("known")
            .into_inner()
            .result
    );
    reveille.stop();
}
