//! What should be written to the API server, and is not yet.
//!
//! The cluster's loop shows what it wants each time that it may have changed;
//! the writer (`writer.rs`) takes one after the other. The loop never waits for
//! the writer, nor for the API server.

use parking_lot::Mutex;
use proxy::TargetId;
use std::{collections::HashMap, time::Duration};
use tokio::{sync::Notify, time::Instant};

/// What was refused is tried again after this long.
const ASIDE: Duration = Duration::from_secs(2);
/// The same is not written more often: if that much is changed back, somebody
/// else writes it, too. And so long at most is news of our own write awaited: it
/// may be gone by now.
const SAME_AGAIN: Duration = Duration::from_secs(10);

/// Something that should be written about one object.
pub(super) trait Wanted: Send + 'static {
    /// Does it stand there already?
    fn is_written(&self) -> bool;

    /// The resourceVersion of what it changes, where that is a number, as
    /// Kubernetes' are.
    fn follows_from(&self) -> Option<u64>;

    /// The same for what is the same.
    fn digest(&self) -> u64;
}

/// What should be written, by the target that it is about.
#[derive(Debug)]
pub(super) struct Board<W> {
    lists: Mutex<Lists<W>>,
    changed: Notify,
    refused: Notify,
}

#[derive(Debug)]
struct Lists<W> {
    open: HashMap<TargetId, W>,
    /// Not before then.
    aside: HashMap<TargetId, (W, Instant)>,
    /// What we wrote last about each.
    written: HashMap<TargetId, Written>,
    /// Why what is aside was refused.
    refusals: HashMap<TargetId, String>,
}

#[derive(Clone, Copy, Debug)]
struct Written {
    /// The resourceVersion that it led to.
    version: Option<u64>,
    digest: u64,
    at: Instant,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Next<W> {
    /// This.
    One(TargetId, W),
    /// Nothing before then, or before something changes.
    Until(Option<Instant>),
}

impl<W> Default for Board<W> {
    fn default() -> Self {
        let lists = Lists {
            open: HashMap::new(),
            aside: HashMap::new(),
            written: HashMap::new(),
            refusals: HashMap::new(),
        };
        Self {
            lists: Mutex::new(lists),
            changed: Notify::new(),
            refused: Notify::new(),
        }
    }
}

impl<W: Wanted> Board<W> {
    /// From now on these are wanted, and no others. What stands there already is
    /// left out; what does not follow from our last write waits for news of it.
    pub(super) fn show(&self, all: impl IntoIterator<Item = (TargetId, W)>) {
        let mut lists = self.lists.lock();
        let Lists {
            open,
            aside,
            written,
            refusals,
        } = &mut *lists;
        open.clear();
        let mut written_before = std::mem::take(written);
        let mut aside_before = std::mem::take(aside);
        let mut refused_before = std::mem::take(refusals);
        for (id, wanted) in all {
            let last = written_before.remove(&id);
            if let Some(last) = last {
                written.insert(id.clone(), last);
            }
            if wanted.is_written() {
                continue;
            }
            let digest = wanted.digest();
            let why = refused_before.remove(&id);
            let refused = aside_before.remove(&id);
            let refused = refused.filter(|(before, _)| why.is_some() && before.digest() == digest);
            if let Some(why) = why {
                refusals.insert(id.clone(), why);
            }
            let again = last.filter(|last| last.covers(&wanted));
            let again = again.map(|last| last.at + SAME_AGAIN);
            let due = refused.map(|(_, due)| due).or(again);
            match due.filter(|due| *due > Instant::now()) {
                Some(due) => {
                    aside.insert(id, (wanted, due));
                }
                None => {
                    open.insert(id, wanted);
                }
            }
        }
        drop(lists);
        self.changed.notify_one();
    }

    /// Takes one.
    pub(super) fn next(&self) -> Next<W> {
        let mut lists = self.lists.lock();
        let now = Instant::now();
        if lists.open.is_empty() {
            let is_due = |_: &TargetId, (_, due): &mut (W, Instant)| *due <= now;
            let due: Vec<_> = lists.aside.extract_if(is_due).collect();
            let due = due.into_iter().map(|(id, (wanted, _))| (id, wanted));
            lists.open.extend(due);
        }
        let Some(id) = lists.open.keys().next().cloned() else {
            return Next::Until(lists.aside.values().map(|(_, due)| *due).min());
        };
        match lists.open.remove_entry(&id) {
            Some((id, wanted)) => Next::One(id, wanted),
            None => Next::Until(None),
        }
    }

    /// It stands there now, in that version of the object.
    pub(super) fn wrote(&self, id: TargetId, wanted: &W, version: Option<u64>) {
        let written = Written {
            version,
            digest: wanted.digest(),
            at: Instant::now(),
        };
        let mut lists = self.lists.lock();
        // What was put there meanwhile may not have seen this write.
        if let Some(open) = lists.open.remove(&id) {
            if written.covers(&open) {
                let due = written.at + SAME_AGAIN;
                lists.aside.insert(id.clone(), (open, due));
            } else {
                lists.open.insert(id.clone(), open);
            }
        }
        let was_refused = lists.refusals.remove(&id).is_some();
        lists.written.insert(id, written);
        drop(lists);
        if was_refused {
            self.refused.notify_one();
        }
    }

