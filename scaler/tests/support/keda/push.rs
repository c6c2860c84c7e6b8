//! The two streams of one `external-push` trigger.
//!
//! A stream that ended is opened again after 2 s, 4 s, … 60 s. Only an end
//! with OK starts that at 2 s again; having been open for days does not.

use super::{
    calls::{Cached, Spec},
    log::{Event, Log},
    timings::Timings,
};
use std::time::Duration;
use tokio::{sync::mpsc, time::sleep};
use tonic::{Code, Status};

struct Retry {
    next: Duration,
    timings: Timings,
}

impl Retry {
    fn new(timings: Timings) -> Self {
        Self {
            next: timings.stream_retry_first,
            timings,
        }
    }

    fn reset(&mut self) {
        self.next = self.timings.stream_retry_first;
    }

    async fn pause(&mut self) {
        let pause = self.next;
        self.next = (self.next * 2).min(self.timings.stream_retry_most);
        sleep(pause).await;
    }
}

/// Listens to `StreamIsActive` for ever and hands on what it says.
pub(super) async fn activity(
    cached: &Cached,
    object: &str,
    log: &Log,
    timings: Timings,
    said: mpsc::Sender<bool>,
) {
    let mut retry = Retry::new(timings);
    loop {
        match activity_once(cached, object, log, &said).await {
            Ok(()) => {
                log.add(object, Event::Ended);
                retry.reset();
            }
            Err(status) => log.add(object, Event::Broke(status.code())),
        }
        retry.pause().await;
    }
}

async fn activity_once(
    cached: &Cached,
    object: &str,
    log: &Log,
    said: &mpsc::Sender<bool>,
) -> Result<(), Status> {
    let mut client = cached.channel.client().await?;
    let opened = client.stream_is_active(cached.reference.clone()).await?;
    let mut messages = opened.into_inner();
    log.add(object, Event::Opened);
    while let Some(message) = messages.message().await? {
        log.add(object, Event::Said(message.result));
        said.send(message.result)
            .await
            .expect("who listens lives as long as this");
    }
    Ok(())
}

/// Listens to `StreamMetricSpec` for ever, unless the scaler has none, and
/// hands on every message.
pub(super) async fn specs(cached: &Cached, timings: Timings, mut seen: impl FnMut(Vec<Spec>)) {
    let mut retry = Retry::new(timings);
    loop {
        let mut any = false;
        let ended = specs_once(cached, |specs| {
            any = true;
            seen(specs);
        })
        .await;
        match ended {
            Err(status) if status.code() == Code::Unimplemented => return,
            Err(_) if !any => {}
            // Here, unlike with the other stream, a message is enough.
            Ok(()) | Err(_) => retry.reset(),
        }
        retry.pause().await;
    }
}

async fn specs_once(cached: &Cached, mut seen: impl FnMut(Vec<Spec>)) -> Result<(), Status> {
    let mut client = cached.channel.client().await?;
    let opened = client.stream_metric_spec(cached.reference.clone()).await?;
    let mut messages = opened.into_inner();
    while let Some(message) = messages.message().await? {
        seen(
            message
                .metric_specs
                .iter()
                .map(Spec::from_message)
                .collect(),
        );
    }
    Ok(())
}
