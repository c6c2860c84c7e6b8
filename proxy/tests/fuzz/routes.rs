//! Hosts, paths and route look-up, against a look-up that tries every rule.

use crate::{fuzz, one_of};
use http::HeaderMap;
use proxy::{
    Clock, DemandSink, Proxy, ProxyConfig, Target, TargetId,
    route::{HeaderRule, Route, RouteSpec, RouteTable, Rule},
};
use std::{cmp::Reverse, sync::Arc};

struct Nobody;

impl DemandSink for Nobody {
    fn waiting(&self, _target: &TargetId) {}
    fn stirred(&self, _target: &TargetId, _at_us: u64) {}
}

const LABELS: [&str; 5] = ["a", "b", "A", "test", "xn--4ca"];
const SEGMENTS: [&str; 9] = ["a", "b", "", "..", "%61", "a%2Fb", "%zz", "%", "%C3%A4"];
const NAMES: [&str; 2] = ["x-one", "x-two"];
const VALUES: [&str; 2] = ["1", "2"];

fn join(random: &mut fastrand::Rng, parts: &[&str], between: &str) -> String {
    let count = random.usize(..4);
    let chosen: Vec<&str> = (0..count).map(|_| one_of(random, parts)).collect();
    chosen.join(between)
}

fn rule(random: &mut fastrand::Rng) -> Rule {
    let mut hosts = Vec::new();
    let mut paths = Vec::new();
    let mut headers = Vec::new();
    for _ in 0..random.usize(..3) {
        let name = join(random, &LABELS, ".");
        let host = match random.u8(..6) {
            0 => "*".to_owned(),
            1 | 2 if !name.is_empty() => format!("*.{name}"),
            3 => format!("{name}."),
            _ => name,
        };
        hosts.push(host);
    }
    for _ in 0..random.usize(..3) {
        paths.push(format!("/{}", join(random, &SEGMENTS, "/")));
    }
    for _ in 0..random.usize(..3) {
        let value = random.bool().then(|| one_of(random, &VALUES));
        headers.push(HeaderRule {
            name: one_of(random, &NAMES).parse().expect("a name"),
            value: value.map(|value| value.parse().expect("a value")),
        });
    }
    Rule {
        hosts,
        paths,
        headers,
    }
}

/// A host or an authority, in one of the forms that clients send.
fn authority(random: &mut fastrand::Rng) -> String {
    let mut name = join(random, &LABELS, ".");
    if random.u8(..20) == 0 {
        name = format!("{}.{name}", "A".repeat(random.usize(240..270)));
    }
    match random.u8(..8) {
        0 => format!("{name}:80"),
        1 => format!("{name}."),
        2 => format!("{name}.:80"),
        3 => format!("[{name}]:80"),
        4 => format!("{name}.."),
        _ => name,
    }
}

/// The host as rules are compared with it: character by character.
fn naive_host(authority: &str) -> Option<String> {
    let mut host = authority;
    if let Some((_user, rest)) = host.rsplit_once('@') {
        host = rest;
    }
    if let Some(rest) = host.strip_prefix('[') {
        host = rest.split(']').next().unwrap_or_default();
    } else if host.matches(':').count() == 1 {
        host = host.split(':').next().unwrap_or_default();
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let has_capitals = host.chars().any(|c| c.is_ascii_uppercase());
    // No name is so long.
    if has_capitals && host.len() > 255 {
        return None;
    }
    Some(host.to_ascii_lowercase())
}

fn naive_path(path: &str) -> String {
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let bytes = path.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = (hex(bytes.get(at + 1)), hex(bytes.get(at + 2)));
        if let (b'%', (Some(high), Some(low))) = (bytes[at], digits) {
            decoded.push(u8::try_from(high * 16 + low).expect("a byte"));
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded)
        .trim_matches('/')
        .to_owned()
}

/// How well a rule's host fits: the smaller, the better.
fn host_rank(rule: &str, host: Option<&str>) -> Option<usize> {
    let rule = naive_host(rule).unwrap_or_else(|| rule.to_owned());
    if rule.is_empty() || rule == "*" {
        return Some(usize::MAX);
    }
    let host = host?;
    match rule.strip_prefix("*.") {
        Some(suffix) if host.ends_with(&format!(".{suffix}")) => Some(1_000 - suffix.len()),
        None if rule == host => Some(0),
        _ => None,
    }
}

/// One host and one path of one rule.
struct Candidate<'a> {
    host_rank: usize,
    prefix: usize,
    rule: &'a Rule,
    created: u64,
    target: &'a Arc<Target>,
}