    /// Nobody could be asked. Unless there is something newer.
    pub(super) fn put_back(&self, id: TargetId, wanted: W) {
        self.lists.lock().open.entry(id).or_insert(wanted);
    }

    /// It was refused, for that reason: others go first now.
    pub(super) fn put_aside(&self, id: TargetId, wanted: W, why: String) {
        let mut lists = self.lists.lock();
        if !lists.open.contains_key(&id) {
            let due = Instant::now() + ASIDE;
            lists.aside.insert(id.clone(), (wanted, due));
        }
        let is_news = lists.refusals.get(&id) != Some(&why);
        lists.refusals.insert(id, why);
        drop(lists);
        if is_news {
            self.refused.notify_one();
        }
    }

    /// What is refused now, and why.
    pub(super) fn refusals(&self) -> HashMap<TargetId, String> {
        self.lists.lock().refusals.clone()
    }

    /// Resolves when [`Board::refusals`] may be others. Cancel safe.
    pub(super) async fn refused(&self) {
        self.refused.notified().await;
    }

    /// Resolves when something else is wanted. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Written {
    /// Is it the same, or does it follow from a version before that one? There
    /// will be news then.
    fn covers(&self, wanted: &impl Wanted) -> bool {
        let versions = wanted.follows_from().zip(self.version);
        let is_before = versions.is_some_and(|(from, ours)| from < ours);
        is_before || self.digest == wanted.digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Note {
        text: u64,
        from: Option<u64>,
        is_written: bool,
    }

    impl Wanted for Note {
        fn is_written(&self) -> bool {
            self.is_written
        }

        fn follows_from(&self) -> Option<u64> {
            self.from
        }

        fn digest(&self) -> u64 {
            self.text
        }
    }

    fn note(text: u64, from: u64) -> Note {
        Note {
            text,
            from: Some(from),
            is_written: false,
        }
    }

    fn show(board: &Board<Note>, notes: impl IntoIterator<Item = (&'static str, Note)>) {
        let with_id = |(name, note)| (TargetId::new("shop", name), note);
        board.show(notes.into_iter().map(with_id));
    }

    fn taken(board: &Board<Note>) -> Option<(String, u64)> {
        match board.next() {
            Next::One(id, note) => {
                let taken = (id.name().to_owned(), note.text);
                board.wrote(id, &note, note.from.map(|from| from + 10));
                Some(taken)
            }
            Next::Until(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_is_not_written_again_before_it_was_seen() {
        let board = Board::default();
        show(&board, [("a", note(1, 5))]);
        assert_eq!(taken(&board), Some(("a".to_owned(), 1)));
        show(&board, [("a", note(1, 6))]);
        assert_eq!(taken(&board), None, "version 15 has yet to be seen");
        show(&board, [("a", note(2, 6))]);
        assert_eq!(
            taken(&board),
            None,
            "another one does not follow from it, either"
        );
        // Somebody has changed it back.
        show(&board, [("a", note(1, 16))]);
        assert_eq!(taken(&board), None, "so soon");
        tokio::time::advance(SAME_AGAIN).await;
        assert_eq!(taken(&board), Some(("a".to_owned(), 1)));
        // Something else is another matter.
        show(&board, [("a", note(2, 27))]);
        assert_eq!(taken(&board), Some(("a".to_owned(), 2)));
        // What we wrote was deleted before it was seen.
        show(&board, [("a", note(3, 0))]);
        assert_eq!(taken(&board), None);
        tokio::time::advance(SAME_AGAIN).await;
        assert_eq!(taken(&board), Some(("a".to_owned(), 3)));
        // It is wanted once more while it is being written.
        show(&board, [("b", note(1, 1))]);
        let Next::One(id, one) = board.next() else {
            panic!("there is one");
        };
        show(&board, [("b", note(1, 1))]);
        board.wrote(id, &one, None);
        assert_eq!(taken(&board), None);
        let written = Note {
            is_written: true,
            ..note(3, 38)
        };
        show(&board, [("a", written)]);
        assert_eq!(taken(&board), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_does_not_keep_others_waiting() {
        let board = Board::default();
        show(&board, [("a", note(1, 1))]);
        let Next::One(id, refused) = board.next() else {
            panic!("there is one");
        };
        board.put_aside(id.clone(), refused, "forbidden".to_owned());
        show(&board, [("a", note(1, 2)), ("b", note(1, 2))]);
        assert_eq!(taken(&board), Some(("b".to_owned(), 1)));
        assert_eq!(taken(&board), None);
        assert_eq!(board.refusals()[&id], "forbidden");
        tokio::time::advance(ASIDE).await;
        assert_eq!(taken(&board), Some(("a".to_owned(), 1)));
        assert!(board.refusals().is_empty());
    }
}
