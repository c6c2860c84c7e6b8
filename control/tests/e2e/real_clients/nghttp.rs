//! nghttp, the reference HTTP/2 client, where curl 7.88 cannot do it: uploads
//! that are answered before they are over.

use super::{pattern, run, tool};
use crate::support::{Reveille, Target};
use std::{fs, process::Command};

/// Answers each head at once, and reads no body, ever.
const EARLY: &str = r#"
import os, socket, threading
def talk(connection):
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
    threading.Event().wait()
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    threading.Thread(target=talk, args=listener.accept()[:1], daemon=True).start()
"#;

#[test]
fn an_upload_that_is_answered_and_not_read_ends() {
    let target = Target::new("web", "[python3, -B, early.py]");
    let reveille = Reveille::of(target).file("early.py", EARLY).start();
    // More than sockets hold.
    fs::write(reveille.path("body"), pattern(32 * 1024 * 1024)).expect("written");
    let data = reveille.path("body").display().to_string();
    let url = format!("http://{}/", reveille.proxy());
    for _ in 0..2 {
        let mut command = Command::new(tool("nghttp"));
        command
            .args(["--timeout", "60", "--header", ":authority: web.test"])
            .args(["--data", &data, &url]);
        let output = run(&mut command);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "early");
    }
    reveille.until_asleep("web");
    reveille.stop();
}
