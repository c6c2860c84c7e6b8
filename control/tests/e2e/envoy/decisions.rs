//! Envoy decides as our own table does: random tables and requests through
//! both.

use super::with_envoy;
use crate::support::{
    Answer, Client, Envoy, Reveille, backend_manifest, named_backend, wait_until,
};
use proptest::{prelude::*, sample::select, strategy::ValueTree, test_runner::TestRunner};
use std::fmt::Write as _;

/// Routes of one table; each leads to a backend of its name.
const ROUTES: usize = 6;
const TABLES: usize = 24;
const REQUESTS: usize = 60;

type Rule = (
    Vec<&'static str>,
    Vec<&'static str>,
    Vec<(&'static str, Option<&'static str>)>,
);

fn any_rule() -> impl Strategy<Value = Rule> {
    let hosts = select(vec![
        "a.test",
        "B.test",
        "*.test",
        "*.a.test",
        "*",
        "test",
        "a.test:80",
        "x.y.a.test",
    ]);
    let paths = select(vec![
        "/", "/p", "/p/q", "p/", "/p/q/r", "/p!x", "/x", "/p//q", "/ä", "/a b",
    ]);
    let value = select(vec![None, Some("1"), Some("2"), Some("1,2")]);
    let headers = prop::collection::btree_map(select(vec!["x-a", "x-b"]), value, 0..3);
    (
        prop::collection::btree_set(hosts, 1..3),
        prop::collection::btree_set(paths, 1..3),
        headers,
    )
        .prop_map(|(hosts, paths, headers)| {
            (
                hosts.into_iter().collect(),
                paths.into_iter().collect(),
                headers.into_iter().collect(),
            )
        })
}

fn any_request() -> impl Strategy<Value = String> {
    let host = select(vec![
        "a.test",
        "A.TEST",
        "b.test:80",
        "x.a.test",
        "y.x.a.test.",
        "x.y.a.test",
        "test",
        "other",
        "a.test.",
        "[::1]:9",
    ]);
    let path = select(vec![
        "/",
        "/p",
        "/p/",
        "/p/q",
        "/p/q/r/s",
        "/px",
        "/x/y",
        "/p//q",
        "/%70/q",
        "/p%2Fq",
        "/../p",
        "//p",
        "/p!x",
        "/p?q=%41",
        "/%C3%A4",
        "/a%20b/c",
        "/other/%41",
        "/p/q%2Fr",
        "/p/q?/r",
    ]);
    let header = (
        select(vec!["x-a", "x-b"]),
        select(vec!["1", "2", "1,2", "12"]),
    );
    let headers = prop::collection::vec(header, 0..4);
    let method = select(vec!["GET", "POST"]);
    (method, host, path, headers).prop_map(|(method, host, path, headers)| {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n");
        for (name, value) in headers {
            let _infallible = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    })
}

fn route(name: &str, (hosts, paths, headers): &Rule) -> String {
    let list = |items: Vec<String>| items.join(", ");
    let hosts = hosts.iter().map(|host| format!("{host:?}"));
    let paths = paths.iter().map(|path| format!("{{value: {path:?}}}"));
    let headers = headers.iter().map(|(name, value)| match value {
        Some(value) => format!("{{name: {name}, value: {value:?}}}"),
        None => format!("{{name: {name}}}"),
    });
    format!(
        "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: {name}}}
spec:
  target: {{service: {name}, port: 80}}
  rules: [{{hosts: [{}], paths: [{}], headers: [{}]}}]
  scalingMetric: {{concurrency: {{targetValue: 100}}}}
",
        list(hosts.collect()),
        list(paths.collect()),
        list(headers.collect())
    )
}

/// The request that says which table is served.
fn marker(table: usize) -> String {
    format!("GET / HTTP/1.1\r\nhost: table-{table}.marker\r\ncontent-length: 0\r\n\r\n")
}

fn ask(addr: std::net::SocketAddr, head: &str) -> Answer {
    let mut connection = Client::new(addr, "unused").connect();
    connection.send(head.as_bytes());
    connection.answer()
}

/// Who answered; nobody is nobody.
fn decided(answer: &Answer) -> String {
    match answer.status {
        200 => answer.body.clone(),
        status => status.to_string(),
    }
}

#[test]
fn random_tables_are_decided_alike() {
    let names: Vec<String> = (0..ROUTES).map(|nth| format!("r{nth}")).collect();
    let backends: String = names
        .iter()
        .map(|name| backend_manifest(name, named_backend(name)))
        .collect();
    let mut runner = TestRunner::deterministic();
    let mut sample = |table: usize| {
        let rules = prop::collection::vec(any_rule(), ROUTES - 1);
        let tree = rules.new_tree(&mut runner).expect("rules");
        let mut manifest = backends.clone();
        for (name, rule) in names.iter().zip(tree.current()) {
            manifest.push_str(&route(name, &rule));
        }
        let host: &'static str = Box::leak(format!("table-{table}.marker").into_boxed_str());
        let last = names.last().expect("there are some");
        manifest.push_str(&route(last, &(vec![host], vec!["/"], vec![])));
        let requests = prop::collection::vec(any_request(), REQUESTS);
        let requests = requests.new_tree(&mut runner).expect("requests");
        (manifest, requests.current())
    };
    let (manifest, mut requests) = sample(0);
    let reveille = with_envoy(manifest)
        .arg("--manifest-reload-interval", "50ms")
        .start();
    let envoy = Envoy::of_fleet(reveille.xds());
    let (mut direct, mut found) = (0, 0);
    for table in 0..TABLES {
        if table > 0 {
            let (manifest, fresh) = sample(table);
            std::fs::write(reveille.path("test.yaml"), manifest).expect("written");
            requests = fresh;
        }
        wait_until("the table is served, and is Envoy's", || {
            [reveille.proxy(), envoy.listener()]
                .iter()
                .all(|addr| decided(&ask(*addr, &marker(table))) == names[ROUTES - 1])
        });
        for head in &requests {
            let [ours, theirs] = [reveille.proxy(), envoy.listener()].map(|addr| ask(addr, head));
            assert_eq!(
                decided(&ours),
                decided(&theirs),
                "table {table}: {head:?}\n{}",
                shown(&reveille)
            );
            found += usize::from(theirs.status == 200);
            direct += usize::from(theirs.status == 200 && theirs.cold_start().is_none());
        }
    }
    // Most of what is found goes straight, or the comparison shows nothing.
    assert!(found * 3 > TABLES * REQUESTS, "{found} found");
    assert!(direct * 2 > found, "{direct} of {found} went straight");
    assert_eq!(envoy.stat("http.reveille.rds.reveille.update_rejected"), 0);
}

fn shown(reveille: &Reveille) -> String {
    std::fs::read_to_string(reveille.path("test.yaml")).unwrap_or_default()
}
