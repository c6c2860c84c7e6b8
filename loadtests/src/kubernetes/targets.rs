//! Whether what is served is what the objects say, as the admin API shows it.

use super::{
    store::Store,
    world::{World, route_name},
};
use crate::client;
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{collections::HashMap, net::SocketAddr};

#[derive(Deserialize)]
struct Target {
    name: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    address: SocketAddr,
}

/// Targets that are not there, should not be, or have other endpoints than
/// their Service.
pub(crate) async fn wrong(admin: SocketAddr, store: &Store) -> Result<usize> {
    let asked = client::send(admin, "admin", "/api/v1/targets").await?;
    let body = asked.answer().await?.body;
    let targets: Vec<Target> = serde_json::from_slice(&body).context("/api/v1/targets")?;
    let mut known: HashMap<&str, &Target> =
        targets.iter().map(|one| (one.name.as_str(), one)).collect();
    let world = store.world;
    let last_pods = store.last_pods();
    let is_right = |target: &Target, route: usize| {
        let service = world.target_of(route);
        let is_ready = last_pods.get(service).copied().unwrap_or_default();
        let mut endpoints: Vec<SocketAddr> =
            target.endpoints.iter().map(|one| one.address).collect();
        endpoints.sort_unstable();
        endpoints == wanted(world, service, is_ready)
    };
    let routes = 0..world.routes;
    let wrong = routes.filter(|route| {
        let name = format!("{}/{}", world.namespace_of(*route), route_name(*route));
        !known
            .remove(name.as_str())
            .is_some_and(|target| is_right(target, *route))
    });
    let wrong = wrong.count();
    Ok(wrong + known.len())
}

fn wanted(world: World, service: usize, is_ready: bool) -> Vec<SocketAddr> {
    let ready = world.pods - usize::from(!is_ready);
    let pods = service * world.pods..service * world.pods + ready;
    let mut all: Vec<SocketAddr> = pods
        .map(|pod| SocketAddr::from((super::world::pod_address(pod), world.port)))
        .collect();
    all.sort_unstable();
    all
}
