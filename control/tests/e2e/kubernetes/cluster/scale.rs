//! Writing a scale subresource as KEDA does: GET, then PUT, over HTTP.

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Asks for so many replicas.
///
/// # Panics
/// If the API server does not take it.
pub(super) async fn set(api: SocketAddr, path: &str, replicas: u32) {
    let mut scale = call(api, Method::GET, path, Bytes::new()).await;
    scale["spec"]["replicas"] = replicas.into();
    call(api, Method::PUT, path, scale.to_string().into()).await;
}

async fn call(api: SocketAddr, method: Method, path: &str, body: Bytes) -> Value {
    let stream = TcpStream::connect(api).await.expect("the API server");
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    // It ends with `send`.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, api.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .expect("valid");
    let answer = send.send_request(request).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body");
    let body = body.to_bytes();
    assert!(status.is_success(), "{path}: {status}: {body:?}");
    serde_json::from_slice(&body).expect("JSON")
}
