//! OTLP over real sockets: OpenTelemetry's own client over gRPC, plain HTTP.

#[allow(dead_code, reason = "a part of it is for the other receivers")]
mod receivers;

use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceResponse,
    trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
};
use prost::Message;
use receivers::{JSON, MOST, PROTOBUF, Rig, bomb, gauges, gzip};
use scaler::{
    ingest::Source,
    series::{Limits, Selector},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, codec::CompressionEncoding};

#[tokio::test]
async fn opentelemetrys_client_exports_over_grpc_in_each_encoding() {
    let rig = Rig::start(Limits::default()).await;
    let plain = rig.metrics().await;
    let encodings = [
        ("a", plain.clone()),
        (
            "b",
            plain.clone().send_compressed(CompressionEncoding::Gzip),
        ),
        ("c", plain.send_compressed(CompressionEncoding::Zstd)),
    ];
    for (name, mut client) in encodings {
        let answer = client.export(gauges(&[(name, 1.5)])).await.expect("stored");
        assert_eq!(answer.into_inner(), ExportMetricsServiceResponse::default());
    }
    assert_eq!(rig.stored(), ["a 1.5", "b 1.5", "c 1.5"]);
    let source = &rig.counters.read().sources[Source::OtlpGrpc as usize].1;
    assert_eq!(
        (source.requests, source.accepted, source.refused),
        (3, 3, 0)
    );
    assert!(source.last_arrival_ms.is_some());
    rig.stop().await;
}

#[tokio::test]
async fn what_is_dropped_is_told_as_partial_success() {
    let rig = Rig::start(Limits::default()).await;
    let request = gauges(&[("good", 1.0), ("bad", f64::NAN)]);
    let answer = rig.metrics().await.export(request).await;
    let partial = answer.expect("stored").into_inner().partial_success;
    let partial = partial.expect("one was dropped");
    assert_eq!(partial.rejected_data_points, 1);
    assert!(
        partial.error_message.contains("not_a_number"),
        "{partial:?}"
    );
    // Of another series: points without a time have that of their arrival, which
    // may be the same millisecond.
    let request = gauges(&[("other", 1.0), ("bad", f64::NAN)]);
    let (status, _, body) = rig.post(PROTOBUF, &request.encode_to_vec()).await;
    let answer = ExportMetricsServiceResponse::decode(&*body).expect("an answer");
    let partial = answer.partial_success.expect("one was dropped");
    assert_eq!(
        (status, partial.rejected_data_points),
        (200, 1),
        "{partial:?}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn grpc_refuses_what_is_damaged_too_large_or_not_metrics() {
    let rig = Rig::start(Limits::default()).await;
    let long = "n".repeat(MOST);
    let refused = rig.metrics().await.export(gauges(&[(&long, 1.0)])).await;
    let status = refused.expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    let compressed = rig.metrics().await;
    let mut compressed = compressed.send_compressed(CompressionEncoding::Gzip);
    let refused = compressed.export(gauges(&[(&long, 1.0)])).await;
    let status = refused.expect_err("too large when decompressed");
    assert!(status.message().contains("limit"), "{status:?}");
    let mut traces = TraceServiceClient::connect(format!("http://{}", rig.grpc))
        .await
        .expect("it listens");
    let refused = traces.export(ExportTraceServiceRequest::default()).await;
    assert_eq!(refused.expect_err("no traces").code(), Code::Unimplemented);
    assert_eq!(rig.stored(), [""; 0]);
    let source = &rig.counters.read().sources[Source::OtlpGrpc as usize].1;
    assert_eq!(source.refused, 2);
    rig.stop().await;
}

#[tokio::test]
async fn http_takes_protobuf_and_json_in_each_encoding() {
    let rig = Rig::start(Limits::default()).await;
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"json","gauge":{"dataPoints":[{"asInt":"7"}]}}]}]}]}"#;
    let a = gauges(&[("a", 1.0)]).encode_to_vec();
    let b = gzip(&gauges(&[("b", 2.0)]).encode_to_vec());
    let c = zstd::encode_all(&*gauges(&[("c", 3.0)]).encode_to_vec(), 0).expect("memory");
    for (headers, body) in [
        (PROTOBUF.to_owned(), a),
        (format!("{PROTOBUF}\r\nContent-Encoding: gzip"), b),
        (format!("{PROTOBUF}\r\nContent-Encoding: zstd"), c),
    ] {
        let (status, head, body) = rig.post(&headers, &body).await;
        assert_eq!((status, &*body), (200, &b""[..]), "{head}");
        assert!(
            head.contains("content-type: application/x-protobuf"),
            "{head}"
        );
    }
    let (status, head, body) = rig.post(&format!("{JSON}; charset=utf-8"), json).await;
    assert_eq!((status, &*body), (200, &b"{}"[..]));
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(rig.stored(), ["a 1", "b 2", "c 3", "json 7"]);
    rig.stop().await;
}

