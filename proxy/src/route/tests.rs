//! The table against a second, naive reading of the reference: a list that is
//! filtered and sorted for each request.

use super::*;
use crate::{
    Clock, HeldLimit, TargetId,
    target::{Target, TargetContext},
};
use ::http::{HeaderName, HeaderValue};
use proptest::{prelude::*, sample::select};

fn route(namespace: &str, name: &str) -> Arc<Route> {
    let context = TargetContext {
        clock: Clock::start(),
        workers: 1,
        max_held: 1,
        held_limit: Arc::new(HeldLimit::new(1)),
        sink: Arc::new(()),
        stories: None,
        changes: Arc::default(),
    };
    let target = Arc::new(Target::new(TargetId::new(namespace, name), context));
    Arc::new(Route::new(target))
}

fn header(name: &str, value: Option<&str>) -> HeaderRule {
    HeaderRule {
        name: HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
        value: value.map(|value| HeaderValue::from_str(value).expect("a header value")),
    }
}

fn rule(host: &str, path: &str, headers: &[HeaderRule]) -> Rule {
    Rule {
        hosts: vec![host.into()],
        paths: vec![path.into()],
        headers: headers.to_vec(),
    }
}

fn table(routes: &[(&str, Rule)]) -> RouteTable {
    let spec = |(name, rule): &(&str, Rule)| RouteSpec {
        route: route("default", name),
        rules: vec![rule.clone()],
        created: 0,
    };
    RouteTable::build(routes.iter().map(spec).collect())
}

fn found(table: &RouteTable, host: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
            HeaderValue::from_str(value).expect("a header value"),
        );
    }
    let route = table.lookup(host, path, &map);
    route.map_or("404".into(), |route| route.target.id().name().to_owned())
}

#[test]
fn host_tiers() {
    let table = table(&[
        ("exact", rule("a.b.test", "/", &[])),
        ("near", rule("*.b.test", "/", &[])),
        ("far", rule("*.test", "/", &[])),
        ("any", rule("*", "/", &[])),
    ]);
    for (host, wanted) in [
        ("a.b.test", "exact"),
        ("A.B.Test.:8080", "exact"),
        ("x.b.test", "near"),
        ("x.y.b.test", "near"),
        ("b.test", "far"),
        ("test", "any"),
        ("other", "any"),
        ("", "any"),
        ("[::1]:80", "any"),
    ] {
        assert_eq!(found(&table, host, "/", &[]), wanted, "{host}");
    }
}

#[test]
fn longest_prefix_by_whole_segments() {
    let table = table(&[
        ("root", rule("a", "/", &[])),
        ("svc", rule("a", "/svc", &[])),
        ("deep", rule("a", "/svc/deep/", &[])),
    ]);
    for (path, wanted) in [
        ("/", "root"),
        ("/svc", "svc"),
        ("/svc/", "svc"),
        ("/svcx", "root"),
        ("/svc/x", "svc"),
        ("/svc/deep", "deep"),
        ("/svc/deep/er", "deep"),
        ("/svc//deep", "svc"),
        ("/s%76c", "svc"),
        ("/svc%2Fdeep", "deep"),
    ] {
        assert_eq!(found(&table, "a", path, &[]), wanted, "{path}");
    }
}

#[test]
fn headers_and_the_second_look() {
    let table = table(&[
        ("presence", rule("a", "/p", &[header("x-route", None)])),
        ("value", rule("a", "/p", &[header("x-route", Some("foo"))])),
        (
            "two",
            rule(
                "a",
                "/p",
                &[header("x-route", None), header("x-more", None)],
            ),
        ),
        ("short", rule("a", "/", &[])),
    ]);
    let all: [(&[(&str, &str)], &str); 6] = [
        (&[("X-Route", "foo")], "value"),
        (&[("x-route", "bar")], "presence"),
        (&[("x-route", "bar"), ("x-route", "foo")], "value"),
        (&[("x-route", "foo"), ("x-more", "")], "two"),
        (&[("x-more", "1")], "short"),
        (&[], "short"),
    ];
    for (headers, wanted) in all {
        assert_eq!(found(&table, "a", "/p/q", headers), wanted, "{headers:?}");
    }
}

#[test]
fn a_lower_tier_wins_over_a_shorter_prefix_of_the_same_host() {
    let table = table(&[
        ("guarded", rule("a.test", "/p", &[header("x", None)])),
        ("short", rule("a.test", "/", &[])),
        ("wild", rule("*.test", "/", &[])),
    ]);
    assert_eq!(found(&table, "a.test", "/p", &[]), "wild");
    assert_eq!(found(&table, "a.test", "/q", &[]), "short");
}

