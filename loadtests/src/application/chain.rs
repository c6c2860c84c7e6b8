//! Services that call each other: one that is asked asks the next one through
//! Reveille, so that a request to the first wakes them all.

use super::refuse;
use crate::{
    client::{self, Answer},
    reveille::Addresses,
};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Response, StatusCode};
use std::path::PathBuf;

/// How many services took part in an answer.
pub(super) const LINKS: &str = "x-links";

/// The service that is asked before each answer.
pub(super) struct Next {
    pub(super) host: String,
    /// Written by Reveille once it listens, which is after this was started
    /// at the earliest.
    pub(super) addresses: PathBuf,
}

impl Next {
    /// 502 with the reason if the next one does not answer with 200.
    pub(super) async fn call(&self) -> Response<Bytes> {
        match self.links().await {
            Ok(links) => {
                let mut answer = Response::new(Bytes::from(format!("{links} services\n")));
                answer.headers_mut().insert(LINKS, links.into());
                answer
            }
            Err(why) => refuse(
                StatusCode::BAD_GATEWAY,
                &format!("{} did not answer: {why:#}", self.host),
            ),
        }
    }

    async fn links(&self) -> Result<u64> {
        let addresses = Addresses::read(&self.addresses);
        let addresses = addresses.with_context(|| format!("{}", self.addresses.display()))?;
        let sent = client::send(addresses.proxy, &self.host, "/").await?;
        let Answer { head, .. } = sent.answer().await?;
        ensure!(head.status()? == 200, "{}", head.first_line);
        Ok(head.number(LINKS).context(LINKS)? + 1)
    }
}
