//! The identity of a series: its labels, the metric's name among them.
//!
//! Made once per series on arrival, read by every query. Never changes, never
//! holds an empty value (to Prometheus an empty label is an absent one) and
//! never the same name twice.

use std::{fmt, sync::Arc};
use thiserror::Error;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Two labels of one series have the same name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("label {0:?} is given twice")]
pub struct DuplicateLabel(
    /// The name.
    pub String,
);

/// Names and values, sorted by name.
///
/// One allocation whatever the number of labels, so that an idle series is
/// cheap; a clone counts a reference. Equal labels are equal bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// No labels at all, not even a name.
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Sorts the pairs by name. A pair with an empty value is left out.
    ///
    /// # Errors
    ///
    /// When a name is left twice.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, DuplicateLabel> {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_unstable_by_key(|(name, _)| *name);
        if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(DuplicateLabel(twice[0].0.to_owned()));
        }
        Ok(Self::packed(pairs.into_iter()))
    }

    /// The value of a label; `None` where it is absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut before = self.iter().skip_while(|(held, _)| *held < name);
        let (held, value) = before.next()?;
        (held == name).then_some(value)
    }

    /// The metric's name.
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// All labels, by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What remains of these labels under `by (names)`.
    pub fn only(&self, names: &[String]) -> Self {
        self.kept(|name| names.iter().any(|wanted| wanted == name))
    }

    /// What remains of these labels under `without (names)`: the metric's name
    /// goes too.
    pub fn without(&self, names: &[String]) -> Self {
        self.kept(|name| name != METRIC_NAME && !names.iter().any(|other| other == name))
    }

    /// All but the metric's name.
    pub fn without_name(&self) -> Self {
        self.without(&[])
    }

    /// Bytes that these labels take, the counters of the `Arc` included.
    pub fn bytes(&self) -> usize {
        self.0.len() + 2 * size_of::<usize>()
    }

    fn kept(&self, keep: impl Fn(&str) -> bool) -> Self {
        if self.iter().all(|(name, _)| keep(name)) {
            return self.clone();
        }
        Self::packed(self.iter().filter(|(name, _)| keep(name)))
    }

    /// `pairs` are sorted, without duplicates and empty values.
    fn packed<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = String::new();
        for (name, value) in pairs {
            push_piece(&mut text, name);
            push_piece(&mut text, value);
        }
        Self(text.into())
    }
}

// A piece is its length, then its bytes. The length is written with six bits
// to the character, the lowest first; the seventh says that more follow. All
// characters are ASCII, so that the whole stays a `str` and is taken apart
// without a check.

const BITS: u32 = 6;
const MORE: u8 = 1 << BITS;

fn push_piece(text: &mut String, piece: &str) {
    let mut length = piece.len();
    loop {
        let low = (length % usize::from(MORE)) as u8;
        length >>= BITS;
        if length == 0 {
            text.push(char::from(low));
            break;
        }
        text.push(char::from(low | MORE));
    }
    text.push_str(piece);
}

/// Takes the first piece off.
fn take_piece<'a>(text: &mut &'a str) -> Option<&'a str> {
    let mut length = 0;
    let mut shift = 0;
    let mut digits = 0;
    for byte in text.bytes() {
        digits += 1;
        length |= usize::from(byte & !MORE) << shift;
        shift += BITS;
        if byte & MORE == 0 {
            break;
        }
    }
    let (piece, rest) = text.split_at_checked(digits)?.1.split_at_checked(length)?;
    *text = rest;
    (digits > 0).then_some(piece)
}

/// The labels of one series, by name.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a str);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let name = take_piece(&mut self.0)?;
        Some((name, take_piece(&mut self.0)?))
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// As Prometheus writes it: `name{label="value", …}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        f.write_str(name.unwrap_or_default())?;
        let mut others = self.iter().filter(|(name, _)| *name != METRIC_NAME);
        let Some(first) = others.next() else {
            return f.write_str(if name.is_none() { "{}" } else { "" });
        };
        write!(f, "{{{}={:?}", first.0, first.1)?;
        for (name, value) in others {
            write!(f, ", {name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
