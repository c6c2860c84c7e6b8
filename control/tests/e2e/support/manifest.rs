//! Manifests for tests: a route, a process and a ScaledObject of one name.

use std::fmt;

/// The YAML of one target. Its host is `NAME.test`.
pub(crate) struct Target {
    name: String,
    command: String,
    process: Vec<String>,
    route: Vec<String>,
    metric: String,
    scaled: Vec<String>,
}

impl Target {
    /// A target whose replicas run `command`, written as a YAML list. It polls
    /// every second and sleeps as soon as it may.
    pub(crate) fn new(name: &str, command: &str) -> Self {
        Self {
            name: name.to_owned(),
            command: command.to_owned(),
            process: Vec::new(),
            route: Vec::new(),
            metric: "concurrency: {targetValue: 100}".to_owned(),
            scaled: Vec::new(),
        }
    }

    /// The target `web`, served by `python/server.py`.
    pub(crate) fn python() -> Self {
        Self::new("web", "[python3, -B, server.py]")
    }

    /// The target `web`, served by `reveille hello`.
    pub(crate) fn hello() -> Self {
        Self::new("web", r#"[reveille, hello, --addr, "127.0.0.1:{port}"]"#)
    }

    /// A line for the spec of the Process.
    pub(crate) fn process(mut self, line: &str) -> Self {
        self.process.push(line.to_owned());
        self
    }

    /// A line for the spec of the InterceptorRoute.
    pub(crate) fn route(mut self, line: &str) -> Self {
        self.route.push(line.to_owned());
        self
    }

    /// A line for the spec of the ScaledObject.
    pub(crate) fn scaled(mut self, line: &str) -> Self {
        self.scaled.push(line.to_owned());
        self
    }

    /// What it is scaled by, in place of a concurrency of 100.
    pub(crate) fn metric(mut self, line: &str) -> Self {
        line.clone_into(&mut self.metric);
        self
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, command, .. } = self;
        let (metric, route) = (&self.metric, lines(&self.route));
        let (process, scaled) = (lines(&self.process), lines(&self.scaled));
        let cooldown = if scaled.contains("cooldownPeriod") {
            ""
        } else {
            "  cooldownPeriod: 0\n"
        };
        write!(
            f,
            "\
---
apiVersion: http.keda.sh/v1beta1
kind: InterceptorRoute
metadata: {{name: {name}}}
spec:
  target: {{service: {name}, port: 80}}
  rules: [{{hosts: [{name}.test]}}]
  scalingMetric: {{{metric}}}
{route}---
apiVersion: local.reveille.dev/v1alpha1
kind: Process
metadata: {{name: {name}}}
spec:
  command: {command}
{process}---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{name: {name}}}
  pollingInterval: 1
{cooldown}{scaled}  triggers:
  - type: external-push
    metadata: {{scalerAddress: \"reveille-scaler.keda:9090\", interceptorRoute: {name}}}
"
        )
    }
}
