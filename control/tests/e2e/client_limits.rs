//! Limits of clients, as flags of the program, and what happens when the
//! system's own limit is reached first.

use crate::support::{Connection, Reveille, Target, wait_for};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    io::Write,
    net::{Shutdown, TcpStream},
};

/// Waits until `/metrics` has this line.
fn until_measured(reveille: &Reveille, line: &str) {
    wait_for(line, || {
        let page = reveille.ask("/metrics").body;
        page.lines().any(|known| known == line).then_some(())
    });
}

#[test]
fn each_limit_has_a_flag_a_refusal_and_a_count() {
    let reveille = Reveille::of(Target::hello())
        .arg("--max-connections", "2")
        .arg("--max-header-bytes", "8192")
        .arg("--max-headers", "5")
        .arg("--max-upgrades", "0")
        .start();
    let client = reveille.client("web");
    assert_eq!(client.get("/").status, 200);

    let mut connection = client.connect();
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nHost: web.test\r\n{lines}\r\n");
    connection.send(head("Connection: upgrade\r\nUpgrade: x\r\n").as_bytes());
    assert_eq!(connection.answer().status, 503);
    until_measured(&reveille, "reveille_refused_total{reason=\"upgrades\"} 1");
    connection.send(head(&"x: y\r\n".repeat(5)).as_bytes());
    assert_eq!(connection.answer().status, 431);
    drop(connection);

    let mut connection = client.connect();
    let large = format!("x: {}\r\n", "y".repeat(9_000));
    connection.send(head(&large).as_bytes());
    assert_eq!(connection.answer().status, 431);
    until_measured(
        &reveille,
        "reveille_refused_total{reason=\"head_too_large\"} 2",
    );
    drop(connection);
    until_measured(&reveille, "reveille_client_connections 0");

    let mut open: Vec<Connection> = Vec::new();
    for _ in 0..2 {
        let mut connection = client.begin("GET", "/");
        assert_eq!(connection.answer().status, 200);
        open.push(connection);
    }
    let refused = client.begin("GET", "/").answer();
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (503, "too many connections\n")
    );
    until_measured(
        &reveille,
        "reveille_refused_total{reason=\"connections\"} 1",
    );
    reveille.until_logged("raise --max-connections?");
    drop(open);
    until_measured(&reveille, "reveille_client_connections 0");
    assert_eq!(client.get("/").status, 200);
    reveille.stop();
}

/// Sets how many files the program may have open.
fn set_open_files(reveille: &Reveille, most: u64) -> Rlimit {
    let pid = i32::try_from(reveille.pid()).ok().and_then(Pid::from_raw);
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(1_024),
    };
    prlimit(Some(pid.expect("a child")), Resource::Nofile, limit).expect("it may be lowered")
}

#[test]
fn without_file_descriptors_it_accepts_nobody_and_goes_on_serving() {
    let reveille = Reveille::of(Target::hello())
        .set("--activity-window", "60s")
        .start();
    let client = reveille.client("web");
    let mut served = client.connect();
    served.request("GET", "/");
    assert_eq!(served.answer().status, 200);

    // Far below what it has open with all these.
    set_open_files(&reveille, 64);
    let storm: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(reveille.proxy()).expect("the system accepts it"))
        .collect();
    reveille.until_logged("cannot accept connections now");
    // Who was accepted before is served, again and again.
    for _ in 0..20 {
        served.request("GET", "/");
        assert_eq!(served.answer().status, 200);
    }
    // Somebody waits in the system's queue until there is room.
    let mut waits = TcpStream::connect(reveille.proxy()).expect("the system accepts it");
    waits
        .write_all(b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n")
        .expect("sent");
    for stream in storm {
        stream.shutdown(Shutdown::Both).expect("open");
    }
    let answer = std::io::read_to_string(&mut waits).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(client.get("/").status, 200);
    let log = reveille.log();
    assert!(!log.contains("panicked"), "{log}");
    drop(served);
    reveille.stop();
}
