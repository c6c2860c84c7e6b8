//! One request on its way into the store: walks its resources, scopes and
//! metrics.
//!
//! A stream that was seen before is found by a hash of its bytes, without text
//! or labels. Only of a new one the labels are built.

use super::{
    Otlp, WireError,
    exponential::{self, ExponentialPoint},
    histogram::{self, HistogramPoint},
    known::{Id, Key, Known},
    number::{self, Number, NumberPoint},
    part::{self, Part, Temporality, Times, add_shape, number_text},
    resource::{add_beside, scope_labels},
    summary::SummaryPoint,
    text::{key_text, key_value, value_text},
    wire::{Fields, message_field},
};
use crate::{
    ingest::Outcome,
    series::{AppendError, DropReason, LabelBuilder, SeriesRef, Writer},
};
use std::cell::OnceCell;

type Pairs = Vec<(String, String)>;

pub(in crate::ingest) struct Batch<'o> {
    otlp: &'o Otlp,
    known: &'o mut Known,
    writer: Writer<'o>,
    outcome: Outcome,
    parts: Vec<Part>,
    members: Vec<SeriesRef>,
    histogram: HistogramPoint,
    exponential: ExponentialPoint,
    summary: SummaryPoint,
}

/// Where metrics come from. Its labels are built when a series is new.
pub(in crate::ingest) struct Origin<'b, 'o> {
    resource: &'b [u8],
    scope: &'b [u8],
    key: Key<'o>,
    labels: OnceCell<Result<(Pairs, Pairs), DropReason>>,
}

/// A metric, its data points not yet read.
struct Metric<'b> {
    name: &'b str,
    points: &'b [u8],
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Number(Number),
    Histogram(Temporality),
    Exponential(Temporality),
    Summary,
}

/// A data point that was read: which stream it is of, and when it was.
struct Stream<'b> {
    metric: &'b str,
    point: &'b [u8],
    attributes: u64,
    /// Of the stream.
    id: Id,
    times: Times,
    /// Whether its buckets are of one grid, of which more and more appear.
    grows: bool,
}

impl<'o> Batch<'o> {
    pub(super) fn new(otlp: &'o Otlp, known: &'o mut Known, now_ms: i64) -> Self {
        Self {
            otlp,
            known,
            writer: otlp.store.write(now_ms),
            outcome: Outcome::default(),
            parts: Vec::new(),
            members: Vec::new(),
            histogram: HistogramPoint::default(),
            exponential: ExponentialPoint::default(),
            summary: SummaryPoint::default(),
        }
    }

    pub(super) fn finish(self) -> Outcome {
        self.known.clean(&self.writer);
        self.outcome
    }

