//! Headers on their way through: no hop-by-hop header survives, and nothing
//! else is lost, against a reference that looks at one field after the other.

use crate::{
    fuzz, one_of,
    support::{Backend, TestProxy},
};
use std::collections::{BTreeMap, BTreeSet};

const NAMES: [&str; 16] = [
    "Accept",
    "Connection",
    "CONNECTION",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "te",
    "Upgrade",
    "Trailer",
    "Cookie",
    "Forwarded",
    "X-One",
    "x-one",
    "X-Two",
    "Via",
    "Authorization",
];
const VALUES: [&str; 14] = [
    "",
    "a",
    "a, b",
    "close",
    "keep-alive",
    "x-one",
    "X-Two , close",
    "host, content-length, x-forwarded-for",
    "trailers",
    "gzip",
    "websocket",
    "a=b; c=d",
    "  a  ",
    "accept,,via",
];

type Fields = BTreeMap<String, Vec<String>>;

/// What must arrive of these fields.
fn reference(fields: &[(&str, &str)]) -> Fields {
    let mut dropped: BTreeSet<String> = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ]
    .map(str::to_owned)
    .into();
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("connection") {
            let tokens = value
                .split(',')
                .map(|token| token.trim().to_ascii_lowercase());
            dropped.extend(tokens.filter(|token| token != "host" && token != "content-length"));
        }
    }
    let mut arrives = Fields::new();
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        if !dropped.contains(&name) {
            arrives
                .entry(name)
                .or_default()
                .push(value.trim().to_owned());
        }
    }
    // Just one of these is for more than one hop, and it is announced.
    let accepts_trailers = arrives.remove("te").is_some_and(|values| {
        let mut codings = values.iter().flat_map(|value| value.split(','));
        codings.any(|coding| coding.trim() == "trailers")
    });
    if accepts_trailers {
        arrives.insert("te".to_owned(), vec!["trailers".to_owned()]);
        arrives.insert("connection".to_owned(), vec!["te".to_owned()]);
    }
    if let Some(crumbs) = arrives.get_mut("cookie") {
        *crumbs = vec![crumbs.join("; ").trim().to_owned()];
    }
    arrives
}

#[tokio::test]
async fn what_is_for_one_hop_ends_there_and_the_rest_arrives() {
    let proxy = TestProxy::new().workers(2).start();
    let backend = Backend::saying("ok").await;
    proxy.serve(backend.addr());
    fuzz(3_000, async |random| {
        let fields: Vec<(&str, &str)> = (0..random.usize(..12))
            .map(|_| (one_of(random, &NAMES), one_of(random, &VALUES)))
            .collect();
        let lines: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let body = if random.bool() {
            ""
        } else {
            "Content-Length: 3\r\n"
        };
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\n{body}{}\r\n",
            lines.concat()
        );
        let content = if body.is_empty() { "" } else { "abc" };
        let mut client = proxy.client().await;
        client.send([&head, content].concat()).await;
        assert_eq!(client.response().await.status(), 200, "{head}");

        let received = backend.take_received().pop().expect("a request");
        let mut arrived = Fields::new();
        for (name, value) in received.head.fields {
            arrived.entry(name).or_default().push(value);
        }
        // What the proxy adds, or needs.
        for (name, value) in [
            ("host", "a.test"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "a.test"),
            ("x-forwarded-proto", "http"),
        ] {
            assert_eq!(arrived.remove(name).unwrap_or_default(), [value], "{head}");
        }
        let length = arrived.remove("content-length").unwrap_or_default();
        assert_eq!(length.is_empty(), body.is_empty(), "{head}");
        assert_eq!(arrived, reference(&fields), "{head}");
    })
    .await;
    proxy.finish().await;
}
