//! Paths and verbs.

use super::{
    Asked,
    cuts::Armed,
    patch,
    store::{KINDS, Kind, Shared, State, has_fields, has_labels},
    watching::{self, Body, Wanted},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

/// Where a path leads.
struct Place {
    kind: &'static Kind,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

pub(super) async fn answer(
    shared: Arc<Shared>,
    armed: Armed,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or("").to_owned();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let path = head.uri.path().to_owned();
    let agent = head.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok()).unwrap_or("");
    let shown = head.headers.get(header::AUTHORIZATION);
    let shown = shown.and_then(|value| value.to_str().ok());
    if shared.look(|state| state.token.is_some() && state.token.as_deref() != shown) {
        return Ok(failure(401, "Unauthorized", "Unauthorized"));
    }
    let throttled = shared.change(|state| {
        state.asked.push(Asked {
            path: path.clone(),
            query: query.clone(),
            agent: agent.to_owned(),
        });
        let (left, retry_after) = &mut state.throttled;
        (*left > 0).then(|| {
            *left -= 1;
            *retry_after
        })
    });
    if let Some(retry_after) = throttled {
        let mut answer = failure(429, "TooManyRequests", "try again later");
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, retry_after.into());
        return Ok(answer);
    }
    if path == "/version" {
        return Ok(found(
            &json!({"major": "1", "minor": "37", "gitVersion": "v1.37.1"}),
        ));
    }
    if let Some(resources) = resources(&path) {
        return Ok(found(&resources));
    }
    let Some(place) = place(&path) else {
        return Ok(failure(
            404,
            "NotFound",
            "the server could not find the requested resource",
        ));
    };
    let parameters = parameters(&query);
    let is_watch = parameters
        .get("watch")
        .is_some_and(|watch| watch == "true" || watch == "1");
    let verb = match head.method {
        Method::GET if is_watch => "watch",
        Method::GET if place.name.is_none() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => return Ok(failure(405, "MethodNotAllowed", "no such verb")),
    };
    let content_type = head.headers.get(header::CONTENT_TYPE);
    let is_apply =
        content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/apply"));
    // An apply may create.
    let creates = is_apply && shared.look(|state| object(state, &place).is_none());
    let verbs = [verb].into_iter().chain(creates.then_some("create"));
    *armed.lock() = shared.change(|state| state.cut(verb, place.kind, &query));
    if let Some(refused) = verbs
        .into_iter()
        .find_map(|verb| refused(&shared, &place, verb))
    {
        return Ok(refused);
    }
    if verb == "watch" {
        let number = |name: &str| parameters.get(name).and_then(|text| text.parse().ok());
        let wanted = Wanted {
            kind: place.kind,
            namespace: place.namespace,
            labels: parameters.get("labelSelector").cloned().unwrap_or_default(),
            fields: parameters.get("fieldSelector").cloned().unwrap_or_default(),
            from: number("resourceVersion").unwrap_or(0),
            limit: Duration::from_secs(number("timeoutSeconds").unwrap_or(300)),
        };
        let stream = watching::stream(shared, wanted);
        return Ok(Response::new(stream));
    }
    let how = is_apply.then(|| Apply {
        manager: parameters.get("fieldManager").cloned().unwrap_or_default(),
        force: parameters.get("force").is_some_and(|force| force == "true"),
    });
    Ok(shared.change(|state| match verb {
        "list" => list(state, &place, &parameters),
        "get" => get(state, &place),
        "delete" => delete(state, &place, &body),
        _ => match serde_json::from_slice(&body) {
            Ok(object) => write(state, &place, verb, how.as_ref(), object),
            Err(error) => failure(400, "BadRequest", &error.to_string()),
        },
    }))
}

fn refused(shared: &Shared, place: &Place, verb: &str) -> Option<Response<Body>> {
    let Kind { plural, group, .. } = place.kind;
    shared.change(|state| {
        if state.undefined.contains(plural) {
            let said = "the server could not find the requested resource";
            return Some(failure(404, "NotFound", said));
        }
        let resource = match &place.subresource {
            Some(subresource) => format!("{plural}/{subresource}"),
            None => (*plural).to_owned(),
        };
        let is_unread = state.unread.remove(plural);
        let is_denied = is_unread || state.denied.contains(&(verb.to_owned(), plural));
        is_denied.then(|| {
            let kind = [*plural, *group].join(".");
            let what = match &place.name {
                Some(name) => format!("{} {name:?}", kind.trim_end_matches('.')),
                None => kind.trim_end_matches('.').to_owned(),
            };
            let scope = match &place.namespace {
                Some(namespace) => format!("in the namespace {namespace:?}"),
                None => "at the cluster scope".to_owned(),
            };
            let said = format!(
                "{what} is forbidden: User \"double\" cannot {verb} resource {resource:?} in API \
                 group {group:?} {scope}"
            );
            failure(403, "Forbidden", &said)
        })
    })
}

