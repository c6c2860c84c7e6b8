//! The main job: a request to a sleeping process wakes it and is served.

use crate::support::{Connection, Reveille, Target};

#[test]
fn the_first_request_wakes_pythons_file_server_and_the_second_finds_it_awake() {
    let command = r#"[python3, -m, http.server, "{port}", --bind, 127.0.0.1]"#;
    let reveille = Reveille::of(Target::new("web", command))
        .file("page.txt", "good morning")
        .start();
    assert!(reveille.target("web").is_asleep());

    let client = reveille.client("web");
    let first = client.get("/page.txt");
    assert_eq!((first.status, first.body.as_str()), (200, "good morning"));
    assert_eq!(first.cold_start(), Some("true"));
    let second = client.get("/page.txt");
    assert_eq!((second.status, second.body.as_str()), (200, "good morning"));
    assert_eq!(second.cold_start(), Some("false"));

    reveille.until_asleep("web");
    let again = client.get("/page.txt");
    assert_eq!((again.status, again.cold_start()), (200, Some("true")));
    reveille.stop();
}

#[test]
fn the_runtime_that_all_workers_share_wakes_and_serves_too() {
    let reveille = Reveille::of(Target::hello())
        .arg("--runtime", "shared")
        .arg("--workers", "2")
        .start();
    let mut held: Vec<Connection> = (0..20)
        .map(|_| reveille.client("web").begin("GET", "/"))
        .collect();
    for connection in &mut held {
        let answer = connection.answer();
        assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    }
    // The same connections again, now that nobody waits any more.
    for connection in &mut held {
        connection.request("GET", "/");
        let answer = connection.answer();
        assert_eq!((answer.status, answer.cold_start()), (200, Some("false")));
    }
    reveille.stop();
}

#[test]
fn three_hundred_at_once_are_served_by_a_server_with_a_short_backlog() {
    // Python's file server listens with a backlog of 5.
    let command = r#"[python3, -m, http.server, "{port}", --bind, 127.0.0.1]"#;
    let target = Target::new("web", command).scaled("maxReplicaCount: 1");
    let reveille = Reveille::of(target).file("page.txt", "hi").start();
    let client = reveille.client("web");
    let held: Vec<Connection> = (0..300).map(|_| client.begin("GET", "/page.txt")).collect();
    for mut connection in held {
        let answer = connection.answer();
        assert_eq!((answer.status, answer.body.as_str()), (200, "hi"));
        assert_eq!(answer.cold_start(), Some("true"));
    }
}

#[test]
fn the_body_of_a_held_request_arrives_whole() {
    let reveille = Reveille::of(Target::python()).start();
    let mut connection = reveille.client("web").connect();
    let body = "x".repeat(300_000);
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: web.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes());
    reveille.until_held("web", 1);
    connection.send(body.as_bytes());
    let answer = connection.answer();
    assert_eq!((answer.status, answer.cold_start()), (200, Some("true")));
    assert!(answer.body.starts_with("POST /upload "));
    assert!(answer.body.trim_end().ends_with(&body));
}
