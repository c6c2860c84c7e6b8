//! A backend that answers every request with its name.

use super::read_head;
use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpListener},
    thread,
};

/// Serves on a free port until the test's process ends.
pub(crate) fn named_backend(name: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let addr = listener.local_addr().expect("bound");
    let length = name.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                while reader.get_ref().peek(&mut [0]).is_ok_and(|bytes| bytes > 0) {
                    read_head(&mut reader);
                    if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// The manifests of a `Backend` of that name at `addr`.
pub(crate) fn backend_manifest(name: &str, addr: SocketAddr) -> String {
    format!(
        "\
---
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{addresses: [\"{addr}\"]}}
"
    )
}
