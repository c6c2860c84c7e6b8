//! Who may look at the admin port: names, origins, tokens.

use crate::support::{Client, Marker, Reveille, Target, command, wait_until};
use std::process::Output;

const TOKEN: &str = "correct-horse-battery";

fn head(reveille: &Reveille, path: &str, headers: &str) -> u16 {
    let mut connection = Client::new(reveille.admin(), "unused").connect();
    connection.send(format!("GET {path} HTTP/1.1\r\n{headers}\r\n").as_bytes());
    connection.answer().status
}

fn query(reveille: &Reveille, args: &[&str]) -> Output {
    let admin = reveille.admin().to_string();
    command(&Marker::new())
        .args(["query", "vector(1)", "--admin", &admin])
        .args(args)
        .output()
        .expect("it runs")
}

#[test]
fn without_a_token_names_that_can_be_bought_and_pages_of_others_are_refused() {
    let reveille = Reveille::of(Target::hello())
        .arg("--admin-host", "admin.example.com")
        .start();
    for (path, headers, status) in [
        ("/api/v1/targets", "Host: 127.0.0.1:9901\r\n", 200),
        (
            "/api/v1/targets",
            "Host: localhost:9901\r\nOrigin: http://localhost:9901\r\n",
            200,
        ),
        ("/api/v1/targets", "Host: admin.example.com\r\n", 200),
        ("/api/v1/targets", "Host: evil.com:9901\r\n", 403),
        ("/ui", "Host: evil.com:9901\r\n", 403),
        (
            "/api/v1/targets",
            "Host: localhost\r\nOrigin: http://evil.com\r\n",
            403,
        ),
        (
            "/api/v1/query?query=1",
            "Host: localhost\r\nOrigin: null\r\n",
            403,
        ),
        ("/metrics", "Host: evil.com\r\n", 200),
        ("/livez", "Host: evil.com\r\n", 200),
        ("/", "Host: localhost\r\n", 307),
    ] {
        assert_eq!(head(&reveille, path, headers), status, "{path} {headers}");
    }
}

#[test]
fn with_a_token_the_api_wants_it_and_follows_its_file() {
    let reveille = Reveille::of(Target::hello())
        .file("tokens", &format!("{TOKEN}\n"))
        .file("right", TOKEN)
        .file("wrong", "another-token-of-mine")
        .arg("--admin-token-file", "tokens")
        .start();
    let bearer = format!("Host: evil.com\r\nAuthorization: Bearer {TOKEN}\r\n");
    let wrong = "Host: localhost\r\nAuthorization: Bearer correct-horse-batterY\r\n";
    for path in [
        "/api/v1/targets",
        "/api/v1/query?query=1",
        "/api/v1/targets/web/explain",
    ] {
        assert_eq!(head(&reveille, path, "Host: localhost\r\n"), 401, "{path}");
        assert_eq!(head(&reveille, path, wrong), 401, "{path}");
        assert_eq!(head(&reveille, path, &bearer), 200, "{path}");
    }
    for open in ["/ui", "/ui/page.js", "/metrics", "/livez", "/readyz"] {
        assert_eq!(head(&reveille, open, "Host: localhost\r\n"), 200, "{open}");
    }
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let none = query(&reveille, &[]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        said(&none).contains("wants its admin token: give --token-file"),
        "{}",
        said(&none)
    );
    let file = |name: &str| reveille.path(name).to_string_lossy().into_owned();
    let bad = query(&reveille, &["--token-file", &file("wrong")]);
    assert!(
        said(&bad).contains("does not know the token"),
        "{}",
        said(&bad)
    );
    let good = query(&reveille, &["--token-file", &file("right")]);
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));

    // A new token beside the old one, then alone.
    std::fs::write(reveille.path("tokens"), "another-token-of-mine\n").expect("written");
    wait_until("the new token counts", || {
        query(&reveille, &["--token-file", &file("wrong")])
            .status
            .code()
            == Some(0)
    });
    assert_eq!(head(&reveille, "/api/v1/targets", &bearer), 401);
    std::fs::write(reveille.path("tokens"), "").expect("written");
    reveille.until_logged("admin tokens not reloaded: there is no token in it");
    assert_eq!(
        query(&reveille, &["--token-file", &file("wrong")])
            .status
            .code(),
        Some(0)
    );
}

#[test]
fn a_token_file_that_is_no_use_fails_the_start_with_all_else_that_is_wrong() {
    let ended = Reveille::of(Target::hello())
        .file("tokens", "short\n")
        .arg("--admin-token-file", "tokens")
        .arg("--tls-cert", "none.crt")
        .arg("--tls-key", "none.key")
        .run();
    assert!(!ended.status.success());
    for said in [
        "cannot guard the admin port:\n  --admin-token-file tokens: token 1 is shorter than 16 bytes",
        "none.crt",
    ] {
        assert!(ended.log.contains(said), "{}", ended.log);
    }
}
