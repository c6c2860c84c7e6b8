//! nginx as a backend: its keep-alive, its chunks, and its early refusals.

use super::{curl, pattern, run, tool};
use crate::support::{Reveille, Target};
use std::fs;

/// Connections that nginx closes after a few requests, pages of no known
/// length (server side includes), and small limits for uploads.
const CONFIG: &str = r#"
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path body_temp;
  proxy_temp_path proxy_temp;
  fastcgi_temp_path fastcgi_temp;
  uwsgi_temp_path uwsgi_temp;
  scgi_temp_path scgi_temp;
  keepalive_requests 3;
  types { text/html html; }
  server {
    listen 127.0.0.1:PORT;
    root files;
    client_max_body_size 64k;
    location /included { ssi on; }
    location /seen { return 200 "$request_method $http_host $http_x_forwarded_for $request_length $connection_requests"; }
  }
}
"#;

fn started() -> Reveille {
    let script = format!(
        r#"[sh, -c, "sed s/PORT/$PORT/ nginx.in > nginx.conf && exec {} -p . -c nginx.conf -e stderr"]"#,
        tool("nginx")
    );
    let target = Target::new("web", &script);
    let starter = Reveille::of(target).file("nginx.in", CONFIG);
    let starter = starter.folder("files").folder("files/included");
    starter
        .file("files/page.html", "hello")
        .file("files/part.html", &"part ".repeat(100_000))
        .file(
            "files/included/all.html",
            r#"<!--#include virtual="/page.html" --> and <!--#include virtual="/part.html" -->"#,
        )
        .start()
}

#[test]
fn connections_that_it_closes_cost_no_request() {
    let reveille = started();
    let mut connection = reveille.client("web").connect();
    for number in 0..100 {
        connection.request("GET", "/page.html");
        let answer = connection.answer();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, "hello"),
            "{number}"
        );
    }
    // Its connections were used again for as long as it let us.
    let counts = (0..6).map(|_| {
        connection.request("GET", "/seen");
        let answer = connection.answer();
        assert!(
            answer.body.starts_with("GET web.test 127.0.0.1 "),
            "{}",
            answer.body
        );
        let (_, count) = answer.body.rsplit_once(' ').expect("a count");
        count.parse::<u32>().expect("a number")
    });
    let mut counts: Vec<u32> = counts.collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 1, 2, 2, 3, 3]);
    reveille.stop();
}

#[test]
fn large_files_and_pages_of_unknown_length_arrive_whole() {
    let reveille = started();
    let body = pattern(64 * 1024 * 1024);
    fs::write(reveille.path("files/large"), &body).expect("written");
    let included = format!("hello and {}", "part ".repeat(100_000));
    for flag in ["--http1.0", "--http1.1", "--http2-prior-knowledge"] {
        let large = run(curl(reveille.proxy()).args([flag, "http://web.test/large"]));
        assert!(large.stdout == body, "{flag}");
        let part = ["--range", "1000000-1000003", "http://web.test/large"];
        let part = run(curl(reveille.proxy()).arg(flag).args(part));
        assert_eq!(part.stdout, 250_000u32.to_le_bytes(), "{flag}");
        let page = run(curl(reveille.proxy()).args([flag, "http://web.test/included/all.html"]));
        assert!(page.stdout == included.as_bytes(), "{flag}");
        let url = "http://web.test/large";
        let head = run(curl(reveille.proxy()).args([flag, "--head", url]));
        let head = String::from_utf8_lossy(&head.stdout).to_lowercase();
        assert!(head.contains("content-length: 67108864"), "{flag}: {head}");
    }
    reveille.stop();
}

#[test]
fn an_upload_that_it_refuses_early_is_over_early() {
    let reveille = started();
    fs::write(reveille.path("body"), pattern(3 * 1024 * 1024)).expect("written");
    let data = format!("@{}", reveille.path("body").display());
    // Over HTTP/1.1 only: curl 7.88 loses or misses such answers over HTTP/2.
    for _ in 0..10 {
        let mut curl = curl(reveille.proxy());
        curl.args(["--output", "/dev/null", "--write-out", "%{response_code}"])
            .args(["--http1.1", "--header", "Expect:", "--data-binary", &data])
            .arg("http://web.test/page.html");
        let output = curl.output().expect("curl runs");
        // What curl thinks of the part that nobody wanted is its own matter.
        assert_eq!(String::from_utf8_lossy(&output.stdout), "413");
    }
    let mut connection = reveille.client("web").connect();
    connection.request("GET", "/page.html");
    assert_eq!(connection.answer().body, "hello");
    reveille.stop();
}
