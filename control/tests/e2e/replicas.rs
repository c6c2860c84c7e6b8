//! What a route says about single replicas: how many requests at once each may
//! have, and which one a client stays with.

use crate::support::{Reveille, Target};

#[test]
fn a_replica_has_no_more_requests_than_the_annotation_allows() {
    let annotated = "metadata: {name: web, annotations: {\
         reveille.dev/max-concurrency-per-replica: \"2\"}}";
    let manifest = Target::python()
        .to_string()
        .replacen("metadata: {name: web}", annotated, 1);
    let reveille = Reveille::of(manifest).start();
    let web = reveille.client("web");
    assert_eq!(web.get("/").cold_start(), Some("true"));
    let mut waiting: Vec<_> = (0..5).map(|_| web.begin("GET", "/wait/go")).collect();
    let full = reveille.until("web", "three wait for a place", |now| now.held == 3);
    assert_eq!(full.max_concurrency_per_replica, Some(2));
    assert_eq!((full.endpoints[0].in_flight, full.in_flight), (2, 5));
    assert_eq!(full.state, "warm");
    reveille.touch("go");
    for connection in &mut waiting {
        let answer = connection.answer();
        assert_eq!((answer.status, answer.cold_start()), (200, Some("false")));
    }
    let page = reveille.ask("/metrics").body;
    let waits = "reveille_limit_wait_duration_seconds_count{route_name=\"web\",\
                 route_namespace=\"default\"} 3\n";
    assert!(page.contains(waits), "{page}");
    let cold = "reveille_cold_starts_total{route_name=\"web\",route_namespace=\"default\"} 1\n";
    assert!(page.contains(cold), "{page}");
}

#[test]
fn a_client_stays_with_one_replica_by_its_cookie() {
    let target = Target::python()
        .scaled("minReplicaCount: 3")
        .route("sessionPersistence: {type: Cookie, absoluteTimeout: 1h}");
    let reveille = Reveille::of(target)
        .file("secret", "sixteen bytes or more\n")
        .arg("--session-secret-file", "secret")
        .start();
    reveille.until("web", "three serve", |now| now.endpoints.len() == 3);
    let process = |body: &str| body.split(' ').nth(2).map(str::to_owned);
    let first = reveille.client("web").get("/");
    let cookie = first.header("set-cookie").expect("a session");
    // The name that the add-on gives: the hash of default/web.
    assert!(cookie.starts_with("keda-session-82b3ade9="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    let (pair, _) = cookie.split_once(';').expect("attributes");
    for _ in 0..20 {
        let mut connection = reveille.client("web").connect();
        let head = format!("GET / HTTP/1.1\r\nHost: web.test\r\nCookie: {pair}\r\n\r\n");
        connection.send(head.as_bytes());
        let answer = connection.answer();
        assert_eq!(process(&answer.body), process(&first.body));
        assert_eq!(answer.header("set-cookie"), None);
    }
    let page = reveille.ask("/metrics").body;
    let started = "reveille_sessions_total{reason=\"started\",route_name=\"web\"";
    assert!(page.contains(started), "{page}");
}
