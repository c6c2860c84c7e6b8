//! Backends whose addresses change.

use super::{edit, following};
use crate::support::{Reveille, read_head};
use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener},
};

fn manifest(addresses: &[SocketAddr]) -> String {
    format!(
        "\
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: fixed}}
spec:
  target: {{service: fixed, port: 80}}
  rules: [{{hosts: [fixed.test]}}]
  scalingMetric: {{concurrency: {{targetValue: 1}}}}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: fixed}}
spec: {{addresses: {}}}
",
        serde_json::to_string(addresses).expect("valid")
    )
}

fn addresses(reveille: &Reveille) -> Vec<String> {
    let endpoints = reveille.target("fixed").endpoints.into_iter();
    endpoints.map(|endpoint| endpoint.address).collect()
}

#[test]
fn an_address_that_stays_keeps_its_connection_and_others_come_and_go() {
    let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [a, b] = [&one, &two].map(|listener| listener.local_addr().expect("bound"));
    let reveille = following(manifest(&[a])).arg("--workers", "1").start();

    let mut first = reveille.client("fixed").begin("GET", "/first");
    let (stream, _) = one.accept().expect("forwarded");
    let mut upstream = BufReader::new(stream);
    read_head(&mut upstream);
    edit(&reveille, manifest(&[a, b]));
    assert_eq!(addresses(&reveille), [a.to_string(), b.to_string()]);
    let in_flight = reveille.target("fixed").endpoints[0].in_flight;
    assert_eq!(in_flight, 1, "it is the same endpoint");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none";
    upstream.get_mut().write_all(answer).expect("sent");
    assert_eq!(first.answer().body, "one");

    edit(&reveille, manifest(&[a]));
    let mut second = reveille.client("fixed").begin("GET", "/second");
    // On the connection that was there before both changes.
    assert_eq!(read_head(&mut upstream)[0], "GET /second HTTP/1.1");
    upstream.get_mut().write_all(answer).expect("sent");
    assert_eq!(second.answer().body, "one");

    edit(&reveille, manifest(&[b]));
    let mut third = reveille.client("fixed").begin("GET", "/third");
    let (stream, _) = two.accept().expect("forwarded");
    let mut upstream = BufReader::new(stream);
    assert_eq!(read_head(&mut upstream)[0], "GET /third HTTP/1.1");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    upstream.get_mut().write_all(answer).expect("sent");
    assert_eq!(third.answer().body, "two");
}