#[tokio::test]
async fn http_refuses_with_the_status_that_says_why() {
    let rig = Rig::start(Limits::default()).await;
    let gzipped = format!("{PROTOBUF}\r\nContent-Encoding: gzip");
    let (bomb, large) = (bomb(), vec![b' '; MOST + 1]);
    let cases: [(&str, &str, &[u8], u16, &str); 10] = [
        (
            "POST /v1/metrics",
            PROTOBUF,
            b"\x0a\x05",
            400,
            "ends in the middle",
        ),
        ("POST /v1/metrics", JSON, b"{", 400, "line 1 column"),
        ("POST /v1/metrics", &gzipped, b"x", 400, "damaged"),
        ("POST /v1/metrics", &gzipped, &bomb, 413, "1048576 bytes"),
        ("POST /v1/metrics", JSON, &large, 413, "1048576 bytes"),
        (
            "POST /v1/metrics",
            "Content-Type: text/plain",
            b"",
            415,
            "content-type",
        ),
        ("POST /v1/metrics", "X: y", b"", 415, "content-type"),
        (
            "POST /v1/metrics",
            "Content-Type: application/json\r\nContent-Encoding: br",
            b"",
            415,
            "content-encoding",
        ),
        ("GET /v1/metrics", JSON, b"", 405, "POST"),
        ("POST /v1/traces", JSON, b"{}", 404, "only metrics"),
    ];
    let count = cases.len() as u64;
    for (request, headers, body, wanted, text) in cases {
        let head = format!("{request} HTTP/1.1\r\n{headers}");
        let (status, head, body) = rig.http(&head, body).await;
        let body = String::from_utf8_lossy(&body);
        assert_eq!(status, wanted, "{request} {headers}: {body}");
        assert!(body.contains(text), "{body}");
        assert_eq!(head.contains("allow: post"), wanted == 405, "{head}");
    }
    assert_eq!(rig.stored(), [""; 0]);
    let source = &rig.counters.read().sources[Source::OtlpHttp as usize].1;
    assert_eq!(source.refused, count);
    rig.stop().await;
}

#[tokio::test]
async fn a_full_store_tells_senders_to_come_later() {
    let rig = Rig::start(Limits {
        series: 1,
        ..Limits::default()
    })
    .await;
    let _needed = rig.store.register(&[Selector {
        matchers: Vec::new(),
        back: Duration::from_secs(60),
    }]);
    let mut client = rig.metrics().await;
    client.export(gauges(&[("a", 1.0)])).await.expect("room");
    let refused = client.export(gauges(&[("b", 1.0)])).await;
    assert_eq!(
        refused.expect_err("no room").code(),
        Code::ResourceExhausted
    );
    let (status, head, body) = rig
        .post(JSON, br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"b","gauge":{"dataPoints":[{"asInt":1}]}}]}]}]}"#)
        .await;
    let body = String::from_utf8_lossy(&body);
    assert_eq!(status, 429, "{body}");
    assert!(head.contains("retry-after: 30"), "{head}");
    assert!(
        body.contains(r#""code":8"#) && body.contains("series_limit"),
        "{body}"
    );
    rig.stop().await;
}

#[tokio::test]
async fn senders_that_stall_keep_others_waiting_only_for_a_place() {
    let rig = Rig::start(Limits::default()).await;
    // Both places are taken by requests whose body does not come.
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nHost: x\r\n{PROTOBUF}\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    );
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(rig.http).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("sent");
        // hyper asks for the body when it is read: then the place is taken.
        let mut asked = [0; 25];
        stream.read_exact(&mut asked).await.expect("asked");
        assert!(asked.starts_with(b"HTTP/1.1 100"));
        stalled.push(stream);
    }
    let (status, head, _) = rig.post(JSON, b"{}").await;
    assert_eq!(status, 429);
    assert!(head.contains("retry-after: 1"), "{head}");
    let refused = rig.metrics().await.export(gauges(&[("a", 1.0)])).await;
    assert_eq!(refused.expect_err("no place").code(), Code::Unavailable);
    drop(stalled);
    rig.metrics()
        .await
        .export(gauges(&[("a", 1.0)]))
        .await
        .expect("a place is free again");
    rig.stop().await;
}
