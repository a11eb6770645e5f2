//! async-nats.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_nats::rustls::crypto::aws_lc_rs::{self, cipher_suite as suites};
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{ClientConfig, RootCertStore, SupportedCipherSuite, version};
use async_nats::{Client, ConnectErrorKind, ConnectOptions};
use futures::StreamExt;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{Met, PATIENCE};
use crate::axes::Cell;
use crate::cast::Cast;

pub(super) fn connect(cell: &Cell, server: SocketAddr, cast: &Cast) -> Result<Met, String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    let mut options = ConnectOptions::new()
        .require_tls(true)
        .tls_client_config(config(cell, cast)?)
        .connection_timeout(PATIENCE)
        .max_reconnects(1);
    if cell.get("begins") == "tls" {
        options = options.tls_first();
    }
    let connected = runtime.block_on(async { timeout(PATIENCE, served(options, server)).await });
    match connected {
        Ok(Ok(client)) => Ok(Met::Service(Box::new((client, runtime)))),
        Ok(Err(Refused::Login)) => Ok(Met::LoginRefused),
        Ok(Err(Refused::Handshake)) | Err(_) => Ok(Met::HandshakeRefused),
    }
}

enum Refused {
    Login,
    Handshake,
}

/// A client that has been answered.
async fn served(options: ConnectOptions, server: SocketAddr) -> Result<Client, Refused> {
    let connected = options.connect(format!("tls://{server}")).await;
    let client = connected.map_err(|error| match error.kind() {
        ConnectErrorKind::AuthorizationViolation => Refused::Login,
        _ => Refused::Handshake,
    })?;
    // A connection counts once something has come back on it.
    let mut heard = client.subscribe("round.trip").await.map_err(|_| Refused::Handshake)?;
    client.publish("round.trip", "".into()).await.map_err(|_| Refused::Handshake)?;
    heard.next().await.map(|_| client).ok_or(Refused::Handshake)
}

fn config(cell: &Cell, cast: &Cast) -> Result<ClientConfig, String> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(suites) = suites_of(cell.get("suite")) {
        provider.cipher_suites = suites.to_vec();
    }
    let version = if cell.get("speaks") == "1.2" { &version::TLS12 } else { &version::TLS13 };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(&cast.path("ca.pem"))?);
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[version])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    if cell.get("certificate") == "none" {
        return Ok(builder.with_no_client_auth());
    }
    let file = |ending: &str| cast.path(&format!("{}.{ending}", cell.get("certificate")));
    let key = PrivateKeyDer::from_pem_file(file("key")).map_err(|error| error.to_string())?;
    builder.with_client_auth_cert(certificates(&file("pem"))?, key).map_err(|error| error.to_string())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    found.map_err(|error| format!("{}: {error}", path.display()))
}

fn suites_of(name: &str) -> Option<[SupportedCipherSuite; 2]> {
    Some(match name {
        "aes128" => [suites::TLS13_AES_128_GCM_SHA256, suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256],
        "aes256" => [suites::TLS13_AES_256_GCM_SHA384, suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384],
        "chacha" => [suites::TLS13_CHACHA20_POLY1305_SHA256, suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256],
        _ => return None,
    })
}
