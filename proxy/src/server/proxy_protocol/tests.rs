//! The parsers by table, and reading from real sockets: split at every byte,
//! and never a byte too many.

use super::*;
use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// A version 2 header.
fn v2(version_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short");
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([version_command, family]);
    header.extend(length.to_be_bytes());
    header.extend(rest);
    header
}

const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

fn v6() -> Vec<u8> {
    let mut all = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7)
        .octets()
        .to_vec();
    all.extend(Ipv6Addr::LOCALHOST.octets());
    all.extend([0x12, 0x67, 0, 80]);
    all
}

fn with_tlvs(addresses: &[u8]) -> Vec<u8> {
    // An authority (0x02), an empty no-op (0x04), a unique id (0x05).
    [
        addresses,
        b"\x02\x00\x06a.test",
        b"\x04\x00\x00",
        b"\x05\x00\x02id",
    ]
    .concat()
}

/// Headers and the client that they name.
fn valid() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let text = |line: &str| line.as_bytes().to_vec();
    vec![
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n"),
            Some("192.0.2.7:4711"),
        ),
        (
            text("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
            Some("255.255.255.255:65535"),
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 0 0\r\n"),
            Some("192.0.2.7:0"),
        ),
        (
            text("PROXY TCP6 2001:db8::7 ::1 4711 80\r\n"),
            Some("[2001:db8::7]:4711"),
        ),
        (
            text(
                "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            ),
            Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
        ),
        (text("PROXY UNKNOWN\r\n"), None),
        (text("PROXY UNKNOWN whatever it says\r\n"), None),
        (
            text(
                "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            ),
            None,
        ),
        (v2(0x21, 0x11, &V4), Some("192.0.2.7:4711")),
        (v2(0x21, 0x11, &with_tlvs(&V4)), Some("192.0.2.7:4711")),
        (v2(0x21, 0x21, &v6()), Some("[2001:db8::7]:4711")),
        (
            v2(0x21, 0x21, &with_tlvs(&v6())),
            Some("[2001:db8::7]:4711"),
        ),
        (v2(0x21, 0x31, &[b'/'; 216]), None),
        (v2(0x21, 0x00, b"anything"), None),
        (v2(0x20, 0x00, b""), None),
        (v2(0x20, 0x11, &V4), None),
        (v2(0x20, 0xff, b"a health check of the balancer's"), None),
    ]
}

/// Headers that are none, and what is said about them.
fn malformed() -> Vec<(Vec<u8>, &'static str)> {
    let text = |line: &str| line.as_bytes().to_vec();
    let mut wrong_version = v2(0x31, 0x11, &V4);
    wrong_version.extend(b"more");
    let mut huge = V2_SIGNATURE.to_vec();
    huge.extend([0x21, 0x11, 0xff, 0xff]);
    vec![
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\n"),
            "does not end with CRLF",
        ),
        (text("PROXY \r\n"), "the protocol \"\" is none of"),
        (
            text("PROXY TCP5 192.0.2.7 10.0.0.1 4711 80\r\n"),
            "the protocol \"TCP5\"",
        ),
        (
            text("PROXY tcp4 192.0.2.7 10.0.0.1 4711 80\r\n"),
            "the protocol \"tcp4\"",
        ),
        (
            text("PROXY UDP4 192.0.2.7 10.0.0.1 4711 80\r\n"),
            "the protocol \"UDP4\"",
        ),
        (
            text("PROXY  TCP4 192.0.2.7 10.0.0.1 4711 80\r\n"),
            "the protocol \"\"",
        ),
        (text("PROXY TCP4\r\n"), "the source address is missing"),
        (
            text("PROXY TCP4  192.0.2.7 10.0.0.1 4711 80\r\n"),
            "the source address is missing",
        ),
        (
            text("PROXY TCP4 192.0.2.7\r\n"),
            "the destination address is missing",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1\r\n"),
            "the source port is missing",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n"),
            "the destination port is missing",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80 90\r\n"),
            "something follows",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80 \r\n"),
            "something follows",
        ),
        (
            text("PROXY TCP4 192.0.2.007 10.0.0.1 4711 80\r\n"),
            "the source address \"192.0.2.007\"",
        ),
        (
            text("PROXY TCP4 192.0.2.256 10.0.0.1 4711 80\r\n"),
            "the source address \"192.0.2.256\"",
        ),
        (
            text("PROXY TCP4 2001:db8::7 10.0.0.1 4711 80\r\n"),
            "no address of TCP4",
        ),
        (
            text("PROXY TCP6 192.0.2.7 ::1 4711 80\r\n"),
            "no address of TCP6",
        ),
        (
            text("PROXY TCP6 2001:db8::7 10.0.0.1 4711 80\r\n"),
            "the destination address \"10.0.0.1\"",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 65536 80\r\n"),
            "the source port \"65536\"",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 04711 80\r\n"),
            "the source port \"04711\"",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 +4711 80\r\n"),
            "the source port \"+4711\"",
        ),
        (
            text("PROXY TCP4 192.0.2.7 10.0.0.1 4711 -1\r\n"),
            "the destination port \"-1\"",
        ),
        (
            b"PROXY TCP4 192.0.2.7\xff 10.0.0.1 4711 80\r\n".to_vec(),
            "not ASCII",
        ),
        (
            [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat(),
            "without an end in its first 107 bytes",
        ),
        (text("PROXY / HTTP/1.1\r\n"), "the protocol \"/\""),
        (wrong_version, "the version is 3"),
        (v2(0x11, 0x11, &V4), "the version is 1"),
        (v2(0x22, 0x11, &V4), "the command 2 is unknown"),
        (v2(0x21, 0x12, &V4), "no stream"),
        (v2(0x21, 0x22, &v6()), "no stream"),
        (v2(0x21, 0x32, &[0; 216]), "no stream"),
        (v2(0x21, 0x10, &V4), "0x10 are unknown"),
        (v2(0x21, 0x41, &V4), "0x41 are unknown"),
        (
            v2(0x21, 0x11, &V4[..11]),
            "11 bytes of addresses; TCP over IPv4 takes 12",
        ),
        (v2(0x21, 0x11, b""), "0 bytes of addresses"),
        (v2(0x21, 0x21, &v6()[..35]), "35 bytes of addresses"),
        (v2(0x21, 0x31, &[0; 215]), "215 bytes of addresses"),
        (
            v2(0x21, 0x11, &[&V4, b"\x02".as_slice()].concat()),
            "the last TLV has no length",
        ),
        (
            v2(0x21, 0x11, &[&V4, b"\x02\x00".as_slice()].concat()),
            "the last TLV has no length",
        ),
        (
            v2(
                0x21,
                0x11,
                &[&V4, b"\x02\x00\x07a.test".as_slice()].concat(),
            ),
            "the TLV 0x02 is longer",
        ),
        (huge, "a version 2 header of 65551 bytes"),
    ]
}

/// A client's end and the server's end of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("bound");
    let (client, server) = tokio::join!(TcpStream::connect(addr), listener.accept());
    let client = client.expect("connects");
    client.set_nodelay(true).expect("open");
    (client, server.expect("accepted").0)
}

