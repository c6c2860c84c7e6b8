//! `Expect: 100-continue` towards an endpoint (RFC 9110 section 10.1.1): the
//! client's body is asked for when the endpoint asks for it. One that does not
//! know expectations is not waited for in vain.

use super::Asker;
use crate::http::Interim;
use http::StatusCode;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::{Sleep, sleep};

/// A body that is not asked for yet. Boxed: few requests have one.
#[derive(Debug)]
pub(super) struct Expectation(Box<Waiting>);

#[derive(Debug)]
struct Waiting {
    limit: Pin<Box<Sleep>>,
    is_met: bool,
}

impl Expectation {
    /// What a request expects of its endpoint, if it expects something.
    pub(super) fn of(asker: Asker<'_>) -> Option<Self> {
        let limit = asker.continue_within?;
        Some(Self(Box::new(Waiting {
            limit: Box::pin(sleep(*limit)),
            is_met: false,
        })))
    }

    /// The endpoint said 100.
    pub(super) fn met(&mut self) {
        self.0.is_met = true;
    }

    /// Ready: the body is to be asked for.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_met {
            return Poll::Ready(());
        }
        self.0.limit.as_mut().poll(cx)
    }
}

/// Asks the client for its body.
pub(super) fn ask(asker: Asker<'_>) {
    if let (Some(relay), Some(_)) = (asker.relay, asker.continue_within) {
        let headers = http::HeaderMap::new();
        relay(Interim::new(StatusCode::CONTINUE, None, headers));
    }
}
