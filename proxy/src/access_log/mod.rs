//! The access log: one line for each request, written when it has ended.
//!
//! `format.rs` makes the lines, on the worker that served the request;
//! `writer.rs` writes them, on a thread of its own. Between them is a bounded
//! channel that is never waited for: a line that does not fit is counted and
//! lost, and the request is none the slower.

mod format;
mod writer;

pub use writer::AccessLog;

use crate::{journal::Blame, target::TargetId};
use http::Version;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLogFormat {
    /// Apache's common log format, and the duration in seconds.
    Common,
    /// Apache's combined log format, and the duration in seconds.
    Combined,
    /// One JSON object with everything.
    Json,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLogTarget {
    /// Standard output.
    Stdout,
    /// A file, which is made if there is none, and appended to.
    File(PathBuf),
}

/// What a line says.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) begun: SystemTime,
    pub(crate) client: IpAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) method: &'a str,
    /// As the client wrote it, query included.
    pub(crate) target: String,
    pub(crate) version: Version,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) status: u16,
    /// Of the body; of a tunnel, everything towards the client.
    pub(crate) bytes: u64,
    /// Likewise, from the client.
    pub(crate) request_bytes: u64,
    pub(crate) referer: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
    pub(crate) duration: Duration,
    /// None: it never had to wait.
    pub(crate) hold: Option<Duration>,
    pub(crate) route: Option<&'a TargetId>,
    pub(crate) endpoint: Option<(&'a str, SocketAddr)>,
    pub(crate) retries: u32,
    pub(crate) grpc_status: Option<&'a [u8]>,
    pub(crate) blame: Blame,
    /// Why it was refused.
    pub(crate) reason: Option<&'a str>,
    pub(crate) trace_id: Option<String>,
}
