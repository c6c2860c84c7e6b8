//! Dapr's trust bundle: its end is told ahead, once, and by one replica.

use super::objects::all_of;
use crate::support::{ApiServer, Pod, Reveille, Starter, wait_for, wait_until};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const NAME: &str = "dapr-trust-bundle";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n";

/// A certificate that ends so many days and an hour from now, in PEM form.
fn ending_in(days: i64, name: &str) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(365);
    params.not_after = now + time::Duration::days(days) + time::Duration::hours(1);
    params.self_signed(&key).expect("signed").pem()
}

fn config_map(root: &str) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": NAME, "namespace": "dapr-system"},
        "data": {"ca.crt": root}})
}

fn secret(root: &str, issuer: &str) -> Value {
    let data = [
        ("ca.crt", root),
        ("issuer.crt", issuer),
        ("issuer.key", KEY),
    ];
    let data = data.map(|(name, text)| (name.to_owned(), json!(STANDARD.encode(text))));
    json!({"kind": "Secret", "metadata": {"name": NAME, "namespace": "dapr-system"},
        "data": Value::Object(data.into_iter().collect())})
}

fn starter(api: &ApiServer) -> Starter {
    Reveille::in_cluster(api)
        .arg("--dapr-trust-bundle", "dapr-system")
        .arg("--log-level", "debug")
}

/// Reasons and names of objects of all Events, in order.
fn events(api: &ApiServer) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let one = |event: Value| (text(&event["reason"]), text(&event["regarding"]["kind"]));
    let mut all: Vec<_> = api.all("Event").into_iter().map(one).collect();
    all.sort();
    all
}

fn until_events(api: &ApiServer, wanted: &[(&str, &str)]) {
    wait_until(&format!("the Events are {wanted:?}"), || {
        let now = events(api);
        now.iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .eq(wanted.iter().copied())
    });
}

/// When the certificate of this role at this path ends, in days from now.
fn days_left(reveille: &Reveille, role: &str, place: &str, subject: &str) -> Option<i64> {
    let path = format!("dapr-system/{place}");
    let labels = format!("{{path=\"{path}\",role=\"{role}\",subject=\"{subject}\"}}");
    let end = reveille.metric(&format!(
        "reveille_certificate_expiry_timestamp_seconds{labels}"
    ))?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds of this century")]
    let left = end as i64 - time::OffsetDateTime::now_utc().unix_timestamp();
    Some(left / (24 * 60 * 60))
}

#[test]
fn the_end_of_root_and_issuer_is_told_once_and_again_after_a_replacement() {
    let (api, web) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &web));
    let (root, issuer) = (ending_in(20, "root"), ending_in(5, "issuer"));
    api.put_all([config_map(&root), secret(&root, &issuer)]);
    let reveille = starter(&api).start();
    reveille.until_ready();
    // The root stands in both, and is one certificate.
    wait_until("both are told of", || api.all("Event").len() == 2);
    let root_line = reveille.until_logged("role=\"dapr-root\"");
    assert!(root_line.contains("days_left=20"), "{root_line}");
    let issuer_line = reveille.until_logged("role=\"dapr-issuer\"");
    assert!(
        issuer_line.contains("subject=\"CN=issuer\" days_left=5"),
        "{issuer_line}"
    );
    let map = format!("configmaps/{NAME}/ca.crt");
    let of_secret = |key: &str| format!("secrets/{NAME}/{key}");
    assert_eq!(days_left(&reveille, "dapr-root", &map, "CN=root"), Some(20));
    assert_eq!(
        days_left(&reveille, "dapr-root", &of_secret("ca.crt"), "CN=root"),
        Some(20)
    );
    assert_eq!(
        days_left(
            &reveille,
            "dapr-issuer",
            &of_secret("issuer.crt"),
            "CN=issuer"
        ),
        Some(5)
    );

    // A new issuer, which is told of in its turn; nothing new of the root.
    api.put(secret(&root, &ending_in(0, "issuer")));
    wait_until("the new one is told of", || api.all("Event").len() == 3);
    // And one that has ended.
    api.put(secret(&root, &ending_in(-3, "issuer")));
    let expired = wait_for("the end is told", || {
        let mut events = api.all("Event").into_iter();
        events.find(|event| event["reason"] == "CertificateExpired")
    });
    assert_eq!(expired["regarding"]["name"], NAME);
    assert_eq!(expired["metadata"]["namespace"], "dapr-system");
    let note = expired["note"].as_str().expect("a note");
    assert!(note.contains("dapr mtls renew-certificate"), "{note}");
    reveille.until_logged("a certificate of Dapr has expired");
    api.put(secret(&root, &ending_in(300, "issuer")));
    wait_until("it is renewed", || {
        days_left(
            &reveille,
            "dapr-issuer",
            &of_secret("issuer.crt"),
            "CN=issuer",
        ) == Some(300)
    });
    assert_eq!(api.all("Event").len(), 4);
    let log = reveille.log();
    assert_eq!(log.matches("role=\"dapr-root\"").count(), 1, "{log}");
    assert!(
        !log.contains("c2VjcmV0") && !log.contains(&STANDARD.encode(KEY)),
        "{log}"
    );
    reveille.stop();
}