fn header(mode: ProxyProtocolMode) -> ProxyProtocol {
    ProxyProtocol::new(mode, Duration::from_secs(20))
}

fn peer() -> SocketAddr {
    ([10, 9, 9, 9], 1).into()
}

/// What is read of a connection on which all of these pieces came.
async fn read(mode: ProxyProtocolMode, pieces: &[&[u8]]) -> (Option<SocketAddr>, Vec<u8>) {
    let (mut client, mut server) = pair().await;
    let (state, drain) = (header(mode), Drain::new());
    let said = async {
        for piece in pieces {
            client.write_all(piece).await.expect("open");
            // Lets the reader see this piece alone, mostly.
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
        }
        client.shutdown().await.expect("open");
    };
    let (addr, ()) = tokio::join!(state.client(&mut server, peer(), true, &drain), said);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.expect("an end");
    (addr, rest)
}

#[tokio::test]
async fn every_valid_form_split_at_every_byte_leaves_http_its_first_byte() {
    let request = b"GET / HTTP/1.1\r\n\r\n";
    for (header, client) in valid() {
        let client = client.map_or(peer(), |client| client.parse().expect(client));
        let whole = [header.as_slice(), request].concat();
        for at in 0..=whole.len() {
            // Long headers differ in the middle by nothing.
            if (40..header.len() - 3).contains(&at) && at % 16 != 0 {
                continue;
            }
            let (first, second) = whole.split_at(at);
            for mode in [ProxyProtocolMode::Optional, ProxyProtocolMode::Required] {
                let (addr, rest) = read(mode, &[first, second]).await;
                assert_eq!(addr, Some(client), "{at} {}", header.escape_ascii());
                assert_eq!(rest, request, "{at} {}", header.escape_ascii());
            }
        }
    }
}

#[tokio::test]
async fn byte_by_byte_is_read_too() {
    let (header, _) = &valid()[0];
    let whole = [header.as_slice(), b"rest"].concat();
    let pieces: Vec<&[u8]> = whole.chunks(1).collect();
    let (addr, rest) = read(ProxyProtocolMode::Required, &pieces).await;
    assert_eq!(addr, Some("192.0.2.7:4711".parse().expect("an address")));
    assert_eq!(rest, b"rest");
}

#[tokio::test]
async fn every_malformed_form_is_refused_with_the_reason() {
    for (bytes, said) in malformed() {
        let (mut client, mut server) = pair().await;
        client.write_all(&bytes).await.expect("open");
        let state = header(ProxyProtocolMode::Optional);
        let problem = state.read(&mut server).await.expect_err(said);
        assert_eq!(problem.reason, Refused::Malformed, "{problem:?}");
        assert!(problem.what.contains(said), "{problem:?} lacks {said:?}");
        let addr = {
            let (mut client, mut server) = pair().await;
            client.write_all(&bytes).await.expect("open");
            state.client(&mut server, peer(), true, &Drain::new()).await
        };
        assert_eq!(addr, None);
        assert_eq!(state.counters.refused(Refused::Malformed), 1);
        assert_eq!(state.counters.accepted(), 0);
    }
}

