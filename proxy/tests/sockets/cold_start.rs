//! What a route wants for requests that find nobody: placeholder, overflow,
//! fallback, static routes.

use crate::support::{Backend, TestProxy, dead_address, rule};
use proxy::{
    EndpointSet, Proxy,
    route::{
        ColdStart, Fallback, Overflow, ResponseMode, Route, Rule, StaticResponse, StaticRoute,
        Timeouts,
    },
};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

fn page(status: u16, text: &'static str) -> Arc<StaticResponse> {
    let header = (
        "x-page".parse().expect("a name"),
        "1".parse().expect("a value"),
    );
    Arc::new(StaticResponse {
        status: status.try_into().expect("a status"),
        headers: [header].into_iter().collect(),
        body: text.into(),
        ..StaticResponse::default()
    })
}

fn with_placeholder(max_pending: Option<u64>, overflow: Overflow) -> impl Fn(Route) -> Route {
    move |route| Route {
        cold_start: ColdStart {
            fallback: None,
            placeholder: Some(page(503, "starting")),
            max_pending,
            overflow,
        },
        ..route
    }
}

fn endpoints(proxy: &Proxy, addr: SocketAddr) -> Arc<EndpointSet> {
    Arc::new(EndpointSet::new(vec![proxy.endpoint(addr, "fallback")]))
}

#[tokio::test]
async fn a_placeholder_is_answered_at_once_and_wakes_the_target_each_time() {
    let shape = with_placeholder(None, Overflow::Reject);
    let proxy = TestProxy::new().shape(shape).start();
    let backend = Backend::saying("hello").await;
    let mut client = proxy.client().await;
    for wakes in 1..=2 {
        let answer = client.get("/").await;
        assert_eq!((answer.status(), answer.text()), (503, "starting"));
        assert_eq!(answer.head.get("x-page"), Some("1"));
        assert_eq!(answer.cold_start(), None);
        assert_eq!(proxy.edges("web"), wakes);
    }
    assert_eq!(proxy.web().totals().begun, 2, "it is demand");
    proxy.serve(backend.addr());
    let answer = client.get("/").await;
    assert_eq!(
        (answer.text(), answer.cold_start()),
        ("hello", Some("false"))
    );
    proxy.finish().await;
}

#[tokio::test]
async fn up_to_the_limit_requests_are_held_and_the_rest_gets_the_placeholder() {
    let shape = with_placeholder(Some(1), Overflow::Placeholder);
    let proxy = TestProxy::new().shape(shape).start();
    let backend = Backend::saying("hello").await;
    let (mut first, mut second) = (proxy.client().await, proxy.client().await);
    first.send_get("/").await;
    proxy.until_held(1).await;
    assert_eq!(second.get("/").await.text(), "starting");
    let rejected = &proxy.web().metrics().holds.rejected;
    assert_eq!(rejected.load(Ordering::Relaxed), 1);
    proxy.serve(backend.addr());
    assert_eq!(first.response().await.text(), "hello");
    proxy.finish().await;
}

#[tokio::test]
async fn over_the_limit_requests_are_refused_only_while_nobody_serves() {
    let proxy = TestProxy::new()
        .shape(|route| Route {
            cold_start: ColdStart {
                max_pending: Some(1),
                ..ColdStart::default()
            },
            ..route
        })
        .start();
    let backend = Backend::saying("hello").await;
    let (mut first, mut second) = (proxy.client().await, proxy.client().await);
    first.send_get("/").await;
    proxy.until_held(1).await;
    let answer = second.get("/").await;
    assert_eq!(
        (answer.status(), answer.text()),
        (503, "too many pending requests\n")
    );
    assert_eq!(answer.head.get("retry-after"), Some("1"));
    proxy.serve(backend.addr());
    assert_eq!(first.response().await.text(), "hello");
    assert_eq!(second.get("/").await.text(), "hello");
    proxy.finish().await;
}

#[tokio::test]
async fn a_fallback_serves_when_the_wait_ran_out() {
    let fallback = Arc::new(Fallback::new());
    let attached = fallback.clone();
    let proxy = TestProxy::new()
        .timeouts(Timeouts {
            readiness: Some(Duration::from_millis(20)),
            ..Timeouts::default()
        })
        .shape(move |route| Route {
            cold_start: ColdStart {
                fallback: Some(attached.clone()),
                ..ColdStart::default()
            },
            ..route
        })
        .start();
    let mut client = proxy.client().await;
    assert_eq!(client.get("/").await.status(), 504, "nobody stands in");
    fallback.set_endpoints(endpoints(&proxy.proxy, dead_address().await));
    assert_eq!(
        client.get("/").await.status(),
        504,
        "who stands in is dead too"
    );

    let backend = Backend::saying("sorry").await;
    fallback.set_endpoints(endpoints(&proxy.proxy, backend.addr()));
    let answer = client.post("/form", b"body").await;
    assert_eq!((answer.status(), answer.text()), (200, "sorry"));
    assert_eq!(answer.cold_start(), None);
    assert_eq!(backend.received()[0].body, b"body");
    proxy.finish().await;
}

#[tokio::test]
async fn a_static_route_answers_while_nobody_serves_and_wakes_nobody() {
    let health = |mode| {
        move |route| Route {
            static_routes: vec![StaticRoute::new(
                &[rule(&[], &["/healthz"], &[])],
                page(200, "asleep"),
                mode,
            )],
            ..route
        }
    };
    let proxy = TestProxy::new()
        .shape(health(ResponseMode::WhenUnavailable))
        .start();
    let backend = Backend::saying("awake").await;
    let mut client = proxy.client().await;
    let answer = client.get("/healthz/live").await;
    assert_eq!((answer.status(), answer.text()), (200, "asleep"));
    assert_eq!(answer.cold_start(), None);

    proxy.serve(backend.addr());
    let answer = client.get("/healthz").await;
    assert_eq!((answer.text(), answer.cold_start()), ("awake", None));
    assert_eq!(
        (proxy.edges("web"), proxy.web().totals().begun),
        (0, 0),
        "no demand"
    );
    assert_eq!(proxy.counted("GET", 200), 2, "but measured");
    assert_eq!(client.get("/other").await.cold_start(), Some("false"));
    proxy.finish().await;

    let proxy = TestProxy::new().shape(health(ResponseMode::Always)).start();
    proxy.serve(backend.addr());
    assert_eq!(proxy.client().await.get("/healthz").await.text(), "asleep");
    proxy.finish().await;
}

#[tokio::test]
async fn a_static_route_answers_when_its_endpoint_turns_out_to_be_dead() {
    let proxy = TestProxy::new()
        .shape(|route| Route {
            static_routes: vec![StaticRoute::new(
                &[Rule::default()],
                page(200, "asleep"),
                ResponseMode::WhenUnavailable,
            )],
            ..route
        })
        .start();
    proxy.serve(dead_address().await);
    assert_eq!(proxy.client().await.get("/").await.text(), "asleep");
    assert_eq!(proxy.edges("web"), 0);
    proxy.finish().await;
}
