//! A limit of requests at once on each endpoint: exact, with a queue behind it
//! that nobody overtakes.

use crate::support::{
    Backend, BoundedBackend, Crowd, ScriptedBackend, Setup, TestProxy, eventually,
    on_both_runtimes, rule,
};
use proxy::route::Timeouts;
use std::{num::NonZeroUsize, time::Duration};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// On its connection.
const LAST: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
const WORK: Duration = Duration::from_millis(1);

on_both_runtimes!(
    no_endpoint_ever_has_more_than_the_limit,
    a_cold_start_keeps_the_limit_too,
);

fn limit(proxy: &TestProxy, target: &str, limit: usize) {
    proxy
        .target(target)
        .set_max_concurrency(NonZeroUsize::new(limit));
}

async fn no_endpoint_ever_has_more_than_the_limit(setup: Setup) {
    let proxy = setup.workers(2).start();
    // It closes the connection of whoever is one too many.
    let one = BoundedBackend::start(4, 0, WORK).await;
    let two = BoundedBackend::start(4, 0, WORK).await;
    limit(&proxy, "web", 4);
    proxy.publish("web", [one.addr(), two.addr()]);
    let crowd = Crowd::of(200, proxy.addr()).await;
    crowd.all_served("false").await;
    assert!(one.most() <= 4 && two.most() <= 4);
    assert!(one.most() + two.most() >= 7, "and it is made use of");
    assert_eq!(one.answered() + two.answered(), 200);
    assert_eq!(proxy.edges("web"), 0, "nobody is to be woken");
    let holds = &proxy.web().metrics().holds;
    assert!(holds.placed.read().count() > 0);
    assert_eq!(holds.ready.read().count(), 0, "these were no cold starts");
    proxy.finish().await;
}

async fn a_cold_start_keeps_the_limit_too(setup: Setup) {
    let proxy = setup.workers(2).start();
    let backend = BoundedBackend::start(3, 0, WORK).await;
    limit(&proxy, "web", 3);
    let crowd = Crowd::of(200, proxy.addr()).await;
    proxy.until_held(200).await;
    proxy.serve(backend.addr());
    crowd.all_served("true").await;
    assert_eq!((backend.most(), backend.turned_away()), (3, 0));
    proxy.finish().await;
}

#[tokio::test]
async fn who_waits_for_a_place_is_served_in_order_of_arrival() {
    let proxy = TestProxy::new().workers(2).start();
    let backend = ScriptedBackend::start().await;
    limit(&proxy, "web", 1);
    proxy.serve(backend.addr());
    let mut clients = Vec::new();
    let mut first = proxy.client().await;
    first.send_get("/0").await;
    let mut endpoint = backend.accept().await;
    assert_eq!(endpoint.head().await.path(), "/0");
    clients.push(first);
    for number in 1..6 {
        let mut client = proxy.client().await;
        client.send_get(&format!("/{number}")).await;
        proxy.until_held(number).await;
        clients.push(client);
    }
    assert_eq!(proxy.web().totals().in_flight(), 6, "all of it is demand");
    // Requests on other workers come on connections of their own.
    for number in 0..6 {
        // Who comes now is behind all of them.
        if number == 2 {
            let mut late = proxy.client().await;
            late.send_get("/6").await;
            proxy.until_held(4).await;
            clients.push(late);
        }
        endpoint.send(LAST).await;
        endpoint = backend.accept().await;
        let next = endpoint.head().await;
        assert_eq!(next.path(), format!("/{}", number + 1));
    }
    endpoint.send(OK).await;
    for mut client in clients {
        assert_eq!(client.response().await.cold_start(), Some("false"));
    }
    proxy.finish().await;
}

#[tokio::test]
async fn the_queue_behind_the_limit_has_its_bound_and_its_timeout() {
    let timeouts = Timeouts {
        readiness: Some(Duration::from_millis(50)),
        ..Timeouts::default()
    };
    let setup = TestProxy::new().timeouts(timeouts);
    let proxy = setup.configure(|c| c.max_held_per_target = 1).start();
    let backend = ScriptedBackend::start().await;
    limit(&proxy, "web", 1);
    proxy.serve(backend.addr());
    let mut busy = proxy.client().await;
    busy.send_get("/busy").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    let (mut waits, mut one_more) = (proxy.client().await, proxy.client().await);
    waits.send_get("/waits").await;
    proxy.until_held(1).await;
    let refused = one_more.get("/one-more").await;
    assert_eq!((refused.status(), refused.cold_start()), (503, None));
    assert_eq!(refused.text(), "too many pending requests\n");
    assert_eq!(waits.response().await.status(), 504);
    endpoint.send(OK).await;
    assert_eq!(busy.response().await.status(), 200);
    proxy.finish().await;
}

#[tokio::test]
async fn a_place_on_a_shared_endpoint_is_freed_by_whoever_had_it() {
    let setup = TestProxy::new().workers(2);
    let setup = setup.route("web", rule(&[], &["/web"], &[]));
    let proxy = setup.route("api", rule(&[], &["/api"], &[])).start();
    let backend = ScriptedBackend::start().await;
    limit(&proxy, "web", 1);
    proxy.publish("web", [backend.addr()]);
    proxy.publish("api", [backend.addr()]);
    let (mut api, mut web) = (proxy.client().await, proxy.client().await);
    api.send_get("/api").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    web.send_get("/web").await;
    proxy.until_held(1).await;
    // That one ends, and nothing else happens.
    endpoint.send(LAST).await;
    assert_eq!(api.response().await.status(), 200);
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    endpoint.send(OK).await;
    assert_eq!(web.response().await.cold_start(), Some("false"));
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place_for_the_next() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    limit(&proxy, "web", 1);
    proxy.serve(backend.addr());
    let (mut busy, mut next) = (proxy.client().await, proxy.client().await);
    busy.send_get("/busy").await;
    let mut endpoint = backend.accept().await;
    endpoint.head().await;
    next.send_get("/next").await;
    proxy.until_held(1).await;
    drop(busy);
    let mut endpoint = backend.accept().await;
    assert_eq!(endpoint.head().await.path(), "/next");
    endpoint.send(OK).await;
    assert_eq!(next.response().await.status(), 200);
    proxy.finish().await;
}

#[tokio::test]
async fn a_limit_that_is_lifted_or_a_new_endpoint_lets_the_queue_go() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    limit(&proxy, "web", 1);
    proxy.serve(backend.addr());
    let mut clients = Vec::new();
    let mut connections = Vec::new();
    for number in 0..2 {
        let mut client = proxy.client().await;
        client.send_get("/").await;
        clients.push(client);
        proxy.until_held(number).await;
    }
    connections.push(backend.accept().await);
    let other = Backend::saying("ok").await;
    proxy.publish("web", [backend.addr(), other.addr()]);
    assert_eq!(clients[1].response().await.text(), "ok");
    clients[1].send_get("/again").await;
    assert_eq!(clients[1].response().await.text(), "ok");
    proxy.publish("web", [backend.addr()]);
    clients[1].send_get("/").await;
    proxy.until_held(1).await;
    proxy.web().set_max_concurrency(None);
    connections.push(backend.accept().await);
    for connection in &mut connections {
        connection.head().await;
        connection.send(OK).await;
    }
    for client in &mut clients {
        assert_eq!(client.response().await.status(), 200);
    }
    eventually("nobody waits", || proxy.web().held() == 0).await;
    proxy.finish().await;
}