#[test]
fn of_two_replicas_one_writes_events_and_both_log() {
    let api = ApiServer::start();
    api.put(config_map(&ending_in(5, "root")));
    let first = starter(&api).start();
    until_events(&api, &[("CertificateExpiresSoon", "ConfigMap")]);
    let second = starter(&api).start();
    second.until_logged("a certificate of Dapr expires soon");
    // Taken over by the second one, who knows of the same.
    first.stop();
    second.until_logged("statuses are ours to write");
    api.put(config_map(&ending_in(6, "other")));
    wait_until("the other one is told of", || api.all("Event").len() == 2);
    second.stop();
}

#[test]
fn a_bundle_that_makes_no_sense_is_named_and_harms_nothing() {
    let (api, web) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &web));
    let good = ending_in(10, "root");
    let torn = "-----BEGIN CERTIFICATE-----\nsecret words!\n-----END CERTIFICATE-----\n";
    let mut no_issuer = secret(&good, torn);
    api.put_all([config_map(&format!("{torn}{good}")), no_issuer.clone()]);
    let reveille = starter(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    reveille.until_logged(
        "ConfigMap dapr-system/dapr-trust-bundle: ca.crt: certificate 1: is not valid Base64",
    );
    reveille.until_logged(
        "Secret dapr-system/dapr-trust-bundle: issuer.crt: certificate 1: is not valid Base64",
    );
    // What can be read is told of all the same.
    wait_until("the root is told of", || api.all("Event").len() == 1);
    let of_map = format!("configmaps/{NAME}/ca.crt");
    assert_eq!(
        days_left(&reveille, "dapr-root", &of_map, "CN=root"),
        Some(10)
    );
    no_issuer["data"] = json!({"ca.crt": STANDARD.encode(&good)});
    api.put(no_issuer.clone());
    reveille.until_logged("Secret dapr-system/dapr-trust-bundle: issuer.crt: is missing");
    no_issuer["data"] = json!(KEY);
    api.put(no_issuer);
    reveille.until_logged("its data is not a map of texts");
    // What was known of its root stays.
    let of_secret = format!("secrets/{NAME}/ca.crt");
    assert_eq!(
        days_left(&reveille, "dapr-root", &of_secret, "CN=root"),
        Some(10)
    );
    api.delete("Secret", "dapr-system", NAME);
    reveille.until_logged("there is no Secret dapr-system/dapr-trust-bundle");
    wait_until("it is forgotten", || {
        days_left(&reveille, "dapr-root", &of_secret, "CN=root").is_none()
    });
    let log = reveille.log();
    assert!(
        !log.contains("secret words") && !log.contains("c2VjcmV0"),
        "{log}"
    );
    reveille.stop();
}

#[test]
fn only_these_two_objects_are_asked_for_and_only_if_it_is_wanted() {
    let api = ApiServer::start();
    api.put_all([
        config_map(&ending_in(5, "root")),
        secret(&ending_in(5, "root"), ""),
    ]);
    let about = |plural: &str| {
        let mut asked = api.asked();
        asked
            .retain(|asked| asked.path.ends_with(plural) && !asked.query.contains("labelSelector"));
        asked
    };
    let reveille = Reveille::in_cluster(&api).start();
    reveille.until_ready();
    assert!(about("/secrets").is_empty() && about("/configmaps").is_empty());
    reveille.stop();

    let reveille = starter(&api)
        .env("REVEILLE_DAPR_TRUST_BUNDLE_ROOT_ONLY", "true")
        .start();
    until_events(&api, &[("CertificateExpiresSoon", "ConfigMap")]);
    assert!(about("/secrets").is_empty());
    reveille.stop();

    let reveille = starter(&api).start();
    wait_until("both are watched", || {
        let watched = |plural: &str| {
            about(plural)
                .iter()
                .any(|asked| asked.query.contains("watch=true"))
        };
        watched("/secrets") && watched("/configmaps")
    });
    for asked in about("/secrets").iter().chain(&about("/configmaps")) {
        assert!(
            asked.path.starts_with("/api/v1/namespaces/dapr-system/"),
            "{asked:?}"
        );
        assert!(
            asked
                .query
                .contains("fieldSelector=metadata%2Ename%3Ddapr%2Dtrust%2Dbundle"),
            "{asked:?}"
        );
    }
    reveille.stop();
}

#[test]
fn without_the_permissions_routes_are_served_and_what_is_missing_is_named() {
    let (api, web) = (ApiServer::start(), Pod::start("pod"));
    api.put_all(all_of("web", &web));
    api.put_all([
        config_map(&ending_in(5, "root")),
        secret(&ending_in(5, "root"), ""),
    ]);
    api.permit("list", "Secret", false);
    api.permit("create", "Event", false);
    let reveille = starter(&api).start();
    reveille.until_ready();
    assert_eq!(reveille.client("web").get("/").body, "pod");
    reveille.until_logged("the permission to list secrets in namespace dapr-system is missing");
    reveille.until_logged(
        "the permission to create events.events.k8s.io in namespace dapr-system is missing",
    );
    api.permit("create", "Event", true);
    until_events(&api, &[("CertificateExpiresSoon", "ConfigMap")]);
    reveille.stop();
}
