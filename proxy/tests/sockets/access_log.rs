//! The access log: one line for every end that a request can have.

use crate::support::{
    Backend, H2Backend, H2Client, ScriptedBackend, Setup, TestProxy, Upload, dead_address,
    eventually, h2_request, within,
};
use http::Response;
use http_body_util::BodyExt;
use proxy::{
    AccessLog, AccessLogFormat, AccessLogTarget, TrustedProxies, parse_network, route::Timeouts,
};
use serde_json::Value;
use std::{fs, time::Duration};
use tempfile::TempDir;

/// An access log in a file of its own.
struct Log {
    log: AccessLog,
    folder: TempDir,
}

impl Log {
    fn start(format: AccessLogFormat) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let target = AccessLogTarget::File(folder.path().join("log"));
        let log = AccessLog::start(format, &target).expect("it opens");
        Self { log, folder }
    }

    fn of(&self, setup: Setup) -> Setup {
        let log = self.log.clone();
        setup.configure(|config| config.observe.access_log = Some(log))
    }

    /// Waits for `count` lines.
    async fn text(&self, count: usize) -> Vec<String> {
        eventually("the lines are written", || {
            self.log.written() == count as u64
        })
        .await;
        let text = fs::read_to_string(self.folder.path().join("log")).expect("UTF-8");
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!((lines.len(), self.log.lost()), (count, 0), "{text}");
        lines
    }

    async fn lines(&self, count: usize) -> Vec<Value> {
        let lines = self.text(count).await;
        let parse = |line: &String| serde_json::from_str(line).expect("JSON");
        lines.iter().map(parse).collect()
    }

    async fn line(&self) -> Value {
        self.lines(1).await.remove(0)
    }
}

fn json() -> Log {
    Log::start(AccessLogFormat::Json)
}

/// Status, blame, and whether it had to wait.
fn end(line: &Value) -> (u64, &str, bool) {
    (
        line["status"].as_u64().expect("a number"),
        line["blame"].as_str().expect("a text"),
        line["cold_start"].as_bool().expect("yes or no"),
    )
}

