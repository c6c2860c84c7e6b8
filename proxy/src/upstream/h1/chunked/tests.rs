use super::*;
use proptest::prelude::*;

/// Data, trailers, and whether the body has ended, when the input comes in
/// pieces of `size`.
fn decode(input: &[u8], size: usize) -> Result<(Vec<u8>, Option<HeaderMap>, bool), &'static str> {
    let mut chunked = Chunked::new();
    let (mut data, mut trailers) = (Vec::new(), None);
    for piece in input.chunks(size) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(frame) = chunked.next(&mut piece)? {
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
    }
    Ok((data, trailers, chunked.is_ended()))
}

#[test]
fn bodies_come_out_whole_however_they_come_in() {
    let input =
        b"5\r\nhello\r\n0A;name=\"v\" ; x\r\n, world!!!\r\n000 \r\nx-sum: 1\r\nx-b: 2\r\n\r\n";
    for size in 1..=input.len() {
        let (data, trailers, ended) = decode(input, size).expect("valid");
        assert_eq!(data, b"hello, world!!!", "{size}");
        let trailers = trailers.expect("trailers");
        assert_eq!(
            (&trailers["x-sum"], &trailers["x-b"]),
            (
                &"1".parse().expect("a value"),
                &"2".parse().expect("a value")
            )
        );
        assert!(ended);
    }
}

#[test]
fn what_follows_the_body_is_left_alone() {
    let mut chunked = Chunked::new();
    let mut input = Bytes::from_static(b"1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK");
    assert!(chunked.next(&mut input).expect("valid").is_some());
    assert!(chunked.next(&mut input).expect("valid").is_none());
    assert!(chunked.is_ended());
    assert_eq!(input, "HTTP/1.1 200 OK");
}

#[test]
fn what_is_no_chunk_is_refused() {
    let extension = format!("1;{}", "x".repeat(MOST_EXTENSION_BYTES + 1));
    let trailer = format!("0\r\nx: {}\r\n\r\n", "x".repeat(MOST_TRAILER_BYTES));
    let many = format!("0\r\n{}\r\n", "x: y\r\n".repeat(MOST_TRAILER_FIELDS + 1));
    for input in [
        "\r\n",
        ";x\r\n",
        "g\r\n",
        "-1\r\n",
        "0x1\r\n",
        "1 2\r\n",
        "1\n",
        "1;a\n",
        "1\rx",
        "11111111111111111\r\n",
        "1\r\nxx",
        "1\r\nx\n",
        "1\r\nx\rx",
        "0\r\nno colon\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
        &extension,
        &trailer,
        &many,
    ] {
        assert!(decode(input.as_bytes(), 7).is_err(), "{input:.40}");
    }
}

proptest! {
    #[test]
    fn anything_at_all_is_read_or_refused(input: Vec<u8>, size in 1_usize..9) {
        // Must neither panic nor say different things for different pieces.
        prop_assert_eq!(decode(&input, size), decode(&input, input.len().max(1)));
    }

    #[test]
    fn chunks_of_any_kind_come_out_whole(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..9),
        size in 1_usize..40,
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(decode(&input, size), Ok((chunks.concat(), None, true)));
    }
}
