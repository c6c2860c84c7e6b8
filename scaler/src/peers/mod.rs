//! Replicas of Reveille, telling each other what is asked of each target, so
//! that whichever of them KEDA asks answers for all.
//!
//! ```text
//! own counters ─► publish ─► board ─► stream ──gRPC──► follow ─► session ─► ledger ─► share
//!  (edges at once)         (by revision)                       (checked)          (windows)
//! ```
//!
//! The sending side serves whoever follows (`service`, on KEDA's port); the
//! receiving side follows whom it is told to ([`Peers`], run by the composition
//! root). Nothing here is an event that could be lost or counted twice: a state
//! replaces the one before it, by revision and identity.
//!
//! Points of metrics travel on the same connections, in streams of their own,
//! and only where a query of the other replica needs them:
//!
//! ```text
//! queries ─► asking ──gRPC──► sharing ─► the store there
//!     the store here ◄─ gathered ◄──────────┘
//! ```

mod anchor;
mod aside;
mod asking;
mod backoff;
mod board;
mod dial;
mod discover;
mod division;
mod follow;
mod gather;
mod gathered;
mod hear;
mod identity;
mod line;
mod outbox;
mod publish;
mod replica;
mod report;
mod roster;
mod service;
mod session;
mod share;
mod shares;
mod sharing;
mod spelling;
mod stream;

pub use discover::{BadSource, PeerSource, discover};
pub use division::{Division, OVERLAP};
pub use identity::Identity;
pub use line::{PeerState, PeerView};
pub use outbox::ToldToPeers;
pub use publish::run as publish;
pub use roster::{Addresses, Peers, PeersConfig};
pub use service::add_to;

pub(crate) use {
    aside::Aside,
    board::{Origins, Own},
    outbox::Outbox,
    replica::Replica,
    report::News,
    share::Shape,
    shares::{Elsewhere, Shares},
};
