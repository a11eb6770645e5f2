//! The same block for links that live on tokio: the monitor, and the client that fetches accounts.
//!
//! Such links are few and slow, so rustls' own record layer serves them. Trust, pins and time limits are those of every
//! other link.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::handshake::fault_of;
use crate::{ClientTls, Fault, PeerFacts, PinnedCerts, ServerTls};

/// A secure stream of bytes over `S`.
pub struct Stream<S> {
    inner: TlsStream<S>,
    peer: Option<PeerFacts>,
}

impl<S> Stream<S> {
    /// What the peer's certificate says, if it showed one.
    pub fn peer(&self) -> Option<&PeerFacts> {
        self.peer.as_ref()
    }
}

impl ServerTls {
    /// Shakes hands with a peer that connected to us, within the time that the block allows.
    ///
    /// # Errors
    /// If the handshake failed, took too long, or the peer's key is not pinned.
    pub async fn accept_stream<S>(&self, stream: S) -> Result<Stream<S>, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(self.config())).accept(stream);
        let inner = timeout(self.timeout(), handshake).await.map_err(|_| Fault::TimedOut)?;
        admit(inner.map_err(|error| fault_of_io(&error))?.into(), self.pinned())
    }
}

impl ClientTls {
    /// Shakes hands with the peer we connected to, within the time that the block allows. `host` is the name or address
    /// from its URL.
    ///
    /// # Errors
    /// If the handshake failed, took too long, or the peer's key is not pinned.
    pub async fn connect_stream<S>(&self, stream: S, host: &str) -> Result<Stream<S>, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = crate::client::server_name(host)?;
        let handshake = TlsConnector::from(Arc::clone(self.config())).connect(name, stream);
        let inner = timeout(self.timeout(), handshake).await.map_err(|_| Fault::TimedOut)?;
        admit(inner.map_err(|error| fault_of_io(&error))?.into(), self.pinned())
    }
}

fn admit<S>(inner: TlsStream<S>, pinned: &PinnedCerts) -> Result<Stream<S>, Fault> {
    let (_, common) = inner.get_ref();
    let own = common.peer_certificates().and_then(<[CertificateDer<'_>]>::first);
    let peer = own.map(|der| PeerFacts::read(der)).transpose()?;
    if pinned.allows(peer.as_ref().map(|facts| &facts.spki_sha256)) {
        Ok(Stream { inner, peer })
    } else {
        Err(Fault::NotPinned)
    }
}

/// rustls' own errors travel inside those of the stream.
fn fault_of_io(error: &io::Error) -> Fault {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(error) => fault_of(error),
        None => Fault::Handshake(error.to_string()),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
