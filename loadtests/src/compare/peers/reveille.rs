//! Reveille as a peer: `reveille local` as it is by default, with many routes
//! to one fixed backend.

use crate::{
    compare::{
        lab::Lab,
        peer::{Peer, Running},
    },
    manifest,
    reveille::Reveille,
};
use anyhow::Result;

const ROUTES: usize = 1_000;
/// The route that the load goes to.
const MEASURED: usize = 500;

/// Starts it.
pub(in crate::compare) async fn start(lab: &Lab<'_>) -> Result<Running> {
    let dir = lab.peer_dir(Peer::Reveille)?;
    let names = manifest::names("fixed", ROUTES);
    manifest::write_fixed(&dir, &names, &[lab.origin])?;
    let Reveille { program, addresses } =
        Reveille::start(&lab.args.reveille, &dir, Some(lab.args.proxy_core)).await?;
    Ok(Running {
        program,
        http1: addresses.proxy,
        http2: addresses.proxy,
        host: manifest::host(&names[MEASURED]),
    })
}