fn list(state: &State, place: &Place, parameters: &HashMap<String, String>) -> Response<Body> {
    let get = |name: &str| parameters.get(name).map(String::as_str).unwrap_or_default();
    let limit = get("limit").parse().unwrap_or(usize::MAX);
    let (version, after) = get("continue").split_once('@').unwrap_or(("", ""));
    if version
        .parse()
        .is_ok_and(|version: u64| version < state.oldest)
    {
        return failure(410, "Expired", "the provided continue parameter is too old");
    }
    let all = state.list(place.kind, place.namespace.as_deref(), after);
    let mut all = all.filter(|object| {
        has_labels(object, get("labelSelector")) && has_fields(object, get("fieldSelector"))
    });
    let items: Vec<&Value> = all.by_ref().take(limit).collect();
    let next = all.next().and_then(|_| items.last()).map(|last| {
        let text = |name: &str| last["metadata"][name].as_str().unwrap_or_default();
        format!("{}@{}/{}", state.version, text("namespace"), text("name"))
    });
    found(&json!({
        "kind": format!("{}List", place.kind.name),
        "metadata": {"resourceVersion": state.version.to_string(), "continue": next},
        "items": items,
    }))
}

fn get(state: &State, place: &Place) -> Response<Body> {
    let Some(object) = object(state, place) else {
        return missing(place);
    };
    match place.subresource.as_deref() {
        Some("scale") => found(&scale(object)),
        _ => found(object),
    }
}

fn delete(state: &mut State, place: &Place, body: &[u8]) -> Response<Body> {
    let options: Value = serde_json::from_slice(body).unwrap_or_default();
    let uid = &options["preconditions"]["uid"];
    let known = object(state, place).map(|known| known["metadata"]["uid"].clone());
    if known.is_some_and(|known| !uid.is_null() && known != *uid) {
        return failure(409, "Conflict", "the UID in the precondition is another");
    }
    match state.delete(
        place.kind,
        namespace(place),
        place.name.as_deref().unwrap_or_default(),
    ) {
        Some(object) => found(&object),
        None => missing(place),
    }
}

/// A server-side apply.
struct Apply {
    manager: String,
    force: bool,
}

fn write(
    state: &mut State,
    place: &Place,
    verb: &str,
    apply: Option<&Apply>,
    mut sent: Value,
) -> Response<Body> {
    let meddled = (state.meddled.iter()).position(|one| *one == (verb, place.kind.plural));
    if let Some(at) = meddled {
        state.meddled.remove(at);
        if let Some(mut known) = object(state, place).cloned() {
            known["metadata"]["annotations"]["meddled"] = "true".into();
            state.put(place.kind, known);
        }
    }
    let known = object(state, place).cloned();
    if let Some(name) = &place.name {
        sent["metadata"]["name"] = name.as_str().into();
    }
    if let Some(namespace) = &place.namespace {
        sent["metadata"]["namespace"] = namespace.as_str().into();
    }
    let differs = |known: &Value, field: &str| {
        let sent = &sent["metadata"][field];
        !sent.is_null() && *sent != known["metadata"][field]
    };
    let is_old = |known: &Value| differs(known, "resourceVersion") || differs(known, "uid");
    if let Some(why) = invalid(place.kind, &sent) {
        return failure(422, "Invalid", &why);
    }
    let object = match (verb, known.clone(), apply) {
        ("create", ..) => {
            let name = sent["metadata"]["name"].as_str().unwrap_or_default();
            if state.get(place.kind, namespace(place), name).is_some() {
                return failure(409, "AlreadyExists", "it exists");
            }
            sent
        }
        (_, Some(known), _) if is_old(&known) => {
            return failure(409, "Conflict", "the object has been modified");
        }
        ("update", Some(mut known), _) if place.subresource.as_deref() == Some("scale") => {
            known["spec"]["replicas"] = sent["spec"]["replicas"].clone();
            known
        }
        ("update", Some(_), _) => sent,
        ("patch", known, Some(Apply { manager, force })) if place.subresource.is_none() => {
            match patch::apply(known, &sent, manager, *force) {
                Ok(mut object) => {
                    object["metadata"]["name"] = sent["metadata"]["name"].clone();
                    object["metadata"]["namespace"] = sent["metadata"]["namespace"].clone();
                    object
                }
                Err(fields) => {
                    let said = format!("Apply failed with conflicts: {}", fields.join(", "));
                    return failure(409, "Conflict", &said);
                }
            }
        }
        ("patch", Some(mut known), _) => {
            match place.subresource.as_deref() {
                Some("scale") => known["spec"]["replicas"] = sent["spec"]["replicas"].clone(),
                Some("status") => patch::merge(&mut known["status"], &sent["status"]),
                _ => patch::merge(&mut known, &sent),
            }
            known
        }
        _ => return missing(place),
    };
    // What changes nothing is no write.
    let stored = match known.filter(|known| *known == object) {
        Some(known) => known,
        None => state.put(place.kind, object),
    };
    match place.subresource.as_deref() {
        Some("scale") => found(&scale(&stored)),
        _ => found(&stored),
    }
}

