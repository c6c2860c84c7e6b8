//! Which requests go where: hosts, paths and headers of a running Reveille.

use crate::support::{Client, Reveille, Target};

#[test]
fn an_unknown_host_is_404_and_wakes_nobody() {
    let reveille = Reveille::of(Target::hello()).start();
    let answer = reveille.client("other").get("/");
    assert_eq!((answer.status, answer.body.as_str()), (404, "Not Found\n"));
    assert_eq!(answer.cold_start(), None);
    assert!(reveille.target("web").is_asleep());
    assert_eq!(reveille.workloads(), []);
}

#[test]
fn host_path_and_header_choose_the_target() {
    let targets = |name: &str, rules: &str| {
        Target::new(name, "[python3, -B, server.py]")
            .to_string()
            .replace(&format!("[{{hosts: [{name}.test]}}]"), rules)
    };
    let all = [
        targets("any", "[{}]"),
        targets("shop", "[{hosts: [shop.test]}]"),
        targets("api", "[{hosts: [shop.test], paths: [{value: /api}]}]"),
        targets(
            "canary",
            "[{hosts: [shop.test], headers: [{name: x-canary, value: 'yes'}]}]",
        ),
        targets("wild", "[{hosts: ['*.wild.test']}]"),
    ];
    let reveille = Reveille::of(all.concat()).start();
    for (host, request, target) in [
        ("unheard-of.test", "GET / HTTP/1.1", "any"),
        ("SHOP.test.:8080", "GET / HTTP/1.1", "shop"),
        ("shop.test", "GET /apis HTTP/1.1", "shop"),
        ("shop.test", "GET /api HTTP/1.1", "api"),
        ("shop.test", "GET /api/items HTTP/1.1", "api"),
        ("shop.test", "GET / HTTP/1.1\r\nX-Canary: yes", "canary"),
        ("shop.test", "GET / HTTP/1.1\r\nX-Canary: no", "shop"),
        ("a.wild.test", "GET / HTTP/1.1", "wild"),
    ] {
        let mut connection = Client::new(reveille.proxy(), host).connect();
        connection.send(format!("{request}\r\nHost: {host}\r\n\r\n").as_bytes());
        let answer = connection.answer();
        assert_eq!(answer.status, 200, "{host} {request}");
        let pid = answer.body.split(' ').nth(2).expect("a process id");
        let replica = format!("default/{target}-0");
        let metric = format!(
            r#"interceptor_request_count_total{{code="200",method="GET",route_name="{target}""#
        );
        assert!(
            reveille.ask("/metrics").body.contains(&metric),
            "{host} {request}"
        );
        assert_eq!(
            reveille.target(target).endpoints[0].name,
            replica,
            "process {pid}"
        );
    }
}
