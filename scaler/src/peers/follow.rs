//! One address: connect, listen, connect again.
//!
//! One task per address, started and stopped by [`super::roster`]. Never ends
//! by itself. A replica that goes silent is taken for lost after 3 s, whether
//! its machine, its network or just its process stands still.

use super::{
    backoff::Backoff,
    dial::dial,
    gather,
    hear::Replicas,
    line::Line,
    service,
    session::{Session, Step},
};
use crate::{
    gen_peers::{FollowRequest, Frame, peers_client::PeersClient},
    grpc::Connect,
    ledger::Ledger,
    metric_sources::MetricSources,
};
use std::{
    error::Error,
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tonic::{Request, Streaming, transport::Channel};

/// No frame for so long: lost. A replica that has nothing to say sends one each
/// second.
const SILENT_FOR: Duration = Duration::from_secs(3);

/// A refusal comes at once: whoever has not refused within this time is silent,
/// be its machine off, its process frozen or the network cut.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// An address that is ourselves is asked again this late: another replica may
/// have it by then.
const MYSELF_AGAIN: Duration = Duration::from_secs(30);

/// What a task needs.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) sources: MetricSources,
    pub(crate) replicas: Arc<Replicas>,
    pub(crate) connect: Connect,
    pub(crate) grace: Duration,
    pub(crate) line: Arc<Line>,
}

/// How a stream ended.
enum End {
    Myself,
    Goodbye,
    /// Somebody answered, and it is no replica, or not any more.
    Broken(String),
    /// Nobody answers. It may well be there.
    Silent(String),
}

impl Follower {
    /// Follows until it is dropped; its replica is then lost.
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            match self.follow(&mut backoff).await {
                End::Myself => {
                    self.line.myself();
                    sleep(MYSELF_AGAIN).await;
                    backoff.reset();
                    continue;
                }
                End::Goodbye => {
                    self.line.left();
                    tracing::info!(peer = self.line.address(), "a peer stopped in order");
                }
                End::Broken(problem) => self.broken(&problem, false),
                End::Silent(problem) => self.broken(&problem, true),
            }
            sleep(backoff.pause(fastrand::f64())).await;
        }
    }

    fn broken(&self, problem: &str, silent: bool) {
        if self.line.failed(problem, silent) {
            tracing::warn!(
                peer = self.line.address(),
                grace = ?self.grace,
                "a peer is not connected: {problem}. What it last told counts for the grace, then \
                 no more; it is tried again"
            );
        }
    }

    async fn follow(&self, backoff: &mut Backoff) -> End {
        let began = Instant::now();
        let (channel, mut frames) = match self.open().await {
            Ok(opened) => opened,
            Err(error) if began.elapsed() >= ANSWERS_WITHIN || is_unreachable(&*error) => {
                return End::Silent(said(&*error));
            }
            Err(error) => return End::Broken(said(&*error)),
        };
        let mut session = Session::new(
            Arc::clone(&self.ledger),
            Arc::clone(&self.replicas),
            self.grace,
        );
        let mut refused = 0;
        // Ends with this connection.
        let mut gathering = JoinSet::new();
        loop {
            let frame = match timeout(SILENT_FOR, frames.message()).await {
                Ok(Ok(Some(frame))) => frame,
                Ok(Ok(None)) => return End::Broken("it ended the stream".to_owned()),
                // Whether it is there at all, the next attempt tells.
                Ok(Err(status)) => {
                    return End::Silent(format!("{:?}: {}", status.code(), status.message()));
                }
                Err(_) => return End::Silent(format!("nothing came from it for {SILENT_FOR:?}")),
            };
            let was_known = session.replica().is_some();
            let step = match session.frame(&frame) {
                Ok(step) => step,
                Err(error) => return End::Broken(error.to_string()),
            };
            self.line.frame(session.refused() - refused);
            refused = session.refused();
            if let (false, Some(replica)) = (was_known, session.replica()) {
                self.line.joining(replica.identity(), replica.name());
                let address = self.line.address().to_owned();
                let channel = channel.clone();
                gathering.spawn(gather::run(self.sources.clone(), channel, address));
            }
            match step {
                Step::Told => {}
                Step::Complete => {
                    backoff.reset();
                    self.line.complete();
                    tracing::info!(peer = self.line.address(), "a peer is connected");
                }
                Step::Goodbye => return End::Goodbye,
                Step::Myself => return End::Myself,
            }
        }
    }

    async fn open(&self) -> Result<(Channel, Streaming<Frame>), Box<dyn Error + Send + Sync>> {
        let address = self.line.address();
        let opening = async {
            let channel = dial(&self.connect, address).await?;
            let outbox = self.ledger.outbox();
            let request = Request::new(FollowRequest {
                protocol: service::PROTOCOL,
                identity: outbox.identity().to_wire(),
                name: outbox.name().to_owned(),
            });
            let response = PeersClient::new(channel.clone()).follow(request).await?;
            Ok((channel, response.into_inner()))
        };
        match timeout(SILENT_FOR, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(format!("it did not answer within {SILENT_FOR:?}").into()),
        }
    }
}

/// There is no way to it, which our own machine may say at once.
fn is_unreachable(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and what caused it.
fn said(error: &(dyn Error + 'static)) -> String {
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        return format!("{:?}: {}", status.code(), status.message());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
