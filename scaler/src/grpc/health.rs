//! The gRPC health service (`grpc.health.v1`): follows readiness.
//!
//! Written here and not taken from the library, because its streams must end
//! with OK when their connection does.

use super::connection::Connection;
use futures_util::stream::{self, Stream};
use std::{pin::Pin, sync::Arc};
use tokio::sync::watch;
use tonic::{Request, Response, Status, service::Routes};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{self, HealthServer},
};

/// No name of a service is longer than this.
const MAX_MESSAGE: usize = 4 * 1024;

/// The health of this process and of its services, which are healthy together.
#[derive(Clone, Debug)]
pub struct Health {
    ready: watch::Receiver<bool>,
    blind: watch::Receiver<bool>,
    services: Arc<[&'static str]>,
}

impl Health {
    /// Serving while `ready` is true and `blind` is not, which stands for the
    /// whole (the service of no name) and for each of `services`.
    #[must_use]
    pub fn new(
        ready: watch::Receiver<bool>,
        blind: watch::Receiver<bool>,
        services: &[&'static str],
    ) -> Self {
        Self {
            ready,
            blind,
            services: services.into(),
        }
    }

    /// Adds the service to those of one connection, with which its streams
    /// end.
    #[must_use]
    pub fn add_to(&self, routes: Routes, connection: &Connection) -> Routes {
        let service = OfConnection {
            health: self.clone(),
            closing: connection.closing.clone(),
        };
        routes.add_service(HealthServer::new(service).max_decoding_message_size(MAX_MESSAGE))
    }

    fn knows(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(&service)
    }
}

fn response(is_ready: bool) -> HealthCheckResponse {
    answer(if is_ready {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    })
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

struct OfConnection {
    health: Health,
    closing: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl health_server::Health for OfConnection {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.health.knows(&request.get_ref().service) {
            let known = self.health.services.join(", ");
            let message = format!("unknown service; known: {known}, and the empty name");
            return Err(Status::not_found(message));
        }
        let is_ready = *self.health.ready.borrow() && !*self.health.blind.borrow();
        Ok(Response::new(response(is_ready)))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    /// An unknown service may come to be known, says the protocol: the stream
    /// stays open.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watcher = Watcher {
            is_known: self.health.knows(&request.get_ref().service),
            ready: self.health.ready.clone(),
            blind: self.health.blind.clone(),
            closing: self.closing.clone(),
            told: None,
        };
        let changes = stream::unfold(watcher, |mut watcher| async {
            let change = watcher.next().await?;
            Some((Ok(change), watcher))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

struct Watcher {
    is_known: bool,
    ready: watch::Receiver<bool>,
    blind: watch::Receiver<bool>,
    closing: watch::Receiver<bool>,
    told: Option<bool>,
}

impl Watcher {
    /// The next change; `None` when the connection ends.
    async fn next(&mut self) -> Option<HealthCheckResponse> {
        if !self.is_known && self.told.is_none() {
            self.told = Some(false);
            return Some(answer(ServingStatus::ServiceUnknown));
        }
        loop {
            if *self.closing.borrow() {
                return None;
            }
            let is_ready = *self.ready.borrow_and_update() && !*self.blind.borrow_and_update();
            if self.is_known && self.told != Some(is_ready) {
                self.told = Some(is_ready);
                return Some(response(is_ready));
            }
            tokio::select! {
                biased;
                closing = self.closing.changed() => closing.ok()?,
                // Without a sender, nothing will ever change.
                Ok(()) = self.ready.changed() => {}
                Ok(()) = self.blind.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};
    use health_server::Health as _;

    #[tokio::test]
    async fn who_is_blind_does_not_serve() {
        let (ready, blind) = (watch::Sender::new(true), watch::Sender::new(true));
        let closing = watch::Sender::new(false);
        let service = OfConnection {
            health: Health::new(ready.subscribe(), blind.subscribe(), &[]),
            closing: closing.subscribe(),
        };
        let status = |told: HealthCheckResponse| told.status();
        let of_all = || Request::new(HealthCheckRequest::default());
        let checked = service.check(of_all()).await.expect("known");
        assert_eq!(status(checked.into_inner()), ServingStatus::NotServing);

        let watched = service.watch(of_all()).await.expect("known");
        let mut watched = watched.into_inner();
        let mut next = || watched.next().now_or_never().flatten();
        let first = next().expect("the present state").expect("no error");
        assert_eq!(status(first), ServingStatus::NotServing);
        blind.send_replace(false);
        let second = next().expect("a change").expect("no error");
        assert_eq!(status(second), ServingStatus::Serving);
        let checked = service.check(of_all()).await.expect("known");
        assert_eq!(status(checked.into_inner()), ServingStatus::Serving);
        ready.send_replace(false);
        let third = next().expect("a change").expect("no error");
        assert_eq!(status(third), ServingStatus::NotServing);
    }
}
