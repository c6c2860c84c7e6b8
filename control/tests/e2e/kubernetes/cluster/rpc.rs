//! A gRPC service without a library: `/test.Service/Unary` sends the message
//! back, `/test.Service/Count` as many as the message says, and both end with
//! trailers.

use super::container::App;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use std::{convert::Infallible, sync::Arc};

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const POD: HeaderName = HeaderName::from_static("x-pod");
const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const UNIMPLEMENTED: &str = "12";

pub(super) async fn answer(
    app: Arc<App>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let sent = request.into_body().collect().await;
    // A compression flag and a length of four bytes go before the message.
    let sent = sent.map(|body| body.to_bytes()).unwrap_or_default();
    let Some(message) = sent.get(5..) else {
        return Ok(ended(&app, vec![], INVALID_ARGUMENT, "no message"));
    };
    Ok(match path.as_str() {
        "/test.Service/Unary" => ended(&app, vec![message.to_vec()], OK, ""),
        "/test.Service/Count" => {
            let count = String::from_utf8_lossy(message).parse().unwrap_or(0u32);
            let messages = (0..count).map(|number| number.to_string().into_bytes());
            ended(&app, messages.collect(), OK, "")
        }
        _ => ended(&app, vec![], UNIMPLEMENTED, "no such method"),
    })
}

fn ended(
    app: &App,
    messages: Vec<Vec<u8>>,
    status: &'static str,
    why: &'static str,
) -> Response<Body> {
    let trailers = HeaderMap::from_iter([
        (STATUS, HeaderValue::from_static(status)),
        (MESSAGE, HeaderValue::from_static(why)),
        (POD, HeaderValue::from_str(&app.pod).expect("a Pod's name")),
    ]);
    let frames = messages.into_iter().map(|message| {
        let mut bytes = BytesMut::with_capacity(5 + message.len());
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(message.len()).expect("short"));
        bytes.put_slice(&message);
        Ok(Frame::data(bytes.freeze()))
    });
    let frames: Vec<Result<_, Infallible>> =
        frames.chain([Ok(Frame::trailers(trailers))]).collect();
    let body = StreamBody::new(stream::iter(frames));
    let mut answer = Response::new(body.boxed_unsync());
    let grpc = HeaderValue::from_static("application/grpc");
    answer.headers_mut().insert(header::CONTENT_TYPE, grpc);
    answer
}
