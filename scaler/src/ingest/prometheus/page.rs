//! One page on its way in: from chunks to the samples that are wanted.
//!
//! Fed by `fetch` as bytes arrive. Of a line whose metric is not wanted only
//! the end and the name are looked at. A line that is wrong costs itself alone;
//! what is wrong with the page as a whole costs all of it.

use super::{
    Format,
    family::Family,
    filter::{Filter, Verdict},
    line::{self, BadLine, blank},
};
use crate::{ingest::Outcome, series::DropReason};
use memchr::{memchr, memchr_iter};
use std::{ops::Range, sync::Arc};

/// Of a line that is too long, so much is looked at for its name.
const PREFIX: usize = 512;

/// So many metrics with bad lines are remembered by name.
const FLAWED: usize = 32;

/// What one page may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Most bytes, after decompression.
    pub bytes: usize,
    /// Longest line, in bytes.
    pub line_bytes: usize,
    /// Most samples that are wanted.
    pub samples: usize,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            line_bytes: 64 << 10,
            samples: 50_000,
        }
    }
}

/// What is wrong with a page as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPage {
    /// Too many bytes.
    #[error("the page is larger than {0} bytes")]
    TooLarge(usize),
    /// Too many samples that are wanted.
    #[error("the page has more than {0} samples that are wanted: name fewer in spec.metrics")]
    TooManySamples(usize),
    /// OpenMetrics without its end: it was cut off.
    #[error("the page has no # EOF at its end: it was cut off")]
    NoEnd,
}

/// What was read of a page.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: Vec<u8>,
    pub(super) samples: Vec<Sample>,
    /// What tells since when series count.
    pub(super) created: Vec<Sample>,
    /// Since when the process runs, in seconds.
    pub(super) process_start: Option<f64>,
    /// Lines that were skipped.
    pub(super) outcome: Outcome,
    pub(super) flawed: Flawed,
    /// After decompression.
    pub(super) bytes: usize,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    identity: Range<usize>,
    pub(super) value: f64,
    pub(super) at_ms: Option<i64>,
    /// It grows from zero, and is not a level.
    pub(super) counts: bool,
}

/// Metrics of which lines were skipped: what is not there may be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flawed {
    names: Vec<String>,
    are_many: bool,
}

impl Flawed {
    pub(super) fn has(&self, name: &str) -> bool {
        self.are_many || self.names.iter().any(|flawed| flawed == name)
    }

    pub(super) fn add(&mut self, name: &str) {
        if self.has(name) {
            return;
        }
        if self.names.len() < FLAWED && name.len() <= PREFIX {
            self.names.push(name.to_owned());
        } else {
            self.are_many = true;
        }
    }
}

impl Page {
    /// Name and labels of a sample, as they are written.
    pub(super) fn identity(&self, sample: &Sample) -> &[u8] {
        self.text.get(sample.identity.clone()).unwrap_or_default()
    }
}

/// Reads one page.
#[derive(Debug)]
pub(super) struct Reader {
    format: Format,
    limits: PageLimits,
    filter: Arc<Filter>,
    page: Page,
    family: Family,
    /// The metric of the last line, unless its name was in quotes.
    metric: Option<Metric>,
    /// A line whose end has not come yet.
    carry: Vec<u8>,
    /// The rest of the line is not wanted: it is too long.
    is_skipping: bool,
    has_ended: bool,
}

#[derive(Debug)]
struct Metric {
    name: String,
    verdict: Verdict,
    counts: bool,
}

impl Reader {
    pub(super) fn new(format: Format, limits: PageLimits, filter: Arc<Filter>) -> Self {
        Self {
            format,
            limits,
            filter,
            page: Page::default(),
            family: Family::default(),
            metric: None,
            carry: Vec::new(),
            is_skipping: false,
            has_ended: false,
        }
    }

    /// Takes what came next.
    pub(super) fn feed(&mut self, mut chunk: &[u8]) -> Result<(), BadPage> {
        self.page.bytes += chunk.len();
        if self.page.bytes > self.limits.bytes {
            return Err(BadPage::TooLarge(self.limits.bytes));
        }
        if self.is_skipping || !self.carry.is_empty() {
            let Some(end) = memchr(b'\n', chunk) else {
                self.hold(chunk);
                return Ok(());
            };
            self.hold(&chunk[..end]);
            chunk = &chunk[end + 1..];
            self.end_line()?;
        }
        let mut from = 0;
        for end in memchr_iter(b'\n', chunk) {
            self.line(&chunk[from..end])?;
            from = end + 1;
        }
        self.hold(&chunk[from..]);
        Ok(())
    }

    /// The page, after all of it has come.
    pub(super) fn finish(mut self) -> Result<Page, BadPage> {
        self.end_line()?;
        if self.format == Format::OpenMetrics && !self.has_ended {
            return Err(BadPage::NoEnd);
        }
        Ok(self.page)
    }

