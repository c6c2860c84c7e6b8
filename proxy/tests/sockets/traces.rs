//! Traces: which requests are recorded, what the next hop is told, and the
//! spans of every kind of end. How they are exported is control's business.

use crate::support::{Backend, ScriptedBackend, Setup, TestProxy, dead_address, eventually};
use parking_lot::Mutex;
use proxy::{AttributeValue, Sampler, SpanKind, SpanRecord, SpanSink, Traces};
use std::sync::Arc;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// Keeps spans for the test.
#[derive(Default)]
struct Kept(Mutex<Vec<Vec<SpanRecord>>>);

impl SpanSink for Kept {
    fn finished(&self, spans: Vec<SpanRecord>) {
        self.0.lock().push(spans);
    }
}

impl Kept {
    /// The spans of the only recorded request.
    async fn only(&self) -> Vec<SpanRecord> {
        eventually("it is recorded", || !self.0.lock().is_empty()).await;
        let mut all = self.0.lock().clone();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

fn traced(setup: Setup, sampler: Sampler) -> (Setup, Arc<Kept>) {
    let kept = Arc::new(Kept::default());
    let sink = kept.clone();
    let setup = setup.configure(|config| {
        config.observe.traces = Some(Traces { sampler, sink });
    });
    (setup, kept)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute<'s>(span: &'s SpanRecord, key: &str) -> Option<&'s AttributeValue> {
    let mut all = span.attributes.iter().filter(|(known, _)| *known == key);
    let first = all.next().map(|(_, value)| value);
    assert!(all.next().is_none(), "{key} twice");
    first
}

fn text(span: &SpanRecord, key: &str) -> String {
    match attribute(span, key) {
        Some(AttributeValue::Text(text)) => text.clone(),
        other => panic!("{key}: {other:?}"),
    }
}

fn number(span: &SpanRecord, key: &str) -> i64 {
    match attribute(span, key) {
        Some(AttributeValue::Int(number)) => *number,
        other => panic!("{key}: {other:?}"),
    }
}

fn names(spans: &[SpanRecord]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

async fn get(proxy: &TestProxy, lines: &str) -> u16 {
    let mut client = proxy.client().await;
    client
        .send(format!(
            "GET /a?b=1 HTTP/1.1\r\nhost: a.test:81\r\n{lines}\r\n"
        ))
        .await;
    client.response().await.status()
}

#[tokio::test]
async fn a_sampled_parent_is_honoured_and_the_endpoint_is_told_of_our_span() {
    let (setup, kept) = traced(TestProxy::new(), Sampler::ratio(0.0, true));
    let proxy = setup.start();
    let backend = Backend::saying("hello").await;
    proxy.serve(backend.addr());
    let lines = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: a=1,b=2\r\n");
    assert_eq!(get(&proxy, &lines).await, 200);
    let spans = kept.only().await;
    assert_eq!(names(&spans), ["GET", "upstream", "connect"]);
    let (server, upstream, connect) = (&spans[0], &spans[1], &spans[2]);

    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    assert_eq!(server.parent.map(|id| hex(&id)).as_deref(), Some(CALLER));
    assert_eq!((server.kind, &server.error), (SpanKind::Server, &None));
    assert_eq!(server.tracestate, "a=1,b=2");
    for child in [upstream, connect] {
        assert_eq!(child.parent, Some(server.span_id));
        assert!(server.begin <= child.begin && child.begin <= child.end);
        assert!(child.end <= server.end);
    }
    assert_eq!(upstream.kind, SpanKind::Client);
    assert!(connect.end <= upstream.begin, "first connect, then send");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/a"),
        ("url.query", "b=1"),
        ("url.scheme", "http"),
        ("server.address", "a.test"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("reveille.target", "default/web"),
        ("reveille.blame", "none"),
    ] {
        assert_eq!(text(server, key), value, "{key}");
    }
    assert_eq!(number(server, "http.response.status_code"), 200);
    assert_eq!(number(server, "http.response.body.size"), 5);
    assert_eq!(number(server, "server.port"), 81);
    assert_eq!(number(upstream, "http.response.status_code"), 200);
    assert_eq!(
        number(upstream, "server.port"),
        i64::from(backend.addr().port())
    );
    assert_eq!(text(connect, "reveille.endpoint"), "replica");

    let head = backend.received().remove(0).head;
    let told = format!("00-{TRACE}-{}-01", hex(&upstream.span_id));
    assert_eq!(head.get("traceparent"), Some(told.as_str()));
    assert_eq!(head.get("tracestate"), Some("a=1,b=2"));
    proxy.finish().await;
}

#[tokio::test]
async fn what_is_not_recorded_passes_untouched() {
    let malformed = "traceparent: 00-XYZ\r\ntracestate: a=1\r\n".to_owned();
    let unsampled = format!("traceparent: 00-{TRACE}-{CALLER}-00\r\ntracestate: a=1\r\n");
    let sampled = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: a=1\r\n");
    let (never, kept) = traced(TestProxy::new(), Sampler::ratio(0.0, true));
    for (setup, lines) in [
        (never.clone(), &malformed),
        (never, &unsampled),
        (TestProxy::new(), &malformed),
        (TestProxy::new(), &sampled),
    ] {
        let proxy = setup.start();
        let backend = Backend::saying("hello").await;
        proxy.serve(backend.addr());
        assert_eq!(get(&proxy, lines).await, 200);
        let head = backend.received().remove(0).head;
        let parent = lines.lines().next().and_then(|line| line.split_once(": "));
        assert_eq!(head.get("traceparent"), parent.map(|(_, value)| value));
        assert_eq!(head.get("tracestate"), Some("a=1"));
        proxy.finish().await;
    }
    assert!(kept.0.lock().is_empty());
}

#[tokio::test]
async fn a_malformed_parent_begins_a_trace_without_its_state() {
    for lines in [
        "",
        "traceparent: 00-XYZ\r\ntracestate: a=1\r\n",
        "tracestate: a=1\r\n",
    ] {
        let (setup, kept) = traced(TestProxy::new(), Sampler::ratio(1.0, true));
        let proxy = setup.start();
        let backend = Backend::saying("hello").await;
        proxy.serve(backend.addr());
        assert_eq!(get(&proxy, lines).await, 200);
        let spans = kept.only().await;
        assert_eq!((spans[0].parent, spans[0].tracestate.as_str()), (None, ""));
        let head = backend.received().remove(0).head;
        let begins = format!("00-{}-{}-", hex(&spans[0].trace_id), hex(&spans[1].span_id));
        assert!(head.get("traceparent").expect("told").starts_with(&begins));
        assert_eq!(head.get("tracestate"), None, "{lines:?}");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_hold_and_a_dead_endpoint_have_spans_of_their_own() {
    let (setup, kept) = traced(TestProxy::new(), Sampler::ratio(1.0, true));
    let proxy = setup.start();
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
    let spans = kept.only().await;
    let holds: Vec<_> = spans.iter().filter(|span| span.name == "hold").collect();
    assert!(holds.len() >= 2, "{:?}", names(&spans));
    for hold in holds {
        assert_eq!(text(hold, "reveille.hold.outcome"), "ready");
        assert_eq!(
            (hold.kind, hold.parent),
            (SpanKind::Internal, Some(spans[0].span_id))
        );
    }
    let failed = spans
        .iter()
        .find(|span| span.name == "connect")
        .expect("one");
    assert!(failed.error.is_some(), "{failed:?}");
    let sent: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "upstream")
        .collect();
    assert_eq!(sent.len(), 1, "nothing was sent to the dead one");
    assert_eq!(
        attribute(&spans[0], "reveille.cold_start"),
        Some(&AttributeValue::Bool(true))
    );
    proxy.finish().await;
}

#[tokio::test]
async fn a_request_sent_again_has_a_span_for_each_time() {
    let (setup, kept) = traced(TestProxy::new(), Sampler::ratio(1.0, true));
    let proxy = setup.start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut first = backend.accept().await;
    let first_head = first.head().await;
    drop(first);
    let mut second = backend.accept().await;
    let second_head = second.head().await;
    second
        .send("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 404);
    let spans = kept.only().await;
    let sent: Vec<_> = spans
        .iter()
        .filter(|span| span.name == "upstream")
        .collect();
    assert_eq!(sent.len(), 2, "{:?}", names(&spans));
    assert!(sent[0].error.is_some());
    assert_eq!(attribute(sent[0], "http.request.resend_count"), None);
    assert_eq!(number(sent[1], "http.request.resend_count"), 1);
    assert_eq!(text(sent[1], "error.type"), "404", "an error for who asked");
    assert_eq!(spans[0].error, None, "but not for who was asked");
    for (head, span) in [(&first_head, sent[0]), (&second_head, sent[1])] {
        let told = head.get("traceparent").expect("told");
        assert!(told.contains(&hex(&span.span_id)), "{told}");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn requests_that_are_not_served_are_recorded_as_well() {
    let (setup, kept) = traced(TestProxy::new(), Sampler::ratio(1.0, true));
    let proxy = setup.start();
    let mut client = proxy.client().await;
    client.send_get("/").await;
    proxy.until_held(1).await;
    drop(client);
    let spans = kept.only().await;
    assert_eq!(names(&spans), ["GET", "hold"]);
    assert_eq!(number(&spans[0], "http.response.status_code"), 499);
    assert_eq!(text(&spans[0], "reveille.blame"), "client");
    assert_eq!(text(&spans[1], "reveille.hold.outcome"), "cancelled");
    proxy.finish().await;

    let (setup, kept) = traced(TestProxy::new(), Sampler::ratio(1.0, true));
    let route = crate::support::rule(&["other.test"], &[], &[]);
    let proxy = setup.route("web", route).start();
    assert_eq!(get(&proxy, "").await, 404);
    let spans = kept.only().await;
    assert_eq!(names(&spans), ["GET"]);
    assert_eq!(
        (&spans[0].error, attribute(&spans[0], "reveille.target")),
        (&None, None)
    );
    proxy.finish().await;
}
