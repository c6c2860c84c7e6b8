//! Refusals as answers: one place decides status, body and headers.

use super::{ProxyBody, grpc};
use crate::{error::Refusal, route::StaticResponse};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// Our own answer to a request that was not served. The form is the HTTP
/// add-on's: plain text, the reason phrase and a newline, or the reason in
/// words where we have one to give.
///
/// `is_grpc`: the client understands gRPC only. What a route answers itself
/// is passed on as it wants it, even so.
pub(crate) fn refusal(refusal: &Refusal, is_grpc: bool) -> Response<ProxyBody> {
    let mut response = match refusal {
        Refusal::Fixed(response) => return fixed(response),
        _ if is_grpc => grpc::refusal(refusal),
        _ => plain(refusal),
    };
    if let Some(seconds) = refusal.retry_after() {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn plain(refusal: &Refusal) -> Response<ProxyBody> {
    let status = refusal.status();
    let body = match refusal.explanation() {
        Some(words) => Bytes::from(format!("{words}\n")),
        None => Bytes::from_static(phrase_line(status)),
    };
    let mut response = Response::new(ProxyBody::Own(Some(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    if refusal.closes_connection() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// What the route wants to be answered.
fn fixed(wanted: &StaticResponse) -> Response<ProxyBody> {
    let body = Some(wanted.body.clone()).filter(|body| !body.is_empty());
    let mut response = Response::new(ProxyBody::Own(body));
    *response.status_mut() = wanted.status;
    *response.headers_mut() = wanted.headers.clone();
    response
}

fn phrase_line(status: StatusCode) -> &'static [u8] {
    match status {
        StatusCode::BAD_REQUEST => b"Bad Request\n",
        StatusCode::NOT_FOUND => b"Not Found\n",
        StatusCode::INTERNAL_SERVER_ERROR => b"Internal Server Error\n",
        StatusCode::BAD_GATEWAY => b"Bad Gateway\n",
        StatusCode::SERVICE_UNAVAILABLE => b"Service Unavailable\n",
        StatusCode::GATEWAY_TIMEOUT => b"Gateway Timeout\n",
        _ => b"Error\n",
    }
}
