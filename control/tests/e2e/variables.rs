//! The HTTP add-on's and OpenTelemetry's variables, and flags that need each
//! other. Each row of the table is tested beside it.

use crate::support::{Marker, Reveille, Target, command};

#[test]
fn they_work_and_warn_and_say_why_they_do_not() {
    let reveille = Reveille::of(Target::new("web", "[sleep, '1000']"))
        .env("KEDA_CONDITION_WAIT_TIMEOUT", "50ms")
        .env("KEDA_HTTP_ENABLE_COLD_START_HEADER", "true")
        .env("KEDA_HTTP_MAX_IDLE_CONNS", "1000")
        .env("KEDA_HTTP_WATCH_NAMESPACE", "")
        .start();
    assert_eq!(reveille.client("web").get("/").status, 504);
    let warning = reveille.until_logged("KEDA_CONDITION_WAIT_TIMEOUT");
    assert!(
        warning.contains("WARN")
            && warning.contains("is deprecated: use KEDA_HTTP_READINESS_TIMEOUT"),
        "{warning}"
    );
    let unused = reveille.until_logged("KEDA_HTTP_MAX_IDLE_CONNS has no effect: ");
    assert!(unused.contains("INFO"), "{unused}");
    assert!(!reveille.log().contains("WATCH_NAMESPACE"));
    reveille.stop();
}

#[test]
fn a_variable_of_ours_and_a_flag_win() {
    for (variable, flag) in [(true, false), (false, true)] {
        let mut starter = Reveille::of(Target::new("web", "[sleep, '1000']"))
            .env("KEDA_HTTP_READINESS_TIMEOUT", "1h");
        if variable {
            starter = starter.env("REVEILLE_READINESS_TIMEOUT", "50ms");
        }
        if flag {
            starter = starter.arg("--readiness-timeout", "50ms");
        }
        let reveille = starter.start();
        assert_eq!(reveille.client("web").get("/").status, 504);
        reveille.stop();
    }
}

#[test]
fn all_that_are_wrong_are_named_at_once() {
    let ended = Reveille::of(Target::hello())
        .env("KEDA_HTTP_REQUEST_TIMEOUT", "soon")
        .env("KEDA_HTTP_LOG_REQUESTS", "perhaps")
        .env("OTEL_TRACES_SAMPLER", "xray")
        .run();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    assert!(
        ended.log.starts_with("reveille: cannot start:\n"),
        "{}",
        ended.log
    );
    for name in [
        "\n  KEDA_HTTP_REQUEST_TIMEOUT: \"soon\" is not a duration",
        "\n  KEDA_HTTP_LOG_REQUESTS: \"perhaps\" is neither true nor false",
        "\n  OTEL_TRACES_SAMPLER: \"xray\" is not served",
    ] {
        assert!(ended.log.contains(name), "{name} is not in {}", ended.log);
    }
    assert_eq!(ended.left, []);
}

#[test]
fn they_concern_no_other_command_and_the_help_tells_of_them() {
    let mut example = command(&Marker::new());
    example
        .arg("example")
        .env("KEDA_HTTP_REQUEST_TIMEOUT", "soon");
    assert!(example.output().expect("it runs").status.success());
    let help = command(&Marker::new()).args(["local", "--help"]).output();
    let help = String::from_utf8(help.expect("it runs").stdout).expect("UTF-8");
    for word in [
        "KEDA_HTTP_PROXY_PORT",
        "OTEL_TRACES_SAMPLER",
        "--trusted-proxies",
    ] {
        assert!(help.contains(word), "{word}");
    }
}

#[test]
fn the_proxy_protocol_needs_somebody_to_trust() {
    let ended = Reveille::of(Target::hello())
        .arg("--proxy-protocol", "required")
        .run();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    let message = "\n  --proxy-protocol needs --trusted-proxies";
    assert!(ended.log.contains(message), "{}", ended.log);
}

#[test]
fn a_header_that_is_refused_is_logged_with_its_fault() {
    use std::io::{Read, Write};
    let reveille = Reveille::of(Target::hello())
        .arg("--proxy-protocol", "required")
        .arg("--trusted-proxies", "127.0.0.0/8,::1")
        .start();
    let mut client = std::net::TcpStream::connect(reveille.proxy()).expect("it listens");
    client
        .write_all(b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n")
        .expect("sent");
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    let line = reveille.until_logged("connection refused: ");
    assert!(
        line.contains("WARN") && line.contains("malformed"),
        "{line}"
    );
    assert!(line.contains("the source address \"nobody\""), "{line}");
    let metrics = reveille.ask("/metrics").body;
    let sample = "reveille_proxy_protocol_refused_connections_total{reason=\"malformed\"} 1\n";
    assert!(metrics.contains(sample), "{metrics}");
    reveille.stop();
}
