//! One data point of OpenCensus, and what it is in OTLP.

use super::identity::attribute;
use crate::{
    ingest::{
        encode,
        wire::{Fields, WireError},
    },
    series::DropReason,
};

/// OTLP's `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// What a metric's descriptor says that it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not told, not known, or a distribution that is no count of all time.
    #[default]
    Unsupported,
    Gauge,
    Cumulative,
    Distribution,
    Summary,
}

impl Kind {
    /// From a `MetricDescriptor.Type`. Whether a number is whole does not
    /// matter.
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            1 | 2 => Self::Gauge,
            4 | 5 => Self::Cumulative,
            6 => Self::Distribution,
            7 => Self::Summary,
            _ => Self::Unsupported,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Value<'b> {
    Integer(i64),
    Double(f64),
    Distribution(&'b [u8]),
    Summary(&'b [u8]),
}

/// A label's key and its value.
pub(super) type Label<'b> = (&'b [u8], &'b [u8]);

/// What a data point and its series say, labels aligned.
pub(super) struct Point<'b> {
    pub(super) metric: &'b str,
    pub(super) kind: Kind,
    /// Nanoseconds; zero: not told.
    pub(super) start: u64,
    pub(super) labels: &'b [Label<'b>],
    /// The bytes of a `Point`.
    pub(super) bytes: &'b [u8],
}

impl Point<'_> {
    /// Writes the bytes of OTLP's `Metric` with this point alone. The outer
    /// error is of the bytes, the inner one of this point.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<Result<(), DropReason>, WireError> {
        let (mut time, mut value) = (0, None);
        for field in Fields::of("Point", self.bytes) {
            let field = field?;
            match field.number {
                1 => time = nanos(field.bytes()?)?,
                2 => value = Some(Value::Integer(field.varint()?.cast_signed())),
                3 => value = Some(Value::Double(field.double()?)),
                4 => value = Some(Value::Distribution(field.bytes()?)),
                5 => value = Some(Value::Summary(field.bytes()?)),
                _ => {}
            }
        }
        encode::bytes(out, 1, self.metric.as_bytes());
        let (field, attributes) = match self.kind {
            Kind::Gauge => (5, 7),
            Kind::Cumulative => (7, 7),
            Kind::Distribution => (9, 9),
            Kind::Summary => (11, 7),
            Kind::Unsupported => return Ok(Err(DropReason::Unsupported)),
        };
        let mut refused = None;
        encode::try_message(out, field, |out| {
            encode::try_message(out, 1, |out| {
                for (key, value) in self.labels {
                    attribute(out, attributes, key, value);
                }
                encode::fixed64(out, 2, self.start);
                encode::fixed64(out, 3, time);
                refused = self.value(value, out)?.err();
                Ok::<_, WireError>(())
            })?;
            if matches!(self.kind, Kind::Cumulative | Kind::Distribution) {
                encode::varint(out, 2, CUMULATIVE);
            }
            if self.kind == Kind::Cumulative {
                encode::varint(out, 3, 1);
            }
            Ok::<_, WireError>(())
        })?;
        Ok(refused.map_or(Ok(()), Err))
    }

    fn value(
        &self,
        value: Option<Value<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<Result<(), DropReason>, WireError> {
        match (self.kind, value) {
            (Kind::Gauge | Kind::Cumulative, Some(Value::Integer(number))) => {
                encode::fixed64(out, 6, number.cast_unsigned());
            }
            (Kind::Gauge | Kind::Cumulative, Some(Value::Double(number))) => {
                encode::fixed64(out, 4, number.to_bits());
            }
            (Kind::Distribution, Some(Value::Distribution(bytes))) => {
                return distribution(bytes, out);
            }
            (Kind::Summary, Some(Value::Summary(bytes))) => return summary(bytes, out),
            _ => return Ok(Err(DropReason::Malformed)),
        }
        Ok(Ok(()))
    }
}