#[test]
fn ties_go_to_the_oldest_then_to_the_higher_namespace_and_name() {
    let build = |specs: &[(&str, &str, u64)]| {
        let spec = |&(namespace, name, created): &(&str, &str, u64)| RouteSpec {
            route: route(namespace, name),
            rules: vec![rule("a", "/", &[])],
            created,
        };
        RouteTable::build(specs.iter().map(spec).collect())
    };
    let oldest = build(&[("z", "young", 20), ("a", "old", 10)]);
    assert_eq!(found(&oldest, "a", "/", &[]), "old");
    let namespace = build(&[("a", "z", 1), ("b", "a", 1)]);
    assert_eq!(found(&namespace, "a", "/", &[]), "a");
    let name = build(&[("a", "a", 1), ("a", "b", 1)]);
    assert_eq!(found(&name, "a", "/", &[]), "b");
}

#[test]
fn no_rules_no_traffic_and_an_empty_table_finds_nothing() {
    let spec = RouteSpec {
        route: route("default", "idle"),
        rules: vec![],
        created: 0,
    };
    let table = RouteTable::build(vec![spec]);
    assert_eq!(found(&table, "a", "/", &[]), "404");
    assert_eq!(table.routes().len(), 1);
    assert_eq!(found(&RouteTable::default(), "a", "/", &[]), "404");
}

// === the naive reading ===

#[derive(Clone, Debug)]
struct NaiveRoute {
    name: String,
    rule: Rule,
    created: u64,
}

fn naive_host(host: &str) -> String {
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if host.matches(':').count() == 1 => host.split(':').next().unwrap_or_default(),
        None => host,
    };
    host.strip_suffix('.').unwrap_or(host).to_lowercase()
}

/// 0 = exact, then one more for each label that the wildcard leaves open,
/// 1000 = any; None = no match.
fn naive_tier(rule_host: &str, host: &str) -> Option<usize> {
    let rule_host = naive_host(rule_host);
    if rule_host.is_empty() || rule_host == "*" {
        return Some(1000);
    }
    match rule_host.strip_prefix("*.") {
        Some(suffix) => {
            let open = host.strip_suffix(suffix)?.strip_suffix('.')?;
            Some(open.split('.').count())
        }
        None => (rule_host == host).then_some(0),
    }
}

fn naive_segments(path: &str) -> Vec<String> {
    let path = percent_encoding::percent_decode_str(path)
        .decode_utf8_lossy()
        .into_owned();
    let path = path.trim_matches('/').to_owned();
    if path.is_empty() {
        vec![]
    } else {
        path.split('/').map(str::to_owned).collect()
    }
}

fn naive_lookup(routes: &[NaiveRoute], host: &str, path: &str, headers: &HeaderMap) -> String {
    let host = naive_host(host);
    let path = naive_segments(path);
    struct Candidate<'a> {
        tier: usize,
        length: usize,
        route: &'a NaiveRoute,
    }
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for route in routes {
        for rule_host in &route.rule.hosts {
            for rule_path in &route.rule.paths {
                let prefix = naive_segments_of_rule(rule_path);
                let Some(tier) = naive_tier(rule_host, &host) else {
                    continue;
                };
                if path.len() >= prefix.len() && path[..prefix.len()] == prefix[..] {
                    candidates.push(Candidate {
                        tier,
                        length: prefix.len(),
                        route,
                    });
                }
            }
        }
    }
    let headers_match = |route: &NaiveRoute| {
        route.rule.headers.iter().all(|rule| match &rule.value {
            None => headers.contains_key(&rule.name),
            Some(value) => headers.get_all(&rule.name).iter().any(|got| got == value),
        })
    };
    let rank = |candidate: &Candidate<'_>| {
        let rules = &candidate.route.rule.headers;
        let valued = rules.iter().filter(|rule| rule.value.is_some()).count();
        (
            usize::MAX - rules.len(),
            usize::MAX - valued,
            candidate.route.created,
        )
    };
    candidates.sort_by(|a, b| {
        (a.tier, usize::MAX - a.length)
            .cmp(&(b.tier, usize::MAX - b.length))
            .then(rank(a).cmp(&rank(b)))
            .then(b.route.name.cmp(&a.route.name))
    });
    let longest_of = |tier: usize| {
        candidates
            .iter()
            .filter(|c| c.tier == tier)
            .map(|c| c.length)
            .max()
            .unwrap_or(0)
    };
    let first = candidates
        .iter()
        .find(|c| c.length == longest_of(c.tier) && headers_match(c.route));
    let any = candidates.iter().find(|c| headers_match(c.route));
    first.or(any).map_or("404".into(), |c| c.route.name.clone())
}

