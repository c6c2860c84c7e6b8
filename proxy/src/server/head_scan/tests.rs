//! Each case is fed whole, and again cut in two at every byte: the cut must
//! change nothing.

use super::*;

/// How many heads were seen, which of them is refused and why, and how many
/// bytes were sound if not all were.
type Found = (u32, Option<(u32, Fault)>, Option<usize>);

fn found(scan: &HeadScan, verdicts: &Verdicts, sound: Option<usize>) -> Found {
    let refused = verdicts.refused.load(Ordering::Relaxed);
    let fault = Fault::ALL
        .into_iter()
        .find(|fault| *fault as u64 == refused & 0xff);
    let number = u32::try_from(refused >> 8).ok();
    (scan.heads, number.zip(fault), sound)
}

fn scan(bytes: &[u8]) -> Found {
    let verdicts = Verdicts::new();
    let mut scan = HeadScan::new();
    let sound = scan.feed(bytes, &verdicts).err();
    let whole = found(&scan, &verdicts, sound);
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let verdicts = Verdicts::new();
        let mut scan = HeadScan::new();
        let sound = match scan.feed(first, &verdicts) {
            Ok(()) => scan.feed(second, &verdicts).err().map(|at| at + cut),
            Err(at) => Some(at),
        };
        let in_two = found(&scan, &verdicts, sound);
        // A line that came in part was passed on in part.
        let is_same =
            (in_two.0, in_two.1, in_two.2.is_some()) == (whole.0, whole.1, whole.2.is_some());
        assert!(is_same, "cut at {cut}: {in_two:?} instead of {whole:?}");
    }
    whole
}

fn refused(text: &str) -> Option<Fault> {
    scan(text.as_bytes()).1.map(|(_, fault)| fault)
}

#[test]
fn two_lengths_in_both_orders() {
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "transfer-encoding:chunked\r\nx: y\r\nCONTENT-LENGTH:0\r\n",
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(refused(&head), Some(Fault::TwoLengths), "{lines}");
        // Also in front of, and behind, a sound one.
        let behind = format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{head}");
        let (heads, refused, _) = scan(behind.as_bytes());
        assert_eq!((heads, refused), (1, Some((1, Fault::TwoLengths))));
        let body = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let (_, refused, _) = scan(format!("{body}{head}").as_bytes());
        assert_eq!(refused, Some((1, Fault::TwoLengths)));
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                       3;x=y\r\nabc\r\n0\r\nt: u\r\n\r\n";
        let (_, refused, _) = scan(format!("{chunked}{chunked}{head}").as_bytes());
        assert_eq!(refused, Some((2, Fault::TwoLengths)));
    }
}

#[test]
fn sound_requests_however_they_look() {
    for text in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
        "POST / HTTP/1.1\r\nContent-Length:  5 \r\n\r\n12345",
        "POST / HTTP/1.1\r\nx-content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encodings: x\r\ncontent-length: 0\r\n\r\n",
        // Bodies that look like heads.
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
         25\r\nContent-Length: 5\r\nGET /#a HTTP/1.1\n\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 47\r\n\r\n\
         Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
         1\r\n\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ] {
        let twice = format!("{text}{text}");
        assert_eq!(scan(twice.as_bytes()), (2, None, None), "{text}");
    }
}

#[test]
fn fragments_and_bare_line_feeds() {
    assert_eq!(
        refused("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        Some(Fault::Fragment)
    );
    assert_eq!(refused("GET / HTTP/1.1\r\nReferer: /a#b\r\n\r\n"), None);
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(refused(text), Some(Fault::BareLineFeed), "{text}");
    }
}

#[test]
fn long_lines_in_pieces() {
    let long = "x".repeat(3 * KEPT);
    let text = format!(
        "GET /{long} HTTP/1.1\r\nx: {long}\r\n{long}: y\r\n\
         transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n"
    );
    assert_eq!(refused(&text), Some(Fault::TwoLengths));
    assert_eq!(
        refused(&format!("GET /{long} HTTP/1.1\r\nx: {long}\n\r\n")),
        Some(Fault::BareLineFeed)
    );
}

#[test]
fn what_is_no_chunk_is_kept_back() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, sound) in [
        ("0x3\r\nabc\r\n", 0),
        (" 3\r\nabc\r\n", 0),
        ("3 \r\nabc\r\n", 0),
        ("3 4\r\nabc\r\n", 0),
        ("-3\r\nabc\r\n", 0),
        ("+3\r\nabc\r\n", 0),
        ("\r\nabc\r\n", 0),
        ("3\nabc\r\n", 0),
        ("3;x=y\nabc\r\n", 0),
        ("FFFFFFFFFFFFFFFF\r\n", 0),
        ("10000000000000000\r\n", 0),
        ("3\r\nabc\r\nx\r\n", 8),
        ("0\r\nx: y\n\r\n", 3),
        ("0\r\n\n", 3),
    ] {
        let found = scan(format!("{head}{body}").as_bytes());
        assert_eq!(found, (1, None, Some(head.len() + sound)), "{body}");
    }
}

#[test]
fn behind_a_switch_of_protocols_nothing_is_judged() {
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let other = b"Transfer-Encoding: chunked\r\n\r\n\n\nGET /#\r\n\r\nzz\r\n";

    // Nobody answered yet.
    let verdicts = Verdicts::new();
    let mut scan = HeadScan::new();
    assert_eq!(scan.feed(ask.as_bytes(), &verdicts), Ok(()));
    assert_eq!(scan.feed(other, &verdicts), Ok(()));
    assert_eq!(scan.at, At::Off);
    assert_eq!(verdicts.next(), Ok(0));
    assert_eq!(verdicts.next(), Err(Fault::Unasked.explanation()));

    // Declined: it goes on with HTTP, and is judged again.
    let verdicts = Verdicts::new();
    let mut scan = HeadScan::new();
    assert_eq!(scan.feed(ask.as_bytes(), &verdicts), Ok(()));
    assert_eq!(verdicts.next(), Ok(0));
    verdicts.stays_http(0);
    let bad = b"POST /# HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(scan.feed(bad, &verdicts), Ok(()));
    assert_eq!(verdicts.next(), Err(Fault::Fragment.explanation()));
}

#[test]
fn http2_is_left_alone() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\n#";
    let (heads, refused, sound) = scan(preface);
    assert_eq!((heads, refused, sound), (0, None, None));
}

#[test]
fn a_length_that_is_none_still_counts_as_one() {
    for length in ["-1", "+1", "1, 1", "0x1", "", "18446744073709551616", "1 2"] {
        let text = format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n"
        );
        assert_eq!(refused(&text), Some(Fault::TwoLengths), "{length}");
    }
}
