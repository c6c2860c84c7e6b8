use super::*;
use crate::{
    clock::Clock,
    config::{ConnectionConfig, ProxyConfig},
    proxy::Proxy,
    route::RouteTable,
    sink::DemandSink,
    target::TargetId,
};
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinHandle, time::Instant};

struct NoSink;

impl DemandSink for NoSink {
    fn waiting(&self, _target: &TargetId) {}
    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}

/// A proxy without routes: it answers every request with 404.
fn proxy(connections: ConnectionConfig) -> Proxy {
    let config = ProxyConfig {
        connections,
        ..ProxyConfig::default()
    };
    let proxy = Proxy::new(config, Clock::start(), Arc::new(NoSink)).expect("workers");
    proxy.set_routes(RouteTable::build(Vec::new()));
    proxy
}

/// A connection that is served by this runtime, whose time is paused.
async fn connect(proxy: &Proxy) -> (TcpStream, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).await;
    let (stream, peer) = listener.accept().await.expect("a connection");
    let shared = proxy.shared().clone();
    let serving = tokio::spawn(serve(shared, 0, stream, Transport::Clear, peer));
    (client.expect("a connection"), serving)
}

async fn rest(client: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).await.expect("an end");
    String::from_utf8(bytes).expect("text")
}

/// Asks for something and reads the answer.
async fn ask(client: &mut TcpStream) {
    let request = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    client.write_all(request).await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"Not Found\n") {
        assert!(client.read_buf(&mut answer).await.expect("an answer") > 0);
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_head_has_ten_seconds_from_its_first_byte() {
    let proxy = proxy(ConnectionConfig::default());
    let (mut client, serving) = connect(&proxy).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let begun = Instant::now();
    for byte in b"GET / H" {
        client.write_all(&[*byte]).await.expect("sent");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 408 "));
    assert!((10.0..11.5).contains(&seconds(begun)), "{begun:?}");
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_anything_has_ten_seconds() {
    let proxy = proxy(ConnectionConfig::default());
    let begun = Instant::now();
    let (mut client, serving) = connect(&proxy).await;
    assert_eq!(rest(&mut client).await, "");
    assert!((10.0..11.5).contains(&seconds(begun)), "{begun:?}");
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_parked_and_closed_in_its_time() {
    let proxy = proxy(ConnectionConfig::default());
    let (mut client, serving) = connect(&proxy).await;
    ask(&mut client).await;
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    assert_eq!(proxy.connection_counts().parked, 0);
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    assert_eq!(proxy.connection_counts().parked, 1);
    // A request starts its time anew.
    ask(&mut client).await;
    assert_eq!(proxy.connection_counts().woken, 1);
    let again = Instant::now();
    assert_eq!(rest(&mut client).await, "");
    assert!((620.0..621.5).contains(&seconds(again)), "{begun:?}");
    assert_eq!(proxy.connection_counts().parked, 0);
    assert_eq!(proxy.connection_counts().idle_closed, 1);
    serving.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_to_connections_without_limits() {
    let none = Duration::ZERO;
    let proxy = proxy(ConnectionConfig {
        header_timeout: none,
        idle_timeout: none,
        park_after: none,
        max_requests: 0,
    });
    let (mut silent, _serving) = connect(&proxy).await;
    let (mut idle, _serving) = connect(&proxy).await;
    ask(&mut idle).await;
    tokio::time::sleep(Duration::from_secs(100_000)).await;
    for client in [&mut silent, &mut idle] {
        ask(client).await;
    }
    assert_eq!(proxy.connection_counts(), Default::default());
}

/// It answers no PING, so that the GOAWAY never comes to its end.
#[tokio::test(start_paused = true)]
async fn an_http2_client_that_ignores_a_goaway_is_cut_off() {
    let proxy = proxy(ConnectionConfig::default());
    let (mut client, serving) = connect(&proxy).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    client.write_all(preface).await.expect("sent");
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(!serving.is_finished());
    let begun = Instant::now();
    proxy.shared().drain.begin().await;
    serving.await.expect("no panic");
    assert!((1.0..4.0).contains(&seconds(begun)), "{begun:?}");
}

/// RFC 9113 section 6.7: whoever is there answers a PING.
#[tokio::test(start_paused = true)]
async fn an_http2_client_that_vanished_is_noticed_and_a_silent_one_is_not_disturbed() {
    let proxy = proxy(ConnectionConfig::default());
    let begun = Instant::now();
    let (mut gone, gone_serving) = connect(&proxy).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    gone.write_all(preface).await.expect("sent");
    let (silent, silent_serving) = connect(&proxy).await;
    let (_requests, connection) = h2::client::handshake(silent).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    gone_serving.await.expect("no panic");
    assert!((40.0..42.0).contains(&seconds(begun)), "{begun:?}");
    // Until it is idle for too long, which is said politely.
    silent_serving.await.expect("no panic");
    assert!((620.0..622.0).contains(&seconds(begun)), "{begun:?}");
    connection.await.expect("no panic").expect("a polite end");
}

#[tokio::test]
async fn the_future_of_a_connection_is_small() {
    let proxy = proxy(ConnectionConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let _client = TcpStream::connect(listener.local_addr().expect("bound")).await;
    let (stream, peer) = listener.accept().await.expect("a connection");
    let serving = serve(proxy.shared().clone(), 0, stream, Transport::Clear, peer);
    let size = size_of_val(&serving);
    assert!(size <= 768, "{size} bytes, also while parked");
}
