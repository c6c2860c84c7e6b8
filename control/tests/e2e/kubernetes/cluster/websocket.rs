//! A WebSocket server (RFC 6455) that greets with its Pod's name and then
//! sends every message back.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Section 1.3.
const PROOF: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Section 5.2: opcodes that mean something to us, and the last frame's bit.
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;

/// The answer to a handshake; the conversation goes on by itself.
pub(super) fn switch(pod: &str, request: Request<Incoming>) -> Response<()> {
    let proof = proof(request.headers());
    let greeting = format!("hello from {pod}");
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            // However the client leaves.
            let _left = talk(TokioIo::new(upgraded), &greeting).await;
        }
    });
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.append(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.append(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.append(header::SEC_WEBSOCKET_ACCEPT, proof);
    answer
}

fn proof(headers: &HeaderMap) -> HeaderValue {
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let mut sha = Sha1::new();
    sha.update(key.map_or(&[][..], HeaderValue::as_bytes));
    sha.update(PROOF);
    let proof = BASE64_STANDARD.encode(sha.finalize());
    HeaderValue::from_str(&proof).expect("base64")
}

async fn talk(mut io: impl AsyncRead + AsyncWrite + Unpin, greeting: &str) -> io::Result<()> {
    send(&mut io, FIN | TEXT, greeting.as_bytes()).await?;
    loop {
        let (first, payload) = frame(&mut io).await?;
        match first & 0x0f {
            CLOSE => {
                send(&mut io, first, &payload).await?;
                return io.shutdown().await;
            }
            PING => send(&mut io, FIN | PONG, &payload).await?,
            PONG => {}
            _ => send(&mut io, first, &payload).await?,
        }
    }
}

/// The first byte of a frame and its payload, unmasked.
async fn frame(io: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let first = io.read_u8().await?;
    let length = match io.read_u8().await? & 0x7f {
        126 => u64::from(io.read_u16().await?),
        127 => io.read_u64().await?,
        length => u64::from(length),
    };
    let mut mask = [0; 4];
    io.read_exact(&mut mask).await?;
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok((first, payload))
}

async fn send(io: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(u8::try_from(length).expect("below 126")),
        length => {
            let length = u16::try_from(length).map_err(io::Error::other)?;
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend(payload);
    io.write_all(&frame).await?;
    io.flush().await
}
