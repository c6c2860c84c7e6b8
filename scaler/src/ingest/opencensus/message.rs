//! One `ExportMetricsServiceRequest` of OpenCensus on its way into the store.
//!
//! What a message repeats is bounded, too: the labels' keys and the node stand
//! in it once and are in every point, so that a small message can stand for a
//! large one.

use super::{
    align,
    identity::{self, Identity},
    point::{self, Kind, Label, Point},
};
use crate::{
    ingest::{
        otlp::{Batch, Origin},
        wire::{Fields, WireError},
    },
    series::{DropReason, Limits},
};
use thiserror::Error;

/// A message may become so many times as long, and so much more.
const GROWTH: usize = 16;
const SPARE: usize = 64 << 10;

/// Why a message, and the stream with it, is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The bytes are no such message.
    #[error("not an ExportMetricsServiceRequest: {0}")]
    Wire(#[from] WireError),
    /// Nobody has said who sends.
    #[error("the first message of a stream must have a node")]
    NoNode,
    /// Who sends says too much of itself.
    #[error("a {0} of more than {most} bytes", most = identity::MOST)]
    LargeIdentity(
        /// Node or resource.
        &'static str,
    ),
    /// A small message stands for a large one.
    #[error(
        "its label keys or its node are repeated so often that it becomes {GROWTH} times as long"
    )]
    Grows,
}

/// A message while it is read.
pub(super) struct Message<'m, 'o> {
    batch: &'m mut Batch<'o>,
    limits: &'m Limits,
    out: Vec<u8>,
    /// So much may still be written.
    left: usize,
}

/// A metric, its descriptor read.
#[derive(Default)]
struct Metric<'b> {
    name: &'b str,
    kind: Kind,
    keys: Vec<&'b [u8]>,
    /// Its keys or its name are more or longer than any series may have.
    refused: Option<DropReason>,
}

/// A value; `None`: it is said to be not there.
type LabelValue<'b> = Option<&'b [u8]>;

