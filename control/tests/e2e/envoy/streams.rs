//! Tunnels and settings of routes, on both paths.

use super::{until_direct, with_envoy};
use crate::support::{Connection, Envoy, Target};

#[test]
fn a_limit_for_each_replica_is_ours_to_keep() {
    let manifest = Target::python().to_string().replacen(
        "metadata: {name: web}",
        "metadata: {name: web, annotations: {reveille.dev/max-concurrency-per-replica: \"1\"}}",
        1,
    );
    let reveille = with_envoy(manifest).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    for _ in 0..3 {
        assert!(client.get("/").cold_start().is_some(), "it came through us");
    }
    let view = reveille.ask("/api/v1/xds").body;
    assert!(view.contains(r#""reason":"concurrencyLimit""#), "{view}");
}

#[test]
fn a_limit_until_the_head_of_the_answer_is_ours_to_keep() {
    let limit =
        |text: &str| Target::python().route(&format!("timeouts: {{responseHeader: {text}}}"));
    let reveille = with_envoy(limit("300ms")).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    // The hold is longer than that, and no part of it.
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.cold_start().is_some(), "it came through us");
    }
    assert_eq!(client.get("/wait/never").status, 504);
    let view = reveille.ask("/api/v1/xds").body;
    let reason = r#""reason":"responseHeaderTimeout""#;
    assert!(view.contains(reason), "{view}");

    // No limit is what Envoy has, too.
    let reveille = with_envoy(limit("0s")).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    until_direct(&envoy.client("web"));
}

#[test]
fn what_a_route_answers_itself_is_still_answered() {
    let target = Target::python().scaled("minReplicaCount: 1").route(
        "staticRoutes: [{rules: [{paths: [{value: /healthz}]}], responseMode: Always, \
         response: {body: fine}}]",
    );
    let reveille = with_envoy(target).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let client = envoy.client("web");
    until_direct(&client);
    for path in ["/healthz", "/healthz/live", "/health%7A"] {
        assert_eq!(client.get(path).body, "fine", "{path}");
    }
    assert_eq!(client.get("/healthzz").cold_start(), None);
}

/// Switches each connection that asks for it to WebSocket, and sends back what
/// comes; Envoy does not look into it.
const ECHO: &str = r#"
import server, socket
def talk(connection, reader, request):
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                       b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nwelcome\n")
    while words := reader.read1():
        connection.sendall(words)
    connection.shutdown(socket.SHUT_RDWR)
server.talk = talk
server.serve()
"#;

#[test]
fn a_websocket_passes_both_ways_and_is_demand() {
    let target = Target::new("web", "[python3, -B, echo.py]");
    let reveille = with_envoy(target).file("echo.py", ECHO).start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let open = || {
        let mut connection = envoy.client("web").connect();
        connection.send(
            b"GET /chat HTTP/1.1\r\nHost: web.test\r\nConnection: Upgrade\r\n\
              Upgrade: websocket\r\n\r\n",
        );
        let (status, headers) = connection.head().expect("an answer");
        assert_eq!(status, 101);
        let is_ours = |(name, _): &(String, String)| name == "x-keda-http-cold-start";
        (connection, headers.iter().any(is_ours))
    };
    let hear = |connection: &mut Connection, words: &str| {
        let length = ("content-length".to_owned(), words.len().to_string());
        let heard = connection.rest_of(&[length]).expect("so many bytes");
        assert_eq!(String::from_utf8_lossy(&heard), words);
    };
    let (mut cold, through_us) = open();
    assert!(through_us);
    envoy.until_members("web", 2);
    let (mut warm, through_us) = open();
    assert!(!through_us);
    for connection in [&mut cold, &mut warm] {
        hear(connection, "welcome\n");
        connection.send(b"late\n");
        hear(connection, "late\n");
    }
    let at_once = |count: f64| {
        reveille.until("web", "all tunnels are demand", |now| {
            (now.concurrency - count).abs() < 0.01
        });
    };
    at_once(2.0);
    cold.leave();
    at_once(1.0);
    warm.leave();
    reveille.until_asleep("web");
}
