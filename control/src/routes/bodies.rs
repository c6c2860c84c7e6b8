//! Bodies that stand elsewhere than in the route: which ConfigMaps there are,
//! and what type a body has.

use crate::manifest::{ConfigMapSpec, Object};
use http::HeaderValue;
use std::{collections::HashMap, sync::Arc};

/// ConfigMaps with bodies, by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct ConfigMaps(HashMap<(String, String), Arc<ConfigMapSpec>>);

impl ConfigMaps {
    /// These.
    #[must_use]
    pub fn new(objects: Vec<Object<ConfigMapSpec>>) -> Self {
        let entry = |object: Object<ConfigMapSpec>| {
            let key = (object.meta.namespace, object.meta.name);
            (key, Arc::new(object.spec))
        };
        Self(objects.into_iter().map(entry).collect())
    }

    /// From now on this one is `object`, or is not there.
    pub fn set(&mut self, namespace: &str, name: &str, object: Option<Arc<ConfigMapSpec>>) {
        let key = (namespace.to_owned(), name.to_owned());
        match object {
            Some(object) => self.0.insert(key, object),
            None => self.0.remove(&key),
        };
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<ConfigMapSpec>> {
        self.0.get(&(namespace.to_owned(), name.to_owned()))
    }
}

/// The type of a body by the extension of its file or key. The list is Go's
/// own (`mime.TypeByExtension`), which the HTTP add-on asks, and plain text.
pub(super) fn content_type(name: &str) -> Option<HeaderValue> {
    let (_, extension) = name.rsplit_once('.')?;
    let known = match extension.to_ascii_lowercase().as_str() {
        "avif" => "image/avif",
        "css" => "text/css; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webp" => "image/webp",
        "xml" => "text/xml; charset=utf-8",
        _ => return None,
    };
    Some(HeaderValue::from_static(known))
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn the_extension_says_the_type() {
        let of = |name| content_type(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(of("a.HTML").as_deref(), Some("text/html; charset=utf-8"));
        assert_eq!(of("pages/a.b.json").as_deref(), Some("application/json"));
        assert_eq!(of("a.unheard-of"), None);
        assert_eq!(of("html"), None);
    }
}
