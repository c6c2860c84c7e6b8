//! Which label value belongs to which key, where values are missing.
//!
//! Values have no names: the first belongs to the first key. Dapr's exporter
//! leaves empty values out, and all after them move up. For views whose values
//! show by themselves where they belong this is undone; wherever that leaves no
//! reading, or more than one, nothing is guessed.

/// The most keys that a repaired view has.
const MOST: usize = 7;

/// What a key's value looks like.
#[derive(Clone, Copy)]
enum Looks {
    /// Any text.
    Anything,
    OneOf(&'static [&'static str]),
    /// An HTTP method.
    Verb,
    /// Begins with a slash.
    Path,
    /// Three digits.
    Status,
}

/// A key of a view.
#[derive(Clone, Copy)]
struct Key {
    looks: Looks,
    /// Whether Dapr may leave its value empty.
    is_optional: bool,
}

const fn always(looks: Looks) -> Key {
    Key {
        looks,
        is_optional: false,
    }
}

const fn maybe(looks: Looks) -> Key {
    Key {
        looks,
        is_optional: true,
    }
}

/// The keys of Dapr's resiliency views, in the order in which they are sent.
const RESILIENCY: [(&str, Key); MOST] = [
    ("app_id", always(Looks::Anything)),
    (
        "flow_direction",
        always(Looks::OneOf(&["inbound", "outbound"])),
    ),
    ("name", always(Looks::Anything)),
    ("namespace", maybe(Looks::Anything)),
    (
        "policy",
        always(Looks::OneOf(&["retry", "timeout", "circuitbreaker"])),
    ),
    (
        "status",
        maybe(Looks::OneOf(&["closed", "half-open", "open", "unknown"])),
    ),
    ("target", always(Looks::Anything)),
];

const POLICY: usize = 4;
const STATUS: usize = 5;

/// Those of its HTTP views, each of which has some of them.
const HTTP: [(&str, Key); 4] = [
    ("app_id", always(Looks::Anything)),
    ("method", maybe(Looks::Verb)),
    ("path", maybe(Looks::Path)),
    ("status", maybe(Looks::Status)),
];

impl Looks {
    fn like(self, value: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::OneOf(all) => all.contains(&value),
            Self::Verb => value.bytes().all(|byte| byte.is_ascii_uppercase()),
            Self::Path => value.starts_with('/'),
            Self::Status => value.len() == 3 && value.bytes().all(|byte| byte.is_ascii_digit()),
        }
    }
}

/// For each of `values`, of which there are fewer than of `keys`, the index of
/// its key; `None` if that cannot be known. No value may be empty.
pub(super) fn repair(metric: &str, keys: &[&[u8]], values: &[&[u8]]) -> Option<Vec<usize>> {
    let view = view(metric, keys)?;
    let values: Vec<&str> = values
        .iter()
        .map(|value| std::str::from_utf8(value).ok().filter(|v| !v.is_empty()))
        .collect::<Option<_>>()?;
    let mut search = Search {
        is_resiliency: view.len() == MOST,
        view: &view,
        values: &values,
        places: Vec::with_capacity(MOST),
        found: Vec::new(),
    };
    search.go(0);
    match &mut *search.found {
        [only] => Some(std::mem::take(only)),
        _ => None,
    }
}

/// The keys of the view, if it is one that is known.
fn view(metric: &str, keys: &[&[u8]]) -> Option<Vec<Key>> {
    let known: &[(&str, Key)] = match metric.strip_prefix("resiliency/") {
        Some("count" | "activations_total" | "cb_state") if keys.len() == MOST => &RESILIENCY,
        None if metric.starts_with("http/") => &HTTP,
        _ => return None,
    };
    // In the same order, and the first one always there.
    let mut rest = known.iter();
    let found = |key: &&[u8]| rest.find(|(name, _)| name.as_bytes() == *key);
    let view: Option<Vec<Key>> = keys.iter().map(found).map(|key| Some(key?.1)).collect();
    view.filter(|_| keys.first() == Some(&&b"app_id"[..]))
}

