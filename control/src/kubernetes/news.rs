//! What watches tell the cluster's loop: one variant for each kind.

use super::{
    kind::{self, Kind},
    route::RouteObject,
    scaled::ScaledObject,
    service::ServiceObject,
    slice::Slice,
    store::{Change, Key},
    watch::Watched,
};
use crate::manifest::{self, ConfigMapSpec};
use serde_json::Value;
use std::sync::Arc;

/// What has changed in the cluster.
#[derive(Debug)]
pub(super) enum News {
    Routes(Change<Box<RouteObject>>),
    ScaledObjects(Change<ScaledObject>),
    Services(Change<ServiceObject>),
    Slices(Change<Slice>),
    ConfigMaps(Change<Arc<ConfigMapSpec>>),
}

impl Watched for Box<RouteObject> {
    const KIND: &'static Kind = &kind::INTERCEPTOR_ROUTE;

    fn decode(_: &Key, json: Value) -> Result<Self, String> {
        Ok(Box::new(RouteObject::read(json)))
    }

    fn news(change: Change<Self>) -> News {
        News::Routes(change)
    }
}

impl Watched for ScaledObject {
    const KIND: &'static Kind = &kind::SCALED_OBJECT;

    fn decode(_: &Key, json: Value) -> Result<Self, String> {
        Self::read(json)
    }

    fn news(change: Change<Self>) -> News {
        News::ScaledObjects(change)
    }
}

impl Watched for ServiceObject {
    const KIND: &'static Kind = &kind::SERVICE;

    fn decode(_: &Key, json: Value) -> Result<Self, String> {
        Self::read(json)
    }

    fn news(change: Change<Self>) -> News {
        News::Services(change)
    }
}

impl Watched for Slice {
    const KIND: &'static Kind = &kind::ENDPOINT_SLICE;

    fn decode(key: &Key, json: Value) -> Result<Self, String> {
        Self::read(key, json)
    }

    fn news(change: Change<Self>) -> News {
        News::Slices(change)
    }
}

impl Watched for Arc<ConfigMapSpec> {
    const KIND: &'static Kind = &kind::CONFIG_MAP;

    fn decode(_: &Key, json: Value) -> Result<Self, String> {
        let read = manifest::api::config_map(json);
        let object = read
            .object
            .ok_or_else(|| manifest::api::in_one_line(&read.problems))?;
        Ok(Arc::new(object.spec))
    }

    fn news(change: Change<Self>) -> News {
        News::ConfigMaps(change)
    }
}
