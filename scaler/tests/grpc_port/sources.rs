//! The sources beside an InterceptorRoute: an HTTPScaledObject, and Reveille
//! itself.

use crate::support::{Running, web};
use scaler::{
    externalscaler::{GetMetricsRequest, ScaledObjectRef},
    grpc::GrpcConfig,
};
use tonic::Code;

fn asking(key: &str, value: &str) -> ScaledObjectRef {
    ScaledObjectRef {
        scaler_metadata: [(key.to_owned(), value.to_owned())].into(),
        ..web()
    }
}

#[tokio::test]
async fn an_http_scaled_object_is_found_by_its_own_key_alone() {
    let running = Running::start(GrpcConfig::default(), None).await;
    let mut client = running.plain_client();
    let legacy = asking("httpScaledObject", "legacy");
    let specs = client.get_metric_spec(legacy.clone()).await.expect("specs");
    let specs = specs.into_inner().metric_specs;
    assert_eq!(specs.len(), 1);
    assert_eq!(specs[0].metric_name, "http-ns_002Flegacy");
    assert_eq!(
        (specs[0].target_size, specs[0].target_size_float),
        (100, 100.0)
    );
    let asked = GetMetricsRequest {
        scaled_object_ref: Some(legacy),
        metric_name: "http-ns_002Flegacy".into(),
    };
    let values = client
        .get_metrics(asked)
        .await
        .expect("a value")
        .into_inner();
    assert_eq!(values.metric_values.len(), 1);
    assert_eq!(values.metric_values[0].metric_value, 0);
    for (key, name, message) in [
        (
            "httpScaledObject",
            "web",
            "no HTTPScaledObject ns/web is known",
        ),
        (
            "interceptorRoute",
            "legacy",
            "no InterceptorRoute ns/legacy is known",
        ),
    ] {
        let status = client
            .is_active(asking(key, name))
            .await
            .expect_err("unknown");
        assert_eq!((status.code(), status.message()), (Code::NotFound, message));
    }
}

#[tokio::test]
async fn reveille_itself_is_a_source() {
    let running = Running::start(GrpcConfig::default(), None).await;
    let mut client = running.plain_client();
    let own = asking("interceptorTargetPendingRequests", "200");
    let specs = client.get_metric_spec(own.clone()).await.expect("specs");
    let specs = specs.into_inner().metric_specs;
    assert_eq!((specs.len(), specs[0].target_size), (1, 200));
    let asked = GetMetricsRequest {
        scaled_object_ref: Some(own.clone()),
        metric_name: specs[0].metric_name.clone(),
    };
    let values = client
        .get_metrics(asked)
        .await
        .expect("a value")
        .into_inner();
    assert_eq!(values.metric_values[0].metric_value_float, 0.0);
    assert!(
        !client
            .is_active(own.clone())
            .await
            .expect("an answer")
            .into_inner()
            .result
    );
    let mut activity = client
        .stream_is_active(own.clone())
        .await
        .expect("opens")
        .into_inner();
    let mut streamed = client
        .stream_metric_spec(own)
        .await
        .expect("opens")
        .into_inner();
    assert!(
        !activity
            .message()
            .await
            .expect("no error")
            .expect("a state")
            .result
    );
    let first = streamed.message().await.expect("no error").expect("specs");
    assert_eq!(first.metric_specs, specs);
    running.stop.send(()).expect("serving");
    // `Ok(None)` is the status OK; anything else would be an error.
    assert!(activity.message().await.expect("OK").is_none());
    assert!(streamed.message().await.expect("OK").is_none());
}
