//! Mutations of good requests through real sockets. Whatever comes: the proxy
//! lives, nothing hangs, and the endpoint sees only whole requests, in order,
//! that a strict reader finds in the bytes too.

use super::strict::{self, Request};
use crate::{
    fuzz, mutate, one_of,
    support::{Backend, TestProxy, within},
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const REQUESTS: [&[u8]; 6] = [
    b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"GET /b?c=d HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nX-A: b\r\n\r\n",
    b"POST /c HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /d HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
      5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
    b"PUT /e HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
      25\r\nGET /f HTTP/1.1\r\nHost: a.test\r\nX: y\r\n\r\n0\r\nt: u\r\n\r\n",
    b"POST /g HTTP/1.1\r\nHost: a.test\r\nContent-Length: 37\r\n\r\n\
      GET /h HTTP/1.1\r\nHost: a.test\r\nX: y\r\n\r\n",
];

const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b":",
    b"0",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n",
    b";",
    b"#",
    b"\0",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"content-length:5,5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:gzip, chunked\r\n",
    b"Connection: close\r\n",
    b"Host: b.test\r\n",
    b"HTTP/1.0",
    b"GET /w HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"X: y\r\n z\r\n",
];

/// Sends all of it in pieces and reads until there are so many answers, or the
/// connection is closed. Then ends, and reads the rest.
async fn exchange(
    random: &mut fastrand::Rng,
    addr: SocketAddr,
    bytes: &[u8],
    wanted: usize,
) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.expect("it accepts");
    stream.set_nodelay(true).expect("open");
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = if random.u8(..4) == 0 { 7 } else { rest.len() };
        let (piece, behind) = rest.split_at(random.usize(1..=most.min(rest.len())));
        rest = behind;
        // It may have been refused by now.
        if stream.write_all(piece).await.is_err() {
            break;
        }
        if random.bool() {
            tokio::task::yield_now().await;
        }
    }
    let mut answers = Vec::new();
    while count(&answers, b"HTTP/1.") < wanted {
        match stream.read_buf(&mut answers).await {
            Ok(more) if more > 0 => {}
            _ => return answers,
        }
    }
    let _ended = stream.shutdown().await;
    let _closed = stream.read_to_end(&mut answers).await;
    answers
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    bytes
        .windows(what.len())
        .filter(|part| *part == what)
        .count()
}

#[tokio::test]
async fn an_endpoint_sees_what_a_strict_reader_sees_and_nothing_else() {
    let proxy = TestProxy::new().workers(2).start();
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let backend = Backend::answering(|_| ok.to_vec()).await;
    proxy.serve(backend.addr());
    fuzz(4_000, async |random| {
        let mut bytes = Vec::new();
        for _ in 0..random.usize(1..4) {
            bytes.extend_from_slice(one_of(random, &REQUESTS));
        }
        for _ in 0..random.usize(..4) {
            mutate(random, &mut bytes, &WORDS);
        }
        let shown = || String::from_utf8_lossy(&bytes).into_owned();
        let strict = strict::requests(&bytes);
        let wanted = strict.len();
        let answers = exchange(random, proxy.addr(), &bytes, wanted);
        let answers = within(&shown(), answers).await;

        let good = count(&answers, b" 200 OK");
        let all = count(&answers, b"HTTP/1.");
        let text = String::from_utf8_lossy(&answers);
        assert!(all <= good + 1, "more after a refusal: {text}\n{}", shown());
        let received = backend.take_received();
        assert_eq!(received.len(), good, "{text}\n{}", shown());
        for (received, strict) in received.iter().zip(&strict) {
            let head = &received.head;
            let words: Vec<&str> = head.first.split(' ').collect();
            let is_absolute = !strict.target.starts_with('/');
            let seen = Request {
                method: words[0].to_owned(),
                target: if is_absolute {
                    strict.target.clone()
                } else {
                    words[1].to_owned()
                },
                body: received.body.clone(),
            };
            assert_eq!(seen, *strict, "{}", shown());
            assert_eq!((words.len(), words[2]), (3, "HTTP/1.1"), "{head:?}");
            let framed = [head.get("content-length"), head.get("transfer-encoding")];
            assert!(framed.iter().flatten().count() <= 1, "{head:?}");
            assert_eq!(head.get("connection"), None, "{head:?}");
        }
        assert!(received.len() <= wanted, "{text}\n{}", shown());
    })
    .await;
    proxy.until_no_connections().await;
    assert_eq!(proxy.client().await.get("/good").await.text(), "ok");
    proxy.finish().await;
}
