//! Fixed answers: what a route says itself, without asking its target.

use ::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use std::{collections::HashMap, sync::Arc};

/// An answer that a route gives itself: a static route's, or a placeholder.
#[derive(Clone, Debug, Default)]
pub struct StaticResponse {
    /// Its status.
    pub status: StatusCode,
    /// Its headers; the length is added when it is sent.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Answers that are given in place of this one for certain paths: by the
    /// path without its first slash, and by `index.html` for `/`. A key with a
    /// slash in it is never found.
    pub by_path: HashMap<String, Arc<StaticResponse>>,
}

impl StaticResponse {
    /// The answer to a request for `path` (as received, without the query).
    pub(crate) fn for_path(self: &Arc<Self>, path: &str) -> Arc<Self> {
        if self.by_path.is_empty() {
            return self.clone();
        }
        let path = percent_decode_str(path).decode_utf8_lossy();
        let key = match path.strip_prefix('/').unwrap_or(&path) {
            "" => "index.html",
            key => key,
        };
        self.by_path.get(key).unwrap_or(self).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_chooses_and_what_is_missing_is_the_answer_itself() {
        let page = |text: &'static str| {
            Arc::new(StaticResponse {
                body: text.into(),
                ..StaticResponse::default()
            })
        };
        let answer = Arc::new(StaticResponse {
            by_path: HashMap::from([
                ("index.html".to_owned(), page("index")),
                ("a b.txt".to_owned(), page("a b")),
                ("docs/deep".to_owned(), page("never")),
            ]),
            ..StaticResponse::default()
        });
        let body = |path: &str| answer.for_path(path).body.clone();
        assert_eq!(body("/"), "index");
        assert_eq!(body("/index.html"), "index");
        assert_eq!(body("/a%20b.txt"), "a b");
        assert_eq!(body("/other"), "");
        assert_eq!(page("one").for_path("/any").body, "one");
    }
}
