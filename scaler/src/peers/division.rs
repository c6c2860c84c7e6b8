//! Which replica does what only one of them needs to do, such as fetching a
//! page of metrics.
//!
//! Made by [`super::roster`], which knows who lives; asked by whoever has work
//! to divide. Rendezvous hashing: of all replicas, the one whose hash with the
//! key is the highest owns it. All replicas that see each other agree, without
//! a word; one that comes takes its share of each, one that goes leaves its
//! own to the others, and nothing else moves. What changes hands is owned by
//! both for [`OVERLAP`]: twice does no harm, a gap does.

use super::identity::Identity;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// What another replica takes over is done here for so long, too: it may not
/// have heard yet that this one is there, or be slow to begin.
pub const OVERLAP: Duration = Duration::from_secs(10);

/// Who shares work now, and who did a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    myself: Identity,
    /// This replica among them.
    replicas: BTreeSet<Identity>,
    /// Those that were, and until when they count.
    before: Vec<(BTreeSet<Identity>, Instant)>,
}

impl Division {
    /// This replica has all the work.
    pub(crate) fn alone(myself: Identity) -> Self {
        Self {
            myself,
            replicas: BTreeSet::from([myself]),
            before: Vec::new(),
        }
    }

    /// Whether the work called `key` is to be done here. Cheap; ask again when
    /// the division changes.
    #[must_use]
    pub fn owns(&self, key: &str) -> bool {
        let before = self.before.iter().map(|(replicas, _)| replicas);
        let mut all = before.chain([&self.replicas]);
        all.any(|replicas| owner(replicas, key) == Some(self.myself))
    }

    /// How many replicas share the work.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// From `now` on these replicas, and this one, share. True if that changes
    /// anything.
    pub(crate) fn becomes(&mut self, others: BTreeSet<Identity>, now: Instant) -> bool {
        let mut replicas = others;
        replicas.insert(self.myself);
        let had = self.before.len();
        self.before.retain(|(_, until)| *until > now);
        let forgot = self.before.len() < had;
        if replicas == self.replicas {
            return forgot;
        }
        let former = std::mem::replace(&mut self.replicas, replicas);
        // Of a set that comes and goes the last time counts.
        self.before.retain(|(other, _)| *other != former);
        self.before.push((former, now + OVERLAP));
        true
    }

    /// When a former set counts no more.
    pub(crate) fn next_change(&self) -> Option<Instant> {
        self.before.iter().map(|(_, until)| *until).min()
    }
}

/// The replica whose hash is the highest.
fn owner(replicas: &BTreeSet<Identity>, key: &str) -> Option<Identity> {
    let highest = replicas.iter().max_by_key(|replica| weight(**replica, key));
    highest.copied()
}

/// The same on each machine and in each version: FNV-1a (64 bits) over the
/// identity and the key, then the finalizer of `MurmurHash3`, without which
/// keys that differ in their last letter would go to the same replica.
fn weight(replica: Identity, key: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in replica.to_wire().iter().chain(key.as_bytes()) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: usize = 3_000;

    fn identities(count: u8) -> Vec<Identity> {
        let all = (1..=count).map(|n| Identity::from_wire(&[n; 16]));
        all.collect::<Option<_>>().expect("none is zero")
    }

    fn set(all: &[Identity]) -> BTreeSet<Identity> {
        all.iter().copied().collect()
    }

    fn keys() -> impl Iterator<Item = String> {
        (0..KEYS).map(|n| format!("10.0.{}.{}:9090", n / 256, n % 256))
    }

    fn divided(all: &[Identity], now: Instant) -> Vec<Division> {
        let each = all.iter().map(|one| {
            let mut division = Division::alone(*one);
            division.becomes(set(all), now);
            division.becomes(set(all), now + OVERLAP);
            division
        });
        each.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_has_one_owner_and_all_agree() {
        let all = identities(3);
        let divisions = divided(&all, Instant::now());
        let mut shares = [0; 3];
        for key in keys() {
            let owners: Vec<usize> = (0..3).filter(|at| divisions[*at].owns(&key)).collect();
            assert_eq!(owners.len(), 1, "{key}");
            shares[owners[0]] += 1;
        }
        assert!(
            shares.iter().all(|share| (850..1_150).contains(share)),
            "{shares:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_must_move_moves() {
        let all = identities(4);
        let mut moved = 0;
        for key in keys() {
            let before = owner(&set(&all[..3]), &key);
            let after = owner(&set(&all), &key);
            if before != after {
                assert_eq!(after, Some(all[3]));
                moved += 1;
            }
        }
        assert!((650..850).contains(&moved), "{moved}");
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_changes_no_key_is_without_an_owner_and_in_the_end_it_has_one() {
        let all = identities(3);
        let now = Instant::now();
        let mut divisions = divided(&all[..2], now);
        // The third comes: it knows the others, the second knows it late.
        let mut third = Division::alone(all[2]);
        third.becomes(set(&all), now + OVERLAP);
        divisions.push(third);
        divisions[0].becomes(set(&all), now + OVERLAP);
        let owned = |divisions: &[Division]| -> Vec<usize> {
            let owners = |key: String| divisions.iter().filter(|one| one.owns(&key)).count();
            keys().map(owners).collect()
        };
        assert!(owned(&divisions).iter().all(|owners| *owners >= 1));
        divisions[1].becomes(set(&all), now + OVERLAP);
        assert!(owned(&divisions).iter().all(|owners| *owners >= 1));
        let later = divisions[0].next_change().expect("it overlaps");
        assert_eq!(later, now + 2 * OVERLAP);
        for division in &mut divisions {
            assert!(division.becomes(set(&all), later));
            assert_eq!(division.next_change(), None);
        }
        assert!(owned(&divisions).iter().all(|owners| *owners == 1));
        // The third is lost: what it had is taken over as soon as that is known.
        divisions.pop();
        for division in &mut divisions {
            division.becomes(set(&all[..2]), later);
        }
        assert!(owned(&divisions).iter().all(|owners| *owners >= 1));
    }

    #[tokio::test(start_paused = true)]
    async fn alone_it_has_everything() {
        let division = Division::alone(identities(1)[0]);
        assert!(keys().all(|key| division.owns(&key)));
        assert_eq!(division.replicas(), 1);
    }
}
