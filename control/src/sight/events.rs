//! The last events, and no more than that.
//!
//! Kept by [`super::Sight`] under a lock.

use super::event::{Event, EventView};
use std::{collections::VecDeque, time::Duration};

/// So many are kept: below a megabyte, whatever their texts are.
const MOST: usize = 1_000;

/// In characters: names and reasons come from outside.
const LONGEST_TEXT: usize = 300;

/// So far back, and so many events back, one is just one more of the same.
const SAME_WITHIN: Duration = Duration::from_secs(60);
const SAME_AMONG: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Events {
    last_id: u64,
    kept: VecDeque<(u64, Event)>,
}

impl Events {
    /// Keeps it; the event as it is known now: perhaps one more of the same.
    pub(super) fn add(&mut self, mut event: Event) -> EventView {
        if event.text.len() > LONGEST_TEXT {
            event.text = event.text.chars().take(LONGEST_TEXT).collect();
        }
        if let Some((id, same)) = self.take_same(&event) {
            event.times += same.times;
            let view = event.view(id);
            self.kept.push_back((id, event));
            return view;
        }
        self.last_id += 1;
        let view = event.view(self.last_id);
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.kept.push_back((self.last_id, event));
        view
    }

    fn take_same(&mut self, event: &Event) -> Option<(u64, Event)> {
        if !event.adds_up() {
            return None;
        }
        let first = self.kept.len().saturating_sub(SAME_AMONG);
        let is_same = |(_, known): &(u64, Event)| {
            let age = event.at.duration_since(known.at).unwrap_or_default();
            let one = (&event.target, event.kind, &event.text);
            one == (&known.target, known.kind, &known.text) && age < SAME_WITHIN
        };
        let place = (first..self.kept.len()).rfind(|place| is_same(&self.kept[*place]))?;
        self.kept.remove(place)
    }

    /// At most `most` of that target, or of all, oldest first.
    pub(super) fn last(&self, target: Option<&str>, most: usize) -> Vec<EventView> {
        let is_its =
            |(_, event): &&(u64, Event)| target.is_none() || event.target.as_deref() == target;
        let newest = self.kept.iter().rev().filter(is_its).take(most);
        let mut views: Vec<EventView> = newest.map(|(id, event)| event.view(*id)).collect();
        views.reverse();
        views
    }
}

#[cfg(test)]
mod tests {
    use super::{super::EventKind, *};

    fn event(kind: EventKind, text: &str) -> Event {
        Event::new("ns/web".to_owned(), kind, text.to_owned())
    }

    #[test]
    fn the_oldest_goes_and_texts_are_short() {
        let mut events = Events::default();
        let long = "x".repeat(LONGEST_TEXT * 2);
        for _ in 0..MOST + 3 {
            events.add(event(EventKind::Woken, &long));
        }
        let all = events.last(None, usize::MAX);
        assert_eq!((all.len(), all[0].id), (MOST, 4));
        assert_eq!(all[0].text.len(), LONGEST_TEXT);
        let last = events.last(Some("ns/web"), 2);
        assert_eq!([last[0].id, last[1].id], [1_002, 1_003]);
        assert!(events.last(Some("ns/other"), 2).is_empty());
    }

    #[test]
    fn the_same_refusal_is_counted_and_not_repeated() {
        let mut events = Events::default();
        events.add(event(EventKind::Refused, "full"));
        events.add(event(EventKind::Woken, "by x"));
        let again = events.add(event(EventKind::Refused, "full"));
        assert_eq!((again.id, again.times), (1, Some(2)));
        events.add(event(EventKind::Woken, "by x"));
        let ids: Vec<u64> = events.last(None, 9).iter().map(|one| one.id).collect();
        assert_eq!(ids, [2, 1, 3], "the one that happened last is last");
    }
}
