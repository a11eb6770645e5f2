//! Asking an OpenID provider over HTTP: one GET, a bound on everything, no redirects.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest document that is read.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The longest that one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Refuses addresses whose answers anybody on the way could change.
pub(crate) fn check_url(url: &str) -> Result<Uri> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is not an URL"))?;
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        _ if host.is_empty() => bail!("{url:?} names no host"),
        Some("https") => Ok(uri),
        Some("http") if is_here(host) => Ok(uri),
        Some("http") => bail!("{url:?} is not https: whoever stands between could change the keys"),
        _ => bail!("{url:?} is not https"),
    }
}

/// Whether a host is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The JSON document at an address.
pub(crate) async fn get(uri: &Uri, tls: &Arc<ClientConfig>) -> Result<Bytes> {
    let asked = tokio::time::timeout(PATIENCE, ask(uri, tls)).await;
    asked
        .map_err(|_| anyhow::anyhow!("no answer within {} s", PATIENCE.as_secs()))
        .flatten()
        .with_context(|| format!("GET {uri}"))
}

async fn ask(uri: &Uri, tls: &Arc<ClientConfig>) -> Result<Bytes> {
    let is_tls = uri.scheme_str() == Some("https");
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await.context("could not connect")?;
    if !is_tls {
        return exchange(uri, stream).await;
    }
    let name = ServerName::try_from(host.to_owned()).context("not a host name")?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.context("TLS failed")?;
    exchange(uri, stream).await
}

async fn exchange(uri: &Uri, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Bytes> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path)
        .header(HOST, uri.authority().map_or("", |authority| authority.as_str()))
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("nats-callout/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        bail!("status {}", response.status());
    }
    let body = Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await;
    driver.abort();
    Ok(body.map_err(|error| anyhow::anyhow!("the answer is too large or broken: {error}"))?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        for fine in ["https://id.example.com/x", "http://127.0.0.1:3000", "http://localhost/x", "http://[::1]:1/x"] {
            assert!(check_url(fine).is_ok(), "{fine}");
        }
        for odd in ["http://id.example.com", "ftp://x", "x", "", "file:///etc/passwd", "http://127.0.0.1.example.com"] {
            assert!(check_url(odd).is_err(), "{odd}");
        }
    }
}
