//! How long connections live, how many there may be, and how they end.

use crate::support::{Running, eventually, web};
use scaler::grpc::GrpcConfig;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tonic::Code;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Nothing happens by itself: paused time would run into the pings.
fn quiet() -> GrpcConfig {
    GrpcConfig {
        connection_age: None,
        idle_timeout: DAY,
        ping_each: DAY,
        ..GrpcConfig::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_ends_its_streams_with_ok_and_the_client_comes_back() {
    let age = Duration::from_secs(600);
    let config = GrpcConfig {
        connection_age: Some(age),
        ..quiet()
    };
    let running = Running::start(config, None).await;
    let mut client = running.plain_client();
    let mut stream = client
        .stream_is_active(web())
        .await
        .expect("opens")
        .into_inner();
    assert!(
        !stream
            .message()
            .await
            .expect("no error")
            .expect("a message")
            .result
    );
    let opened = Instant::now();
    // `Ok(None)` is the status OK; anything else would be an error.
    assert!(stream.message().await.expect("OK").is_none());
    let lived = opened.elapsed();
    assert!(
        lived >= age.mul_f64(0.89) && lived <= age.mul_f64(1.11),
        "{lived:?}"
    );
    client.is_active(web()).await.expect("a new connection");
    eventually("the old one is gone", || running.ended("age") == 1).await;
    let now = running.metrics.snapshot();
    assert_eq!((now.connections, now.cut_off), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn ages_differ_so_that_not_all_clients_come_back_at_once() {
    let config = GrpcConfig {
        connection_age: Some(Duration::from_secs(600)),
        ..quiet()
    };
    let running = Running::start(config, None).await;
    let opened = Instant::now();
    let mut ends = Vec::new();
    for _ in 0..8 {
        let mut stream = running
            .plain_client()
            .stream_is_active(web())
            .await
            .expect("opens")
            .into_inner();
        ends.push(tokio::spawn(async move {
            while stream.message().await.expect("OK").is_some() {}
            opened.elapsed().as_millis()
        }));
    }
    let mut at = Vec::new();
    for end in ends {
        at.push(end.await.expect("no panic"));
    }
    at.sort_unstable();
    at.dedup();
    assert!(at.len() >= 6, "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_ends() {
    let config = GrpcConfig {
        idle_timeout: Duration::from_secs(60),
        ..quiet()
    };
    let running = Running::start(config, None).await;
    let mut idle = running.plain_client();
    idle.is_active(web()).await.expect("an answer");
    let mut busy = running.plain_client();
    let stream = busy.stream_is_active(web()).await.expect("opens");
    tokio::time::sleep(Duration::from_secs(121)).await;
    eventually("the idle one is gone", || running.ended("idle") == 1).await;
    assert_eq!(running.metrics.snapshot().connections, 1, "a stream is use");
    idle.is_active(web()).await.expect("a new connection");
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn a_connection_on_which_nothing_is_said_is_closed() {
    let running = Running::start(quiet(), None).await;
    for words in ["", "PRI * HTTP/2.0\r\n\r\nSM"] {
        let mut mute = TcpStream::connect(running.address).await.expect("connects");
        mute.write_all(words.as_bytes()).await.expect("sent");
        let opened = Instant::now();
        let mut said = Vec::new();
        mute.read_to_end(&mut said).await.expect("closed");
        assert_eq!(said, b"");
        assert!(opened.elapsed() <= Duration::from_millis(10_100));
    }
    eventually("both are counted", || running.ended("not_http2") == 2).await;
}

#[tokio::test]
async fn who_speaks_http1_is_told_what_this_port_is() {
    let running = Running::start(quiet(), None).await;
    let mut browser = TcpStream::connect(running.address).await.expect("connects");
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    browser.write_all(request).await.expect("sent");
    let mut answer = vec![0; 36];
    browser.read_exact(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 505 "), "{answer:?}");
}

#[tokio::test]
async fn connections_are_bounded() {
    let config = GrpcConfig {
        max_connections: 1,
        ..quiet()
    };
    let running = Running::start(config, None).await;
    let mut first = running.plain_client();
    first.is_active(web()).await.expect("an answer");
    let mut second = TcpStream::connect(running.address).await.expect("connects");
    let mut said = Vec::new();
    second.read_to_end(&mut said).await.expect("closed");
    assert_eq!((said.len(), running.ended("too_many")), (0, 1));
    first.is_active(web()).await.expect("undisturbed");
    drop(first);
    eventually("there is a place", || {
        running.metrics.snapshot().connections == 0
    })
    .await;
    running
        .plain_client()
        .is_active(web())
        .await
        .expect("an answer");
}

#[tokio::test]
async fn requests_are_bounded_and_streams_are_requests() {
    let config = GrpcConfig {
        max_requests: 1,
        ..quiet()
    };
    let running = Running::start(config, None).await;
    let mut client = running.plain_client();
    let stream = client.stream_is_active(web()).await.expect("opens");
    let refused = client.is_active(web()).await.expect_err("too many");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::ResourceExhausted, "too many requests are under way")
    );
    drop(stream);
    eventually("there is a place", || {
        running.metrics.snapshot().requests == 0
    })
    .await;
    client.is_active(web()).await.expect("an answer");
    assert_eq!(running.metrics.snapshot().refused_requests, 1);
}

/// A header field without compression (RFC 7541, section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).expect("short"));
        bytes.extend(text.as_bytes());
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let head = [&length[1..], &[kind, flags, 0, 0, 0, stream]].concat();
    [head.as_slice(), payload].concat()
}

/// The kinds of frames with their flags, until the connection is closed.
async fn frames(stream: &mut TcpStream) -> Vec<(u8, u8)> {
    let mut seen = Vec::new();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("fits")];
        stream
            .read_exact(&mut payload)
            .await
            .expect("a whole frame");
        seen.push((head[3], head[4]));
        if (head[3], head[4] & 1) == (6, 0) {
            stream.write_all(&frame(6, 1, 0, &payload)).await.ok(); // the ping's echo
        }
    }
    seen
}

#[tokio::test]
async fn goaway_comes_before_the_ends_of_streams() {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const GOAWAY: u8 = 7;
    const END_STREAM: u8 = 1;
    let mut running = Running::start(quiet(), None).await;
    let mut raw = TcpStream::connect(running.address).await.expect("connects");
    let path = "/externalscaler.ExternalScaler/StreamIsActive";
    let head = [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "x"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat();
    // ScaledObjectRef { name: "web", namespace: "ns", interceptorRoute: "web" }
    let message = b"\x0a\x03web\x12\x02ns\x1a\x17\x0a\x10interceptorRoute\x12\x03web";
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let data = [&[0], length.as_slice(), message].concat();
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, b""),
        frame(HEADERS, 4, 1, &head),
        frame(0, END_STREAM, 1, &data),
    ]
    .concat();
    raw.write_all(&request).await.expect("sent");
    running.connection().await;
    eventually("the stream is open", || {
        running.metrics.snapshot().requests == 1
    })
    .await;
    running.stop.send(()).expect("serving");
    let seen = frames(&mut raw).await;
    let goaway = seen.iter().position(|&(kind, _)| kind == GOAWAY);
    let end = seen
        .iter()
        .position(|&(kind, flags)| kind == HEADERS && flags & END_STREAM != 0);
    assert!(
        goaway.expect("told to go") < end.expect("trailers"),
        "{seen:?}"
    );
    running
        .served
        .await
        .expect("no panic")
        .expect("a clean end");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_is_cut_off() {
    let mut running = Running::start(quiet(), None).await;
    let mut raw = TcpStream::connect(running.address).await.expect("connects");
    let preface = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, b""),
    ]
    .concat();
    raw.write_all(&preface).await.expect("sent");
    running.connection().await;
    let began = Instant::now();
    running.stop.send(()).expect("serving");
    running
        .served
        .await
        .expect("no panic")
        .expect("a clean end");
    assert!(
        began.elapsed() <= Duration::from_millis(5_100),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(running.metrics.snapshot().cut_off, 1);
}
