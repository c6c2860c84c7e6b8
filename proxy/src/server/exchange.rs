//! One request and its answer as an HTTP/1 connection sees them: in progress from
//! the head until the answer's last byte, whatever ends it.

use super::{caller::Caller, conn::ClientConnection};
use crate::{
    forward::forward,
    http::{BodyError, ProxyBody, RequestBody},
    proxy::Shared,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::{pin_project, pinned_drop};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// What a connection's requests share.
pub(super) type Served = Arc<(Arc<Shared>, ClientConnection)>;

/// Serves one request. To be called by the connection when it has the head.
pub(super) fn exchange(
    served: Served,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ClientBody>, Infallible>> {
    let is_last = served.1.activity.begin();
    let exchange = Exchange {
        served,
        is_uploaded: request.body().is_end_stream(),
    };
    async move {
        let (shared, client) = &*exchange.served;
        let request = request.map(RequestBody::Http1);
        let mut response = forward(shared, Caller::Http1(client), request).await;
        let is_last = is_last || client.activity.is_announced();
        if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(response.map(|inner| ClientBody { inner, exchange }))
    }
}

/// A request in progress.
struct Exchange {
    served: Served,
    is_uploaded: bool,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.served.1.activity.end(self.is_uploaded);
    }
}

/// An answer's body; the request is in progress for as long as it exists.
#[pin_project(PinnedDrop)]
pub(super) struct ClientBody {
    #[pin]
    inner: ProxyBody,
    exchange: Exchange,
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[pinned_drop]
impl PinnedDrop for ClientBody {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        this.exchange.is_uploaded |= this.inner.is_uploaded();
    }
}
