//! The ScaledObject that is made of an HTTPScaledObject, as the HTTP add-on's
//! operator makes it: under the same name, owned by it, kept as it should be.
//!
//! [`decide`] is pure: from what is seen to what should be done and said.
//! `made/likeness.rs` compares, `made/write.rs` does.
//! It must never touch a ScaledObject that belongs to somebody else.

mod likeness;
mod write;

use super::{
    kind::HTTP_SCALED_OBJECT,
    legacy::{FINALIZER, LegacyObject},
    scaled::{Owned, ScaledObject},
    store::Key,
};
use crate::manifest::ScalerRef;
use likeness::is_so;
use serde_json::{Value, json};

/// An HTTPScaledObject, and what there is of ScaledObjects around it.
pub(super) struct View<'a> {
    pub(super) key: &'a Key,
    pub(super) legacy: &'a LegacyObject,
    /// The ScaledObject of its name.
    pub(super) named: Option<&'a ScaledObject>,
    /// The one with a trigger that names it.
    pub(super) waker: Option<&'a Key>,
    /// Another one for the same workload.
    pub(super) rival: Option<&'a Key>,
    /// Where KEDA finds us.
    pub(super) scaler: &'a ScalerRef,
    /// Why the last write was refused.
    pub(super) refusal: Option<&'a str>,
}

/// How its scaling stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// This ScaledObject wakes its workload.
    Found(Key),
    /// This one does, and is not of this object.
    Theirs(Key),
    /// One is being made.
    Awaited,
    /// It cannot be written, for this reason.
    Refused(String),
    /// Somebody else's is in the way: which, and why.
    Taken(String),
    /// None is wanted, for this reason.
    Unwanted(&'static str),
}

/// What should be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Act {
    /// The ScaledObject should be so.
    Apply { document: Value, is_new: bool },
    /// It should not be there.
    Delete { uid: String },
    /// It should be nobody's: these are its other owners.
    Release { uid: String, owners: Vec<Value> },
    /// The HTTPScaledObject may go, as far as the add-on is concerned.
    LetGo {
        version: String,
        finalizers: Vec<String>,
    },
}

/// What should be done about one HTTPScaledObject.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) key: Key,
    /// The resourceVersion of the ScaledObject that is changed.
    pub(super) follows_from: Option<u64>,
    pub(super) act: Act,
}

/// What should be done, if anything, and how its scaling stands.
pub(super) fn decide(view: &View<'_>) -> (Option<Act>, Standing) {
    let legacy = view.legacy;
    let owned = view.named.and_then(|named| named.owned.as_deref());
    let owned = owned.filter(|owned| owned.owner == legacy.route.uid);
    let found = view.waker.cloned().map(|waker| match owned {
        Some(_) if waker == *view.key => Standing::Found(waker),
        _ => Standing::Theirs(waker),
    });
    let release = || {
        let owned = owned.filter(|_| legacy.orphans())?;
        Some(Act::Release {
            uid: owned.uid.clone(),
            owners: other_owners(owned),
        })
    };
    if legacy.is_deleted {
        // A ScaledObject that stays must be nobody's before its owner goes.
        let act = release().or_else(|| let_go(legacy));
        return (
            act,
            found.unwrap_or(Standing::Unwanted("it is being deleted")),
        );
    }
    let Some(object) = &legacy.object else {
        let standing = Standing::Unwanted("the HTTPScaledObject cannot be understood");
        return (None, found.unwrap_or(standing));
    };
    if legacy.orphans() {
        let standing = Standing::Unwanted("its annotation says that none is owned");
        return (release(), found.unwrap_or(standing));
    }
    let Some(mut document) = object.scaled_object_document(view.scaler) else {
        let act = owned.map(|owned| Act::Delete {
            uid: owned.uid.clone(),
        });
        let others = found.filter(|_| owned.is_none());
        let why = match object.spec.workload {
            Some(_) => "its annotation says that none is made",
            None => "it names no workload (spec.scaleTargetRef.name)",
        };
        return (act, others.unwrap_or(Standing::Unwanted(why)));
    };
    document["metadata"]["ownerReferences"] = json!([{
        "apiVersion": HTTP_SCALED_OBJECT.api_version(),
        "kind": HTTP_SCALED_OBJECT.name,
        "name": &*view.key.name,
        "uid": legacy.route.uid,
        "controller": true,
    }]);
    let refused = view.refusal.map(|why| Standing::Refused(why.to_owned()));
    match (owned, view.named, view.rival) {
        (Some(owned), ..) if is_so(&document, owned) => (None, found.unwrap_or(Standing::Awaited)),
        (Some(owned), ..) => {
            // Not another one of its name.
            document["metadata"]["uid"] = owned.uid.as_str().into();
            let is_new = false;
            let act = Act::Apply { document, is_new };
            (Some(act), refused.or(found).unwrap_or(Standing::Awaited))
        }
        (None, Some(_), _) => {
            let taken = format!(
                "ScaledObject {} is not of this object and stays as it is, without a trigger \
                 httpScaledObject: {}",
                view.key, view.key.name
            );
            (None, found.unwrap_or(Standing::Taken(taken)))
        }
        (None, None, Some(rival)) => {
            let taken = format!(
                "ScaledObject {rival} scales the same workload already, without a trigger \
                 httpScaledObject: {}",
                view.key.name
            );
            (None, found.unwrap_or(Standing::Taken(taken)))
        }
        (None, None, None) => {
            let act = Act::Apply {
                document,
                is_new: true,
            };
            (Some(act), refused.unwrap_or(Standing::Awaited))
        }
    }
}

fn let_go(legacy: &LegacyObject) -> Option<Act> {
    let finalizers = &legacy.finalizers;
    finalizers.iter().any(|name| name == FINALIZER).then(|| {
        let others = finalizers.iter().filter(|name| *name != FINALIZER);
        Act::LetGo {
            version: legacy.route.version.clone(),
            finalizers: others.cloned().collect(),
        }
    })
}

fn other_owners(owned: &Owned) -> Vec<Value> {
    let owners = owned.metadata["ownerReferences"].as_array();
    let others = owners.into_iter().flatten();
    let others = others.filter(|owner| owner["uid"] != owned.owner);
    others.cloned().collect()
}

#[cfg(test)]
mod tests;
