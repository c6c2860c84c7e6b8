//! A client of a real API server, as short as tests want it.

use http::{Method, StatusCode, header};
use http_body_util::BodyExt;
use kube::{
    Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use std::path::Path;
use tokio::runtime::Runtime;

const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json";

/// It waits for each answer.
pub(super) struct Client {
    runtime: Runtime,
    client: kube::Client,
}

impl Client {
    pub(super) fn new(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let file = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let client = runtime.block_on(async {
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(file, &options).await;
            let mut config = config.expect("it can be used");
            config.default_retry = false;
            kube::Client::try_from(config).expect("it can be spoken to")
        });
        Self { runtime, client }
    }

    /// Whatever is answered; `None`: nothing is.
    fn call(
        &self,
        method: &Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Option<(StatusCode, Value)> {
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string().into_bytes())
        };
        let request = http::Request::builder().method(method).uri(path);
        let request = request
            .header(header::CONTENT_TYPE, content_type)
            .body(body);
        self.runtime.block_on(async {
            let answer = self.client.send(request.expect("valid")).await.ok()?;
            let status = answer.status();
            let body = answer.into_body().collect().await.ok()?.to_bytes();
            let text = String::from_utf8_lossy(&body).into_owned();
            let json = serde_json::from_slice(&body);
            Some((status, json.unwrap_or(Value::String(text))))
        })
    }

    fn asked(&self, method: &Method, path: &str, kind: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.call(method, path, kind, body);
        answer.unwrap_or_else(|| panic!("{method} {path}: no answer"))
    }

    pub(super) fn is_ready(&self) -> bool {
        let answer = self.call(&Method::GET, "/readyz", JSON, &Value::Null);
        answer.is_some_and(|(status, _)| status == StatusCode::OK)
    }

    /// What is at a path; `None`: nothing is.
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        let (status, found) = self.asked(&Method::GET, path, JSON, &Value::Null);
        assert!(
            status.is_success() || status == StatusCode::NOT_FOUND,
            "{path}: {found}"
        );
        status.is_success().then_some(found)
    }

    /// The objects in a collection.
    pub(super) fn all(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).unwrap_or_else(|| panic!("no {path}"));
        list["items"].as_array().expect("a list").clone()
    }

    pub(super) fn create(&self, path: &str, object: &Value) -> Value {
        let (status, made) = self.asked(&Method::POST, path, JSON, object);
        assert!(status.is_success(), "{path}: {made}");
        made
    }

    pub(super) fn delete(&self, path: &str) {
        let (status, said) = self.asked(&Method::DELETE, path, JSON, &Value::Null);
        assert!(status.is_success(), "{path}: {said}");
    }

    /// RFC 7396; the fields are then this manager's.
    pub(super) fn merge_as(&self, manager: &str, path: &str, patch: &Value) {
        let kind = "application/merge-patch+json";
        let path = format!("{path}?fieldManager={manager}");
        let (status, said) = self.asked(&Method::PATCH, &path, kind, patch);
        assert!(status.is_success(), "{path}: {said}");
    }

    /// What somebody else than Reveille applies: fields that nobody knows are refused.
    pub(super) fn apply(&self, object: &Value) -> Value {
        let applied = self.try_apply(object);
        applied.unwrap_or_else(|why| panic!("{object}: {why}"))
    }

    /// The same; why it was refused.
    pub(super) fn try_apply(&self, object: &Value) -> Result<Value, String> {
        let path = self.path(object);
        let path = format!("{path}?fieldManager=test&force=true&fieldValidation=Strict");
        let (status, said) = self.asked(&Method::PATCH, &path, APPLY, object);
        if status.is_success() {
            return Ok(said);
        }
        Err(said["message"].as_str().unwrap_or_default().to_owned())
    }

    /// Where an object is, by the API server's own list of resources.
    fn path(&self, object: &Value) -> String {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let root = if version.contains('/') {
            format!("/apis/{version}")
        } else {
            format!("/api/{version}")
        };
        let resources = self.get(&root).unwrap_or_else(|| panic!("no {root}"));
        let mut resources = resources["resources"].as_array().expect("a list").iter();
        let is_it =
            |one: &&Value| one["kind"] == kind.as_str() && !text(&one["name"]).contains('/');
        let resource = resources.find(is_it);
        let resource = resource.unwrap_or_else(|| panic!("{root} has no {kind}"));
        let (plural, metadata) = (text(&resource["name"]), &object["metadata"]);
        let name = text(&metadata["name"]);
        if resource["namespaced"] == false {
            return format!("{root}/{plural}/{name}");
        }
        let namespace = metadata["namespace"].as_str().unwrap_or("default");
        format!("{root}/namespaces/{namespace}/{plural}/{name}")
    }
}
