//! WebSockets (RFC 6455) as far as an echo needs them: no extensions, no
//! subprotocols, messages of at most 1 MiB.

use super::refuse;
use anyhow::{Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufStream};

/// Section 1.3.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MOST_BYTES: u64 = 1 << 20;

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Switches, and echoes in a task of its own until either side closes.
pub(super) fn accept(request: &mut Request<Incoming>) -> Response<Bytes> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "an upgrade to a WebSocket, or none",
        );
    };
    let accepted = accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Ok(switched) = upgrade.await
            && let Err(error) = echo(TokioIo::new(switched)).await
        {
            eprintln!("WebSocket: {error:#}");
        }
    });
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accepted);
    answer
}

fn accept_key(key: &[u8]) -> HeaderValue {
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    HeaderValue::from_str(&BASE64_STANDARD.encode(digest)).expect("base64 is plain ASCII")
}

/// One frame: its first byte (FIN and opcode), and its payload.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; 2];
    if stream.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..]).await?;
    let [first, second] = head;
    ensure!(second & 0x80 != 0, "a client's frame without a mask");
    let length = match second & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    ensure!(length <= MOST_BYTES, "a frame of {length} bytes");
    let mut mask = [0; 4];
    stream.read_exact(&mut mask).await?;
    let mut payload = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Some((first, payload)))
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> Result<()> {
    stream.write_u8(first).await?;
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..126), _) => stream.write_u8(short).await?,
        (_, Ok(medium)) => {
            stream.write_u8(126).await?;
            stream.write_u16(medium).await?;
        }
        _ => {
            stream.write_u8(127).await?;
            stream.write_u64(u64::try_from(payload.len())?).await?;
        }
    }
    stream.write_all(payload).await?;
    Ok(stream.flush().await?)
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<()> {
    let mut stream = BufStream::new(stream);
    while let Some((first, payload)) = read(&mut stream).await? {
        match first & 0x0f {
            CLOSE => return write(&mut stream, first, &payload).await,
            PING => write(&mut stream, first & 0xf0 | PONG, &payload).await?,
            PONG => {}
            _ => write(&mut stream, first, &payload).await?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{accept_key, echo};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// What comes back for these bytes, until the end.
    async fn answers(sent: &[u8]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let echoed = tokio::spawn(echo(server));
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        echoed.await.unwrap().ok();
        got
    }

    /// Masked with zeros: the payload is plain.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut frame = vec![first, 0x80 | length, 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn the_key_of_the_rfc() {
        let accepted = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn messages_pings_and_the_close() {
        // The masked "Hello" of section 5.7.
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(answers(&hello).await, b"\x81\x05Hello");
        assert_eq!(answers(&frame(0x89, b"hi")).await, b"\x8a\x02hi");
        let closed = [frame(0x88, b"\x03\xe8"), frame(0x81, b"late")].concat();
        assert_eq!(answers(&closed).await, b"\x88\x02\x03\xe8");
    }

    #[tokio::test]
    async fn long_messages() {
        let mut long = vec![0x82, 0xfe, 0x01, 0x00, 0, 0, 0, 0];
        long.extend_from_slice(&[7; 256]);
        let got = answers(&long).await;
        assert_eq!(got[..4], [0x82, 126, 1, 0]);
        assert_eq!(got.len(), 4 + 256);
    }

    #[tokio::test]
    async fn what_breaks_the_rules_ends_it() {
        assert!(answers(b"\x81\x05Hello").await.is_empty());
        let huge = [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(answers(&huge).await.is_empty());
    }
}