fn distribution(bytes: &[u8], out: &mut Vec<u8>) -> Result<Result<(), DropReason>, WireError> {
    let (mut count, mut sum) = (0, 0.0_f64);
    let mut counts = true;
    for field in Fields::of("DistributionValue", bytes) {
        let field = field?;
        match field.number {
            1 => count = field.varint()?,
            2 => sum = field.double()?,
            4 => bounds(field.bytes()?, out)?,
            5 => {
                let mut of_bucket = 0;
                for field in Fields::of("Bucket", field.bytes()?) {
                    let field = field?;
                    if field.number == 1 {
                        of_bucket = field.varint()?;
                    }
                }
                counts &= is_count(of_bucket);
                encode::fixed64(out, 6, of_bucket);
            }
            _ => {}
        }
    }
    encode::fixed64(out, 4, count);
    encode::fixed64(out, 5, sum.to_bits());
    match counts && is_count(count) {
        true => Ok(Ok(())),
        false => Ok(Err(DropReason::Malformed)),
    }
}

fn bounds(options: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut bounds = Vec::new();
    for field in Fields::of("BucketOptions", options) {
        let field = field?;
        if field.number != 1 {
            continue;
        }
        for field in Fields::of("Explicit", field.bytes()?) {
            let field = field?;
            if field.number == 1 {
                field.fixed64s(&mut bounds)?;
            }
        }
    }
    for bound in bounds {
        encode::fixed64(out, 7, bound);
    }
    Ok(())
}

fn summary(bytes: &[u8], out: &mut Vec<u8>) -> Result<Result<(), DropReason>, WireError> {
    // Without a sum there is none to store: NaN is not.
    let (mut count, mut sum) = (None, f64::NAN);
    for field in Fields::of("SummaryValue", bytes) {
        let field = field?;
        match field.number {
            1 => count = Some(wrapped(field.bytes()?)?),
            2 => sum = f64::from_bits(wrapped_double(field.bytes()?)?),
            3 => {
                for field in Fields::of("Snapshot", field.bytes()?) {
                    let field = field?;
                    if field.number == 3 {
                        quantile(field.bytes()?, out)?;
                    }
                }
            }
            _ => {}
        }
    }
    let Some(count) = count.filter(|count| is_count(*count)) else {
        return Ok(Err(DropReason::Malformed));
    };
    encode::fixed64(out, 4, count);
    encode::fixed64(out, 5, sum.to_bits());
    Ok(Ok(()))
}

/// A `ValueAtPercentile`, which is a quantile times a hundred.
fn quantile(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let (mut percentile, mut value) = (0.0, 0.0_f64);
    for field in Fields::of("ValueAtPercentile", bytes) {
        let field = field?;
        match field.number {
            1 => percentile = field.double()?,
            2 => value = field.double()?,
            _ => {}
        }
    }
    encode::message(out, 6, |out| {
        encode::fixed64(out, 1, (percentile / 100.0).to_bits());
        encode::fixed64(out, 2, value.to_bits());
    });
    Ok(())
}

/// An `Int64Value`.
fn wrapped(bytes: &[u8]) -> Result<u64, WireError> {
    let mut number = 0;
    for field in Fields::of("Int64Value", bytes) {
        let field = field?;
        if field.number == 1 {
            number = field.varint()?;
        }
    }
    Ok(number)
}

/// The bits of a `DoubleValue`.
fn wrapped_double(bytes: &[u8]) -> Result<u64, WireError> {
    let mut bits = 0;
    for field in Fields::of("DoubleValue", bytes) {
        let field = field?;
        if field.number == 1 {
            bits = field.fixed64()?;
        }
    }
    Ok(bits)
}

/// Whether an `int64` is not negative.
fn is_count(bits: u64) -> bool {
    !bits.cast_signed().is_negative()
}

/// A `Timestamp` as nanoseconds since the epoch; what lies before is the first
/// of them, and what lies too far ahead the last.
pub(super) fn nanos(bytes: &[u8]) -> Result<u64, WireError> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of("Timestamp", bytes) {
        let field = field?;
        match field.number {
            1 => seconds = field.varint()?.cast_signed(),
            2 => nanos = field.varint()?.cast_signed(),
            _ => {}
        }
    }
    if seconds == 0 && nanos == 0 {
        return Ok(0);
    }
    let all = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Ok(u64::try_from(all.max(1)).unwrap_or(u64::MAX))
}