/// What a real one's validation has against an object, as far as Reveille could get it
/// wrong: the limits of Events.
fn invalid(kind: &Kind, sent: &Value) -> Option<String> {
    if kind.name != "Event" {
        return None;
    }
    let length = |text: &Value| text.as_str().map_or(0, str::len);
    let (note, name) = (length(&sent["note"]), length(&sent["metadata"]["name"]));
    (note > 1024 || name > 253).then(|| {
        format!("Event is invalid: note has {note} bytes of 1024, metadata.name {name} of 253")
    })
}

fn scale(object: &Value) -> Value {
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": object["metadata"],
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0)},
    })
}

fn object<'a>(state: &'a State, place: &Place) -> Option<&'a Value> {
    state.get(place.kind, namespace(place), place.name.as_deref()?)
}

fn namespace(place: &Place) -> &str {
    place.namespace.as_deref().unwrap_or("default")
}

/// `/api/v1/...` and `/apis/GROUP/VERSION/...`.
fn place(path: &str) -> Option<Place> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (group, version) = match parts.next()? {
        "api" => ("", parts.next()?),
        "apis" => (parts.next()?, parts.next()?),
        _ => return None,
    };
    let mut next = parts.next()?;
    let mut namespace = None;
    if next == "namespaces" {
        namespace = Some(parts.next()?.to_owned());
        next = parts.next()?;
    }
    let is_it =
        |kind: &&Kind| kind.group == group && kind.version == version && kind.plural == next;
    Some(Place {
        kind: KINDS.iter().find(is_it)?,
        namespace,
        name: parts.next().map(str::to_owned),
        subresource: parts.next().map(str::to_owned),
    })
}

/// Discovery of one group's version.
fn resources(path: &str) -> Option<Value> {
    let group_version = match path.strip_prefix("/apis/") {
        Some(rest) => rest,
        None => path.strip_prefix("/api/")?,
    };
    let of_group = |kind: &&Kind| match kind.group {
        "" => group_version == kind.version,
        group => group_version == format!("{group}/{}", kind.version),
    };
    let resource = |kind: &Kind| {
        json!({"name": kind.plural, "singularName": kind.name.to_lowercase(), "kind": kind.name,
            "namespaced": true, "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]})
    };
    let found: Vec<Value> = KINDS.iter().filter(of_group).map(resource).collect();
    (!found.is_empty()).then(
        || json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": found}),
    )
}

fn parameters(query: &str) -> HashMap<String, String> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn missing(place: &Place) -> Response<Body> {
    let name = place.name.as_deref().unwrap_or_default();
    failure(
        404,
        "NotFound",
        &format!("{} {name:?} not found", place.kind.plural),
    )
}

fn failure(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message});
    let mut answer = found(&status);
    *answer.status_mut() = StatusCode::from_u16(code).expect("a valid code");
    answer
}

fn found(json: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(json.to_string()));
    let mut answer = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    let json = http::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}
