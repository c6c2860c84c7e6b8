//! Starts that fail: all reasons at once, exit code 1, nobody left behind.

use crate::support::{Ended, Reveille, Target};
use std::net::TcpListener;

/// A workload that is started at boot, if anything is.
fn eager() -> Target {
    Target::python().scaled("minReplicaCount: 1")
}

fn assert_failed(ended: &Ended, message: &str) {
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    assert!(
        ended.log.contains(message),
        "{message:?} is not in:\n{}",
        ended.log
    );
    assert_eq!(ended.left, [], "left behind");
}

#[test]
fn every_address_that_cannot_be_bound_is_named() {
    let taken: Vec<TcpListener> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    let mut starter = Reveille::of(eager());
    let mut message = "reveille: cannot listen:".to_owned();
    for (flag, listener) in ["--proxy-addr", "--grpc-addr", "--admin-addr"]
        .iter()
        .zip(&taken)
    {
        let addr = listener.local_addr().expect("bound");
        starter = starter.set(flag, &addr.to_string());
        message += &format!("\n  {flag} {addr}: Address already in use (os error 98)");
    }
    assert_failed(&starter.run(), &message);
}

#[test]
fn one_bad_address_among_good_ones_is_enough() {
    let ended = Reveille::of(eager())
        .set("--grpc-addr", "192.0.2.1:9090")
        .run();
    let message = "reveille: cannot listen:\n  --grpc-addr 192.0.2.1:9090: \
                   Cannot assign requested address (os error 99)\n";
    assert_failed(&ended, message);
}

#[test]
fn an_addresses_file_that_cannot_be_written_stops_what_was_started() {
    let ended = Reveille::of(eager())
        .set("--addresses-file", "/no/such/folder/addresses.json")
        .run();
    let message = "reveille: --addresses-file /no/such/folder/addresses.json: \
                   No such file or directory (os error 2)";
    assert_failed(&ended, message);
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let ended = Reveille::bare().arg("-f", "no-such.yaml").run();
    assert_failed(&ended, "no-such.yaml");
    assert_failed(
        &ended,
        "there is nothing to serve or to scale: no usable InterceptorRoute or ScaledObject (1 errors",
    );
}

#[test]
fn a_log_level_that_is_none_is_refused() {
    let ended = Reveille::of(eager()).arg("--log-level", "a=b=c").run();
    assert_failed(&ended, "reveille: --log-level \"a=b=c\" is not valid");
}
