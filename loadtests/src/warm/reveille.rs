//! Reveille as a peer: `reveille local` with one fixed backend.

use super::{Lab, peer::Running};
use crate::{manifest, reveille::Reveille};
use anyhow::Result;

const ROUTES: usize = 1_000;

pub(super) async fn start(lab: &Lab<'_>) -> Result<Running> {
    let names = manifest::names("fixed", ROUTES);
    manifest::write_fixed(&lab.dir, &names, lab.origin)?;
    let Reveille { program, addresses } =
        Reveille::start(lab.reveille, &lab.dir, Some(lab.core)).await?;
    Ok(Running {
        program,
        address: addresses.proxy,
        host: manifest::host("fixed-500"),
    })
}
