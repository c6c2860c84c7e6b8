//! Mutations of good HTTP/2 connections. Whatever comes: the proxy lives,
//! nothing hangs, and the endpoint sees only whole requests.

use crate::{
    fuzz, mutate, one_of,
    support::{Backend, TestProxy, within},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Frames, or parts of them, that mean something.
const WORDS: [&[u8]; 14] = [
    SETTINGS,
    &[0, 0, 0, 4, 1, 0, 0, 0, 0],
    &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1],
    &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
    &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8],
    &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
    &[0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0, 1],
    &[0, 0, 3, 0, 1, 0, 0, 0, 1, b'a', b'b', b'c'],
    &[0, 0, 3, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c'],
    &[0, 0, 0, 9, 4, 0, 0, 0, 1],
    &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    &[0, 3, b't', b'e', b':', 1, b'x'],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    b"\r\n",
];

/// A request on this stream, whose body ends or does not.
fn request(stream: u8, flags: u8) -> Vec<u8> {
    let field = |name: &[u8], value: &[u8]| {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("short");
        [&[0, length(name)], name, &[length(value)], value].concat()
    };
    let block = [
        field(b":method", b"POST"),
        field(b":scheme", b"http"),
        field(b":path", b"/x"),
        field(b":authority", b"a.test"),
        field(b"x-a", b"b"),
    ]
    .concat();
    let length = u8::try_from(block.len()).expect("short");
    [&[0, 0, length, 1, flags, 0, 0, 0, stream], &block[..]].concat()
}

#[tokio::test]
async fn whatever_frames_come_the_proxy_lives_and_the_endpoint_sees_whole_requests() {
    let proxy = TestProxy::new().workers(2).start();
    let backend = Backend::saying("ok").await;
    proxy.serve(backend.addr());
    fuzz(2_000, async |random| {
        let mut bytes = SETTINGS.to_vec();
        for number in 0..random.u8(1..5) {
            let flags = one_of(random, &[4, 5, 5, 0]);
            bytes.extend(request(2 * number + 1, flags));
            if random.bool() {
                bytes.extend_from_slice(one_of(random, &WORDS));
            }
        }
        for _ in 0..random.usize(..4) {
            mutate(random, &mut bytes, &WORDS);
        }
        let mut stream = TcpStream::connect(proxy.addr()).await.expect("it accepts");
        // It may be refused before it was all sent.
        let _sent = stream.write_all(&[PREFACE, &bytes].concat()).await;
        let mut answers = Vec::new();
        if random.bool() {
            // A while, so that something is answered before the end.
            let some = stream.read_buf(&mut answers);
            let _read = tokio::time::timeout(Duration::from_millis(1), some).await;
        }
        let _ended = stream.shutdown().await;
        let _closed = within("the end", stream.read_to_end(&mut answers)).await;
        for received in backend.take_received() {
            let head = &received.head;
            let words: Vec<&str> = head.first.split(' ').collect();
            assert_eq!((words.len(), words[2]), (3, "HTTP/1.1"), "{head:?}");
            let host = head.get("host").expect("a host");
            assert!(host.bytes().all(|byte| byte.is_ascii_graphic()), "{head:?}");
            let framed = [head.get("content-length"), head.get("transfer-encoding")];
            assert!(framed.iter().flatten().count() <= 1, "{head:?}");
        }
    })
    .await;
    proxy.until_no_connections().await;
    assert_eq!(proxy.client().await.get("/good").await.status(), 200);
    proxy.finish().await;
}
