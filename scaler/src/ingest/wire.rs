//! Protobuf as it lies in the buffer: fields, one after another.
//!
//! OTLP is read without building messages. Two bytes of a hostile request can
//! stand for a message of two hundred, so that a decoder that builds them all
//! turns a request of 4 MiB into hundreds; and of a series that is known, only
//! time and value are wanted. Nothing here allocates or recurses.

use thiserror::Error;

/// The bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// They end in the middle of something.
    #[error("the message ends in the middle of a field")]
    Cut,
    /// A number of more than 64 bits.
    #[error("a number of more than 64 bits")]
    LongNumber,
    /// A field of a kind that protobuf does not have (any more).
    #[error("field {field} has the unknown wire type {wire_type}")]
    WireType {
        /// Its number.
        field: u64,
        /// What it says it is.
        wire_type: u8,
    },
    /// A field that is known, of another type.
    #[error("{message}: field {field} has the wrong type")]
    Type {
        /// The message that it is in.
        message: &'static str,
        /// Its number.
        field: u64,
    },
    /// Text that is not UTF-8.
    #[error("{0} is not UTF-8")]
    Text(
        /// What it is.
        &'static str,
    ),
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// A field of `message`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    message: &'static str,
    pub(super) number: u64,
    pub(super) value: Value<'a>,
}

impl<'a> Field<'a> {
    fn wrong(&self) -> WireError {
        WireError::Type {
            message: self.message,
            field: self.number,
        }
    }

    pub(super) fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong()),
        }
    }

    pub(super) fn fixed64(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Fixed64(bits) => Ok(bits),
            _ => Err(self.wrong()),
        }
    }

    pub(super) fn double(&self) -> Result<f64, WireError> {
        self.fixed64().map(f64::from_bits)
    }

    pub(super) fn varint(&self) -> Result<u64, WireError> {
        match self.value {
            Value::Varint(number) => Ok(number),
            _ => Err(self.wrong()),
        }
    }

    /// A `sint32`.
    pub(super) fn zigzag(&self) -> Result<i32, WireError> {
        let number = u32::try_from(self.varint()?).map_err(|_| self.wrong())?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    /// Adds the numbers of a repeated `fixed64` field, packed or not.
    pub(super) fn fixed64s(&self, to: &mut Vec<u64>) -> Result<(), WireError> {
        match self.value {
            Value::Fixed64(bits) => to.push(bits),
            Value::Bytes(bytes) => {
                let (numbers, rest) = bytes.as_chunks();
                if !rest.is_empty() {
                    return Err(self.wrong());
                }
                to.extend(numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)));
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    /// Adds the numbers of a repeated `uint64` field, packed or not.
    pub(super) fn varints(&self, to: &mut Vec<u64>) -> Result<(), WireError> {
        match self.value {
            Value::Varint(number) => to.push(number),
            Value::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    to.push(take_varint(&mut bytes)?);
                }
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }
}

/// The fields of a message. After an error it ends.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    message: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of the bytes of a `message`: the name is for errors.
    pub(super) fn of(message: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            message,
            rest: bytes,
        }
    }

    fn take(&mut self) -> Result<Field<'a>, WireError> {
        let tag = take_varint(&mut self.rest)?;
        let number = tag >> 3;
        let value = match (tag & 7) as u8 {
            0 => Value::Varint(take_varint(&mut self.rest)?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.chunk()?)),
            2 => {
                let length = take_varint(&mut self.rest)?;
                let length = usize::try_from(length).map_err(|_| WireError::Cut)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Cut)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.chunk()?)),
            wire_type => {
                return Err(WireError::WireType {
                    field: number,
                    wire_type,
                });
            }
        };
        Ok(Field {
            message: self.message,
            number,
            value,
        })
    }

    fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N], WireError> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or(WireError::Cut)?;
        self.rest = rest;
        Ok(chunk)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.take();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// The last field of that number: of a message that is there once. Empty if
/// there is none.
pub(super) fn message_field<'a>(
    message: &'static str,
    bytes: &'a [u8],
    number: u64,
) -> Result<&'a [u8], WireError> {
    let mut found: &[u8] = &[];
    for field in Fields::of(message, bytes) {
        let field = field?;
        if field.number == number {
            found = field.bytes()?;
        }
    }
    Ok(found)
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, WireError> {
    let mut number = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let low = u64::from(byte & 0x7f);
        if index == 9 && low > 1 {
            return Err(WireError::LongNumber);
        }
        number |= low << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = bytes.get(index + 1..).unwrap_or_default();
            return Ok(number);
        }
    }
    Err(if bytes.len() < 10 {
        WireError::Cut
    } else {
        WireError::LongNumber
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, WireError> {
        Fields::of("Test", bytes)
            .map(|field| field.map(|field| (field.number, field.value)))
            .collect()
    }

    #[test]
    fn each_wire_type_is_read() {
        // From the protobuf documentation: field 1 is 150, field 2 "testing".
        assert_eq!(all(&[8, 0x96, 1]), Ok(vec![(1, Value::Varint(150))]));
        let testing = b"\x12\x07testing";
        assert_eq!(all(testing), Ok(vec![(2, Value::Bytes(b"testing"))]));
        let fixed = [9, 1, 0, 0, 0, 0, 0, 0, 0, 21, 2, 0, 0, 0];
        assert_eq!(
            all(&fixed),
            Ok(vec![(1, Value::Fixed64(1)), (2, Value::Fixed32(2))])
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(all(&[8]), Err(WireError::Cut));
        assert_eq!(all(&[8, 0x80]), Err(WireError::Cut));
        assert_eq!(all(&[10, 5, 1]), Err(WireError::Cut));
        assert_eq!(all(&[9, 1, 2]), Err(WireError::Cut));
        assert_eq!(
            all(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2]),
            Err(WireError::LongNumber)
        );
        let group = WireError::WireType {
            field: 1,
            wire_type: 3,
        };
        assert_eq!(all(&[11]), Err(group));
        let field = Fields::of("Test", &[8, 1])
            .next()
            .expect("one")
            .expect("good");
        let said = field.bytes().expect_err("a number").to_string();
        assert_eq!(said, "Test: field 1 has the wrong type");
    }

    #[test]
    fn signed_numbers_alternate() {
        for (bits, wanted) in [(0, 0), (1, -1), (2, 1), (4_294_967_295_u64, i32::MIN)] {
            let field = Field {
                message: "Test",
                number: 1,
                value: Value::Varint(bits),
            };
            assert_eq!(field.zigzag(), Ok(wanted));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let fields = Fields::of("Test", &bytes).count();
            prop_assert!(fields <= bytes.len());
        }
    }
}