/// Looks for all readings, until there are two.
struct Search<'s> {
    is_resiliency: bool,
    view: &'s [Key],
    values: &'s [&'s str],
    places: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl Search<'_> {
    /// With the keys before `index` decided. At most seven deep.
    fn go(&mut self, index: usize) {
        if self.found.len() > 1 {
            return;
        }
        let left = self.values.len() - self.places.len();
        let Some(key) = self.view.get(index) else {
            if left == 0 && self.is_whole() {
                self.found.push(self.places.clone());
            }
            return;
        };
        let next = self.values.get(self.places.len());
        if next.is_some_and(|value| key.looks.like(value)) {
            self.places.push(index);
            self.go(index + 1);
            self.places.pop();
        }
        if key.is_optional && left < self.view.len() - index {
            self.go(index + 1);
        }
    }

    /// Only a circuit breaker has a status, and it always has one.
    fn is_whole(&self) -> bool {
        if !self.is_resiliency {
            return true;
        }
        let policy = self.places.iter().position(|place| *place == POLICY);
        let policy = policy.and_then(|at| self.values.get(at));
        (policy == Some(&"circuitbreaker")) == self.places.contains(&STATUS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; MOST] = [
        "app_id",
        "flow_direction",
        "name",
        "namespace",
        "policy",
        "status",
        "target",
    ];

    fn aligned(metric: &str, keys: &[&str], values: &[&str]) -> Option<String> {
        let bytes = |all: &[&str]| all.iter().map(|one| one.to_string()).collect::<Vec<_>>();
        let (keys, values) = (bytes(keys), bytes(values));
        let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let slices: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let places = repair(metric, &keys, &slices)?;
        let pair = |(place, value): (&usize, &String)| {
            format!("{}={value}", String::from_utf8_lossy(keys[*place]))
        };
        let pairs: Vec<String> = places.iter().zip(&values).map(pair).collect();
        Some(pairs.join(" "))
    }

    #[test]
    fn resiliency_without_a_status() {
        // dapr.md, section 7: six values, the fifth is retry or timeout.
        let values = ["pythonapp", "outbound", "res", "default", "retry", "app_x"];
        let wanted = "app_id=pythonapp flow_direction=outbound name=res namespace=default \
                      policy=retry target=app_x";
        let count = aligned("resiliency/count", &KEYS, &values);
        assert_eq!(count.as_deref(), Some(wanted));
        let activations = aligned("resiliency/activations_total", &KEYS, &values);
        assert_eq!(activations.as_deref(), Some(wanted));
    }

    #[test]
    fn resiliency_without_namespace_and_status() {
        // The same: five values, the fourth is retry or timeout.
        let values = ["a", "outbound", "res", "timeout", "app_x"];
        let wanted = "app_id=a flow_direction=outbound name=res policy=timeout target=app_x";
        let count = aligned("resiliency/count", &KEYS, &values);
        assert_eq!(count.as_deref(), Some(wanted));
    }

    #[test]
    fn a_breaker_without_a_namespace_keeps_its_status() {
        let values = ["a", "inbound", "res", "circuitbreaker", "open", "app_x"];
        let wanted = "app_id=a flow_direction=inbound name=res policy=circuitbreaker \
                      status=open target=app_x";
        let state = aligned("resiliency/cb_state", &KEYS, &values);
        assert_eq!(state.as_deref(), Some(wanted));
    }

    #[test]
    fn names_that_look_like_policies_leave_one_reading() {
        let values = ["a", "outbound", "retry", "retry", "retry", "app_x"];
        let wanted = "app_id=a flow_direction=outbound name=retry namespace=retry \
                      policy=retry target=app_x";
        let count = aligned("resiliency/count", &KEYS, &values);
        assert_eq!(count.as_deref(), Some(wanted));
    }

    #[test]
    fn http_values_show_what_they_are() {
        let keys = ["app_id", "method", "path", "status"];
        for (values, wanted) in [
            (&["a", "POST", "200"][..], "app_id=a method=POST status=200"),
            (&["a", "/orders", "500"], "app_id=a path=/orders status=500"),
            (&["a", "500"], "app_id=a status=500"),
            (&["a", "GET", "/x"], "app_id=a method=GET path=/x"),
            (&["GET"], "app_id=GET"),
        ] {
            let given = aligned("http/server/request_count", &keys, values);
            assert_eq!(given.as_deref(), Some(wanted));
        }
    }

    #[test]
    fn nothing_is_guessed() {
        let keys = ["app_id", "method", "path", "status"];
        for values in [&["a", "x"][..], &["a", "200", "GET"], &[], &["a", ""]] {
            let given = aligned("http/server/request_count", &keys, values);
            assert_eq!(given, None, "{values:?}");
        }
        let short = ["a", "outbound", "res", "app_x"];
        assert_eq!(aligned("resiliency/count", &KEYS, &short), None);
        // A breaker that has lost its status: which of the values is it?
        let values = ["a", "outbound", "res", "ns", "circuitbreaker", "app_x"];
        assert_eq!(aligned("resiliency/count", &KEYS, &values), None);
        let other = ["app_id", "dst_app_id", "type"];
        let sent = "runtime/service_invocation/req_sent_total";
        assert_eq!(aligned(sent, &other, &["a", "unary"]), None);
        let turned = ["status", "app_id"];
        assert_eq!(aligned("http/x", &turned, &["a"]), None);
    }
}
