//! grpc-go's ClientConn with `round_robin`: one per scaler address, shared by
//! all ScaledObjects that name it.
//!
//! The name is resolved at the start and when a connection was lost, at most
//! every 30 s: an address that is new in DNS is not used before. Calls go to
//! the ready addresses in turn; without one they wait while some address was
//! not tried yet, and fail at once with UNAVAILABLE when all have failed. No
//! call has a deadline, and nothing pings.

use super::{
    subconn::{State, SubConn},
    timings::Timings,
};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use parking_lot::Mutex;
use scaler::externalscaler::external_scaler_client::ExternalScalerClient;
use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
};

/// The cluster's DNS: the addresses behind each name. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dns(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Dns {
    pub(crate) fn set(&self, name: &str, addresses: Vec<SocketAddr>) {
        self.0.lock().insert(name.to_owned(), addresses);
    }

    fn resolve(&self, name: &str) -> Vec<SocketAddr> {
        self.0.lock().get(name).cloned().unwrap_or_default()
    }
}

/// Tells the channel that an address has another state.
#[derive(Clone, Debug)]
pub(super) struct Changed(watch::Sender<Seen>);

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    changes: u64,
    losses: u64,
}

impl Changed {
    pub(super) fn tell(&self) {
        self.0.send_modify(|seen| seen.changes += 1);
    }

    /// A connection was lost or could not be made.
    pub(super) fn tell_lost(&self) {
        self.0.send_modify(|seen| {
            seen.changes += 1;
            seen.losses += 1;
        });
    }
}

/// A ClientConn. Dropping it closes all connections.
#[derive(Debug)]
pub(super) struct Channel {
    subconns: Arc<Mutex<Vec<SubConn>>>,
    next: Mutex<usize>,
    changed: Changed,
    resolver: tokio::task::JoinHandle<()>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.resolver.abort();
    }
}

impl Channel {
    pub(super) fn open(name: &str, dns: &Dns, timings: Timings) -> Self {
        let subconns = Arc::new(Mutex::new(Vec::new()));
        let changed = Changed(watch::Sender::default());
        reconcile(&subconns, &dns.resolve(name), timings, &changed);
        let resolver = tokio::spawn(resolve_after_losses(
            name.to_owned(),
            dns.clone(),
            timings,
            Arc::clone(&subconns),
            changed.clone(),
        ));
        Self {
            subconns,
            next: Mutex::new(0),
            changed,
            resolver,
        }
    }

    /// A client for one call, on the connection whose turn it is.
    pub(super) async fn client(&self) -> Result<ExternalScalerClient<Picked>, Status> {
        let mut changes = self.changed.0.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(picked) = self.pick()? {
                let origin = http::Uri::from_static("http://scaler");
                return Ok(ExternalScalerClient::with_origin(picked, origin));
            }
            changes.changed().await.expect("the sender is in self");
        }
    }

    /// `None`: wait.
    fn pick(&self) -> Result<Option<Picked>, Status> {
        let states: Vec<State> = self.subconns.lock().iter().map(SubConn::state).collect();
        let ready: Vec<&SendRequest<Body>> = states
            .iter()
            .filter_map(|state| match state {
                State::Ready(send) => Some(send),
                _ => None,
            })
            .collect();
        if ready.is_empty() {
            let connecting = states.iter().any(|s| matches!(s, State::Connecting));
            let last = states.into_iter().find_map(|state| match state {
                State::Failing(error) => Some(error),
                _ => None,
            });
            return if connecting {
                Ok(None)
            } else {
                Err(Status::unavailable(
                    last.unwrap_or_else(|| "no addresses".to_owned()),
                ))
            };
        }
        let mut next = self.next.lock();
        let picked = ready[*next % ready.len()].clone();
        *next = next.wrapping_add(1);
        Ok(Some(Picked(picked)))
    }
}

fn reconcile(
    subconns: &Mutex<Vec<SubConn>>,
    addresses: &[SocketAddr],
    timings: Timings,
    changed: &Changed,
) {
    let mut subconns = subconns.lock();
    subconns.retain(|subconn| addresses.contains(&subconn.address));
    for address in addresses {
        if !subconns.iter().any(|subconn| subconn.address == *address) {
            subconns.push(SubConn::open(*address, timings, changed.clone()));
        }
    }
}

async fn resolve_after_losses(
    name: String,
    dns: Dns,
    timings: Timings,
    subconns: Arc<Mutex<Vec<SubConn>>>,
    changed: Changed,
) {
    let mut changes = changed.0.subscribe();
    let mut seen = changes.borrow().losses;
    let mut resolved = Instant::now();
    loop {
        // The sender is in `changed`.
        let Ok(now) = changes.wait_for(|now| now.losses != seen).await.map(|s| *s) else {
            return;
        };
        seen = now.losses;
        sleep_until(resolved + timings.resolve_each).await;
        resolved = Instant::now();
        reconcile(&subconns, &dns.resolve(&name), timings, &changed);
        changed.tell();
    }
}

/// The connection that a call was given.
#[derive(Clone, Debug)]
pub(super) struct Picked(SendRequest<Body>);

impl Service<http::Request<Body>> for Picked {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
