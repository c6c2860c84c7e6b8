//! Where peers run: directories, cores, the origin.

use super::{Args, peer::Peer};
use anyhow::Result;
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

/// What a peer needs to be started.
pub(super) struct Lab<'a> {
    pub(super) dir: PathBuf,
    pub(super) origin: SocketAddr,
    pub(super) args: &'a Args,
}

impl Lab<'_> {
    /// A directory for one start of `peer`, empty.
    pub(super) fn peer_dir(&self, peer: Peer) -> Result<PathBuf> {
        let dir = self.dir.join(peer.name().replace(' ', "-"));
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

/// A loopback address that nobody listens on now.
pub(crate) fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
