//! Messages of a stream, one after another, as gRPC frames them.
//!
//! Not the library's: that reads a whole message before anyone is asked whether
//! there is room for it. Here its length comes first.

use crate::ingest::inflate::{Encoding, InflateError, inflate};
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tonic::{Status, body::Body};

/// What goes before a message: a flag, and four bytes of length.
const PREFIX: usize = 5;

/// The messages that a client sends.
pub(super) struct Frames {
    body: Body,
    /// What was received and not read.
    rest: Bytes,
    encoding: Encoding,
}

/// What is told of a message before it comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// As it is sent.
    pub(super) length: usize,
    encoding: Encoding,
}

impl Frames {
    /// Of a request's body, whose messages may be compressed like this.
    pub(super) fn new(body: Body, encoding: Encoding) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            encoding,
        }
    }

    /// The head of the next message; `None` when the client has sent its last
    /// one. Whoever got a head must take the message or skip it.
    pub(super) async fn head(&mut self) -> Result<Option<Head>, Status> {
        let mut prefix = [0; PREFIX];
        let mut have = 0;
        while have < PREFIX {
            if !self.fill().await? {
                return match have {
                    0 => Ok(None),
                    _ => Err(cut()),
                };
            }
            let take = self.rest.len().min(PREFIX - have);
            self.rest.copy_to_slice(&mut prefix[have..have + take]);
            have += take;
        }
        let [flag, length @ ..] = prefix;
        let encoding = match (flag, self.encoding) {
            (0, _) => Encoding::Identity,
            (1, encoding) if encoding != Encoding::Identity => encoding,
            _ => {
                let text = "a message is marked as compressed without a grpc-encoding";
                return Err(Status::internal(text));
            }
        };
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        Ok(Some(Head { length, encoding }))
    }

    /// The message of that head, decompressed: at most `most` bytes.
    pub(super) async fn message(&mut self, head: Head, most: usize) -> Result<Bytes, Status> {
        let mut message = Vec::with_capacity(head.length.min(most));
        while message.len() < head.length {
            if !self.fill().await? {
                return Err(cut());
            }
            let take = self.rest.len().min(head.length - message.len());
            message.extend_from_slice(&self.rest.split_to(take));
        }
        inflate(head.encoding, message.into(), most).map_err(|error| match error {
            InflateError::TooLarge(_) => too_large(most),
            InflateError::Damaged(_) => Status::invalid_argument(error.to_string()),
        })
    }

    /// Lets the message of that head go by.
    pub(super) async fn skip(&mut self, head: Head) -> Result<(), Status> {
        let mut left = head.length;
        while left > 0 {
            if !self.fill().await? {
                return Err(cut());
            }
            let take = self.rest.len().min(left);
            self.rest.advance(take);
            left -= take;
        }
        Ok(())
    }

    /// Waits until something is received; false: there is no more.
    async fn fill(&mut self) -> Result<bool, Status> {
        while self.rest.is_empty() {
            match self.body.frame().await {
                None => return Ok(false),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.rest = data;
                    }
                }
            }
        }
        Ok(true)
    }
}

/// A message is larger than is allowed.
pub(super) fn too_large(most: usize) -> Status {
    Status::resource_exhausted(format!(
        "a message of more than {most} bytes (after decompression): send smaller batches"
    ))
}

fn cut() -> Status {
    Status::invalid_argument("the stream ends in the middle of a message")
}