#[tokio::test]
async fn a_header_that_ends_too_early_is_refused_wherever_it_ends() {
    for (header, _) in valid() {
        for at in 1..header.len().min(30) {
            let (addr, _) = read(ProxyProtocolMode::Required, &[&header[..at]]).await;
            assert_eq!(addr, None, "{at} {}", header.escape_ascii());
        }
    }
}

#[tokio::test]
async fn without_a_header_optional_passes_everything_on_and_required_nothing() {
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROPFIND / HTTP/1.1\r\n\r\n",
        b"PROXYING / HTTP/1.1\r\n\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\n\r\n\0\r\nQUIX\n",
        b"P",
        b"",
    ] {
        for at in 0..=bytes.len() {
            let (first, second) = bytes.split_at(at);
            let (addr, rest) = read(ProxyProtocolMode::Optional, &[first, second]).await;
            assert_eq!((addr, rest.as_slice()), (Some(peer()), bytes));
        }
        assert_eq!(read(ProxyProtocolMode::Required, &[bytes]).await.0, None);
    }
}

#[tokio::test]
async fn of_peers_that_are_not_trusted_nothing_is_read() {
    let (mut client, mut server) = pair().await;
    let (bytes, _) = &valid()[0];
    client.write_all(bytes).await.expect("open");
    let drain = Drain::new();
    for (mode, expected) in [
        (ProxyProtocolMode::Off, Some(peer())),
        (ProxyProtocolMode::Optional, Some(peer())),
        (ProxyProtocolMode::Required, None),
    ] {
        let state = header(mode);
        assert_eq!(
            state.client(&mut server, peer(), false, &drain).await,
            expected
        );
        let refused = u64::from(expected.is_none());
        assert_eq!(state.counters.refused(Refused::Untrusted), refused);
    }
    let mut all = vec![0; bytes.len()];
    server.read_exact(&mut all).await.expect("untouched");
    assert_eq!(&all, bytes);
}

#[tokio::test(start_paused = true)]
async fn a_header_must_be_complete_in_time() {
    let (whole, _) = &valid()[8];
    for sent in [0, 1, 11, 12, 15, 16, 20] {
        for mode in [ProxyProtocolMode::Optional, ProxyProtocolMode::Required] {
            let (mut client, mut server) = pair().await;
            client.write_all(&whole[..sent]).await.expect("open");
            let (state, drain) = (header(mode), Drain::new());
            let begin = Instant::now();
            let addr = state.client(&mut server, peer(), true, &drain).await;
            assert_eq!(begin.elapsed().as_secs(), 20, "{sent}");
            // As long as it may be no header, it is HTTP's business.
            let is_http = mode == ProxyProtocolMode::Optional && sent < 12;
            assert_eq!(addr, is_http.then_some(peer()), "{sent} {mode:?}");
            assert_eq!(
                state.counters.refused(Refused::Timeout),
                u64::from(!is_http)
            );
            if is_http {
                // It is still there, and so is what comes later.
                client.write_all(b"later").await.expect("open");
                let mut all = vec![0; sent + 5];
                server.read_exact(&mut all).await.expect("all of it");
                assert_eq!(all, [&whole[..sent], b"later"].concat());
            }
        }
    }
}

#[tokio::test]
async fn draining_does_not_wait_for_a_header() {
    let (_client, mut server) = pair().await;
    let (state, drain) = (header(ProxyProtocolMode::Required), Drain::new());
    drain.begin().await;
    assert_eq!(state.client(&mut server, peer(), true, &drain).await, None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), family: u8) {
        let _v1 = parse_v1(&bytes);
        let _line = parse_v1(&[b"PROXY TCP4 ".as_slice(), &bytes, b"\r\n"].concat());
        let mut fixed = [0; V2_FIXED];
        fixed[12] = 0x21;
        fixed[13] = family;
        for family in [family, 0x11, 0x21, 0x31] {
            fixed[13] = family;
            let _v2 = parse_v2(&fixed, &bytes);
        }
    }

    #[test]
    fn a_header_mutated_in_one_byte_is_refused_or_read_whole(at in 0usize..28, byte: u8) {
        let mut bytes = v2(0x21, 0x11, &V4);
        bytes[at] = byte;
        if at >= 12 && !(14..16).contains(&at) {
            let fixed: &[u8; V2_FIXED] = bytes.first_chunk().expect("long enough");
            if let Ok(Some(addr)) = parse_v2(fixed, &bytes[V2_FIXED..]) {
                prop_assert!(addr.is_ipv4());
            }
        }
    }
}
