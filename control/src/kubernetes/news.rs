//! What watches tell the cluster's loop: one variant for each kind. Pods are
//! not its own: `sidecars.rs` follows them.

use super::{
    kind::{self, Kind},
    legacy::LegacyObject,
    pod::Pod,
    route::RouteObject,
    scaled::ScaledObject,
    service::ServiceObject,
    slice::Slice,
    store::{Change, Key},
    watch::Watched,
};
use crate::manifest::{self, ConfigMapSpec};
use std::sync::Arc;

/// What has changed in the cluster.
#[derive(Debug)]
pub(super) enum News {
    Routes(Change<Box<RouteObject>>),
    HttpScaledObjects(Change<Box<LegacyObject>>),
    ScaledObjects(Change<ScaledObject>),
    Services(Change<ServiceObject>),
    Slices(Change<Slice>),
    ConfigMaps(Change<Arc<ConfigMapSpec>>),
}

impl Watched for Box<RouteObject> {
    const KIND: &'static Kind = &kind::INTERCEPTOR_ROUTE;
    type News = News;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        Ok(Box::new(RouteObject::read(json)))
    }

    fn news(change: Change<Self>) -> Self::News {
        News::Routes(change)
    }
}

impl Watched for Box<LegacyObject> {
    const KIND: &'static Kind = &kind::HTTP_SCALED_OBJECT;
    type News = News;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        Ok(Box::new(LegacyObject::read(json)))
    }

    fn news(change: Change<Self>) -> Self::News {
        News::HttpScaledObjects(change)
    }
}

impl Watched for ScaledObject {
    const KIND: &'static Kind = &kind::SCALED_OBJECT;
    type News = News;

    fn decode(key: &Key, json: &str) -> Result<Self, String> {
        Self::read(key, json)
    }

    fn news(change: Change<Self>) -> Self::News {
        News::ScaledObjects(change)
    }
}

impl Watched for ServiceObject {
    const KIND: &'static Kind = &kind::SERVICE;
    type News = News;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        Self::read(json)
    }

    fn news(change: Change<Self>) -> Self::News {
        News::Services(change)
    }
}

impl Watched for Slice {
    const KIND: &'static Kind = &kind::ENDPOINT_SLICE;
    type News = News;

    fn decode(key: &Key, json: &str) -> Result<Self, String> {
        Self::read(key, json)
    }

    fn news(change: Change<Self>) -> Self::News {
        News::Slices(change)
    }
}

impl Watched for Arc<ConfigMapSpec> {
    const KIND: &'static Kind = &kind::CONFIG_MAP;
    type News = News;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        let read = manifest::api::config_map(json);
        let object = read
            .object
            .ok_or_else(|| manifest::api::in_one_line(&read.problems))?;
        Ok(Arc::new(object.spec))
    }

    fn news(change: Change<Self>) -> Self::News {
        News::ConfigMaps(change)
    }
}

impl Watched for Pod {
    const KIND: &'static Kind = &kind::POD;
    type News = Change<Self>;

    fn decode(_: &Key, json: &str) -> Result<Self, String> {
        Self::read(json)
    }

    fn news(change: Change<Self>) -> Self::News {
        change
    }
}