#[tokio::test]
async fn a_request_that_is_served_is_told_with_everything() {
    let log = json();
    let trusted = TrustedProxies::new([parse_network("127.0.0.1").expect("a network")]);
    let proxy = log
        .of(TestProxy::new())
        .configure(|config| config.client_address.trusted_proxies = trusted)
        .start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send(
            "POST /a%20b?q='1' HTTP/1.1\r\nHost: a.test:81\r\nReferer: http://r.test/\r\n\
             User-Agent: test/1 \"quoted\" ä\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n\
             traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\
             Content-Length: 4\r\n\r\nbody",
        )
        .await;
    assert_eq!(client.response().await.status(), 200);
    let line = log.line().await;
    for (field, expected) in [
        ("client", Value::from("203.0.113.9")),
        ("method", "POST".into()),
        ("host", "a.test:81".into()),
        ("target", "/a%20b?q='1'".into()),
        ("protocol", "HTTP/1.1".into()),
        ("status", 200.into()),
        ("bytes", 5.into()),
        ("request_bytes", 4.into()),
        ("referer", "http://r.test/".into()),
        ("route", "default/web".into()),
        ("endpoint", "replica".into()),
        ("endpoint_address", backend.addr().to_string().into()),
        ("cold_start", false.into()),
        ("hold", 0.0.into()),
        ("retries", 0.into()),
        ("blame", "none".into()),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c".into()),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    assert!(line["duration"].as_f64().expect("seconds") > 0.0);
    assert!(
        line["peer"]
            .as_str()
            .expect("text")
            .starts_with("127.0.0.1:")
    );
    assert_eq!(line.get("grpc_status"), None);
    let head = backend.received().remove(0).head;
    assert!(
        head.get("traceparent")
            .expect("passes")
            .ends_with("3331-00")
    );
    proxy.finish().await;
}

#[tokio::test]
async fn text_forms_are_one_line_each() {
    for (format, end) in [
        (AccessLogFormat::Common, " 200 5 0."),
        (AccessLogFormat::Combined, " 200 5 \"-\" \"a\\x22b\" 0."),
    ] {
        let log = Log::start(format);
        let proxy = log.of(TestProxy::new()).start();
        let backend = Backend::saying("hello").await;
        proxy.serve(backend.addr());
        let mut client = proxy.client().await;
        client
            .send("GET /x HTTP/1.1\r\nhost: a.test\r\nuser-agent: a\"b\r\n\r\n")
            .await;
        client.response().await;
        let line = log.text(1).await.remove(0);
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert!(line.contains(" +0000] \"GET /x HTTP/1.1\""), "{line}");
        assert!(line.contains(end), "{line}");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn what_the_proxy_refuses_is_told_too() {
    let log = json();
    let proxy = log
        .of(TestProxy::new())
        .route("web", crate::support::rule(&["a.test"], &[], &[]))
        .configure(|config| config.max_held_per_target = 0)
        .start();
    let mut client = proxy.client().await;
    client
        .send("GET /no HTTP/1.1\r\nhost: other.test\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 404);
    client
        .send("HEAD /no HTTP/1.1\r\nhost: other.test\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 404);
    assert_eq!(client.get("/full").await.status(), 503);
    client
        .send("CONNECT a.test:80 HTTP/1.1\r\nhost: a.test\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 501);
    let lines = log.lines(4).await;
    assert_eq!(end(&lines[0]), (404, "proxy", false));
    assert_eq!(
        (lines[0].get("route"), &lines[0]["bytes"]),
        (None, &10.into())
    );
    assert_eq!((end(&lines[1]).0, &lines[1]["bytes"]), (404, &0.into()));
    assert_eq!((end(&lines[2]).0, end(&lines[2]).1), (503, "proxy"));
    assert_eq!(lines[2]["reason"], "too many pending requests");
    assert_eq!(lines[2]["route"], "default/web");
    assert_eq!(end(&lines[3]), (501, "client", false));
    proxy.finish().await;
}

#[tokio::test]
async fn a_hold_is_told_with_its_time_and_the_endpoints_that_were_tried() {
    let log = json();
    let proxy = log.of(TestProxy::new()).start();
    let backend = Backend::saying("hello").await;
    let mut client = proxy.client().await;
    client.send_get("/").await;
    proxy.until_held(1).await;
    proxy.serve(dead_address().await);
    eventually("it was tried", || {
        let failures = &proxy.web().metrics().connect_failures;
        failures.load(std::sync::atomic::Ordering::Relaxed) > 0
    })
    .await;
    proxy.serve(backend.addr());
    assert_eq!(client.response().await.text(), "hello");
    let line = log.line().await;
    assert_eq!(end(&line), (200, "none", true));
    assert!(line["hold"].as_f64().expect("seconds") > 0.0, "{line}");
    assert!(line["retries"].as_u64().expect("a number") >= 1, "{line}");
    assert_eq!(line["endpoint_address"], backend.addr().to_string());
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_is_told_as_499() {
    let log = json();
    let proxy = log.of(TestProxy::new()).start();
    let mut held = proxy.client().await;
    held.send_get("/held").await;
    proxy.until_held(1).await;
    drop(held);
    assert_eq!(end(&log.line().await), (499, "client", true));

    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut waiting = proxy.client().await;
    waiting.send_get("/sent").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    drop(waiting);
    assert_eq!(end(&log.lines(2).await[1]), (499, "client", false));

    let mut reading = proxy.client().await;
    reading.send_get("/answered").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome")
        .await;
    assert_eq!(reading.head().await.status(), 200);
    reading.exactly(4).await.expect("some");
    reading.reset();
    let line = log.lines(3).await.remove(2);
    assert_eq!(
        (end(&line), &line["bytes"]),
        ((200, "client", false), &4.into())
    );
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_breaks_is_to_blame() {
    let log = json();
    let proxy = log.of(TestProxy::new()).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_post("/broken", b"x").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    drop(endpoint);
    assert_eq!(client.response().await.status(), 502);

    client.send_get("/cut").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome")
        .await;
    drop(endpoint);
    client.rest().await;
    let lines = log.lines(2).await;
    assert_eq!(end(&lines[0]), (502, "endpoint", false));
    assert_eq!(end(&lines[1]), (200, "endpoint", false));
    proxy.finish().await;
}

#[tokio::test]
async fn a_limit_of_the_proxys_is_told_as_its_own() {
    let log = json();
    let proxy = log
        .of(TestProxy::new())
        .timeouts(Timeouts {
            request: Some(Duration::from_millis(30)),
            ..Timeouts::default()
        })
        .start();
    let mut held = proxy.client().await;
    assert_eq!(held.get("/held").await.status(), 504);
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut reading = proxy.client().await;
    reading.send_get("/slow").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome")
        .await;
    reading.rest().await;
    let lines = log.lines(2).await;
    assert_eq!(end(&lines[0]), (504, "proxy", true));
    assert_eq!(end(&lines[1]), (200, "proxy", false));
    proxy.finish().await;
}

#[tokio::test]
async fn grpc_is_told_with_its_status() {
    let log = json();
    let proxy = log.of(TestProxy::new()).start();
    let mut backend = H2Backend::start().await;
    proxy.serve_h2c(backend.addr());
    let mut client = H2Client::connect(proxy.addr()).await;
    let mut call = h2_request("POST", "/pkg.Service/Method", Upload::full("12345"));
    let grpc = "application/grpc".parse().expect("a value");
    call.headers_mut().insert("content-type", grpc);
    let answer = client.send(call);
    let body = Upload::full("678").trailer("grpc-status", "7");
    let mut asked = backend.call().await;
    asked.rest().await;
    asked.answer(Response::new(body));
    let answer = within("an answer", answer).await.expect("an answer");
    within("all", answer.into_body().collect())
        .await
        .expect("a complete answer");
    let line = log.line().await;
    assert_eq!(end(&line), (200, "none", false));
    for (field, expected) in [
        ("grpc_status", Value::from("7")),
        ("protocol", "HTTP/2.0".into()),
        ("target", "/pkg.Service/Method".into()),
        ("host", "a.test".into()),
        ("request_bytes", 5.into()),
        ("bytes", 3.into()),
    ] {
        assert_eq!(line[field], expected, "{field}: {line}");
    }
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_tunnel_is_told_at_its_end_with_the_bytes_of_both_ways() {
    let log = json();
    let proxy = log.of(TestProxy::new()).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client
        .send("GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        .await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
        .await;
    assert_eq!(client.head().await.status(), 101);
    client.send("ping!").await;
    endpoint.exactly(5).await.expect("ping");
    endpoint.send("pong pong").await;
    client.exactly(9).await.expect("pong");
    assert_eq!(log.log.written(), 0, "it is open");
    drop(client);
    endpoint.rest().await;
    drop(endpoint);
    let line = log.line().await;
    assert_eq!(end(&line), (101, "none", false));
    assert_eq!(
        (&line["request_bytes"], &line["bytes"]),
        (&5.into(), &9.into())
    );
    proxy.finish().await;
}

#[tokio::test]
async fn who_is_cut_off_at_the_drains_deadline_did_not_leave() {
    let log = json();
    let proxy = log.of(TestProxy::new()).start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/slow").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsome")
        .await;
    client.head().await;
    assert!(!proxy.proxy.drain(Duration::from_millis(20)).await);
    assert_eq!(end(&log.line().await), (200, "proxy", false));
    proxy.finish().await;
}
