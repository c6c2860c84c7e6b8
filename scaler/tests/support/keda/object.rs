//! ScaledObjects and what they scale, as a cluster would keep them.

use scaler::externalscaler::ScaledObjectRef;
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// What to do when a metric cannot be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fallback {
    /// More failures than this in a row.
    pub(crate) failure_threshold: u32,
    /// The replicas that the HPA is then told to make.
    pub(crate) replicas: u32,
}

/// One trigger of type `external` or `external-push`.
#[derive(Clone, Debug)]
pub(crate) struct Trigger {
    /// Triggers with the same address share one connection.
    pub(crate) scaler_address: String,
    pub(crate) push: bool,
    pub(crate) metadata: Vec<(String, String)>,
}

/// A ScaledObject in the namespace `ns`.
#[derive(Clone, Debug)]
pub(crate) struct ScaledObject {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) min_replicas: u32,
    pub(crate) max_replicas: u32,
    pub(crate) polling_interval: Duration,
    pub(crate) cooldown: Duration,
    pub(crate) initial_cooldown: Duration,
    /// The HPA removes replicas only when it wanted to for so long.
    pub(crate) down_stabilization: Duration,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) triggers: Vec<Trigger>,
}

impl ScaledObject {
    /// 0 to 10 replicas by one external-push trigger on the InterceptorRoute
    /// of the same name; polled every 10 s, cooldown 30 s.
    pub(crate) fn of_route(name: &str, scaler_address: &str) -> Self {
        Self {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            min_replicas: 0,
            max_replicas: 10,
            polling_interval: Duration::from_secs(10),
            cooldown: Duration::from_secs(30),
            initial_cooldown: Duration::ZERO,
            down_stabilization: Duration::from_secs(300),
            fallback: None,
            triggers: vec![Trigger {
                scaler_address: scaler_address.to_owned(),
                push: true,
                metadata: vec![("interceptorRoute".to_owned(), name.to_owned())],
            }],
        }
    }

    /// What all calls about the trigger at `index` carry: every key, KEDA's
    /// own ones too.
    pub(super) fn reference(&self, index: usize) -> ScaledObjectRef {
        let Trigger {
            scaler_address,
            metadata,
            ..
        } = &self.triggers[index];
        let own = ("scalerAddress".to_owned(), scaler_address.clone());
        ScaledObjectRef {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            scaler_metadata: metadata.iter().cloned().chain([own]).collect(),
        }
    }
}

/// The Deployment that is scaled. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Workload(Arc<watch::Sender<Replicas>>);

#[derive(Clone, Copy, Debug)]
struct Replicas {
    now: u32,
    before: u32,
    changed: Instant,
}

impl Workload {
    pub(crate) fn new(replicas: u32) -> Self {
        Self(Arc::new(watch::Sender::new(Replicas {
            now: replicas,
            before: replicas,
            changed: Instant::now(),
        })))
    }

    /// The replicas that were asked for.
    pub(crate) fn replicas(&self) -> u32 {
        self.0.borrow().now
    }

    /// Waits until it is not `known` replicas that were asked for.
    pub(crate) async fn other_than(&self, known: u32) -> u32 {
        let mut changes = self.0.subscribe();
        let other = changes.wait_for(|replicas| replicas.now != known).await;
        other.expect("the sender is in self").now
    }

    /// Since when it has at least one.
    pub(crate) fn up_for(&self) -> Option<Duration> {
        let replicas = *self.0.borrow();
        (replicas.now > 0).then(|| {
            // From one to two does not start the first one again.
            if replicas.before > 0 {
                Duration::MAX
            } else {
                replicas.changed.elapsed()
            }
        })
    }

    /// What a cache that lags says.
    pub(super) fn cached(&self, lag: Duration) -> u32 {
        let replicas = *self.0.borrow();
        if replicas.changed.elapsed() < lag {
            replicas.before
        } else {
            replicas.now
        }
    }

    /// Asks for so many. KEDA does, and tests that play somebody else.
    pub(crate) fn scale(&self, to: u32) {
        self.0.send_modify(|replicas| {
            *replicas = Replicas {
                now: to,
                before: replicas.now,
                changed: Instant::now(),
            };
        });
    }
}