impl Candidate<'_> {
    fn precedence(&self) -> impl Ord {
        let headers = &self.rule.headers;
        let with_value = headers.iter().filter(|rule| rule.value.is_some()).count();
        let id = self.target.id();
        let id = (id.namespace().to_owned(), id.name().to_owned());
        let counts = (Reverse(headers.len()), Reverse(with_value));
        (counts, self.created, Reverse(id))
    }

    fn fits(&self, headers: &HeaderMap) -> bool {
        self.rule.headers.iter().all(|rule| {
            let mut values = headers.get_all(&rule.name).iter();
            values.any(|value| rule.value.as_ref().is_none_or(|wanted| wanted == value))
        })
    }
}

fn naive_lookup<'a>(
    specs: &'a [(Vec<Rule>, u64, Arc<Target>)],
    authority: &str,
    path: &str,
    headers: &HeaderMap,
) -> Option<&'a Arc<Target>> {
    let host = naive_host(authority);
    let path = naive_path(path);
    let any = [String::new()];
    let mut all: Vec<Candidate<'_>> = Vec::new();
    for (rules, created, target) in specs {
        for rule in rules {
            let hosts = if rule.hosts.is_empty() {
                &any[..]
            } else {
                &rule.hosts
            };
            let paths = if rule.paths.is_empty() {
                &any[..]
            } else {
                &rule.paths
            };
            for rule_host in hosts {
                let Some(host_rank) = host_rank(rule_host, host.as_deref()) else {
                    continue;
                };
                for prefix in paths {
                    let prefix = prefix.trim_matches('/');
                    let is_prefix = prefix.is_empty()
                        || path == prefix
                        || path.starts_with(&format!("{prefix}/"));
                    if is_prefix {
                        all.push(Candidate {
                            host_rank,
                            prefix: prefix.len(),
                            rule,
                            created: *created,
                            target,
                        });
                    }
                }
            }
        }
    }
    // Per host, those of the longest prefix that there is a rule for; then
    // the others, the longer first.
    let longest = |rank: usize| {
        let of_host = all.iter().filter(|one| one.host_rank == rank);
        of_host.map(|one| one.prefix).max().unwrap_or(0)
    };
    let mut fitting: Vec<&Candidate<'_>> = all.iter().filter(|one| one.fits(headers)).collect();
    fitting.sort_by_key(|one| {
        let is_shorter = one.prefix != longest(one.host_rank);
        (
            is_shorter,
            one.host_rank,
            Reverse(one.prefix),
            one.precedence(),
        )
    });
    fitting.first().map(|one| one.target)
}

#[tokio::test]
async fn look_up_finds_what_trying_every_rule_finds() {
    let sink = Arc::new(Nobody);
    let proxy = Proxy::new(ProxyConfig::default(), Clock::start(), sink).expect("workers");
    let targets: Vec<Arc<Target>> = (0..6)
        .map(|n| proxy.target(TargetId::new(&format!("n{}", n % 2), &format!("t{n}"))))
        .collect();
    fuzz(3_000, async |random| {
        let specs: Vec<(Vec<Rule>, u64, Arc<Target>)> = targets
            .iter()
            .take(random.usize(..=targets.len()))
            .map(|target| {
                let rules = (0..random.usize(..4)).map(|_| rule(random)).collect();
                (rules, random.u64(..3), target.clone())
            })
            .collect();
        let table = RouteTable::build(
            specs
                .iter()
                .map(|(rules, created, target)| RouteSpec {
                    route: Arc::new(Route::new(target.clone())),
                    rules: rules.clone(),
                    created: *created,
                })
                .collect(),
        );
        for _ in 0..30 {
            let authority = authority(random);
            let path = format!("/{}", join(random, &SEGMENTS, "/"));
            let mut headers = HeaderMap::new();
            for _ in 0..random.usize(..3) {
                let name = one_of(random, &NAMES);
                headers.append(name, one_of(random, &VALUES).parse().expect("a value"));
            }
            let found = table.lookup(&authority, &path, &headers);
            let found = found.map(|route| route.target.id());
            let wanted = naive_lookup(&specs, &authority, &path, &headers);
            let wanted = wanted.map(|target| target.id());
            assert_eq!(found, wanted, "{authority} {path} {headers:?}");
        }
    })
    .await;
}
