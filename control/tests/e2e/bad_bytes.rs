//! Bytes at the proxy's port that are no HTTP: each costs its sender the
//! connection and nobody else anything.

use crate::support::{Reveille, Target};
use std::io::Write;
use std::net::{Shutdown, TcpStream};

#[test]
fn after_nonsense_of_every_kind_a_good_request_is_served() {
    let reveille = Reveille::of(Target::hello()).arg("--workers", "1").start();
    assert_eq!(reveille.client("web").get("/").status, 200);
    let long = "x".repeat(100_000);
    let headers: String = (0..5_000).map(|n| format!("H{n}: v\r\n")).collect();
    let kinds: Vec<Vec<u8>> = vec![
        vec![0; 1_000],
        (0..=255).cycle().take(10_000).collect(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        b"GET".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: web.test\r\nContent-Length: x\r\n\r\n".to_vec(),
        b"POST / HTTP/1.1\r\nHost: web.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
            .to_vec(),
        b"POST / HTTP/1.1\r\nHost: web.test\r\nContent-Length: 10\r\n\r\nhalf".to_vec(),
        format!("GET /{long} HTTP/1.1\r\nHost: web.test\r\n\r\n").into_bytes(),
        format!("GET / HTTP/1.1\r\nHost: web.test\r\n{headers}\r\n").into_bytes(),
        b"CONNECT web.test:80 HTTP/1.1\r\nHost: web.test\r\n\r\n".to_vec(),
    ];
    for bytes in &kinds {
        let mut stream = TcpStream::connect(reveille.proxy()).expect("it still accepts");
        // It may answer and close before it has read all of it.
        let _sent = stream.write_all(bytes);
        let _ended = stream.shutdown(Shutdown::Write);
        assert_eq!(reveille.client("web").get("/").status, 200);
    }
    reveille.until("web", "nothing is in flight", |now| now.in_flight == 0);
    let log = reveille.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"));
    reveille.stop();
}
