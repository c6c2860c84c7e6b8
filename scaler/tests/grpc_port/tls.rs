//! TLS and client certificates, with `Connect` on the other side, which insists
//! on HTTP/2 by ALPN as grpc-go does.

use crate::support::{Running, eventually, web};
use proxy::tls::{
    CertificateSource, ClientAuth, HandshakeFailure, Listener, Offers, ServerTls, Tls, UpstreamTls,
};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use scaler::grpc::{Connect, GrpcConfig};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpStream};
use tonic::Code;

/// An authority, and the folder for all files.
struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, &self.pem).expect("written");
        path
    }

    /// Writes `NAME.crt` and `NAME.key`, for servers and clients.
    fn issue(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let names = ["127.0.0.1".to_owned(), "scaler.test".to_owned()];
        let mut params = CertificateParams::new(names).expect("good names");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let paths = (
            dir.join(format!("{name}.crt")),
            dir.join(format!("{name}.key")),
        );
        fs::write(&paths.0, cert.pem()).expect("written");
        fs::write(&paths.1, key.serialize_pem()).expect("written");
        paths
    }
}

/// The files of one test, and what has them in use.
struct Setup {
    dir: TempDir,
    ca: Ca,
    tls: Tls,
}

impl Setup {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            ca: Ca::new("first"),
            tls: Tls::none(),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn listener(&self, client_auth: ClientAuth) -> Arc<Listener> {
        let (cert, key) = self.ca.issue(self.path(), "server");
        let client_ca = self.ca.write(self.path(), "ca.pem");
        let settings = ServerTls {
            certificates: vec![CertificateSource::Pair { cert, key }],
            client_ca: (client_auth != ClientAuth::None).then_some(client_ca),
            client_auth,
            ..ServerTls::default()
        };
        let listener = self.tls.listener("grpc", &settings, Offers::Http2Only);
        listener.expect("good settings")
    }

    fn connect(&self, settings: &UpstreamTls) -> Connect {
        Connect::new(Some(self.tls.client(settings).expect("good settings")))
    }

    /// Trusts the authority and shows nothing.
    fn nameless(&self) -> Connect {
        self.connect(&UpstreamTls {
            ca: Some(self.ca.write(self.path(), "ca.pem")),
            ..UpstreamTls::default()
        })
    }

    /// Trusts the authority and shows a certificate of `by`.
    fn known_by(&self, by: &Ca) -> Connect {
        let (cert, key) = by.issue(self.path(), "client");
        self.connect(&UpstreamTls {
            ca: Some(self.ca.write(self.path(), "ca.pem")),
            client_cert: Some(cert),
            client_key: Some(key),
            ..UpstreamTls::default()
        })
    }
}

#[tokio::test]
async fn calls_and_streams_pass_over_tls() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::None);
    let mut running = Running::start(GrpcConfig::default(), Some(listener.clone())).await;
    let mut client = running.client(setup.nameless());
    let answer = client.is_active(web()).await.expect("an answer");
    assert!(!answer.into_inner().result);
    let stream = client.stream_is_active(web()).await.expect("opens");
    let first = stream.into_inner().message().await.expect("no error");
    assert!(!first.expect("a message").result);
    let seen = running.connection().await;
    assert!(!seen.is_authenticated);
    assert_eq!(
        seen.address.expect("on a network").ip().to_string(),
        "127.0.0.1"
    );
    assert_eq!(
        listener.metrics().failures(HandshakeFailure::Incompatible),
        0
    );
}

#[tokio::test]
async fn the_name_of_the_certificate_must_be_right() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::None);
    let running = Running::start(GrpcConfig::default(), Some(listener.clone())).await;
    let named = |name: &str| {
        setup.connect(&UpstreamTls {
            ca: Some(setup.ca.write(setup.path(), "ca.pem")),
            server_name: Some(name.into()),
            ..UpstreamTls::default()
        })
    };
    let right = running.client(named("scaler.test")).is_active(web()).await;
    right.expect("an answer");
    let wrong = running.client(named("other.test")).is_active(web()).await;
    assert_eq!(wrong.expect_err("refused").code(), Code::Unavailable);
    eventually("the refusal is counted", || {
        listener
            .metrics()
            .failures(HandshakeFailure::RefusedByClient)
            == 1
    })
    .await;
}

