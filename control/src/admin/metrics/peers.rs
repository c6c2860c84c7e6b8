//! Other replicas: who is heard, and what is told them.

use super::page::{NONE, Page};
use crate::admin::Admin;
use prometheus_client::metrics::MetricType;
use scaler::peers::{PeerState, PeerView};
use std::fmt;

/// Other replicas.
pub(super) fn peers(admin: &Admin, page: &mut Page<'_, '_>) -> fmt::Result {
    let views = admin.peer_views();
    let told = admin.ledger.told_to_peers();
    page.family(
        "reveille_peers",
        "Addresses of other replicas, by what is known of each",
        MetricType::Gauge,
        |family| {
            PeerState::ALL.iter().try_for_each(|state| {
                let count = views.iter().filter(|peer| peer.state == *state).count();
                family.gauge(&[("state", state.as_str().to_owned())], count as u64)
            })
        },
    )?;
    page.family(
        "reveille_peer_followers",
        "Replicas that follow this one",
        MetricType::Gauge,
        |family| family.gauge(&NONE, told.followers as u64),
    )?;
    page.family(
        "reveille_peer_frames_sent",
        "Frames sent to other replicas",
        MetricType::Counter,
        |family| family.counter(&NONE, told.frames),
    )?;
    let mut per_peer = |name, help, value: fn(&PeerView) -> u64| {
        page.family(name, help, MetricType::Counter, |family| {
            views
                .iter()
                .try_for_each(|peer| family.counter(&[("peer", peer.address.clone())], value(peer)))
        })
    };
    per_peer(
        "reveille_peer_frames_received",
        "Frames that came from a replica",
        |peer| peer.frames,
    )?;
    per_peer(
        "reveille_peer_connects",
        "How often a replica was connected to",
        |peer| peer.connects,
    )?;
    per_peer(
        "reveille_peer_losses",
        "How often the connection to a replica broke",
        |peer| peer.losses,
    )?;
    per_peer(
        "reveille_peer_refused_reports",
        "Reports of targets that could not be true, or were too many",
        |peer| peer.refused,
    )?;
    page.gauge_seconds(
        "reveille_peer_last_frame_age",
        "How long ago a replica was last heard: above 3 it is lost",
        |family| {
            for peer in &views {
                if let Some(silent) = peer.silent {
                    family.fraction(&[("peer", peer.address.clone())], silent.as_secs_f64())?;
                }
            }
            Ok(())
        },
    )
}