    /// Keeps a part of a line.
    fn hold(&mut self, part: &[u8]) {
        if self.is_skipping {
            return;
        }
        if self.carry.len() + part.len() <= self.limits.line_bytes {
            self.carry.extend_from_slice(part);
            return;
        }
        let missing = self.prefix().saturating_sub(self.carry.len());
        let missing = missing.min(part.len());
        self.carry.extend_from_slice(&part[..missing]);
        let carry = std::mem::take(&mut self.carry);
        self.too_long(&carry);
        self.is_skipping = true;
    }

    fn end_line(&mut self) -> Result<(), BadPage> {
        self.is_skipping = false;
        let mut line = std::mem::take(&mut self.carry);
        let read = self.line(&line);
        // Its room is used again.
        line.clear();
        self.carry = line;
        read
    }

    fn line(&mut self, text: &[u8]) -> Result<(), BadPage> {
        if text.len() > self.limits.line_bytes {
            self.too_long(text);
            return Ok(());
        }
        let text = blank(text);
        if let Some(b'#') = text.first() {
            self.comment(text);
            return Ok(());
        }
        if let Some(metric) = &self.metric
            && let Some(rest) = text.strip_prefix(metric.name.as_bytes())
            && matches!(rest, [b'{' | b' ' | b'\t', ..])
        {
            // Most lines end here: one of several of a metric nobody wants.
            if metric.verdict.is_nothing() {
                return Ok(());
            }
            let metric = self.metric.take().expect("it was there");
            let read = self.sample(text, rest, &metric);
            self.metric = Some(metric);
            return read;
        }
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            return Ok(());
        }
        match line::name(text) {
            Ok((name, rest)) => {
                let metric = Metric {
                    verdict: self.filter.of(&name),
                    counts: self.family.counts(&name),
                    name: name.into_owned(),
                };
                let read = self.sample(text, rest, &metric);
                self.metric = (!text.starts_with(b"{")).then_some(metric);
                read
            }
            Err(bad) => {
                let shown = text.get(..self.prefix()).unwrap_or(text);
                self.refuse(bad.into(), &String::from_utf8_lossy(shown));
                Ok(())
            }
        }
    }

    fn sample(&mut self, text: &[u8], rest: &[u8], metric: &Metric) -> Result<(), BadPage> {
        if metric.verdict.is_nothing() {
            return Ok(());
        }
        if self.has_ended {
            self.refuse(BadLine::Rest.into(), &metric.name);
            return Ok(());
        }
        let trimmed = text.strip_suffix(b"\r").unwrap_or(text);
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let line = match line::read(trimmed, rest, self.format) {
            Ok(line) => line,
            Err(bad) => {
                tracing::debug!(metric = metric.name, "a line is skipped: {bad}");
                if metric.verdict.keep {
                    self.page.flawed.add(&metric.name);
                }
                self.refuse(bad.into(), &metric.name);
                return Ok(());
            }
        };
        if metric.verdict.process_start {
            self.page.process_start = Some(line.value);
        }
        if !(metric.verdict.keep || metric.verdict.created) {
            return Ok(());
        }
        if self.page.samples.len() + self.page.created.len() >= self.limits.samples {
            return Err(BadPage::TooManySamples(self.limits.samples));
        }
        let from = self.page.text.len();
        self.page.text.extend_from_slice(line.identity);
        let sample = Sample {
            identity: from..self.page.text.len(),
            value: line.value,
            at_ms: line.at_ms,
            counts: metric.counts,
        };
        if metric.verdict.created {
            self.page.created.push(sample.clone());
        }
        if metric.verdict.keep {
            self.page.samples.push(sample);
        }
        Ok(())
    }

    fn comment(&mut self, text: &[u8]) {
        let text = blank(&text[1..]);
        if let Some(family) = text.strip_prefix(b"TYPE") {
            self.family.begin(family);
            // The same name may be of another type now.
            self.metric = None;
        } else if self.format == Format::OpenMetrics && text.trim_ascii_end() == b"EOF" {
            self.has_ended = true;
        }
    }

    /// A line of which not more is kept than its beginning.
    fn too_long(&mut self, text: &[u8]) {
        let text = blank(text.get(..self.prefix()).unwrap_or(text));
        if text.starts_with(b"#") {
            return;
        }
        match line::name(text) {
            Ok((name, rest)) if !rest.is_empty() => {
                let verdict = self.filter.of(&name);
                if verdict.keep {
                    self.page.flawed.add(&name);
                }
                if !verdict.is_nothing() {
                    self.refuse(DropReason::LineTooLong, &name);
                }
            }
            _ => self.refuse(DropReason::LineTooLong, &String::from_utf8_lossy(text)),
        }
    }

    /// How much of a line that is too long is looked at: never more than must
    /// have come before it was that.
    fn prefix(&self) -> usize {
        PREFIX.min(self.limits.line_bytes)
    }

    fn refuse(&mut self, reason: DropReason, metric: &str) {
        self.page.outcome.refuse(1, reason, metric);
    }
}

#[cfg(test)]
mod tests;
