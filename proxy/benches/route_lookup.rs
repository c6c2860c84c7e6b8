//! How long a look-up in a large table of routes takes.
//!
//! `cargo bench -p proxy --bench route_lookup`. The goal is a median below
//! 200 ns for each kind of request with 10,000 routes.

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderValue};
use proxy::{
    Clock, Proxy, ProxyConfig, TargetId,
    route::{HeaderRule, Route, RouteSpec, RouteTable, Rule},
};
use std::sync::{Arc, LazyLock};

const ROUTES: usize = 10_000;

fn main() {
    divan::main();
}

/// Of each ten routes: five with an exact host, two with a wildcard, two with
/// three paths on one of a hundred shared hosts, one told apart by headers.
static TABLE: LazyLock<RouteTable> = LazyLock::new(|| {
    let proxy = Proxy::new(ProxyConfig::default(), Clock::start(), Arc::new(()))
        .expect("a worker can be started");
    let spec = |n: usize| RouteSpec {
        route: Arc::new(Route::new(
            proxy.target(TargetId::new("default", &format!("r{n}"))),
        )),
        rules: vec![rule(n)],
        created: 0,
    };
    RouteTable::build((0..ROUTES).map(spec).collect())
});

fn rule(n: usize) -> Rule {
    let shared = || vec![format!("shared-{}.example.com", n / 10 % 100)];
    match n % 10 {
        0..5 => Rule {
            hosts: vec![format!("service-{n}.example.com")],
            ..Rule::default()
        },
        5 | 6 => Rule {
            hosts: vec![format!("*.tenant-{n}.example.com")],
            ..Rule::default()
        },
        7 | 8 => Rule {
            hosts: shared(),
            paths: ["users", "orders", "static/assets"]
                .map(|kind| format!("/v{n}/{kind}"))
                .to_vec(),
            ..Rule::default()
        },
        _ => Rule {
            hosts: vec![format!("headers-{}.example.com", n / 10 % 250)],
            headers: vec![HeaderRule {
                name: "x-tenant".parse().expect("a header name"),
                value: Some(format!("t{n}").parse().expect("a header value")),
            }],
            ..Rule::default()
        },
    }
}

/// A browser's headers, and the one that routes are told apart by.
fn headers(tenant: &'static str) -> HeaderMap {
    let lines = [
        ("accept", "text/html,application/xhtml+xml"),
        ("accept-encoding", "gzip, br"),
        ("accept-language", "en"),
        ("cookie", "session=0123456789abcdef"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("x-tenant", tenant),
    ];
    lines
        .into_iter()
        .map(|(name, value)| {
            let name = name.parse().expect("a header name");
            (name, HeaderValue::from_static(value))
        })
        .collect()
}

/// Looks up one request again and again, after checking that it is routed to
/// `expected`.
fn measure(bencher: Bencher<'_, '_>, host: &str, path: &str, expected: Option<&str>) {
    let headers = headers("t2509");
    let table = &*TABLE;
    let found = table.lookup(host, path, &headers);
    let found = found.map(|route| route.target.id().name().to_owned());
    assert_eq!(found.as_deref(), expected, "{host}{path}");
    bencher.bench(|| {
        table
            .lookup(black_box(host), black_box(path), &headers)
            .is_some()
    });
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn exact_host(bencher: Bencher<'_, '_>) {
    measure(bencher, "service-5000.example.com", "/", Some("r5000"));
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn exact_host_with_port_and_capitals(bencher: Bencher<'_, '_>) {
    measure(bencher, "Service-5000.Example.com:8080", "/", Some("r5000"));
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn wildcard_host(bencher: Bencher<'_, '_>) {
    measure(bencher, "a.tenant-5005.example.com", "/", Some("r5005"));
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn wildcard_host_many_labels(bencher: Bencher<'_, '_>) {
    let host = "a.b.c.d.tenant-5005.example.com";
    measure(bencher, host, "/", Some("r5005"));
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn path_of_a_shared_host(bencher: Bencher<'_, '_>) {
    let path = "/v5007/static/assets/app.js";
    measure(bencher, "shared-0.example.com", path, Some("r5007"));
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn header_of_a_shared_host(bencher: Bencher<'_, '_>) {
    measure(bencher, "headers-0.example.com", "/", Some("r2509"));
}

#[divan::bench(sample_count = 100, sample_size = 1000)]
fn no_route(bencher: Bencher<'_, '_>) {
    measure(bencher, "nobody.example.org", "/a/b/c", None);
}
