//! gRPC as far as an echo needs it.
//!
//! Request and answer of `hello.HelloService` (`k6/hello.proto`) have the same
//! fields in the same places, so every message goes back as it came, be it one
//! or a stream.

use super::Body;
use futures_util::{StreamExt as _, future, stream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, BodyStream, StreamBody};
use hyper::body::{Frame, Incoming};

const GRPC: &str = "application/grpc";

/// Whether this is a call.
pub(super) fn is_call(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(GRPC.as_bytes()))
}

/// Sends all messages back as they come, then `OK`.
pub(super) fn echo(request: Request<Incoming>) -> Response<Body> {
    let frames = BodyStream::new(request.into_body());
    let messages = frames.filter(|frame| {
        let passes = frame.as_ref().map_or(true, Frame::is_data);
        future::ready(passes)
    });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let end = stream::once(future::ready(Ok(Frame::trailers(trailers))));
    let mut answer = Response::new(StreamBody::new(messages.chain(end)).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    answer
}
