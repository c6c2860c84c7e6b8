//! KEDA's contract from gRPC's own library with generated stubs, in the clear,
//! over TLS and with client certificates.

use super::{python, run};
use crate::{
    support::{Reveille, Target},
    tls::{authority, issue},
};
use std::{path::Path, process::Command};

/// Its arguments: the gRPC address, `clear`, `tls` or `mtls`.
const CLIENT: &str = r#"
import grpc, sys
sys.path.insert(0, "stubs")
import externalscaler_pb2 as pb
import externalscaler_pb2_grpc as stubs
address, mode = sys.argv[1:3]
def read(name):
    with open(name, "rb") as file:
        return file.read()
def channel(mode):
    if mode == "clear":
        return grpc.insecure_channel(address)
    shown = (read("client.key"), read("client.crt")) if mode == "mtls" else (None, None)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(read("ca.crt"), *shown))
def route(**metadata):
    return pb.ScaledObjectRef(name="web", namespace="default", scalerMetadata=metadata)
def error(call):
    try:
        return call()
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
web = route(scalerAddress="a:1", interceptorRoute="web")
scaler = stubs.ExternalScalerStub(channel(mode))
"#;

const ALL_CALLS: &str = r#"
import os, signal, urllib.request
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)
proxy, pid = sys.argv[3:5]
for spec in scaler.GetMetricSpec(web, timeout=60).metricSpecs:
    print(spec.metricName, spec.targetSize, spec.targetSizeFloat)
asked = pb.GetMetricsRequest(scaledObjectRef=web, metricName="http_web_concurrency")
[value] = scaler.GetMetrics(asked).metricValues
print(value.metricName, value.metricValue, value.metricValueFloat)
print(scaler.IsActive(web).result)
activity, specs = scaler.StreamIsActive(web), scaler.StreamMetricSpec(web)
print(next(activity).result, [spec.metricName for spec in next(specs).metricSpecs])
wake = urllib.request.Request(f"http://{proxy}/", headers={"Host": "web.test"})
print(urllib.request.urlopen(wake, timeout=60).status, next(activity).result)
print(scaler.IsActive(web).result)
print(error(lambda: scaler.IsActive(route())).split(":")[0])
print(error(lambda: scaler.IsActive(route(interceptorRoute="other"))))
print(error(lambda: scaler.IsActive(route(httpScaledObject="web"))))
print(error(lambda: scaler.GetMetrics(pb.GetMetricsRequest(
    scaledObjectRef=web, metricName="s0-http_web_concurrency"))))
own = route(interceptorTargetPendingRequests="200")
print([(spec.metricName, spec.targetSize) for spec in scaler.GetMetricSpec(own).metricSpecs])
health = health_pb2_grpc.HealthStub(channel(mode))
for service in ["", "externalscaler.ExternalScaler", "other"]:
    request = health_pb2.HealthCheckRequest(service=service)
    print(error(lambda: str(health.Check(request)).strip()).split(",")[0])
services = ProtoReflectionDescriptorDatabase(channel(mode)).get_services()
print("externalscaler.ExternalScaler" in services, "grpc.health.v1.Health" in services)
os.kill(int(pid), signal.SIGTERM)
# Whatever comes until the end: no error.
list(activity), list(specs)
print(activity.code().name, specs.code().name)
"#;

/// Its fifth argument: the manifest, in which it edits the target.
const EDIT: &str = r#"
import os
manifest = sys.argv[5]
def said(specs):
    return [(spec.metricName, spec.targetSize, spec.targetSizeFloat) for spec in specs.metricSpecs]
specs = scaler.StreamMetricSpec(web, timeout=60)
print(said(next(specs)))
def edit(before, after):
    text = open(manifest).read()
    assert before in text
    with open(manifest + ".partial", "w") as file:
        file.write(text.replace(before, after))
    os.replace(manifest + ".partial", manifest)
edit("concurrency: {targetValue: 100}", "concurrency: {targetValue: 7}")
print(said(next(specs)))
print(said(scaler.GetMetricSpec(web, timeout=60)))
edit("concurrency: {targetValue: 7}",
     "concurrency: {targetValue: 7}, requestRate: {targetValue: 3, window: 1m}")
print(said(next(specs)))
print(said(scaler.GetMetricSpec(web, timeout=60)))
"#;