impl<'m, 'o> Message<'m, 'o> {
    /// Stores the points in `bytes`, which came from `sender`; what they say of
    /// the sender holds from now on.
    pub(super) fn take(
        batch: &'m mut Batch<'o>,
        limits: &'m Limits,
        sender: &mut Identity,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        for field in Fields::of("ExportMetricsServiceRequest", bytes) {
            let field = field?;
            match field.number {
                1 => sender.set_node(within("node", field.bytes()?)?)?,
                3 => sender.set_resource(within("resource", field.bytes()?)?)?,
                _ => {}
            }
        }
        if !sender.is_known() {
            return Err(Problem::NoNode);
        }
        let resource = sender.encode();
        let origin = batch.origin(&resource, &[]);
        let mut message = Self {
            batch,
            limits,
            out: Vec::new(),
            left: GROWTH * bytes.len() + SPARE,
        };
        for field in Fields::of("ExportMetricsServiceRequest", bytes) {
            let field = field?;
            if field.number == 2 {
                message.metric(&origin, sender, field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn metric(
        &mut self,
        origin: &Origin<'_, 'o>,
        sender: &Identity,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        let mut metric = Metric::default();
        let mut own = None;
        for field in Fields::of("Metric", bytes) {
            let field = field?;
            match field.number {
                1 => metric = Metric::read(field.bytes()?, self.limits)?,
                3 => {
                    let resource = sender.encode_with(within("resource", field.bytes()?)?)?;
                    self.spend(resource.len())?;
                    own = Some(resource);
                }
                _ => {}
            }
        }
        let own = own.as_deref();
        let own = own.map(|resource| self.batch.origin(resource, &[]));
        let origin = own.as_ref().unwrap_or(origin);
        for field in Fields::of("Metric", bytes) {
            let field = field?;
            if field.number == 2 {
                self.series(origin, &metric, field.bytes()?)?;
            }
        }
        Ok(())
    }

    fn series(
        &mut self,
        origin: &Origin<'_, 'o>,
        metric: &Metric<'_>,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        let (mut start, mut points) = (0, 0);
        let mut values: Vec<LabelValue<'_>> = Vec::new();
        for field in Fields::of("TimeSeries", bytes) {
            let field = field?;
            match field.number {
                1 => start = point::nanos(field.bytes()?)?,
                // One more than there are keys tells that there are too many.
                2 if values.len() <= metric.keys.len() => values.push(value(field.bytes()?)?),
                3 => points += 1,
                _ => {}
            }
        }
        let labels = match metric.labels(&values, self.limits) {
            Ok(labels) => labels,
            Err(reason) => {
                self.batch.refuse(points, reason, metric.name);
                return Ok(());
            }
        };
        for field in Fields::of("TimeSeries", bytes) {
            let field = field?;
            if field.number == 3 {
                self.point(
                    origin,
                    &Point {
                        metric: metric.name,
                        kind: metric.kind,
                        start,
                        labels: &labels,
                        bytes: field.bytes()?,
                    },
                )?;
            }
        }
        Ok(())
    }

    fn point(&mut self, origin: &Origin<'_, 'o>, point: &Point<'_>) -> Result<(), Problem> {
        self.out.clear();
        let written = point.write(&mut self.out)?;
        self.spend(self.out.len())?;
        match written {
            Ok(()) => self.batch.metric(origin, &self.out)?,
            Err(reason) => self.batch.refuse(1, reason, point.metric),
        }
        Ok(())
    }

    /// So many bytes were written for what may have been far fewer.
    fn spend(&mut self, bytes: usize) -> Result<(), Problem> {
        self.left = self.left.checked_sub(bytes).ok_or(Problem::Grows)?;
        Ok(())
    }
}

impl<'b> Metric<'b> {
    /// From the bytes of a `MetricDescriptor`.
    fn read(bytes: &'b [u8], limits: &Limits) -> Result<Self, WireError> {
        let mut metric = Self::default();
        for field in Fields::of("MetricDescriptor", bytes) {
            let field = field?;
            match field.number {
                1 => {
                    metric.name = std::str::from_utf8(field.bytes()?)
                        .map_err(|_| WireError::Text("the name of a metric"))?;
                }
                4 => metric.kind = Kind::from_number(field.varint()?),
                5 => {
                    let key = label_key(field.bytes()?)?;
                    if key.len() > limits.name_bytes {
                        metric.refused = Some(DropReason::NameTooLong);
                    } else if metric.keys.len() >= limits.labels {
                        metric.refused = Some(DropReason::TooManyLabels);
                    } else {
                        metric.keys.push(key);
                    }
                }
                _ => {}
            }
        }
        if metric.name.len() > limits.name_bytes {
            metric.refused = Some(DropReason::NameTooLong);
        } else if metric.kind == Kind::Unsupported {
            metric.refused = Some(DropReason::Unsupported);
        }
        Ok(metric)
    }

    /// Keys and values of a series, those that are there.
    fn labels(
        &self,
        values: &[LabelValue<'b>],
        limits: &Limits,
    ) -> Result<Vec<Label<'b>>, DropReason> {
        if let Some(reason) = self.refused {
            return Err(reason);
        }
        let mut present = values.iter().flatten();
        if present.any(|value| value.len() > limits.value_bytes) {
            return Err(DropReason::ValueTooLong);
        }
        if values.len() == self.keys.len() {
            let pairs = self.keys.iter().zip(values);
            return Ok(pairs
                .filter_map(|(key, value)| Some((*key, (*value)?)))
                .collect());
        }
        if values.len() > self.keys.len() {
            return Err(DropReason::Misaligned);
        }
        // A value that is said to be not there keeps its place: that sender
        // leaves none out.
        let values: Option<Vec<&[u8]>> = values.iter().copied().collect();
        let values = values.ok_or(DropReason::Misaligned)?;
        let places = align::repair(self.name, &self.keys, &values);
        let places = places.ok_or(DropReason::Misaligned)?;
        let pair = |(place, value): (usize, &'b [u8])| Some((*self.keys.get(place)?, value));
        Ok(places.into_iter().zip(values).filter_map(pair).collect())
    }
}

fn label_key(bytes: &[u8]) -> Result<&[u8], WireError> {
    crate::ingest::wire::message_field("LabelKey", bytes, 1)
}

/// A `LabelValue`. Without `has_value` whatever it says is not meant.
fn value(bytes: &[u8]) -> Result<LabelValue<'_>, WireError> {
    let (mut text, mut is_there): (&[u8], bool) = (&[], false);
    for field in Fields::of("LabelValue", bytes) {
        let field = field?;
        match field.number {
            1 => text = field.bytes()?,
            2 => is_there = field.varint()? != 0,
            _ => {}
        }
    }
    Ok(is_there.then_some(text))
}

fn within<'b>(what: &'static str, bytes: &'b [u8]) -> Result<&'b [u8], Problem> {
    match bytes.len() > identity::MOST {
        true => Err(Problem::LargeIdentity(what)),
        false => Ok(bytes),
    }
}