    pub(super) fn request(&mut self, body: &[u8]) -> Result<(), WireError> {
        for field in Fields::of("ExportMetricsServiceRequest", body) {
            let field = field?;
            if field.number == 1 {
                self.resource_metrics(field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn resource_metrics(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let resource = message_field("ResourceMetrics", bytes, 1)?;
        for field in Fields::of("ResourceMetrics", bytes) {
            let field = field?;
            if field.number == 2 {
                self.scope_metrics(resource, field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn scope_metrics(&mut self, resource: &[u8], bytes: &[u8]) -> Result<(), WireError> {
        let scope = message_field("ScopeMetrics", bytes, 1)?;
        let origin = self.origin(resource, scope);
        for field in Fields::of("ScopeMetrics", bytes) {
            let field = field?;
            if field.number == 2 {
                self.metric(&origin, field.bytes()?)?;
            }
        }
        Ok(())
    }

    /// Metrics from the bytes of a `Resource` and of an `InstrumentationScope`.
    pub(in crate::ingest) fn origin<'b>(
        &self,
        resource: &'b [u8],
        scope: &'b [u8],
    ) -> Origin<'b, 'o> {
        let mut key = self.otlp.seeds.key();
        key.add(resource);
        key.add(scope);
        Origin {
            resource,
            scope,
            key,
            labels: OnceCell::new(),
        }
    }

    /// Data points of `metric` that a receiver does not even hand over.
    pub(in crate::ingest) fn refuse(&mut self, points: u64, reason: DropReason, metric: &str) {
        self.outcome.refuse(points, reason, metric);
    }

    /// Stores the data points in the bytes of a `Metric`.
    ///
    /// # Errors
    /// The bytes are not one. Points before the place of the error are stored.
    pub(in crate::ingest) fn metric(
        &mut self,
        origin: &Origin<'_, 'o>,
        bytes: &[u8],
    ) -> Result<(), WireError> {
        let metric = Metric::read(bytes)?;
        if metric.kind == Kind::Unknown {
            // How many points it has is not known.
            self.outcome.refuse(1, DropReason::Unsupported, metric.name);
            return Ok(());
        }
        let mut key = origin.key.clone();
        key.add(metric.name.as_bytes());
        key.number(match metric.kind {
            Kind::Unknown => 0,
            Kind::Number(_) => 1,
            Kind::Histogram(_) => 2,
            Kind::Exponential(_) => 3,
            Kind::Summary => 4,
        });
        for field in Fields::of("Metric", metric.points) {
            let field = field?;
            if field.number != 1 {
                continue;
            }
            match self.point(origin, &metric, field.bytes()?, key.clone())? {
                Ok(()) => self.outcome.accept(),
                Err(reason) => self.outcome.refuse(1, reason, metric.name),
            }
        }
        Ok(())
    }

    /// The outer error is of the bytes, the inner one of this point alone.
    fn point(
        &mut self,
        origin: &Origin<'_, 'o>,
        metric: &Metric<'_>,
        bytes: &[u8],
        mut key: Key<'_>,
    ) -> Result<Result<(), DropReason>, WireError> {
        let (attributes, times) = match metric.kind {
            Kind::Number(_) | Kind::Unknown => {
                let point = NumberPoint::read(bytes, &mut key)?;
                return Ok(self.number(origin, metric, bytes, &point, &key));
            }
            Kind::Histogram(_) => {
                self.histogram.read(bytes, &mut key)?;
                (histogram::ATTRIBUTES, self.histogram.totals.times)
            }
            Kind::Exponential(_) => {
                self.exponential.read(bytes, &mut key)?;
                (exponential::ATTRIBUTES, self.exponential.totals.times)
            }
            Kind::Summary => {
                self.summary.read(bytes, &mut key)?;
                (number::ATTRIBUTES, self.summary.times)
            }
        };
        let stream = Stream {
            metric: metric.name,
            point: bytes,
            attributes,
            id: key.id(),
            times,
            grows: matches!(metric.kind, Kind::Exponential(_)),
        };
        Ok(self.compound(origin, metric.kind, &stream, key))
    }

    fn number(
        &mut self,
        origin: &Origin<'_, 'o>,
        metric: &Metric<'_>,
        bytes: &[u8],
        point: &NumberPoint,
        key: &Key<'_>,
    ) -> Result<(), DropReason> {
        let stream = Stream {
            metric: metric.name,
            point: bytes,
            attributes: number::ATTRIBUTES,
            id: key.id(),
            times: point.times,
            grows: false,
        };
        if point.times.nothing_recorded() {
            return self.end(&stream);
        }
        let Kind::Number(number) = metric.kind else {
            return Err(DropReason::Unsupported);
        };
        self.parts.clear();
        self.parts.push(point.part(number)?);
        self.store(origin, &stream, stream.id)
    }

    fn compound(
        &mut self,
        origin: &Origin<'_, 'o>,
        kind: Kind,
        stream: &Stream<'_>,
        mut key: Key<'_>,
    ) -> Result<(), DropReason> {
        if stream.times.nothing_recorded() {
            return self.end(stream);
        }
        self.parts.clear();
        match kind {
            Kind::Histogram(temporality) => {
                self.histogram.parts(temporality, &mut self.parts)?;
            }
            Kind::Exponential(temporality) => {
                let before = self.known.span(stream.id);
                let span = self
                    .exponential
                    .parts(temporality, before, &mut self.parts)?;
                self.known.put_span(stream.id, span);
            }
            _ => self.summary.parts(&mut self.parts)?,
        }
        add_shape(&mut key, &self.parts);
        let shape = key.id();
        // What a histogram had before and has no more, such as bounds that
        // became coarser, ends.
        let former: Vec<SeriesRef> = match (self.known.get(shape), self.known.get(stream.id)) {
            (None, Some(former)) => former.to_vec(),
            _ => Vec::new(),
        };
        self.store(origin, stream, shape)?;
        let at_ms = stream.times.at_ms(self.writer.now_ms());
        for series in former {
            if !self.members.contains(&series) {
                // Gone, or the end is not newer than its last point: as well.
                let _ended = self.writer.end(series, at_ms);
            }
        }
        let latest = self.known.get(stream.id) == Some(&self.members[..]);
        if !latest {
            self.known.put(stream.id, &self.members);
        }
        Ok(())
    }

    /// Ends the series of a stream, if it has some.
    fn end(&mut self, stream: &Stream<'_>) -> Result<(), DropReason> {
        let at_ms = stream.times.at_ms(self.writer.now_ms());
        for series in self.known.get(stream.id).unwrap_or_default() {
            match self.writer.end(*series, at_ms) {
                Ok(()) | Err(AppendError::Gone) => {}
                Err(AppendError::Dropped(reason)) => return Err(reason),
            }
        }
        Ok(())
    }

    /// Stores `self.parts`; afterwards `self.members` are their series.
    fn store(
        &mut self,
        origin: &Origin<'_, 'o>,
        stream: &Stream<'_>,
        shape: Id,
    ) -> Result<(), DropReason> {
        let known = self.known.get(shape).unwrap_or_default();
        let there = known.len() == self.parts.len()
            && known.iter().all(|series| self.writer.is_there(*series));
        self.members.clear();
        if there {
            self.members.extend_from_slice(known);
        } else {
            self.intern(origin, stream)?;
            self.known.put(shape, &self.members);
        }
        let at_ms = stream.times.at_ms(self.writer.now_ms());
        let mut refused = None;
        for (series, part) in self.members.iter().zip(&self.parts) {
            let appended = if part.value.is_nan() {
                self.writer.end(*series, at_ms)
            } else {
                self.writer.append(*series, at_ms, part.value, part.growth)
            };
            match appended {
                Ok(()) => {}
                // It made room for another part of this very point.
                Err(AppendError::Gone) => return Err(DropReason::BytesLimit),
                Err(AppendError::Dropped(reason)) => refused = Some(reason),
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn intern(&mut self, origin: &Origin<'_, 'o>, stream: &Stream<'_>) -> Result<(), DropReason> {
        let limits = *self.otlp.store.limits();
        let origin = origin.labels.get_or_init(|| {
            let resource = self.otlp.labels.of(origin.resource, &limits)?;
            Ok((resource, scope_labels(origin.scope, &limits)?))
        });
        let (resource, scope) = origin.as_ref().map_err(|reason| *reason)?;
        let mut builder = LabelBuilder::new(&limits, stream.metric)?;
        for field in Fields::of("attributes", stream.point) {
            // It was read before, when the key was made.
            let field = field.map_err(|_| DropReason::BadLabel)?;
            if field.number != stream.attributes {
                continue;
            }
            let pair = field.bytes().and_then(key_value);
            let (key, value) = pair.map_err(|_| DropReason::BadLabel)?;
            builder.label(key_text(key)?, value_text(value, limits.value_bytes)?)?;
        }
        add_beside(&mut builder, resource)?;
        add_beside(&mut builder, scope)?;
        for part in &self.parts {
            let text = part.label.map(|(name, number)| (name, number_text(number)));
            let label = text.as_ref().map(|(name, text)| (*name, &**text));
            let labels = builder.variant(part.suffix, label)?;
            self.members.push(self.writer.intern(labels)?);
        }
        if stream.grows {
            self.seed(stream);
        }
        Ok(())
    }

    /// A bucket that appears beyond those that were there held what the next
    /// one below it held.
    fn seed(&mut self, stream: &Stream<'_>) {
        let at_ms = stream.times.at_ms(self.writer.now_ms());
        let mut below: Option<SeriesRef> = None;
        for (series, part) in self.members.iter().zip(&self.parts) {
            if part.label.is_none_or(|(name, _)| name != part::LE) {
                continue;
            }
            if let Some(below) = below {
                self.writer.seed(*series, below, at_ms);
            }
            below = Some(*series);
        }
    }
}

impl<'b> Metric<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, WireError> {
        let mut metric = Metric {
            name: "",
            points: &[],
            kind: Kind::Unknown,
        };
        for field in Fields::of("Metric", bytes) {
            let field = field?;
            match field.number {
                1 => {
                    metric.name = std::str::from_utf8(field.bytes()?)
                        .map_err(|_| WireError::Text("the name of a metric"))?;
                }
                number @ (5 | 7 | 9 | 10 | 11) => {
                    metric.points = field.bytes()?;
                    metric.kind = kind(number, metric.points)?;
                }
                _ => {}
            }
        }
        Ok(metric)
    }
}

fn kind(number: u64, points: &[u8]) -> Result<Kind, WireError> {
    let mut temporality = Temporality::Unspecified;
    let mut monotonic = false;
    if matches!(number, 7 | 9 | 10) {
        for field in Fields::of("Metric", points) {
            let field = field?;
            match field.number {
                2 => temporality = Temporality::from_number(field.varint()?),
                3 => monotonic = field.varint()? != 0,
                _ => {}
            }
        }
    }
    Ok(match number {
        5 => Kind::Number(Number::Gauge),
        7 => Kind::Number(Number::Sum {
            temporality,
            monotonic,
        }),
        9 => Kind::Histogram(temporality),
        10 => Kind::Exponential(temporality),
        _ => Kind::Summary,
    })
}
