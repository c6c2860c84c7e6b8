//! Protobuf with small buffers: what the generated code encodes and decodes
//! with, see `tests/generated.rs`.
//!
//! Each open stream keeps its buffer for as long as it is open. By default that
//! is 8 KiB, of which a stream that says `true` once an hour needs seven bytes;
//! thousands of ScaledObjects have two of them each. Longer messages make it
//! grow.

use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// What is sent: an activity, or the specs of a trigger.
const SENT: usize = 64;
/// What is received: a ScaledObject's metadata is a few hundred bytes.
const RECEIVED: usize = 512;
/// As by default: so much goes into one frame when there is much to say.
const FRAME: usize = 32 * 1024;

/// The codec of all our services and clients.
#[derive(Debug)]
pub(crate) struct SmallBuffers<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for SmallBuffers<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for SmallBuffers<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(SENT, FRAME))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(RECEIVED, FRAME))
    }
}
