//! The limit of open files, which children inherit.

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises it to at least `needed`, as far as the hard limit allows.
pub(crate) fn raise(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)?;
    ensure!(
        limit.maximum.is_none_or(|most| most >= needed),
        "the hard limit of open files is below {needed}"
    );
    Ok(())
}
