//! A cold request of each kind, from the client's first byte to the workload's
//! sleep, twice.

use super::{
    clients,
    cluster::{Cluster, Fleet, Image},
};
use crate::support::Client;
use std::net::SocketAddr;

/// `ask` is one request for `web.test` at the proxy; it gives the Pod that
/// answered, and what the header about cold starts said.
fn circle(image: Image, ask: impl Fn(SocketAddr) -> (String, String)) {
    let cluster = Cluster::new();
    let fleet = Fleet::start(&cluster, 1, &[]);
    fleet.deploy("web", image);
    let reveille = &fleet[0];
    for round in 1..=2 {
        let pod = format!("web-{round}");
        cluster.until_zero("web");
        // The kubelet's probes are late: nobody but Reveille finds out that
        // the Pod listens.
        cluster.kubelet().hold_probes("web", true);
        let (answered, cold_start) = ask(reveille.proxy());
        assert_eq!(
            (answered.as_str(), cold_start.as_str()),
            (pod.as_str(), "true")
        );
        assert!(!cluster.was_ready(&pod), "the cluster never knew");
        cluster.kubelet().hold_probes("web", false);
        // Nobody asks: KEDA puts it to sleep, and only after its cooldown.
        cluster.until_zero("web");
    }
    let (up, down) = ((0, 1, "activated"), (1, 0, "quiet for the cooldown"));
    assert_eq!(cluster.scalings("web"), [up, down, up, down]);
    fleet.stop();
}

#[test]
fn http() {
    circle(Image::Http, |proxy| {
        let answer = Client::new(proxy, "web.test").get("/");
        assert_eq!(answer.status, 200);
        let cold_start = answer.cold_start().unwrap_or_default().to_owned();
        (answer.body, cold_start)
    });
}

#[test]
fn a_grpc_call() {
    circle(Image::Grpc, |proxy| {
        let script = r#"
answer, call = unary.with_call(b"hello", timeout=60)
print(answer.decode(), call.code().name)
print(meta(call.trailing_metadata())["x-pod"])
print(meta(call.initial_metadata())["x-keda-http-cold-start"])
"#;
        let [said, pod, cold_start] = lines(clients::grpc(proxy, "web.test", script, &[]));
        assert_eq!(said, "hello OK");
        (pod, cold_start)
    });
}

#[test]
fn a_grpc_stream() {
    circle(Image::Grpc, |proxy| {
        let script = r#"
answers = count(b"3", timeout=60)
print([answer.decode() for answer in answers], answers.code().name)
print(meta(answers.trailing_metadata())["x-pod"])
print(meta(answers.initial_metadata())["x-keda-http-cold-start"])
"#;
        let [said, pod, cold_start] = lines(clients::grpc(proxy, "web.test", script, &[]));
        assert_eq!(said, "['0', '1', '2'] OK");
        (pod, cold_start)
    });
}

#[test]
fn a_websocket() {
    circle(Image::Http, |proxy| {
        let script = r#"
with connect() as connection:
    print(connection.recv().removeprefix("hello from "))
    print(connection.response.headers["X-KEDA-HTTP-Cold-Start"])
    connection.send("text")
    print(connection.recv())
print(connection.close_code)
"#;
        let heard = lines(clients::websocket(proxy, "web.test", script, &[]));
        let [pod, cold_start, echo, code] = heard;
        assert_eq!((echo.as_str(), code.as_str()), ("text", "1000"));
        (pod, cold_start)
    });
}

fn lines<const N: usize>(heard: Vec<String>) -> [String; N] {
    heard
        .try_into()
        .unwrap_or_else(|heard| panic!("{N} lines, not {heard:?}"))
}
