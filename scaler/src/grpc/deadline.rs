//! A deadline for the head of an answer, put around one service.
//!
//! Answers come from memory, so only a client that does not send its message
//! ever meets it. Not for services that read a stream of messages before they
//! answer.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    server::NamedService,
};

/// A service whose calls fail with `CANCELLED` when no answer has begun after
/// a time.
#[derive(Clone, Debug)]
pub struct AnswerWithin<S> {
    service: S,
    limit: Duration,
}

impl<S> AnswerWithin<S> {
    /// `service` with a limit from the head of a request to the head of its
    /// answer.
    pub fn new(limit: Duration, service: S) -> Self {
        Self { service, limit }
    }
}

impl<S: NamedService> NamedService for AnswerWithin<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for AnswerWithin<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let limit = self.limit;
        let answer = self.service.call(request);
        Box::pin(async move {
            match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_elapsed) => {
                    let message = format!("the request did not arrive in full within {limit:?}");
                    Ok(Status::cancelled(message).into_http())
                }
            }
        })
    }
}
