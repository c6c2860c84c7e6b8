//! What becomes of the ScaledObject of an HTTPScaledObject, by what there is.

use super::*;
use crate::kubernetes::writer::MANAGER;

fn legacy(metadata: &Value) -> LegacyObject {
    let mut all = json!({"name": "web", "namespace": "shop", "uid": "1"});
    for (name, value) in metadata.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    let json = json!({
        "metadata": all,
        "spec": {"scaleTargetRef": {"name": "web", "service": "web", "port": 80}},
    });
    LegacyObject::read(&json.to_string())
}

fn key() -> Key {
    Key::new("shop", "web")
}

fn decided(legacy: &LegacyObject, named: Option<&ScaledObject>) -> (Option<Act>, Standing) {
    let key = key();
    let waker = named.map(|_| &key);
    decide(&View {
        key: &key,
        legacy,
        named,
        waker,
        rival: None,
        scaler: &ScalerRef::plain("scaler:1"),
        refusal: None,
    })
}

/// The ScaledObject that an apply of `act` leads to, changed by `change`.
fn applied(act: &Act, change: impl FnOnce(&mut Value)) -> ScaledObject {
    let Act::Apply { document, .. } = act else {
        panic!("{act:?} is no apply");
    };
    let mut document = document.clone();
    document["metadata"]["uid"] = "2".into();
    change(&mut document);
    ScaledObject::read(&key(), &document.to_string()).expect("readable")
}

#[test]
fn one_is_made_and_then_left_alone() {
    let legacy = legacy(&json!({}));
    let (act, standing) = decided(&legacy, None);
    assert_eq!(standing, Standing::Awaited);
    let act = act.expect("it is made");
    let made = applied(&act, |_| {});
    assert_eq!(
        decided(&legacy, Some(&made)),
        (None, Standing::Found(key()))
    );
    // KEDA's and users' additions are theirs.
    let more = applied(&act, |object| {
        object["metadata"]["labels"] = json!({"scaledobject.keda.sh/name": "web"});
        object["spec"]["advanced"]["horizontalPodAutoscalerConfig"] = json!({});
    });
    assert_eq!(decided(&legacy, Some(&more)).0, None);
}

#[test]
fn what_differs_is_applied_anew() {
    let legacy = legacy(&json!({"labels": {"team": "a"}}));
    let (act, _) = decided(&legacy, None);
    let act = act.expect("it is made");
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 6] = [
        ("a label", |object| {
            object["metadata"]["labels"]["team"] = "b".into()
        }),
        ("a value", |object| {
            object["spec"]["pollingInterval"] = 30.into()
        }),
        ("one too many", |object| {
            object["spec"]["maxReplicaCount"] = 3.into()
        }),
        ("a part too many", |object| {
            object["spec"]["scaleTargetRef"]["kind"] = "Deployment".into();
        }),
        ("a trigger", |object| {
            let triggers = object["spec"]["triggers"].as_array_mut();
            triggers.expect("a list").push(json!({"type": "cpu"}));
        }),
        ("a label of ours that is left over", |object| {
            object["metadata"]["labels"]["old"] = "x".into();
            object["metadata"]["managedFields"] = json!([{"manager": MANAGER, "operation": "Apply",
                "fieldsV1": {"f:metadata": {"f:labels": {"f:old": {}, "f:team": {}}}}}]);
        }),
    ];
    for (what, change) in changes {
        let made = applied(&act, change);
        let (act, _) = decided(&legacy, Some(&made));
        let is_apply = matches!(act, Some(Act::Apply { is_new: false, .. }));
        assert!(is_apply, "{what}: {act:?}");
    }
}

#[test]
fn another_ones_is_never_touched() {
    let legacy = legacy(&json!({}));
    let (act, _) = decided(&legacy, None);
    let act = act.expect("it is made");
    let orphan = applied(&act, |object| {
        object["metadata"]["ownerReferences"][0]["uid"] = "of a former one".into();
    });
    let key = key();
    let view = View {
        key: &key,
        legacy: &legacy,
        named: Some(&orphan),
        waker: None,
        rival: None,
        scaler: &ScalerRef::plain("scaler:1"),
        refusal: Some("forbidden"),
    };
    let (act, standing) = decide(&view);
    assert_eq!(act, None);
    assert!(matches!(standing, Standing::Taken(_)), "{standing:?}");
}

#[test]
fn the_finalizer_goes_after_the_owner_of_what_stays() {
    let (act, _) = decided(&legacy(&json!({})), None);
    let made = applied(&act.expect("it is made"), |_| {});
    let leaving = |annotations: &Value| {
        legacy(
            &json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "7",
            "finalizers": ["a", FINALIZER], "annotations": annotations}),
        )
    };
    let let_go = Act::LetGo {
        version: "7".to_owned(),
        finalizers: vec!["a".to_owned()],
    };
    let plain = leaving(&json!({}));
    assert_eq!(decided(&plain, Some(&made)).0, Some(let_go.clone()));
    let orphaning = leaving(&json!({"httpscaledobject.keda.sh/orphan-scaledobject": "true"}));
    let release = Act::Release {
        uid: "2".to_owned(),
        owners: Vec::new(),
    };
    assert_eq!(decided(&orphaning, Some(&made)).0, Some(release));
    assert_eq!(decided(&orphaning, None).0, Some(let_go));
}
