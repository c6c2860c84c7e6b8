//! Sessions: one client stays with one endpoint, by a cookie.

use crate::support::{Backend, Head, Setup, TestProxy, Wire, on_both_runtimes};
use proxy::{
    TrustedProxies, parse_network,
    route::{Route, Session, SessionKey, StaticResponse},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

on_both_runtimes!(a_client_stays_until_its_endpoint_is_gone_then_moves_and_stays);

fn with_sessions(route: Route) -> Route {
    let id = route.target.id();
    let session = Session::new(id, Some("sid"), SessionKey::new(None, id), None);
    Route {
        session: Some(session),
        ..route
    }
}

/// Says who it is.
async fn replica(name: &'static str) -> Backend {
    Backend::answering(move |_| {
        let length = name.len();
        format!("HTTP/1.1 200 OK\r\nset-cookie: own=1\r\ncontent-length: {length}\r\n\r\n{name}")
            .into_bytes()
    })
    .await
}

/// Sends GET with these fields; gives who answered and the session's cookie.
async fn ask(client: &mut Wire, fields: &str) -> (String, Option<String>) {
    client
        .send(format!("GET / HTTP/1.1\r\nhost: a.test\r\n{fields}\r\n"))
        .await;
    let answer = client.response().await;
    (answer.text().to_owned(), session_cookie(&answer.head))
}

fn session_cookie(head: &Head) -> Option<String> {
    let mut cookies = head.fields.iter().filter(|(name, _)| name == "set-cookie");
    let ours = cookies.find(|(_, value)| value.starts_with("sid="))?;
    Some(ours.1.clone())
}

fn cookie_field(set_cookie: &str) -> String {
    let pair = set_cookie.split(';').next().unwrap_or_default();
    format!("cookie: theme=dark; {pair}\r\n")
}

async fn a_client_stays_until_its_endpoint_is_gone_then_moves_and_stays(setup: Setup) {
    let proxy = setup.shape(with_sessions).start();
    let (a, b, c) = (replica("a").await, replica("b").await, replica("c").await);
    proxy.publish("web", [a.addr(), b.addr(), c.addr()]);
    let mut client = proxy.client().await;
    let (mine, cookie) = ask(&mut client, "").await;
    let cookie = cookie_field(&cookie.expect("a new session"));
    for _ in 0..20 {
        let mut client = proxy.client().await;
        assert_eq!(ask(&mut client, &cookie).await, (mine.clone(), None));
    }
    // Its endpoint leaves.
    let left = [&a, &b, &c].into_iter().zip(["a", "b", "c"]);
    let left: Vec<_> = left.filter(|(_, name)| *name != mine).collect();
    proxy.publish("web", [left[0].0.addr(), left[1].0.addr()]);
    let (next, moved) = ask(&mut client, &cookie).await;
    assert_ne!(next, mine);
    let moved = cookie_field(&moved.expect("it moved"));
    for _ in 0..20 {
        assert_eq!(ask(&mut client, &moved).await, (next.clone(), None));
    }
    let sessions = &proxy.web().metrics().sessions;
    assert_eq!(sessions.started.load(Ordering::Relaxed), 1);
    assert_eq!(sessions.moved.load(Ordering::Relaxed), 1);
    proxy.finish().await;
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_loses_its_sessions() {
    let proxy = TestProxy::new().shape(with_sessions).start();
    let (mut a, mut b) = (replica("a").await, replica("b").await);
    proxy.publish("web", [a.addr(), b.addr()]);
    let mut client = proxy.client().await;
    let (mine, cookie) = ask(&mut client, "").await;
    let cookie = cookie_field(&cookie.expect("a new session"));
    let (gone, other) = if mine == "a" {
        (&mut a, "b")
    } else {
        (&mut b, "a")
    };
    gone.kill().await;
    let (next, moved) = ask(&mut client, &cookie).await;
    assert_eq!(next, other);
    assert!(moved.is_some());
    proxy.finish().await;
}

#[tokio::test]
async fn what_is_no_session_gets_a_new_one_and_the_cookie_says_little() {
    let proxy = TestProxy::new()
        .shape(with_sessions)
        .configure(|config| {
            let here = parse_network("127.0.0.0/8").expect("a network");
            config.client_address.trusted_proxies = TrustedProxies::new([here]);
        })
        .start();
    let backend = replica("a").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    let (_, cookie) = ask(&mut client, "").await;
    let cookie = cookie.expect("a new session");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    let value = pair.strip_prefix("sid=").expect("its name");
    let (opaque, since) = value.split_once('.').expect("two parts");
    assert!(since.bytes().all(|byte| byte.is_ascii_digit()));
    let addr = backend.addr();
    assert!(!opaque.contains(&addr.ip().to_string()) && !opaque.contains(&addr.port().to_string()));
    for forged in [
        format!("{addr}.{since}"),
        format!("{opaque}.1"),
        format!("{}.{since}", opaque.to_uppercase()),
        String::new(),
    ] {
        let (answer, cookie) = ask(&mut client, &format!("cookie: sid={forged}\r\n")).await;
        assert_eq!(answer, "a");
        assert!(cookie.is_some(), "{forged} is no session");
    }
    let tls = "x-forwarded-proto: HTTPS\r\n";
    let (_, cookie) = ask(&mut client, tls).await;
    assert!(
        cookie
            .expect("a session")
            .ends_with("; SameSite=Lax; Secure")
    );
    proxy.finish().await;
}

#[tokio::test]
async fn a_session_that_is_too_old_begins_anew() {
    let proxy = TestProxy::new()
        .shape(|route| {
            let id = route.target.id();
            let longest = Some(Duration::from_secs(1));
            let key = SessionKey::new(Some(b"a secret"), id);
            let session = Session::new(id, Some("sid"), key, longest);
            Route {
                session: Some(session),
                ..route
            }
        })
        .start();
    let backend = replica("a").await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    let (_, first) = ask(&mut client, "").await;
    let field = cookie_field(&first.expect("a session"));
    // It holds for at most a second, and then there is another one.
    while ask(&mut client, &field).await.1.is_none() {}
    proxy.finish().await;
}

#[tokio::test]
async fn only_an_endpoints_answer_begins_a_session() {
    let page = |status| {
        Arc::new(StaticResponse {
            status,
            headers: http::HeaderMap::new(),
            body: "page".into(),
            ..StaticResponse::default()
        })
    };
    let proxy = TestProxy::new()
        .shape(move |route| {
            let mut route = with_sessions(route);
            route.cold_start.placeholder = Some(page(http::StatusCode::SERVICE_UNAVAILABLE));
            route
        })
        .start();
    let mut client = proxy.client().await;
    assert_eq!(ask(&mut client, "").await, ("page".to_owned(), None));
    let backend = replica("a").await;
    proxy.serve(backend.addr());
    assert!(ask(&mut client, "").await.1.is_some());
    proxy.finish().await;
}

#[tokio::test]
async fn a_full_endpoint_keeps_its_sessions_while_others_help_out() {
    use crate::support::ScriptedBackend;
    let proxy = TestProxy::new().shape(with_sessions).start();
    proxy
        .web()
        .set_max_concurrency(std::num::NonZeroUsize::new(1));
    let full = ScriptedBackend::start().await;
    proxy.serve(full.addr());
    let mut client = proxy.client().await;
    client.send_get("/").await;
    let mut endpoint = full.accept().await;
    endpoint.head().await;
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    let answer = client.response().await;
    let cookie = cookie_field(&session_cookie(&answer.head).expect("a session"));
    let other = replica("other").await;
    proxy.publish("web", [full.addr(), other.addr()]);
    client
        .send(format!(
            "GET /busy HTTP/1.1\r\nhost: a.test\r\n{cookie}\r\n"
        ))
        .await;
    endpoint.head().await;
    let mut second = proxy.client().await;
    assert_eq!(ask(&mut second, &cookie).await, ("other".to_owned(), None));
    endpoint
        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 200);
    proxy.finish().await;
}
