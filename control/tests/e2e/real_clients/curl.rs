//! curl, over HTTP/1.0, 1.1 and 2, against Python's server.

use super::{curl, pattern, run};
use crate::support::{Reveille, Target};
use std::fs;

const MUCH: usize = 8 * 1024 * 1024;

/// Answers with an HTTP version, the length and the digest of what it got.
const DIGEST: &str = r#"
import hashlib, http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def handle_expect_100(self):
        if self.path == "/full":
            self.send_response(413)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            return False
        return self.path == "/ignores" or super().handle_expect_100()
    def read(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body
    def do_GET(self):
        if self.path == "/hints":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        body = self.read()
        digest = hashlib.sha256(body).hexdigest()
        answer = f"{self.command} {len(body)} {digest}".encode()
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for byte in answer:
                self.wfile.write(b"1\r\n%c\r\n" % byte)
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
    do_POST = do_PUT = do_OPTIONS = do_GET
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.serve_forever()
"#;

fn started() -> Reveille {
    let target = Target::new("web", "[python3, -B, digest.py]");
    let starter = Reveille::of(target).file("digest.py", DIGEST);
    starter.start()
}

/// curl with these arguments; what it writes.
fn answer(reveille: &Reveille, args: &[&str]) -> String {
    let output = run(curl(reveille.proxy()).args(args));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn each_version_wakes_a_target_and_gets_the_answer() {
    let empty = "GET 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (flag, first) in [
        ("--http1.0", "HTTP/1.0 200 OK\r\n"),
        ("--http1.1", "HTTP/1.1 200 OK\r\n"),
        ("--http2-prior-knowledge", "HTTP/2 200 \r\n"),
    ] {
        let reveille = started();
        assert!(reveille.target("web").is_asleep());
        for path in ["/", "/chunked"] {
            let url = format!("http://web.test{path}");
            let heard = answer(&reveille, &[flag, "--include", &url]);
            assert!(heard.starts_with(first), "{flag} {path}: {heard}");
            assert!(heard.ends_with(empty), "{flag} {path}: {heard}");
        }
        let args = [
            flag,
            "--request",
            "OPTIONS",
            "--request-target",
            "*",
            "http://web.test/",
        ];
        assert!(answer(&reveille, &args).starts_with("OPTIONS 0 "), "{flag}");
        reveille.stop();
    }
}

#[test]
fn uploads_arrive_whole_in_each_version_also_to_a_sleeping_target() {
    let body = pattern(MUCH);
    for (args, method) in [
        (&["--http1.1", "-H", "Expect:"][..], "PUT"),
        (&["--http1.1", "-H", "Transfer-Encoding: chunked"], "PUT"),
        (&["--http2-prior-knowledge"], "PUT"),
        // Not sent before it is asked for, and nothing else would ask in time.
        (&["--http1.1", "--expect100-timeout", "600"], "PUT"),
        (&["--http1.0"], "PUT"),
    ] {
        let reveille = started();
        fs::write(reveille.path("body"), &body).expect("written");
        let file = reveille.path("body").display().to_string();
        let sum = run(std::process::Command::new("sha256sum").arg(&file));
        let sum = String::from_utf8(sum.stdout).expect("text");
        let digest = sum.split(' ').next().expect("a digest");
        let args = [args, &["--upload-file", &file, "http://web.test/"]].concat();
        let heard = answer(&reveille, &args);
        assert_eq!(heard, format!("{method} {MUCH} {digest}"), "{args:?}");
        reveille.stop();
    }
}

#[test]
fn early_hints_reach_curl_before_the_answer() {
    let reveille = started();
    for (flag, hint, first) in [
        (
            "--http1.1",
            "HTTP/1.1 103 Early Hints",
            "HTTP/1.1 200 OK\r\n",
        ),
        ("--http2-prior-knowledge", "HTTP/2 103 ", "HTTP/2 200 \r\n"),
    ] {
        for _ in 0..2 {
            let heard = answer(&reveille, &[flag, "--include", "http://web.test/hints"]);
            let (hints, rest) = heard.split_once("\r\n\r\n").expect("two heads");
            assert_eq!(hints, format!("{hint}\r\nlink: </style.css>"));
            assert!(rest.starts_with(first), "{rest}");
        }
    }
    reveille.stop();
}

#[test]
fn an_upload_that_the_endpoint_refuses_is_not_sent_by_a_client_that_asks_first() {
    let reveille = started();
    fs::write(reveille.path("body"), pattern(MUCH)).expect("written");
    let file = reveille.path("body").display().to_string();
    for (path, heard) in [
        ("/full", "413 0".to_owned()),
        // It reads without asking: so it is asked in its place.
        ("/ignores", format!("200 {MUCH}")),
    ] {
        let args = [
            "--http1.1",
            "--output",
            "/dev/null",
            "--expect100-timeout",
            "600",
            "--write-out",
            "%{response_code} %{size_upload}",
            "--upload-file",
            &file,
            &format!("http://web.test{path}"),
        ];
        assert_eq!(answer(&reveille, &args), heard, "{path}");
    }
    reveille.stop();
}

#[test]
fn a_refused_upload_is_not_sent_by_a_client_that_asks_first() {
    let reveille = started();
    fs::write(reveille.path("body"), pattern(MUCH)).expect("written");
    let file = reveille.path("body").display().to_string();
    let format = "%{response_code} %{size_upload}";
    let args = [
        "--http1.1",
        "--output",
        "/dev/null",
        "--expect100-timeout",
        "600",
        "--write-out",
        format,
        "--upload-file",
        &file,
        "http://nobody.test/",
    ];
    assert_eq!(answer(&reveille, &args), "404 0");
    reveille.stop();
}
