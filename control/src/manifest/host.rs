//! Hosts in routing rules: what may stand there, and what two spellings are the same host.
//!
//! Called by `rule` to check and by `overlap` to compare. Section 3.1 of the add-on's behaviour: a
//! port in a rule host is allowed and ignored, an empty host and `*` match all. It must never accept
//! a host that no request can ever have: the route would silently get nothing.

use std::net::Ipv6Addr;

use super::names::MAX_SUBDOMAIN;

/// Checks a rule host and gives it back as written.
pub(crate) fn check(host: &str) -> Result<String, String> {
    if host.len() > MAX_SUBDOMAIN {
        return Err(format!(
            "must be at most {MAX_SUBDOMAIN} characters long, not {}",
            host.len()
        ));
    }
    if is_valid(host) {
        return Ok(host.to_owned());
    }
    Err(format!(
        "{host:?} is not a host: use an exact name such as app.example.com, a suffix such as \
         *.example.com, or * for any host; no scheme, path or space"
    ))
}

/// The host as it is compared: without port, brackets and one trailing dot, in lower case; empty
/// for any host.
pub(crate) fn normalize(host: &str) -> String {
    let name = without_port(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name == "*" {
        String::new()
    } else {
        name.to_ascii_lowercase()
    }
}

fn is_valid(host: &str) -> bool {
    if host.is_empty() || host.parse::<Ipv6Addr>().is_ok() {
        return true;
    }
    let name = without_port(host);
    if host.starts_with('[') {
        return name.parse::<Ipv6Addr>().is_ok();
    }
    if name == "*" {
        return true;
    }
    let name = name.strip_prefix("*.").unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    // Underscores are no host names by the letter of the RFCs, but in use.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.split('.')
        .all(|label| !label.is_empty() && label.bytes().all(allowed))
}

/// Cuts `:port` off, and the brackets of an IPv6 address. What is no port stays.
fn without_port(host: &str) -> &str {
    if let Some(inner) = host.strip_prefix('[') {
        return match inner.split_once(']') {
            Some((address, "")) => address,
            Some((address, rest)) if rest.strip_prefix(':').is_some_and(is_port) => address,
            _ => host,
        };
    }
    match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        _ => host,
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_requests_can_have() {
        for host in [
            "",
            "*",
            "*:8080",
            "*.example.com",
            "a",
            "a.example.com",
            "A.Example.COM",
            "a.com.",
            "a.com:8080",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:8080",
            "::1",
            "my_svc.ns",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(check(host), Ok(host.to_owned()), "{host:?}");
        }
    }

    #[test]
    fn hosts_that_no_request_has() {
        for host in [
            "a.*.b",
            "*a.com",
            "**",
            "*.",
            ".",
            "a..b",
            ".a",
            "a b",
            " a",
            "http://a",
            "a/b",
            "a:",
            "a:x",
            "a:70000",
            "a:+80",
            "[::1",
            "[a]",
            "[::1]x",
            "*.*.com",
            "b\u{fc}cher.example",
            "a?b",
            "a@b",
            "*.[::1]",
            ":80",
        ] {
            assert!(check(host).is_err(), "{host:?}");
        }
        assert!(check(&"a".repeat(254)).is_err());
    }

    #[test]
    fn spellings_of_one_host_compare_equal() {
        for (host, same) in [
            ("", ""),
            ("*", ""),
            ("*:80", ""),
            ("A.com:8080", "a.com"),
            ("a.com.", "a.com"),
            ("*.A.com", "*.a.com"),
            ("[::1]:80", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(normalize(host), same, "{host:?}");
        }
    }
}
