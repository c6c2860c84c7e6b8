//! Who looks on: a bounded number of listeners, each told of what is new.
//!
//! `admin/events.rs` writes to them as server-sent events. Whoever reads too
//! slowly is cut off, and starts anew with all there is; nobody else waits for
//! it.

use bytes::Bytes;
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::broadcast;

/// Listeners at once.
const MOST: usize = 32;

/// Frames that a listener may be behind.
const BEHIND: usize = 256;

/// See the module.
#[derive(Debug)]
pub struct Feed {
    frames: broadcast::Sender<Bytes>,
    listeners: Arc<AtomicUsize>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            frames: broadcast::Sender::new(BEHIND),
            listeners: Arc::default(),
        }
    }
}

/// One listener: its place is given back on drop.
#[derive(Debug)]
pub struct Subscription {
    frames: broadcast::Receiver<Bytes>,
    listeners: Arc<AtomicUsize>,
}

impl Feed {
    /// Begins to listen; `None`: there are too many already.
    #[must_use]
    pub fn subscribe(&self) -> Option<Subscription> {
        let place = |now: usize| (now < MOST).then_some(now + 1);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        self.listeners.fetch_update(set, fetch, place).ok()?;
        Some(Subscription {
            frames: self.frames.subscribe(),
            listeners: self.listeners.clone(),
        })
    }

    /// Does anybody listen?
    #[must_use]
    pub fn is_followed(&self) -> bool {
        self.listeners.load(Ordering::Acquire) > 0
    }

    /// Tells everybody. Never blocks.
    pub fn send(&self, event: &str, data: &impl Serialize) {
        if self.is_followed() {
            // Nobody may be left meanwhile.
            let _told = self.frames.send(frame(event, data));
        }
    }
}

impl Subscription {
    /// The next frame; `None`: it fell behind and is over. Cancel safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.frames.recv().await.ok()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One server-sent event (WHATWG HTML, section 9.2.6).
pub fn frame(event: &str, data: &impl Serialize) -> Bytes {
    // JSON has no line breaks of its own, and what is sent here always is JSON.
    let json = serde_json::to_string(data).unwrap_or_default();
    format!("event: {event}\ndata: {json}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listeners_are_bounded_and_a_slow_one_is_cut_off() {
        let feed = Feed::default();
        let mut all: Vec<Subscription> = (0..MOST).filter_map(|_| feed.subscribe()).collect();
        assert_eq!(all.len(), MOST);
        assert!(feed.subscribe().is_none());
        all.truncate(2);
        let (mut slow, mut quick) = (all.pop().expect("two"), all.pop().expect("two"));
        for number in 0..=BEHIND {
            feed.send("n", &number);
            assert_eq!(quick.next().await, Some(frame("n", &number)));
        }
        assert_eq!(slow.next().await, None);
        drop((slow, quick));
        assert!(!feed.is_followed());
    }

    #[test]
    fn a_frame_is_three_lines() {
        let text = frame("x", &"a\nb");
        assert_eq!(&text[..], b"event: x\ndata: \"a\\nb\"\n\n");
    }
}
