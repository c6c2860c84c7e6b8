//! The OpenCensus agent's protocol over real sockets: streams that stay, what
//! ends them, and traces that are thrown away.

#[allow(dead_code, reason = "a part of it is for the other receivers")]
mod receivers;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use receivers::{MOST, Rig, frame, gzip, node, oc_gauge};
use scaler::{ingest::Source, series::Limits};
use std::convert::Infallible;
use tokio::sync::mpsc;
use tonic::Code;

const EXPORT: &str = "/opencensus.proto.agent.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opencensus.proto.agent.trace.v1.TraceService/Export";
const CONFIG: &str = "/opencensus.proto.agent.trace.v1.TraceService/Config";

async fn export(rig: &Rig, encoding: &str, body: Vec<Bytes>) -> (Code, String, Bytes) {
    let body = Full::new(Bytes::from(body.concat()));
    Rig::call(rig.opencensus, EXPORT, encoding, body).await
}

/// A body that is sent piece by piece.
fn open_body() -> (
    mpsc::Sender<Bytes>,
    impl http_body::Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
) {
    let (sender, receiver) = mpsc::channel(8);
    let pieces = futures_util::stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    (sender, StreamBody::new(Box::pin(pieces)))
}

#[tokio::test]
async fn a_stream_is_read_message_by_message_in_each_encoding() {
    let rig = Rig::start(Limits::default()).await;
    let gauge = |name: &str, value| oc_gauge(name, &["k"], &["v"], value);
    for (encoding, name) in [("identity", "a"), ("gzip", "b"), ("zstd", "c")] {
        let second = gauge(name, 2);
        let second = match encoding {
            "gzip" => frame(true, &gzip(&second)),
            "zstd" => frame(true, &zstd::encode_all(&*second, 0).expect("memory")),
            _ => frame(false, &second),
        };
        let (code, message, body) =
            export(&rig, encoding, vec![frame(false, &node()), second]).await;
        assert_eq!(
            (code, &*message, body.len()),
            (Code::Ok, "", 0),
            "{encoding}"
        );
    }
    assert_eq!(
        rig.stored(),
        [
            r#"a{host_name="host", k="v"} 2"#,
            r#"b{host_name="host", k="v"} 2"#,
            r#"c{host_name="host", k="v"} 2"#,
        ]
    );
    let source = &rig.counters.read().sources[Source::OpenCensus as usize].1;
    assert_eq!(
        (source.requests, source.accepted, source.refused),
        (6, 3, 0)
    );
    rig.stop().await;
}

#[tokio::test]
async fn messages_in_pieces_are_one_and_the_stop_ends_the_stream_with_ok() {
    let rig = Rig::start(Limits::default()).await;
    let (sender, body) = open_body();
    let address = rig.opencensus;
    let call = tokio::spawn(Rig::call(address, EXPORT, "identity", body));
    let bytes = [
        frame(false, &node()),
        frame(false, &oc_gauge("a", &[], &[], 7)),
    ]
    .concat();
    for piece in bytes.chunks(3) {
        let piece = Bytes::copy_from_slice(piece);
        sender.send(piece).await.expect("it is read");
    }
    while rig.stored().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.stored(), [r#"a{host_name="host"} 7"#]);
    rig.stop().await;
    let (code, message, _) = call.await.expect("it ends");
    assert_eq!((code, &*message), (Code::Ok, ""));
}

#[tokio::test]
async fn a_stream_that_is_refused_is_told_why() {
    let rig = Rig::start(Limits::default()).await;
    let good = oc_gauge("a", &[], &[], 1);
    let cut = frame(false, &good).slice(..9);
    let long = frame(false, &[0; MOST + 1]).slice(..100);
    let cases = [
        (
            "identity",
            vec![frame(false, &good)],
            Code::InvalidArgument,
            "have a node",
        ),
        (
            "identity",
            vec![frame(false, b"\x0a\x05")],
            Code::InvalidArgument,
            "ends in the middle",
        ),
        (
            "identity",
            vec![cut],
            Code::InvalidArgument,
            "ends in the middle of a message",
        ),
        (
            "identity",
            vec![long],
            Code::ResourceExhausted,
            "1048576 bytes",
        ),
        (
            "identity",
            vec![frame(true, &good)],
            Code::Internal,
            "without a grpc-encoding",
        ),
        (
            "gzip",
            vec![frame(true, b"no")],
            Code::InvalidArgument,
            "damaged",
        ),
        (
            "br",
            vec![frame(true, &good)],
            Code::Unimplemented,
            "gzip, zstd",
        ),
    ];
    let count = cases.len() as u64;
    for (encoding, body, wanted, text) in cases {
        let (code, message, _) = export(&rig, encoding, body).await;
        assert_eq!(code, wanted, "{message}");
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(rig.stored(), [""; 0]);
    let source = &rig.counters.read().sources[Source::OpenCensus as usize].1;
    assert_eq!(source.refused, count);
    rig.stop().await;
}

#[tokio::test]
async fn traces_are_taken_counted_and_thrown_away() {
    let rig = Rig::start(Limits::default()).await;
    for path in [TRACES, CONFIG] {
        // Anything may be in them, and as much as there is.
        let body = [frame(false, b"spans"), frame(false, &[0; 3 * MOST])].concat();
        let body = Full::new(Bytes::from(body));
        let (code, message, _) = Rig::call(rig.opencensus, path, "identity", body).await;
        assert_eq!((code, &*message), (Code::Ok, ""), "{path}");
    }
    let body = Full::new(Bytes::new());
    let other = "/opencensus.proto.agent.trace.v1.TraceService/Other";
    let (code, ..) = Rig::call(rig.opencensus, other, "identity", body).await;
    assert_eq!(code, Code::Unimplemented);
    let source = &rig.counters.read().sources[Source::OpenCensus as usize].1;
    assert_eq!((source.discarded, source.accepted), (4, 0));
    rig.stop().await;
}