/// Writes the stubs and runs the script in the folder of the manifest.
fn heard(reveille: &Reveille, mode: &str, script: &str) -> Vec<String> {
    let folder = reveille.path(".");
    let stubs = folder.join("stubs");
    if !stubs.exists() {
        std::fs::create_dir(&stubs).expect("made");
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scaler/proto");
        let mut protoc = Command::new(python());
        protoc.args(["-B", "-m", "grpc_tools.protoc", "-I"]);
        protoc.arg(proto).arg("externalscaler.proto");
        protoc.args(["--python_out=stubs", "--grpc_python_out=stubs"]);
        run(protoc.current_dir(&folder));
    }
    let mut client = Command::new(python());
    client
        .args(["-B", "-c", &format!("{CLIENT}{script}")])
        .args([reveille.grpc().to_string(), mode.to_owned()])
        .args([reveille.proxy().to_string(), reveille.pid().to_string()])
        .arg("test.yaml");
    let output = run(client.current_dir(&folder));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

fn start(mode: &str) -> Reveille {
    let mut starter = Reveille::of(Target::hello());
    if mode != "clear" {
        authority(starter.path());
        for name in ["server", "client"] {
            issue(starter.path(), name, "IP:127.0.0.1");
        }
        starter = starter
            .arg("--grpc-tls-cert", "server.crt")
            .arg("--grpc-tls-key", "server.key");
    }
    if mode == "mtls" {
        starter = starter
            .arg("--grpc-tls-client-ca", "ca.crt")
            .arg("--grpc-tls-client-auth", "required");
    }
    starter.start()
}

fn the_contract_holds(mode: &str) {
    let mut reveille = start(mode);
    assert_eq!(
        heard(&reveille, mode, ALL_CALLS),
        [
            "http_web_concurrency 100 100.0",
            "http_web_concurrency 0 0.0",
            "False",
            "False ['http_web_concurrency']",
            "200 True",
            "True",
            "INVALID_ARGUMENT",
            "NOT_FOUND: no InterceptorRoute default/other is known",
            "NOT_FOUND: no HTTPScaledObject default/web is known",
            "INVALID_ARGUMENT: metric \"s0-http_web_concurrency\" is unknown: this trigger has \
             \"http_web_concurrency\"",
            "[('http-default_002Fweb', 200)]",
            "status: SERVING",
            "status: SERVING",
            "NOT_FOUND: unknown service; known: externalscaler.ExternalScaler",
            "True True",
            "OK OK",
        ]
    );
    reveille.wait_for_orderly_end();
}

#[test]
fn the_contract_holds_in_the_clear() {
    the_contract_holds("clear");
}

#[test]
fn the_contract_holds_over_tls() {
    the_contract_holds("tls");
}

#[test]
fn the_contract_holds_with_client_certificates() {
    the_contract_holds("mtls");
}

#[test]
fn an_edited_target_is_pushed_and_then_answered() {
    let reveille = Reveille::of(Target::hello())
        .arg("--manifest-reload-interval", "50ms")
        .start();
    assert_eq!(
        heard(&reveille, "clear", EDIT),
        [
            "[('http_web_concurrency', 100, 100.0)]",
            "[('http_web_concurrency', 7, 7.0)]",
            "[('http_web_concurrency', 7, 7.0)]",
            "[('http_web_concurrency', 7, 7.0), ('http_web_rate', 3, 3.0)]",
            "[('http_web_concurrency', 7, 7.0), ('http_web_rate', 3, 3.0)]",
        ]
    );
    reveille.stop();
}

#[test]
fn who_shows_no_certificate_or_speaks_no_tls_gets_nothing() {
    const TRY: &str = r#"
print(error(lambda: scaler.IsActive(web, timeout=60)).split(":")[0])
"#;
    let reveille = start("mtls");
    assert_eq!(
        heard(&reveille, "mtls", "print(scaler.IsActive(web).result)"),
        ["False"]
    );
    for mode in ["tls", "clear"] {
        assert_eq!(heard(&reveille, mode, TRY), ["UNAVAILABLE"], "{mode}");
    }
    reveille.stop();
}

#[test]
fn settings_of_the_ports_tls_that_cannot_be_used_are_all_named() {
    let ended = Reveille::of(Target::hello())
        .arg("--grpc-tls-cert", "none.crt")
        .arg("--grpc-tls-cert-dir", "nowhere")
        .arg("--grpc-tls-client-auth", "required")
        .run();
    for wanted in [
        "--grpc-tls-cert, --grpc-tls-key: none.crt: ",
        "--grpc-tls-cert-dir: nowhere: ",
        "--grpc-tls-client-auth: needs the authorities",
    ] {
        assert!(ended.log.contains(wanted), "{wanted}\n{}", ended.log);
    }
}
