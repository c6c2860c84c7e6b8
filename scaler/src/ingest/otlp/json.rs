//! OTLP/JSON to protobuf, as a stream: field by field, without building what is
//! described.
//!
//! Names are `lowerCamelCase` or `snake_case`, 64-bit numbers are text or
//! numbers, enums are numbers (their names are understood too), unknown fields
//! are skipped. Nesting is bounded by `serde_json` at 128. What is written is
//! at most five times as long as what is read.
//!
//! Source: OTLP specification, "JSON Protobuf Encoding"; protobuf's JSON
//! mapping.

use super::encode;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The protobuf bytes of an `ExportMetricsServiceRequest`.
///
/// # Errors
/// What is wrong, and in which line and column.
pub(super) fn to_protobuf(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(json.len());
    let mut reader = serde_json::Deserializer::from_slice(json);
    Message {
        of: &REQUEST,
        out: &mut out,
    }
    .deserialize(&mut reader)?;
    reader.end()?;
    Ok(out)
}

/// A message's name, and its fields: name in JSON, number, kind.
struct Schema {
    name: &'static str,
    fields: &'static [(&'static str, u8, Kind)],
}

#[derive(Clone, Copy)]
enum Kind {
    Message(&'static Schema),
    Text,
    /// In base64.
    Bytes,
    Bool,
    Double,
    /// `fixed64` and `sfixed64`.
    Fixed64,
    /// `int64`, `uint64`, `uint32`.
    Varint,
    /// `sint32`.
    ZigZag,
    /// `AggregationTemporality`.
    Temporality,
}

static REQUEST: Schema = Schema {
    name: "ExportMetricsServiceRequest",
    fields: &[("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))],
};
static RESOURCE_METRICS: Schema = Schema {
    name: "ResourceMetrics",
    fields: &[
        ("resource", 1, Kind::Message(&RESOURCE)),
        ("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
    ],
};
static RESOURCE: Schema = Schema {
    name: "Resource",
    fields: &[("attributes", 1, Kind::Message(&KEY_VALUE))],
};
static SCOPE_METRICS: Schema = Schema {
    name: "ScopeMetrics",
    fields: &[
        ("scope", 1, Kind::Message(&SCOPE)),
        ("metrics", 2, Kind::Message(&METRIC)),
    ],
};
static SCOPE: Schema = Schema {
    name: "InstrumentationScope",
    fields: &[
        ("name", 1, Kind::Text),
        ("version", 2, Kind::Text),
        ("attributes", 3, Kind::Message(&KEY_VALUE)),
    ],
};
static METRIC: Schema = Schema {
    name: "Metric",
    fields: &[
        ("name", 1, Kind::Text),
        ("gauge", 5, Kind::Message(&GAUGE)),
        ("sum", 7, Kind::Message(&SUM)),
        ("histogram", 9, Kind::Message(&HISTOGRAM)),
        ("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL)),
        ("summary", 11, Kind::Message(&SUMMARY)),
    ],
};
static GAUGE: Schema = Schema {
    name: "Gauge",
    fields: &[("dataPoints", 1, Kind::Message(&NUMBER_POINT))],
};
static SUM: Schema = Schema {
    name: "Sum",
    fields: &[
        ("dataPoints", 1, Kind::Message(&NUMBER_POINT)),
        ("aggregationTemporality", 2, Kind::Temporality),
        ("isMonotonic", 3, Kind::Bool),
    ],
};
static HISTOGRAM: Schema = Schema {
    name: "Histogram",
    fields: &[
        ("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
        ("aggregationTemporality", 2, Kind::Temporality),
    ],
};
static EXPONENTIAL: Schema = Schema {
    name: "ExponentialHistogram",
    fields: &[
        ("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
        ("aggregationTemporality", 2, Kind::Temporality),
    ],
};
static SUMMARY: Schema = Schema {
    name: "Summary",
    fields: &[("dataPoints", 1, Kind::Message(&SUMMARY_POINT))],
};
static NUMBER_POINT: Schema = Schema {
    name: "NumberDataPoint",
    fields: &[
        ("startTimeUnixNano", 2, Kind::Fixed64),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("asDouble", 4, Kind::Double),
        ("asInt", 6, Kind::Fixed64),
        ("attributes", 7, Kind::Message(&KEY_VALUE)),
        ("flags", 8, Kind::Varint),
    ],
};
static HISTOGRAM_POINT: Schema = Schema {
    name: "HistogramDataPoint",
    fields: &[
        ("startTimeUnixNano", 2, Kind::Fixed64),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("count", 4, Kind::Fixed64),
        ("sum", 5, Kind::Double),
        ("bucketCounts", 6, Kind::Fixed64),
        ("explicitBounds", 7, Kind::Double),
        ("attributes", 9, Kind::Message(&KEY_VALUE)),
        ("flags", 10, Kind::Varint),
        ("min", 11, Kind::Double),
        ("max", 12, Kind::Double),
    ],
};
static EXPONENTIAL_POINT: Schema = Schema {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        ("attributes", 1, Kind::Message(&KEY_VALUE)),
        ("startTimeUnixNano", 2, Kind::Fixed64),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("count", 4, Kind::Fixed64),
        ("sum", 5, Kind::Double),
        ("scale", 6, Kind::ZigZag),
        ("zeroCount", 7, Kind::Fixed64),
        ("positive", 8, Kind::Message(&BUCKETS)),
        ("negative", 9, Kind::Message(&BUCKETS)),
        ("flags", 10, Kind::Varint),
        ("min", 12, Kind::Double),
        ("max", 13, Kind::Double),
        ("zeroThreshold", 14, Kind::Double),
    ],
};
static BUCKETS: Schema = Schema {
    name: "Buckets",
    fields: &[
        ("offset", 1, Kind::ZigZag),
        ("bucketCounts", 2, Kind::Varint),
    ],
};
static SUMMARY_POINT: Schema = Schema {
    name: "SummaryDataPoint",
    fields: &[
        ("startTimeUnixNano", 2, Kind::Fixed64),
        ("timeUnixNano", 3, Kind::Fixed64),
        ("count", 4, Kind::Fixed64),
        ("sum", 5, Kind::Double),
        ("quantileValues", 6, Kind::Message(&VALUE_AT_QUANTILE)),
        ("attributes", 7, Kind::Message(&KEY_VALUE)),
        ("flags", 8, Kind::Varint),
    ],
};
static VALUE_AT_QUANTILE: Schema = Schema {
    name: "ValueAtQuantile",
    fields: &[("quantile", 1, Kind::Double), ("value", 2, Kind::Double)],
};
static KEY_VALUE: Schema = Schema {
    name: "KeyValue",
    fields: &[
        ("key", 1, Kind::Text),
        ("value", 2, Kind::Message(&ANY_VALUE)),
    ],
};
static ANY_VALUE: Schema = Schema {
    name: "AnyValue",
    fields: &[
        ("stringValue", 1, Kind::Text),
        ("boolValue", 2, Kind::Bool),
        ("intValue", 3, Kind::Varint),
        ("doubleValue", 4, Kind::Double),
        ("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
        ("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
        ("bytesValue", 7, Kind::Bytes),
    ],
};
static ARRAY_VALUE: Schema = Schema {
    name: "ArrayValue",
    fields: &[("values", 1, Kind::Message(&ANY_VALUE))],
};
static KEY_VALUE_LIST: Schema = Schema {
    name: "KeyValueList",
    fields: &[("values", 1, Kind::Message(&KEY_VALUE))],
};

impl Schema {
    fn field(&self, name: &str) -> Option<(u8, Kind)> {
        let mut fields = self.fields.iter();
        let (_, number, kind) =
            fields.find(|(known, ..)| *known == name || is_snake(name, known))?;
        Some((*number, *kind))
    }
}

/// Whether `name` is `camel` in `snake_case`.
fn is_snake(name: &str, camel: &str) -> bool {
    let mut name = name.bytes();
    camel.bytes().all(|byte| {
        if byte.is_ascii_uppercase() {
            name.next() == Some(b'_') && name.next() == Some(byte.to_ascii_lowercase())
        } else {
            name.next() == Some(byte)
        }
    }) && name.next().is_none()
}

/// Reads an object and writes its fields.
struct Message<'o> {
    of: &'static Schema,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object, {}", self.of.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Name(self.of))? {
            let Some((name, number, kind)) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            map.next_value_seed(Contents {
                name,
                number,
                kind,
                out: self.out,
            })?;
        }
        Ok(())
    }
}

/// The name of a field, looked up without a copy.
struct Name(&'static Schema);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<(&'static str, u8, Kind)>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<(&'static str, u8, Kind)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self
            .0
            .field(name)
            .map(|(number, kind)| (self.0.name, number, kind)))
    }
}

/// The value of a field, or a list of them.
struct Contents<'o> {
    /// The message that the field is in.
    name: &'static str,
    number: u8,
    kind: Kind,
    out: &'o mut Vec<u8>,
}

impl Contents<'_> {
    fn varint(&mut self, number: u64) {
        encode::varint(self.out, self.number, number);
    }

    fn fixed64(&mut self, bits: u64) {
        encode::fixed64(self.out, self.number, bits);
    }

    /// A number of any 64-bit field, from its bits in two's complement.
    fn integer<E: Error>(&mut self, number: i128) -> Result<(), E> {
        let out_of_range = || E::custom("the number is out of range");
        let in_range = i128::from(i64::MIN)..=i128::from(u64::MAX);
        if !in_range.contains(&number) {
            return Err(out_of_range());
        }
        // In range, so that the low 64 bits are the number.
        let bits = number as u64;
        match self.kind {
            Kind::Fixed64 => self.fixed64(bits),
            Kind::Varint => self.varint(bits),
            Kind::Temporality if (0..=2).contains(&number) => self.varint(bits),
            Kind::Temporality => self.varint(0),
            Kind::ZigZag => {
                let number = i32::try_from(number).map_err(|_| out_of_range())?;
                let zigzag = (number << 1) ^ (number >> 31);
                self.varint(u64::from(zigzag.cast_unsigned()));
            }
            Kind::Double => self.fixed64((number as f64).to_bits()),
            _ => return Err(self.wrong("a number")),
        }
        Ok(())
    }

    fn wrong<E: Error>(&self, what: &str) -> E {
        E::custom(format_args!(
            "{}: field {} cannot be {what}",
            self.name, self.number
        ))
    }
}

impl<'de> DeserializeSeed<'de> for Contents<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Contents<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of field {} of {}", self.number, self.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(mut self, is: bool) -> Result<(), E> {
        match self.kind {
            Kind::Bool => self.varint(u64::from(is)),
            _ => return Err(self.wrong("true or false")),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(mut self, number: i64) -> Result<(), E> {
        self.integer(number.into())
    }

    fn visit_u64<E: Error>(mut self, number: u64) -> Result<(), E> {
        self.integer(number.into())
    }

    fn visit_f64<E: Error>(mut self, number: f64) -> Result<(), E> {
        if matches!(self.kind, Kind::Double) {
            self.fixed64(number.to_bits());
            return Ok(());
        }
        // 1e3 and 5.0 are integers to protobuf's JSON.
        if number.fract() == 0.0 && number.abs() < 9e18 {
            return self.integer(number as i128);
        }
        Err(self.wrong("a fraction"))
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        match self.kind {
            Kind::Text => {
                encode::bytes(self.out, self.number, text.as_bytes());
                Ok(())
            }
            Kind::Bytes => {
                let bytes = STANDARD
                    .decode(text)
                    .map_err(|_| E::custom("bytes are not in base64"))?;
                encode::bytes(self.out, self.number, &bytes);
                Ok(())
            }
            Kind::Double => {
                let number = match text {
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    "NaN" => f64::NAN,
                    text => text.parse().map_err(|_| self.wrong("this text"))?,
                };
                self.fixed64(number.to_bits());
                Ok(())
            }
            Kind::Temporality => {
                self.varint(match text {
                    "AGGREGATION_TEMPORALITY_DELTA" => 1,
                    "AGGREGATION_TEMPORALITY_CUMULATIVE" => 2,
                    "AGGREGATION_TEMPORALITY_UNSPECIFIED" => 0,
                    _ => return Err(self.wrong("this text")),
                });
                Ok(())
            }
            Kind::Fixed64 | Kind::Varint | Kind::ZigZag => {
                let number = text.parse().map_err(|_| self.wrong("this text"))?;
                self.integer(number)
            }
            Kind::Bool | Kind::Message(_) => Err(self.wrong("text")),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Kind::Message(of) = self.kind else {
            return Err(self.wrong("an object"));
        };
        encode::try_message(self.out, self.number, |out| {
            Message { of, out }.visit_map(map)
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        // A list within a list would be read as one; no field has that.
        while list
            .next_element_seed(Contents {
                name: self.name,
                number: self.number,
                kind: self.kind,
                out: self.out,
            })?
            .is_some()
        {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
