//! Annotations of Reveille's own, for what the add-on's objects have no field
//! for.
//!
//! Checked by `kind` when an object is read, so that every problem has its
//! line; asked for by `routes`. It must never refuse an annotation of somebody
//! else.

use std::num::NonZeroUsize;

use super::decode::Field;
use super::meta::ObjectMeta;

/// All annotations of this prefix are ours.
const PREFIX: &str = "reveille.dev/";

/// Of an InterceptorRoute: most requests at once on each replica.
pub const MAX_CONCURRENCY_PER_REPLICA: &str = "reveille.dev/max-concurrency-per-replica";

/// Far more than one process serves at once.
const MOST_CONCURRENCY: usize = 1_000_000;

/// Notes what is wrong with the annotations of an InterceptorRoute.
pub(super) fn check_route(metadata: &Field<'_>) {
    let annotations = metadata
        .map()
        .and_then(|fields| fields.optional("annotations"))
        .and_then(|field| field.entries())
        .unwrap_or_default();
    for (name, field) in annotations {
        if name == MAX_CONCURRENCY_PER_REPLICA {
            field.parse(max_concurrency);
        } else if name.starts_with(PREFIX) {
            field.warning(format!(
                "unknown annotation; known here: {MAX_CONCURRENCY_PER_REPLICA}"
            ));
        }
    }
}

impl ObjectMeta {
    /// Most requests at once on each replica, if the object sets a limit. One
    /// that is no number is none: it was refused when the object was read.
    #[must_use]
    pub fn max_concurrency_per_replica(&self) -> Option<NonZeroUsize> {
        let text = self.annotations.get(MAX_CONCURRENCY_PER_REPLICA)?;
        max_concurrency(text).ok()
    }
}

fn max_concurrency(text: &str) -> Result<NonZeroUsize, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number
        .then(|| text.parse::<NonZeroUsize>().ok())
        .flatten();
    number
        .filter(|limit| limit.get() <= MOST_CONCURRENCY)
        .ok_or_else(|| format!("must be a number from 1 to {MOST_CONCURRENCY}, not {text:?}"))
}
