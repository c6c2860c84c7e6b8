//! Sending a request once more that an endpoint may have seen: when that is
//! safe, how often, and what it takes.

use super::job::Job;
use crate::{
    endpoint::Lease,
    error::Refusal,
    http::{
        UploadBody,
        body::{Upload, UploadState},
    },
};
use http::Request;
use std::{sync::atomic::Ordering, time::Duration};

/// How often a request that an endpoint may have seen is sent again.
pub(super) const MOST_RESENDS: u32 = 2;
/// Likewise, one that goes back to the queue each time.
const MOST_RESENDS_QUEUED: u32 = 8;
/// Before the second time: new connections broke as well, and a process that
/// dies takes a moment until it refuses them.
const RESEND_PAUSE: Duration = Duration::from_millis(25);

impl Job<'_> {
    /// Makes the request ready to be sent once more, if it may be. `copy`: of
    /// its head, over HTTP/2; `is_unharmed`: the endpoint did nothing about it.
    pub(super) async fn send_again(
        &mut self,
        copy: Option<Request<()>>,
        is_unharmed: bool,
    ) -> bool {
        let most = match self.pass {
            Some(_) => MOST_RESENDS_QUEUED,
            None => MOST_RESENDS,
        };
        if self.resends >= most || !self.renew(copy, is_unharmed).await {
            return false;
        }
        let retries = &self.target_metrics().retries;
        if is_unharmed {
            retries.refused.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let target = &self.route.target;
        let now_us = target.clock().now_us();
        let begun = target.totals().begun;
        let config = &self.shared.config.endpoints.retries;
        let may = target.retry_budget().take(now_us, begun, config);
        let counter = if may {
            &retries.reset
        } else {
            &retries.budget_exhausted
        };
        counter.fetch_add(1, Ordering::Relaxed);
        may
    }

    /// Where and when it is sent once more, after `lease`'s endpoint failed it.
    pub(super) async fn prepare_resend(&mut self, lease: &Lease) {
        self.avoid = Some(lease.endpoint().clone());
        if let Some(pass) = &mut self.pass {
            pass.refused();
            self.must_queue = true;
        } else if self.resends > 0 {
            tokio::time::sleep(RESEND_PAUSE).await;
        }
        self.resends += 1;
    }

    /// A copy of the head, to be sent again if an HTTP/2 endpoint says that it
    /// did nothing about the request, or breaks the connection where that is
    /// safe: HTTP/2 takes the original. Over HTTP/1.1 it stays with us.
    pub(super) fn copy_for_http2(&self, lease: &Lease) -> Option<Request<()>> {
        if !lease.endpoint().may_speak_h2() {
            return None;
        }
        let request = self.request.as_ref()?;
        let mut copy = Request::new(());
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        Some(copy)
    }

    /// Makes a request ready to be sent again that an endpoint may have seen:
    /// only where that is safe (RFC 9110 section 9.2.2), or where the endpoint
    /// did nothing about it; and only if all of its body is there. False: it
    /// cannot be sent again.
    pub(super) async fn renew(&mut self, copy: Option<Request<()>>, is_unharmed: bool) -> bool {
        let Some(copy) = copy else {
            let request = self.request.as_ref();
            return request.is_some_and(|request| {
                request.method().is_idempotent() && request.body().is_untouched()
            });
        };
        if !is_unharmed && (self.has_body || !copy.method().is_idempotent()) {
            return false;
        }
        let mut body = UploadBody::none();
        if self.has_body {
            let Some(upload) = &self.upload else {
                return false;
            };
            let Some(unsent) = upload.unsent().await else {
                return false;
            };
            let (again, upload) = UploadBody::again(unsent);
            body = again;
            self.journal.upload(&upload);
            self.upload = Some(upload);
        }
        self.request = Some(copy.map(|()| body));
        true
    }

    /// A connection also breaks because the client's body did: that is not
    /// the endpoint's failure.
    pub(super) fn check_upload(&self) -> Result<(), Refusal> {
        match self.upload.as_ref().map(Upload::state) {
            Some(UploadState::ClientLeft) => Err(Refusal::ClientGone),
            Some(UploadState::Malformed) => Err(Refusal::BadRequest("a malformed body")),
            Some(UploadState::Running | UploadState::Complete(_)) | None => Ok(()),
        }
    }
}
