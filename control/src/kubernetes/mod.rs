//! Kubernetes mode: routes, Services, endpoints and ScaledObjects of a cluster,
//! followed and served.
//!
//! The way of an object: `api.rs` (the calls, as `account.rs`) → `watch.rs`
//! (list, then watch; one task for each kind of `kind.rs` and namespace, started
//! by `watches.rs`) → `news.rs` → the loop of
//! `cluster.rs` → `store.rs` (as last seen) → `reconcile.rs` (routes and
//! targets) and `backends.rs` (who serves them). `route.rs`, `legacy.rs`,
//! `service.rs`, `slice.rs`, `scaled.rs` say what of an object concerns us, read
//! by `decode.rs`; `backend.rs` is
//! one port of a Service, `dns.rs` the addresses of an ExternalName, `wakes.rs`
//! who began to wait, `contact.rs` how we stand with the API server,
//! `failure.rs` what it refuses, `absence.rs` when it was away, `peers.rs` where other replicas are,
//! `waker.rs` wakes workloads beside KEDA or in its place, `host_policy.rs`
//! says which namespace may have which hosts. What is written: `condition.rs` is
//! what a status says, `status.rs` the status, `event.rs` an Event about it,
//! `made.rs` the ScaledObject of an HTTPScaledObject. The reconciler shows it on a
//! `board.rs`, `writer.rs` writes it if `lease.rs` lets it, and `duty.rs` counts.
//! Beside the loop, `sidecars.rs` tells the scaler where sidecars of Dapr are,
//! by what `pod.rs` says of a Pod, and `trust_bundle/` when Dapr's certificates
//! end. `event.rs` writes Events.
//!
//! Nothing here is on the way of a request. Whatever becomes of the API server,
//! what was last seen is served on.

mod absence;
mod account;
mod api;
mod backend;
mod backends;
mod board;
mod cluster;
mod condition;
mod connect;
mod contact;
mod decode;
mod dns;
mod duty;
mod event;
mod failure;
mod follow;
mod host_policy;
mod kind;
mod lease;
mod legacy;
mod made;
mod news;
mod peers;
mod pod;
mod reconcile;
mod route;
mod scaled;
mod service;
mod sidecars;
mod slice;
mod status;
mod store;
mod trust_bundle;
mod waker;
mod wakes;
mod watch;
mod watches;
mod writer;

pub use cluster::Cluster;
pub use connect::ConnectSettings;
pub use contact::{Contact, LineView};
pub use duty::Duty;
pub use follow::{ClusterSettings, Followed, HttpScaledObjects, LeaseName, Waiting, Wake};
pub use host_policy::HostGrant;
pub use peers::PeerService;
pub use trust_bundle::{TrustBundle, TrustBundleName, TrustBundleSettings, TrustRole};
