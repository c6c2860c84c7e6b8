//! HTTP/1: one case per line of the tables. What is wanted follows RFC 9110
//! and RFC 9112; where they leave a choice, ours is the strict one, and the
//! case says so.

use super::{serving, still_well};
use crate::support::{Backend, ScriptedBackend, TestProxy};

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// One answer with one of these codes, then the end of the connection; the
    /// endpoint has seen nothing.
    Refused(&'static [u16]),
    /// Likewise, but its head was good and may have been passed on; the
    /// endpoint never sees its end.
    Broken,
    /// It is good: the endpoint sees just this request.
    Served,
}
use Wanted::{Broken, Refused, Served};

const BAD: Wanted = Refused(&[400]);
/// A head that is larger than what is read at once.
const TOO_LARGE: Wanted = Refused(&[414, 431]);

type Case = (&'static str, Vec<u8>, Wanted);

/// A whole request of these headers, with a body of three bytes and, behind
/// it, a request that is smuggled if the body's end is misread.
fn post(headers: &[u8]) -> Vec<u8> {
    [
        b"POST / HTTP/1.1\r\nHost: a.test\r\n",
        headers,
        b"\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n",
    ]
    .concat()
}

/// A whole request without a body, of this request line and these headers.
fn get(first: &str, headers: &str) -> Vec<u8> {
    format!("{first}\r\n{headers}\r\n\r\n").into_bytes()
}

/// A chunked request whose body starts like this.
fn chunks(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
        .into_bytes()
}

fn framing() -> Vec<Case> {
    let length = |value: &str| post(format!("Content-Length: {value}").as_bytes());
    let coding = |value: &str| post(format!("Transfer-Encoding: {value}").as_bytes());
    let line = |line: &str| post(line.as_bytes());
    vec![
        // RFC 9112 section 6.3: may be refused or read as chunked.
        (
            "CL, then TE",
            line("Content-Length: 13\r\nTransfer-Encoding: chunked"),
            BAD,
        ),
        (
            "TE, then CL",
            line("Transfer-Encoding: chunked\r\nContent-Length: 13"),
            BAD,
        ),
        (
            "TE, then CL of 0",
            line("Transfer-Encoding: chunked\r\nContent-Length: 0"),
            BAD,
        ),
        (
            "TE, then a CL that is none",
            line("Transfer-Encoding: chunked\r\nContent-Length: x"),
            BAD,
        ),
        (
            "CL and TE far apart",
            line("content-length: 13\r\nx: y\r\nTRANSFER-ENCODING:chunked"),
            BAD,
        ),
        (
            "CL and a TE that is not chunked",
            line("Content-Length: 3\r\nTransfer-Encoding: x"),
            BAD,
        ),
        (
            "CL twice, different",
            line("Content-Length: 3\r\nContent-Length: 4"),
            BAD,
        ),
        // RFC 9110 section 8.6: may be refused or replaced by one. A list in
        // one line is refused, equal lines are replaced (see `good_requests`).
        ("CL as a list of the same", length("3, 3"), BAD),
        ("CL as a list", length("3, 4"), BAD),
        ("CL with a plus", length("+3"), BAD),
        ("CL with a minus", length("-3"), BAD),
        ("CL in hexadecimal", length("0x3"), BAD),
        ("CL with a space inside", length("1 3"), BAD),
        ("CL with a fraction", length("3.0"), BAD),
        ("CL of nothing", length(""), BAD),
        ("CL in other digits", length("\u{ff13}"), BAD),
        ("CL beyond 64 bits", length("18446744073709551619"), BAD),
        (
            "CL of 2^64 - 1",
            length("18446744073709551615"),
            Refused(&[400, 413, 431]),
        ),
        ("CL folded", line("Content-Length:\r\n 3"), BAD),
        (
            "CL with a space before the colon",
            line("Content-Length : 3"),
            BAD,
        ),
        (
            "CL with a tab before the colon",
            line("Content-Length\t: 3"),
            BAD,
        ),
        // RFC 9112 section 6.1 and 6.3.
        ("TE xchunked", coding("xchunked"), BAD),
        (
            "TE chunked, then identity",
            coding("chunked, identity"),
            BAD,
        ),
        ("TE chunked, then gzip", coding("chunked, gzip"), BAD),
        ("TE identity", coding("identity"), BAD),
        ("TE of nothing", coding(""), BAD),
        ("TE chunked with a parameter", coding("chunked;a=b"), BAD),
        ("TE chunked in quotes", coding("\"chunked\""), BAD),
        ("TE chunked twice", coding("chunked, chunked"), BAD),
        (
            "TE chunked in two lines",
            line("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            BAD,
        ),
        (
            "TE chunked, then x in another line",
            line("Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
            BAD,
        ),
        ("TE with an empty element", coding(", chunked"), BAD),
        (
            "TE gzip, then chunked",
            coding("gzip, chunked"),
            Refused(&[501]),
        ),
        (
            "TE x, then chunked in another line",
            line("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
            Refused(&[501]),
        ),
        ("TE with a vertical tab", coding("\u{b}chunked"), BAD),
        ("TE with a no-break space", coding("\u{a0}chunked"), BAD),
        ("TE folded", line("Transfer-Encoding:\r\n chunked"), BAD),
        (
            "TE with a space before the colon",
            line("Transfer-Encoding : chunked"),
            BAD,
        ),
        (
            "TE behind a space",
            line("x: y\r\n Transfer-Encoding: chunked"),
            BAD,
        ),
        (
            "TE as the first line, behind a space",
            get(
                "POST / HTTP/1.1",
                " Transfer-Encoding: chunked\r\nHost: a.test",
            ),
            BAD,
        ),
        (
            "TE in HTTP/1.0",
            get(
                "POST / HTTP/1.0",
                "Host: a.test\r\nTransfer-Encoding: chunked",
            ),
            BAD,
        ),
        (
            "TE behind a bare CR",
            line("x: y\rTransfer-Encoding: chunked"),
            BAD,
        ),
    ]
}

fn lines() -> Vec<Case> {
    let line = |line: &str| get("GET / HTTP/1.1", &format!("Host: a.test\r\n{line}"));
    let raw =
        |bytes: &[u8]| [b"GET / HTTP/1.1\r\nHost: a.test\r\nx: ", bytes, b"\r\n\r\n"].concat();
    vec![
        ("a folded header", line("x: a\r\n b"), BAD),
        ("a header folded with a tab", line("x: a\r\n\tb"), BAD),
        ("a space before a colon", line("x : a"), BAD),
        ("no name", line(": a"), BAD),
        ("no colon", line("x"), BAD),
        ("a name with a bracket", line("x(y): a"), BAD),
        ("a name that is not ASCII", line("\u{e4}: a"), BAD),
        ("a NUL in a name", line("x\0y: a"), BAD),
        ("a NUL in a value", raw(b"a\0b"), BAD),
        ("a control byte in a value", raw(b"a\x01b"), BAD),
        ("a DEL in a value", raw(b"a\x7fb"), BAD),
        ("a bare CR in a value", raw(b"a\rb"), BAD),
        ("a bare CR at the end of a value", raw(b"a\r"), BAD),
        // RFC 9112 section 2.2: a line feed alone may be taken for a line end.
        // Another hop may take it for something else.
        ("a bare LF behind a header", raw(b"a\nb: c"), BAD),
        (
            "a bare LF behind the request line",
            b"GET / HTTP/1.1\nHost: a.test\r\n\r\n".to_vec(),
            BAD,
        ),
        (
            "a bare LF as the last line",
            b"GET / HTTP/1.1\r\nHost: a.test\r\n\n".to_vec(),
            BAD,
        ),
        (
            "only bare LFs",
            b"GET / HTTP/1.1\nHost: a.test\n\n".to_vec(),
            BAD,
        ),
        (
            "a bare LF before the request",
            b"\nGET / HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec(),
            BAD,
        ),
        (
            "bare CRs as line ends",
            b"GET / HTTP/1.1\rHost: a.test\r\r".to_vec(),
            BAD,
        ),
        (
            "a line that is too long",
            line(&format!("x: {}", "y".repeat(100_000))),
            TOO_LARGE,
        ),
        (
            "a name that is too long",
            line(&format!("{}: y", "x".repeat(100_000))),
            TOO_LARGE,
        ),
        ("too many headers", line(&"x: y\r\n".repeat(101)), TOO_LARGE),
        (
            "too many bytes in many headers",
            line(&format!("x: {}\r\n", "y".repeat(2_000)).repeat(50)),
            TOO_LARGE,
        ),
    ]
}

fn hosts() -> Vec<Case> {
    let host = |host: &str| get("GET / HTTP/1.1", &format!("Host: {host}"));
    vec![
        // RFC 9112 section 3.2.
        ("no Host", get("GET / HTTP/1.1", "x: y"), BAD),
        (
            "no Host beside an absolute target",
            get("GET http://a.test/ HTTP/1.1", "x: y"),
            BAD,
        ),
        (
            "two Hosts",
            get("GET / HTTP/1.1", "Host: a.test\r\nHost: b.test"),
            BAD,
        ),
        (
            "the same Host twice",
            get("GET / HTTP/1.1", "Host: a.test\r\nx: y\r\nhost: a.test"),
            BAD,
        ),
        (
            "two Hosts beside an absolute target",
            get(
                "GET http://a.test/ HTTP/1.1",
                "Host: a.test\r\nHost: b.test",
            ),
            BAD,
        ),
        (
            "two Hosts in HTTP/1.0",
            get("GET / HTTP/1.0", "Host: a.test\r\nHost: b.test"),
            BAD,
        ),
        ("a Host with a space", host("a.test b.test"), BAD),
        ("a Host with a tab", host("a.test\tb.test"), BAD),
        ("a Host with a path", host("a.test/x"), BAD),
        ("a Host with a query", host("a.test?x"), BAD),
        ("a Host with a fragment", host("a.test#x"), BAD),
        ("a Host with a scheme", host("http://a.test"), BAD),
        ("a Host with a user", host("user@a.test"), BAD),
        ("a Host with a backslash", host("a.test\\x"), BAD),
        ("a list of Hosts", host("a.test, b.test"), BAD),
        ("a Host with a port of letters", host("a.test:http"), BAD),
        (
            "a Host with a port that is too large",
            host("a.test:65536"),
            BAD,
        ),
        ("a Host with a negative port", host("a.test:-1"), BAD),
        ("a Host with two ports", host("a.test:80:80"), BAD),
        ("a Host of a port only", host(":80"), BAD),
        ("a Host with half an address", host("[::1"), BAD),
        ("a Host with an address without brackets", host("::1"), BAD),
        ("a Host with a bad percent", host("a%zz"), BAD),
        ("a Host that is not ASCII", host("\u{e4}.test"), BAD),
        (
            "a bad Host beside an absolute target",
            get("GET http://a.test/ HTTP/1.1", "Host: a b"),
            BAD,
        ),
        ("a folded Host", host("a.test\r\n b.test"), BAD),
    ]
}

fn request_lines() -> Vec<Case> {
    let first = |first: &str| get(first, "Host: a.test");
    let raw = |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nHost: a.test\r\n\r\n"].concat();
    vec![
        // RFC 9112 section 3.2: each form has its methods.
        ("GET *", first("GET * HTTP/1.1"), BAD),
        ("GET of an authority", first("GET a.test:80 HTTP/1.1"), BAD),
        ("GET of a name", first("GET a.test HTTP/1.1"), BAD),
        ("GET of a relative path", first("GET x/y HTTP/1.1"), BAD),
        ("GET of a query", first("GET ?x HTTP/1.1"), BAD),
        ("GET without a target", first("GET  HTTP/1.1"), BAD),
        ("GET of no authority", first("GET http:///x HTTP/1.1"), BAD),
        ("GET of a scheme only", first("GET http:// HTTP/1.1"), BAD),
        (
            "GET of another scheme",
            first("GET ftp://a.test/ HTTP/1.1"),
            BAD,
        ),
        (
            "GET with a user",
            first("GET http://user@a.test/ HTTP/1.1"),
            BAD,
        ),
        (
            "GET with a user and a password",
            first("GET http://u:p@a.test/ HTTP/1.1"),
            BAD,
        ),
        (
            "GET of a host with a bad port",
            first("GET http://a.test:x/ HTTP/1.1"),
            BAD,
        ),
        ("GET with a fragment", first("GET /a#b HTTP/1.1"), BAD),
        (
            "GET of an absolute target with a fragment",
            first("GET http://a.test/#b HTTP/1.1"),
            BAD,
        ),
        // RFC 9110 section 9.3.6.
        (
            "CONNECT",
            first("CONNECT a.test:443 HTTP/1.1"),
            Refused(&[501]),
        ),
        (
            "CONNECT with a path",
            first("CONNECT / HTTP/1.1"),
            Refused(&[400, 501]),
        ),
        ("a target that is not ASCII", raw("/\u{e4}".as_bytes()), BAD),
        ("a target that is no text", raw(b"/\xff"), BAD),
        ("a target with a control byte", raw(b"/\x01"), BAD),
        ("a target with a NUL", raw(b"/\0"), BAD),
        ("a target with a DEL", raw(b"/\x7f"), BAD),
        ("a target with a space", first("GET /a b HTTP/1.1"), BAD),
        ("a target with a CR", raw(b"/a\rb"), BAD),
        (
            "a target that is too long",
            first(&format!("GET /{} HTTP/1.1", "x".repeat(100_000))),
            TOO_LARGE,
        ),
        (
            "two spaces before the target",
            first("GET  / HTTP/1.1"),
            BAD,
        ),
        (
            "two spaces behind the target",
            first("GET /  HTTP/1.1"),
            BAD,
        ),
        ("a tab before the target", first("GET\t/ HTTP/1.1"), BAD),
        ("a space behind the version", first("GET / HTTP/1.1 "), BAD),
        ("a space before the method", first(" GET / HTTP/1.1"), BAD),
        ("a method with a bracket", first("G<T / HTTP/1.1"), BAD),
        ("a method with a colon", first(":method / HTTP/1.1"), BAD),
        ("a method with a NUL", first("GE\0T / HTTP/1.1"), BAD),
        (
            "a method that is not ASCII",
            first("G\u{e4}T / HTTP/1.1"),
            BAD,
        ),
        ("no method", first("/ HTTP/1.1"), BAD),
        ("no version", first("GET /"), BAD),
        // RFC 9110 section 2.5 lets us take 1.2 for 1.1; nobody sends it.
        ("HTTP/1.2", first("GET / HTTP/1.2"), Refused(&[400, 505])),
        ("HTTP/2.0", first("GET / HTTP/2.0"), Refused(&[400, 505])),
        ("HTTP/0.9", first("GET / HTTP/0.9"), Refused(&[400, 505])),
        ("HTTP/11", first("GET / HTTP/11"), BAD),
        ("HTTP/1", first("GET / HTTP/1"), BAD),
        ("HTTP/1.1 in small letters", first("GET / http/1.1"), BAD),
        (
            "HTTP/1.1 with more behind it",
            first("GET / HTTP/1.1.1"),
            BAD,
        ),
        ("another protocol", first("GET / SIP/2.0"), BAD),
        (
            "half a preface of HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
            Refused(&[400, 505]),
        ),
        (
            "a TLS handshake",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            BAD,
        ),
        ("a status line", first("HTTP/1.1 200 OK"), BAD),
    ]
}

fn bodies() -> Vec<Case> {
    let long = "x".repeat(20_000);
    vec![
        (
            "a chunk size beyond 64 bits",
            chunks("10000000000000003\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size of 2^64 - 1",
            chunks("FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a negative chunk size",
            chunks("-3\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size with a plus",
            chunks("+3\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size with 0x",
            chunks("0x3\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size of letters",
            chunks("xyz\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size of nothing",
            chunks("\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "an extension without a chunk size",
            chunks(";a\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size behind a space",
            chunks(" 3\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        // RFC 9112 section 7.1.1: spaces belong to an extension only.
        (
            "a chunk size before a space",
            chunks("3 \r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size with a space inside",
            chunks("1 3\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size with an underscore",
            chunks("0_3\r\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size before a bare LF",
            chunks("3\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk size before a bare CR",
            chunks("3\rabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "an extension with a bare LF",
            chunks("3;a\nabc\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "extensions without end",
            chunks(&format!("3;{long}\r\nabc\r\n0\r\n\r\n")),
            Broken,
        ),
        (
            "a chunk that is too long",
            chunks("3\r\nabcd\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk that is too short",
            chunks("3\r\nab\r\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk before a bare LF",
            chunks("3\r\nabc\n0\r\n\r\n"),
            Broken,
        ),
        (
            "a chunk before a bare CR",
            chunks("3\r\nabc\r0\r\n\r\n"),
            Broken,
        ),
        (
            "no line end behind the last chunk",
            chunks("3\r\nabc\r\n0GET / HTTP/1.1\r\n\r\n"),
            Broken,
        ),
        (
            "a request as trailers",
            chunks("0\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            Broken,
        ),
        (
            "a bare LF behind a trailer",
            chunks("0\r\nx: y\n\r\nGET / HTTP/1.1\r\n\r\n"),
            Broken,
        ),
        (
            "a bare LF as the end of trailers",
            chunks("0\r\n\nGET / HTTP/1.1\r\n\r\n"),
            Broken,
        ),
        (
            "a folded trailer",
            chunks("0\r\nx: y\r\n z\r\n\r\n"),
            Broken,
        ),
        (
            "a trailer with a space before the colon",
            chunks("0\r\nx : y\r\n\r\n"),
            Broken,
        ),
        ("a trailer with a NUL", chunks("0\r\nx: \0\r\n\r\n"), Broken),
        (
            "trailers that are too large",
            chunks(&format!("0\r\nx: {long}\r\n\r\n")),
            Broken,
        ),
        (
            "too many trailers",
            chunks(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(200))),
            Broken,
        ),
    ]
}

/// What looks odd and is good: refusing it would be wrong, or not ours.
fn good() -> Vec<Case> {
    let line = |line: &str| get("GET / HTTP/1.1", &format!("Host: a.test\r\n{line}"));
    let first = |first: &str| get(first, "Host: a.test");
    let abc = |headers: &str| {
        format!("POST / HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n\r\nabc").into_bytes()
    };
    vec![
        (
            "CL twice, the same",
            abc("Content-Length: 3\r\nContent-Length: 3"),
            Served,
        ),
        (
            "CL with zeros in front",
            abc("Content-Length: 0003"),
            Served,
        ),
        (
            "CL with spaces around it",
            abc("Content-Length: \t 3 \t "),
            Served,
        ),
        (
            "TE in capital letters",
            chunks("3\r\nabc\r\n0\r\n\r\n").to_ascii_uppercase(),
            Served,
        ),
        (
            "a chunk with extensions",
            chunks("3;a;b=\"c;d\" ;e\r\nabc\r\n0\r\n\r\n"),
            Served,
        ),
        (
            "a chunk size with zeros in front",
            chunks("0000000000000000000003\r\nabc\r\n0\r\n\r\n"),
            Served,
        ),
        (
            "bodies of lines",
            chunks("13\r\nContent-Length: 5\r\n\r\n0;x\r\n\r\n"),
            Served,
        ),
        (
            "bodies of bare LFs",
            chunks("3\r\n\n#\n\r\n0\r\n\r\n"),
            Served,
        ),
        (
            "empty lines before the request",
            [b"\r\n\r\n".to_vec(), first("GET / HTTP/1.1")].concat(),
            Served,
        ),
        (
            "bytes beyond ASCII in a value",
            [&b"GET / HTTP/1.1\r\nHost: a.test\r\nx: \xe9\r\n\r\n"[..]].concat(),
            Served,
        ),
        ("an empty value", line("x:"), Served),
        ("a value without a space before it", line("x:y"), Served),
        (
            "the same header many times",
            line("x: y\r\n".repeat(90).trim_end()),
            Served,
        ),
        ("OPTIONS *", first("OPTIONS * HTTP/1.1"), Served),
        (
            "a method that nobody knows",
            first("BREW / HTTP/1.1"),
            Served,
        ),
        (
            "an absolute target and another Host",
            get("GET http://a.test/x HTTP/1.1", "Host: b.test"),
            Served,
        ),
        (
            "an absolute target with a query only",
            get("GET http://a.test?x HTTP/1.1", "Host: a.test"),
            Served,
        ),
        (
            "HTTP/1.0 without a Host",
            get("GET / HTTP/1.0", "x: y"),
            Served,
        ),
        ("an empty Host", get("GET / HTTP/1.1", "Host:"), Served),
        (
            "a Host with a port",
            get("GET / HTTP/1.1", "Host: a.test:8080"),
            Served,
        ),
        (
            "a Host with an address",
            get("GET / HTTP/1.1", "Host: [::1]:8080"),
            Served,
        ),
        ("two slashes", first("GET //x//y HTTP/1.1"), Served),
        ("dots", first("GET /../../etc/passwd HTTP/1.1"), Served),
        (
            "a hash in a header",
            line("referer: http://a.test/#x"),
            Served,
        ),
    ]
}

async fn check(all: Vec<Case>) {
    let (proxy, backend) = serving().await;
    for (name, bytes, wanted) in all {
        let (heads, requests) = (backend.heads(), backend.received().len());
        let mut client = proxy.client().await;
        client.send(&bytes).await;
        match wanted {
            Refused(codes) => {
                let answer = client.response().await;
                assert!(codes.contains(&answer.status()), "{name}: {answer:?}");
                assert_eq!(answer.head.get("connection"), Some("close"), "{name}");
                assert_eq!(client.rest().await, b"", "{name}");
                assert_eq!(backend.heads(), heads, "{name}");
            }
            Broken => {
                let answer = client.response().await;
                assert_eq!(answer.status(), 400, "{name}");
                assert_eq!(client.rest().await, b"", "{name}");
                assert_eq!(backend.received().len(), requests, "{name}");
            }
            Served => {
                let answer = client.response().await;
                assert_eq!(answer.status(), 200, "{name}: {answer:?}");
                client.end_sending().await;
                assert_eq!(client.rest().await, b"", "{name}");
                assert_eq!(backend.received().len(), requests + 1, "{name}");
            }
        }
        let good = proxy.client().await.get("/good").await;
        assert_eq!(good.status(), 200, "after {name}");
    }
    let smuggled = |path: &String| path.contains("smuggled");
    assert!(!backend.paths().iter().any(smuggled));
    still_well(proxy).await;
}

#[tokio::test]
async fn framing_that_could_be_read_in_two_ways() {
    check(framing()).await;
}

#[tokio::test]
async fn lines_that_are_none() {
    check(lines()).await;
}

#[tokio::test]
async fn hosts_that_are_none() {
    check(hosts()).await;
}

#[tokio::test]
async fn request_lines_that_are_none() {
    check(request_lines()).await;
}

#[tokio::test]
async fn bodies_that_are_none() {
    check(bodies()).await;
}

#[tokio::test]
async fn good_requests_however_odd() {
    check(good()).await;
}

#[test]
fn there_are_enough_cases() {
    let all = [
        framing(),
        lines(),
        hosts(),
        request_lines(),
        bodies(),
        good(),
    ]
    .concat();
    assert!(all.len() >= 150, "{}", all.len());
    let mut names: Vec<&str> = all.iter().map(|case| case.0).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "each has a name of its own");
}

/// What the endpoint gets where there was a choice.
#[tokio::test]
async fn what_was_said_twice_is_passed_on_once() {
    let (proxy, backend) = serving().await;
    let mut client = proxy.client().await;
    for request in [
        "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "GET http://a.test/x HTTP/1.1\r\nHost: b.test\r\n\r\n",
    ] {
        client.send(request).await;
        assert_eq!(client.response().await.status(), 200);
    }
    let received = backend.received();
    let heads: Vec<_> = received.iter().map(|request| &request.head).collect();
    assert_eq!(heads[0].get("content-length"), Some("3"));
    assert_eq!(
        (heads[1].get("host"), heads[1].path()),
        (Some("a.test"), "/x")
    );
    drop(client);
    still_well(proxy).await;
}

/// The scan of heads must keep up with requests that come behind others, in
/// the same segment or in later ones.
#[tokio::test]
async fn two_lengths_in_a_request_behind_good_ones() {
    let goods: [(&str, usize); 4] = [
        ("GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n", 1),
        (
            "POST /good HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n\r\n\r\n1",
            1,
        ),
        (
            "POST /good HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
             15\r\nContent-Length: 5\r\n\r\n\r\n0\r\n\r\n",
            1,
        ),
        (
            "GET /good HTTP/1.1\r\nHost: a.test\r\n\r\n\
             POST /good HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx",
            2,
        ),
    ];
    let bad = "POST /bad HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\
               Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (proxy, backend) = serving().await;
    for (good, count) in goods {
        let all = [good, bad].concat();
        for cut in [0, 1, good.len() - 1, good.len(), good.len() + 60] {
            let (first, second) = all.as_bytes().split_at(cut);
            let mut client = proxy.client().await;
            client.send(first).await;
            tokio::task::yield_now().await;
            client.send(second).await;
            for _ in 0..count {
                assert_eq!(client.response().await.status(), 200, "{good} {cut}");
            }
            let refused = client.response().await;
            assert_eq!(refused.status(), 400, "{good} {cut}");
            assert_eq!(
                refused.text(),
                "bad request: both Content-Length and Transfer-Encoding\n"
            );
            assert_eq!(client.rest().await, b"");
        }
    }
    assert!(backend.paths().iter().all(|path| path == "/good"));
    still_well(proxy).await;
}

/// A chunked upload whose body looks like heads, in the head's segment and in
/// later ones: nothing of it is judged.
#[tokio::test]
async fn bodies_that_look_like_heads_are_not_judged() {
    let (proxy, backend) = serving().await;
    let body = "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
                GET /#x HTTP/1.1\nHost: a\n\n";
    let mut client = proxy.client().await;
    for pieces in 0..4 {
        let size = body.len();
        client
            .send(format!(
                "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                 {size:x}\r\n{body}\r\n"
            ))
            .await;
        for _ in 0..pieces {
            tokio::task::yield_now().await;
            client.send(format!("{size:x}\r\n")).await;
            client.send(body).await;
            client.send("\r\n").await;
        }
        client.send("0\r\n\r\n").await;
        assert_eq!(client.response().await.status(), 200);
        let received = backend.received().pop().expect("a request");
        assert_eq!(received.body, body.repeat(pieces + 1).into_bytes());
    }
    drop(client);
    still_well(proxy).await;
}

/// Bytes behind a wish to switch protocols are of one protocol or the other.
#[tokio::test]
async fn nobody_switches_and_asks_on() {
    let (proxy, backend) = serving().await;
    let ask = "GET /ask HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let more = "GET /more HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut client = proxy.client().await;
    client.send([ask, more].concat()).await;
    assert_eq!(client.response().await.status(), 200, "not switched");
    assert_eq!(client.response().await.status(), 400);
    assert_eq!(client.rest().await, b"");
    // Once it is answered, there is no doubt.
    let mut client = proxy.client().await;
    for request in [ask, more, ask, more] {
        client.send(request).await;
        assert_eq!(client.response().await.status(), 200);
    }
    assert_eq!(backend.paths(), ["/ask", "/ask", "/more", "/ask", "/more"]);
    drop(client);
    still_well(proxy).await;
}

/// Trailers cannot say what only heads may (RFC 9110 section 6.5.1).
#[tokio::test]
async fn trailers_that_would_be_heads_end_here() {
    let proxy = TestProxy::new().start();
    let backend = ScriptedBackend::start().await;
    proxy.serve(backend.addr());
    let mut client = proxy.client().await;
    let names = "Content-Length, Transfer-Encoding, Host, Authorization, Connection, X-Good";
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: {names}\r\n\r\n\
             0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\nHost: b.test\r\nAuthorization: me\r\n\
             Connection: close\r\nX-Good: yes\r\n\r\n"
        ))
        .await;
    let mut upstream = backend.accept().await;
    upstream.head().await;
    let trailers = upstream.head().await;
    assert_eq!(trailers.first, "0");
    assert_eq!(trailers.fields, [("x-good".to_owned(), "yes".to_owned())]);
    upstream
        .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status(), 200);
    proxy.finish().await;
}

/// The same bytes, one at a time.
#[tokio::test]
async fn a_hostile_head_in_single_bytes() {
    let (proxy, backend): (TestProxy, Backend) = serving().await;
    let bytes = post(b"Content-Length: 3\r\nTransfer-Encoding: chunked");
    let mut client = proxy.client().await;
    for byte in bytes {
        client.send([byte]).await;
    }
    assert_eq!(client.response().await.status(), 400);
    assert_eq!(backend.heads(), 0);
    assert_eq!(client.rest().await, b"");
    still_well(proxy).await;
}