#[tokio::test]
async fn client_certificates_may_be_shown_or_must_be() {
    let setup = Setup::new();
    let stranger = Ca::new("stranger");
    for (client_auth, without) in [(ClientAuth::Optional, true), (ClientAuth::Required, false)] {
        let listener = setup.listener(client_auth);
        let mut running = Running::start(GrpcConfig::default(), Some(listener.clone())).await;

        let known = running
            .client(setup.known_by(&setup.ca))
            .is_active(web())
            .await;
        known.expect("an answer");
        assert!(
            running.connection().await.is_authenticated,
            "{client_auth:?}"
        );

        let nameless = running.client(setup.nameless()).is_active(web()).await;
        assert_eq!(nameless.is_ok(), without, "{client_auth:?}: {nameless:?}");
        if without {
            assert!(!running.connection().await.is_authenticated);
        }
        let bad = running
            .client(setup.known_by(&stranger))
            .is_active(web())
            .await;
        bad.expect_err("signed by a stranger");
        let refused = if without { 1 } else { 2 };
        eventually("the refusals are counted", || {
            listener
                .metrics()
                .failures(HandshakeFailure::ClientCertificate)
                == refused
        })
        .await;
        assert!(running.seen.is_empty(), "nothing reached the services");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_connections() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::None);
    let running = Running::start(GrpcConfig::default(), Some(listener)).await;
    let mut old = running.client(setup.nameless());
    old.is_active(web()).await.expect("an answer");

    // Another authority altogether, in the same files.
    let next = Ca::new("next");
    next.issue(setup.path(), "server");
    setup.tls.refresh();
    old.is_active(web())
        .await
        .expect("an open connection lives on");
    let trusting = |ca: &Ca, name: &str| {
        setup.connect(&UpstreamTls {
            ca: Some(ca.write(setup.path(), name)),
            ..UpstreamTls::default()
        })
    };
    let new = running
        .client(trusting(&next, "next.pem"))
        .is_active(web())
        .await;
    new.expect("an answer");
    let outdated = running
        .client(trusting(&setup.ca, "old.pem"))
        .is_active(web())
        .await;
    outdated.expect_err("shown what it does not trust");
}

#[tokio::test]
async fn a_client_renews_what_it_trusts_and_shows() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::Required);
    let running = Running::start(GrpcConfig::default(), Some(listener)).await;
    // As after a mistake: signed by nobody who counts, then put right.
    let stranger = Ca::new("stranger");
    let connect = setup.known_by(&stranger);
    running
        .client(connect.clone())
        .is_active(web())
        .await
        .expect_err("a stranger");
    setup.ca.issue(setup.path(), "client");
    setup.tls.refresh();
    running
        .client(connect)
        .is_active(web())
        .await
        .expect("an answer");
}

#[tokio::test]
async fn in_the_clear_nobody_gets_in_and_this_process_needs_no_certificate() {
    let setup = Setup::new();
    let listener = setup.listener(ClientAuth::Required);
    let mut running = Running::start(GrpcConfig::default(), Some(listener.clone())).await;
    let mut clear = TcpStream::connect(running.address).await.expect("connects");
    clear
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .expect("sent");
    let mut said = Vec::new();
    // An alert at most.
    clear.read_to_end(&mut said).await.expect("closed");
    eventually("it is counted", || {
        listener.metrics().failures(HandshakeFailure::NotTls) == 1
    })
    .await;
    assert_eq!(running.ended("handshake"), 1);

    let channel = running.in_process.channel();
    let mut inside =
        scaler::externalscaler::external_scaler_client::ExternalScalerClient::new(channel);
    inside.is_active(web()).await.expect("an answer");
    let seen = running.connection().await;
    assert!(seen.address.is_none() && seen.is_authenticated);
}
