//! What the tests of malformed manifests are made of: a set of good objects and short ways to write
//! one more object.

/// A route, its Process and its ScaledObject, named `good`: 16 lines.
pub(super) const GOOD: &str = "\
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {name: good}
spec: {target: {service: good, port: 80}, scalingMetric: {concurrency: {targetValue: 1}}, rules: [{hosts: [good.localhost]}]}
---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: good}
spec: {command: [good]}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: good}
spec:
  scaleTargetRef: {name: good}
  triggers: [{type: external-push, metadata: {scalerAddress: \"s:1\", interceptorRoute: good}}]
";

/// A document of the name `bad`. It stands behind the good ones, so its first line is line 18 and
/// its spec begins on line 22.
fn document(api: &str, kind: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: bad}}\nspec:\n{spec}")
}

/// An InterceptorRoute.
pub(super) fn route(spec: &str) -> String {
    document("http.keda.sh/v1beta1", "InterceptorRoute", spec)
}

/// An InterceptorRoute that is sound but for what is given, from line 25 on, and its Backend.
pub(super) fn route_with(more: &str) -> String {
    let sound = "target: {service: other, port: 80}\n\
                 scalingMetric: {concurrency: {targetValue: 1}}\n\
                 rules: [{hosts: [bad.localhost]}]\n";
    route_other(&format!("{sound}{more}"))
}

/// An InterceptorRoute, and the Backend `other` it may go to.
pub(super) fn route_other(spec: &str) -> String {
    format!("{}---\n{OTHER}", route(spec))
}

/// A ScaledObject.
pub(super) fn scaled(spec: &str) -> String {
    document("keda.sh/v1alpha1", "ScaledObject", spec)
}

/// A ScaledObject that is sound but for what is given, from line 24 on, and its Process.
pub(super) fn scaled_with(more: &str) -> String {
    let sound = "scaleTargetRef: {name: other}\n\
                 triggers: [{type: external, metadata: {scalerAddress: \"s:1\"}}]\n";
    format!("{}---\n{OTHER_PROCESS}", scaled(&format!("{sound}{more}")))
}

/// A ScaledObject that is sound but for its triggers, which begin on line 24, and its Process.
pub(super) fn triggers(triggers: &str) -> String {
    let spec = format!("scaleTargetRef: {{name: other}}\ntriggers:\n{triggers}");
    format!("{}---\n{OTHER_PROCESS}", scaled(&spec))
}

/// A Process.
pub(super) fn process(spec: &str) -> String {
    document("local.reveille.dev/v1alpha1", "Process", spec)
}

/// An HTTPScaledObject.
pub(super) fn http_scaled_object(spec: &str) -> String {
    document("http.keda.sh/v1alpha1", "HTTPScaledObject", spec)
}

/// A Backend.
pub(super) fn backend(spec: &str) -> String {
    document("local.reveille.dev/v1alpha1", "Backend", spec)
}

/// A MetricSource.
pub(super) fn metric_source(spec: &str) -> String {
    document("local.reveille.dev/v1alpha1", "MetricSource", spec)
}

const OTHER: &str = "\
apiVersion: local.reveille.dev/v1alpha1
kind: Backend
metadata: {name: other}
spec: {addresses: [\"127.0.0.1:9\"]}
";

const OTHER_PROCESS: &str = "\
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {name: other}
spec: {command: [other]}
";
