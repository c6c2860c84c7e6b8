//! Protobuf as it is written: field after field, at the end of a buffer.
//!
//! For what becomes an OTLP message before it is read: OTLP/JSON, OpenCensus.
//! Fields have numbers of at most 15, which is all that OTLP needs.

/// A number.
pub(super) fn varint(out: &mut Vec<u8>, field: u8, mut number: u64) {
    tag(out, field, 0);
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The bits of a `fixed64`, `sfixed64` or `double`.
pub(super) fn fixed64(out: &mut Vec<u8>, field: u8, bits: u64) {
    tag(out, field, 1);
    out.extend_from_slice(&bits.to_le_bytes());
}

/// Text or bytes.
pub(super) fn bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message(out, field, |out| out.extend_from_slice(bytes));
}

/// A message.
pub(super) fn message(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let written: Result<(), std::convert::Infallible> = try_message(out, field, |out| {
        write(out);
        Ok(())
    });
    let Ok(()) = written;
}

/// A message that may turn out not to be one; then what was written is of no
/// use.
///
/// Its length is not known yet and goes into four bytes, which may be more than
/// it needs: readers of protobuf take that.
pub(super) fn try_message<E>(
    out: &mut Vec<u8>,
    field: u8,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    tag(out, field, 2);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = out.len() - at - 4;
    for (index, byte) in out[at..at + 4].iter_mut().enumerate() {
        let more = if index < 3 { 0x80 } else { 0 };
        *byte = (length >> (7 * index)) as u8 & 0x7f | more;
    }
    Ok(())
}

fn tag(out: &mut Vec<u8>, field: u8, wire_type: u8) {
    out.push(field << 3 | wire_type);
}
