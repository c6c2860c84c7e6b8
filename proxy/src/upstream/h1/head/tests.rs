use super::*;

fn parsed(text: &str, method: &Method) -> Result<Option<(Head, HeaderMap, Bytes)>, &'static str> {
    let mut headers = HeaderMap::new();
    headers.insert("left-over", HeaderValue::from_static("of the request"));
    match parse(text.as_bytes(), method, &mut headers)? {
        None => Ok(None),
        Some(Parsed::Final(head, rest)) => Ok(Some((head, headers, rest))),
        Some(Parsed::Interim(status, _)) => panic!("{status} is no answer"),
    }
}

fn get(text: &str) -> (Head, HeaderMap, Bytes) {
    let parsed = parsed(text, &Method::GET).expect("a valid head");
    parsed.expect("a complete head")
}

#[test]
fn an_answer_is_its_head_its_headers_and_what_follows() {
    let text =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\nhello";
    let (head, headers, rest) = get(text);
    assert_eq!(head.status, 200);
    assert!(head.keeps_alive && head.reason.is_none());
    assert_eq!(head.framing, Framing::Length(5));
    assert_eq!(rest, "hello");
    assert_eq!(headers.len(), 3, "none of the request's");
    let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["a", "b"]);
}

#[test]
fn every_beginning_of_a_head_needs_more() {
    let text = "HTTP/1.1 200 OK\r\nserver: x\r\n\r\n";
    for (end, _) in text.char_indices() {
        let beginning = text.get(..end).expect("ASCII");
        let parsed = parsed(beginning, &Method::GET).expect("no error yet");
        assert!(parsed.is_none(), "{beginning:?}");
    }
}

#[test]
fn the_framing_follows_rfc_9112_section_6_3() {
    use Framing::{Chunked, Length, UntilClose};
    for (status, fields, expected) in [
        ("200", "", UntilClose),
        ("200", "content-length: 0\r\n", Length(0)),
        (
            "200",
            "content-length: 7, 7\r\ncontent-length: 7\r\n",
            Length(7),
        ),
        ("200", "transfer-encoding: chunked\r\n", Chunked),
        ("200", "transfer-encoding: gzip, Chunked\r\n", Chunked),
        ("200", "transfer-encoding: gzip\r\n", UntilClose),
        (
            "200",
            "content-length: 3\r\ntransfer-encoding: chunked\r\n",
            Chunked,
        ),
        ("204", "", Length(0)),
        ("304", "content-length: 9\r\n", Length(0)),
        ("101", "", Length(0)),
    ] {
        let (head, ..) = get(&format!("HTTP/1.1 {status} X\r\n{fields}\r\n"));
        assert_eq!(head.framing, expected, "{status} {fields}");
    }
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
    let head = parsed(text, &Method::HEAD)
        .expect("valid")
        .expect("complete");
    assert_eq!(head.0.framing, Length(0));
    assert_eq!(head.1[header::CONTENT_LENGTH], "9");
}

#[test]
fn a_length_beside_a_transfer_encoding_goes_and_ends_the_connection() {
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
    let (head, headers, _) = get(text);
    assert!(!head.keeps_alive);
    assert!(!headers.contains_key(header::CONTENT_LENGTH));
}

#[test]
fn connections_last_as_rfc_9112_section_9_3_says() {
    for (version, fields, expected) in [
        ("1.1", "", true),
        ("1.1", "connection: keep-alive, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "connection: Keep-Alive\r\n", true),
        (
            "1.0",
            "connection: keep-alive\r\nconnection: close\r\n",
            false,
        ),
    ] {
        let (head, ..) = get(&format!("HTTP/{version} 204 X\r\n{fields}\r\n"));
        assert_eq!(head.keeps_alive, expected, "{version} {fields}");
    }
}

#[test]
fn an_unusual_reason_is_kept() {
    let (head, ..) = get("HTTP/1.1 200 Fine\r\n\r\n");
    assert_eq!(head.reason.expect("unusual").as_bytes(), b"Fine");
    assert!(get("HTTP/1.1 200\r\n\r\n").0.reason.is_none());
}

#[test]
fn interim_answers_are_told_apart() {
    let text = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let parsed = parse(text, &Method::GET, &mut HeaderMap::new()).expect("valid");
    let Some(Parsed::Interim(status, count)) = parsed else {
        panic!("an interim answer");
    };
    assert_eq!((status.as_u16(), count), (103, 37));
}

#[test]
fn what_is_no_head_is_refused() {
    let many = "x: y\r\n".repeat(MOST_FIELDS + 1);
    for text in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 42 What\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: b\0c\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
    ] {
        assert!(parsed(text, &Method::GET).is_err(), "{text}");
    }
}
