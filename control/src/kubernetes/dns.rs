//! The addresses behind an ExternalName Service: those of a DNS name.
//!
//! A name that cannot be resolved for a while changes nothing: the last
//! addresses stay.

use super::{
    backend::Backend,
    slice::{Address, Addresses},
};
use std::{sync::Weak, time::Duration};
use tokio::time::{sleep, timeout};

/// How often a name is resolved again.
const RESOLVE_EACH: Duration = Duration::from_secs(10);
/// The same after a failure.
const RETRY_EACH: Duration = Duration::from_secs(1);
/// A resolver that does not answer is given up after this.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);

/// Keeps the addresses of `backend` those of `host`, as long as there is one.
pub(super) async fn follow(backend: Weak<Backend>, host: String, port: u16) {
    let mut trouble = None;
    loop {
        let found = resolve(&host, port).await;
        let Some(backend) = backend.upgrade() else {
            return;
        };
        let pause = match found {
            Ok(addresses) => {
                backend.set_addresses(addresses);
                trouble = None;
                RESOLVE_EACH
            }
            Err(why) => {
                if trouble.as_ref() != Some(&why) {
                    let service = &backend.key().service;
                    tracing::warn!(
                        %service, host,
                        "the externalName cannot be resolved: {why}; the last addresses stay"
                    );
                    trouble = Some(why);
                }
                RETRY_EACH
            }
        };
        drop(backend);
        sleep(pause).await;
    }
}

async fn resolve(host: &str, port: u16) -> Result<Addresses, String> {
    let looking = tokio::net::lookup_host((host, port));
    let found = timeout(RESOLVE_WITHIN, looking)
        .await
        .map_err(|_| format!("no answer within {RESOLVE_WITHIN:?}"))?
        .map_err(|error| error.to_string())?;
    let one = |addr: std::net::SocketAddr| Address {
        addr,
        name: addr.to_string().into(),
    };
    let mut ready: Vec<Address> = found.map(one).collect();
    ready.sort_unstable();
    ready.dedup();
    if ready.is_empty() {
        return Err("it has no address".to_owned());
    }
    Ok(Addresses {
        ready,
        ..Addresses::default()
    })
}
