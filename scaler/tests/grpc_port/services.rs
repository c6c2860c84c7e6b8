//! Health and reflection, as a probe and grpcurl use them.

use crate::support::Running;
use scaler::grpc::GrpcConfig;
use tokio_stream::StreamExt;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::{v1, v1alpha};

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

async fn status(health: &mut HealthClient<Channel>, service: &str) -> ServingStatus {
    let answer = health.check(of(service)).await.expect("an answer");
    answer.into_inner().status()
}

const KEDA: &str = "externalscaler.ExternalScaler";

#[tokio::test]
async fn health_follows_readiness() {
    let running = Running::start(GrpcConfig::default(), None).await;
    let mut health = HealthClient::new(running.channel());
    assert_eq!(status(&mut health, "").await, ServingStatus::NotServing);
    assert_eq!(status(&mut health, KEDA).await, ServingStatus::NotServing);
    let changes = health.watch(of(KEDA)).await.expect("opens");
    let mut changes = changes.into_inner();
    let first = changes.message().await.expect("no error");
    assert_eq!(first.expect("a state").status(), ServingStatus::NotServing);

    running.ready.send_replace(true);
    let second = changes.message().await.expect("no error");
    assert_eq!(second.expect("a state").status(), ServingStatus::Serving);
    assert_eq!(status(&mut health, "").await, ServingStatus::Serving);
    assert_eq!(status(&mut health, KEDA).await, ServingStatus::Serving);

    let unknown = health.check(of("some.Thing")).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
    let mut unknown = health
        .watch(of("some.Thing"))
        .await
        .expect("opens")
        .into_inner();
    let first = unknown.message().await.expect("no error");
    assert_eq!(
        first.expect("a state").status(),
        ServingStatus::ServiceUnknown
    );

    running.stop.send(()).expect("serving");
    // `Ok(None)` is the status OK; anything else would be an error.
    assert!(changes.message().await.expect("OK").is_none());
    assert!(unknown.message().await.expect("OK").is_none());
    running
        .served
        .await
        .expect("no panic")
        .expect("a clean end");
    assert_eq!(running.metrics.snapshot().cut_off, 0);
}

#[tokio::test]
async fn reflection_lists_and_describes_all_services() {
    let running = Running::start(GrpcConfig::default(), None).await;
    let ask = |wanted| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(wanted),
    };
    let asked = [
        ask(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
        ask(v1::server_reflection_request::MessageRequest::FileContainingSymbol(KEDA.into())),
    ];
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(running.channel());
    let answers = client
        .server_reflection_info(tokio_stream::iter(asked))
        .await;
    let answers: Vec<_> = answers.expect("opens").into_inner().collect().await;
    let mut answers = answers.into_iter().map(|answer| {
        let answer = answer.expect("no error").message_response;
        answer.expect("an answer")
    });
    use v1::server_reflection_response::MessageResponse;
    let Some(MessageResponse::ListServicesResponse(list)) = answers.next() else {
        panic!("no list");
    };
    let mut names: Vec<&str> = list.service.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    assert!(
        names.contains(&KEDA) && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
    let Some(MessageResponse::FileDescriptorResponse(files)) = answers.next() else {
        panic!("no file");
    };
    let file = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
    assert!(file.contains("StreamMetricSpec"));

    let list = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let channel = running.channel();
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let answers = old.server_reflection_info(tokio_stream::iter([list])).await;
    let answers: Vec<_> = answers.expect("opens").into_inner().collect().await;
    assert_eq!(answers.len(), 1);
    answers[0].as_ref().expect("no error");
}