/// Reads the outline as another proxy would, which knows nothing but it.
fn outlined(table: &RouteTable, host: &str, path: &str, headers: &HeaderMap) -> String {
    let host = naive_host(host);
    let path = naive_segments(path);
    let hosts: Vec<HostOutline<'_>> = table.outline().collect();
    let open_labels = |outline: &&HostOutline<'_>| match outline.host {
        HostPattern::Exact(name) => naive_tier(name, &host),
        HostPattern::Below(suffix) => naive_tier(&format!("*.{suffix}"), &host),
        HostPattern::Any => Some(1000),
    };
    let matching = hosts
        .iter()
        .filter(|outline| open_labels(outline).is_some());
    let Some(outline) = matching.min_by_key(open_labels) else {
        return "404".into();
    };
    let is_prefix = |prefix: &str| {
        let prefix = naive_segments_of_rule(prefix);
        path.len() >= prefix.len() && path[..prefix.len()] == prefix[..]
    };
    let decides = outline.prefixes.iter().find(|one| is_prefix(one.prefix));
    let mut candidates = decides.iter().flat_map(|one| &one.candidates);
    candidates
        .find(|one| one.headers.iter().all(|rule| rule.matches(headers)))
        .map_or("404".into(), |one| one.route.target.id().name().to_owned())
}

#[test]
fn an_outline_leaves_out_what_decides_nothing() {
    let table = table(&[
        ("exact", rule("a.test", "/", &[])),
        ("deep", rule("a.test", "/p!x", &[])),
        ("wild", rule("*.test", "/p/q", &[])),
        ("any", rule("*", "/p", &[header("x", None)])),
    ]);
    let shown: Vec<String> = table
        .outline()
        .flat_map(|host| {
            let line = |one: &PrefixOutline<'_>| {
                let names = one.candidates.iter().map(|c| c.route.target.id().name());
                format!(
                    "{:?} /{} {:?}",
                    host.host,
                    one.prefix,
                    names.collect::<Vec<_>>()
                )
            };
            host.prefixes.iter().map(line).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        shown,
        [
            // Wider tiers are never come to.
            r#"Exact("a.test") /p!x ["deep"]"#,
            r#"Exact("a.test") / ["exact"]"#,
            r#"Below("test") /p/q ["wild"]"#,
            r#"Below("test") /p ["any"]"#,
            r#"Any /p ["any"]"#,
        ]
    );
}

fn naive_segments_of_rule(path: &str) -> Vec<String> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        vec![]
    } else {
        path.split('/').map(str::to_owned).collect()
    }
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let hosts = prop::collection::vec(
        select(vec![
            "a.test",
            "B.test",
            "*.test",
            "*.a.test",
            "*",
            "",
            "test",
            "::1",
            "a.test:80",
        ]),
        1..3,
    );
    let paths = prop::collection::vec(
        select(vec![
            "/", "/p", "/p/q", "p/", "/p/q/r", "/p!x", "/x", "/p//q",
        ]),
        1..3,
    );
    let headers = prop::collection::vec(
        (
            select(vec!["x-a", "x-b"]),
            select(vec![None, Some("1"), Some("2"), Some("")]),
        ),
        0..3,
    );
    (hosts, paths, headers).prop_map(|(hosts, paths, headers)| Rule {
        hosts: hosts.into_iter().map(str::to_owned).collect(),
        paths: paths.into_iter().map(str::to_owned).collect(),
        headers: headers
            .into_iter()
            .map(|(name, value)| header(name, value))
            .collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn equals_the_naive_reading(
        rules in prop::collection::vec((any_rule(), 0u64..3), 0..8),
        host in select(vec![
            "a.test", "A.TEST", "b.test:80", "x.a.test", "y.x.a.test.", "test", "other", "", "[::1]:9", "::1", "*.test",
        ]),
        path in select(vec![
            "/", "/p", "/p/", "/p/q", "/p/q/r/s", "/px", "/x/y", "/p//q", "/%70/q", "/p%2Fq", "/../p",
        ]),
        headers in prop::collection::vec((select(vec!["x-a", "x-b"]), select(vec!["1", "2", ""])), 0..3),
    ) {
        let naive: Vec<NaiveRoute> = rules.iter().enumerate()
            .map(|(i, (rule, created))| NaiveRoute { name: format!("r{i}"), rule: rule.clone(), created: *created })
            .collect();
        let table = RouteTable::build(naive.iter().map(|n| RouteSpec {
            route: route("default", &n.name), rules: vec![n.rule.clone()], created: n.created,
        }).collect());
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        prop_assert_eq!(
            found(&table, host, path, &headers.iter().map(|(n, v)| (*n, *v)).collect::<Vec<_>>()),
            naive_lookup(&naive, host, path, &map)
        );
        prop_assert_eq!(outlined(&table, host, path, &map), naive_lookup(&naive, host, path, &map));
    }
}
