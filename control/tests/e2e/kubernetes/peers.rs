//! Replicas find each other by the EndpointSlices of their Service.

use super::objects::{endpoint, slice};
use crate::support::{ApiServer, Reveille, wait_until};
use serde_json::json;

#[test]
fn replicas_find_each_other_in_the_slices_of_their_service() {
    let api = ApiServer::start();
    // One port, an address each, as Pods have it. Nobody else is at these.
    let port = {
        let listener = std::net::TcpListener::bind("127.77.0.1:0").expect("a port");
        listener.local_addr().expect("bound").port()
    };
    let start = |ip: &str| {
        Reveille::in_cluster(&api)
            .set("--grpc-addr", &format!("{ip}:{port}"))
            .arg(
                "--peers",
                &format!("kubernetes:keda/reveille-scaler:{port}"),
            )
            .start()
    };
    let (a, b) = (start("127.77.0.1"), start("127.77.0.2"));
    let mut known = slice(
        "reveille-scaler",
        0,
        port,
        &[
            endpoint("a", a.grpc(), &json!({"ready": true})),
            endpoint("b", b.grpc(), &json!({"ready": false})),
        ],
    );
    known["metadata"]["namespace"] = "keda".into();
    api.put(known);
    for replica in [&a, &b] {
        wait_until("they are connected", || {
            let page = replica.ask("/metrics").body;
            page.contains("reveille_peers{state=\"connected\"} 1\n")
        });
        replica.until_ready();
    }
    a.stop();
    b.stop();
}
