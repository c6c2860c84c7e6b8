//! As whom we call the API server, and whom we take for it: the client of
//! `kube`, made anew from its files when the two do not know each other any more.
//!
//! Used by `api.rs` for every call. `kube` itself looks at a token's file once a
//! minute, and at authorities and client certificates never again. It must never
//! give up what works for what cannot be read.

use super::connect::{ConnectSettings, client};
use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// The files are read anew at most this often.
const RENEW_EACH: Duration = Duration::from_secs(1);

/// A client that can be made anew. Cheap to clone.
#[derive(Clone)]
pub(super) struct Account(Arc<Inner>);

struct Inner {
    client: ArcSwap<Client>,
    /// What it is made from; `None`: it stays.
    settings: Option<ConnectSettings>,
    renewed: Mutex<Option<Instant>>,
}

impl Account {
    /// `client` was made from `settings`.
    pub(super) fn new(client: Client, settings: Option<ConnectSettings>) -> Self {
        Self(Arc::new(Inner {
            client: ArcSwap::from_pointee(client),
            settings,
            renewed: Mutex::default(),
        }))
    }

    /// Sends a request as whoever we are now.
    ///
    /// # Errors
    /// No answer. The next request is sent by a client that was made anew; so
    /// it is after a 401.
    pub(super) async fn send(&self, request: Request<Body>) -> kube::Result<Response<Body>> {
        let client = self.0.client.load_full();
        let answer = client.send(request).await;
        let is_known = answer
            .as_ref()
            .is_ok_and(|answer| answer.status() != StatusCode::UNAUTHORIZED);
        if !is_known {
            self.renew(&client).await;
        }
        answer
    }

    /// `failed` does not reach it, or is not known there.
    async fn renew(&self, failed: &Arc<Client>) {
        let Some(settings) = &self.0.settings else {
            return;
        };
        let mut renewed = self.0.renewed.lock().await;
        // Many calls fail at once.
        let is_done = !Arc::ptr_eq(failed, &self.0.client.load());
        if is_done || renewed.is_some_and(|at| at.elapsed() < RENEW_EACH) {
            return;
        }
        *renewed = Some(Instant::now());
        match client(settings).await {
            Ok(made) => self.0.client.store(Arc::new(made.client)),
            Err(error) => tracing::warn!(
                error = %format!("{error:#}"),
                "who we are for the API server cannot be read anew; what was last read stays"
            ),
        }
    }
}
