//! The broker's [`Transport`] on a TCP socket.

use std::io::{self, IoSlice, Write};
use std::net::Shutdown;
use std::sync::Arc;

use broker::Transport;
use mio::net::TcpStream;

/// A socket that any worker may write to.
#[derive(Clone)]
pub(crate) struct TcpTransport(pub(crate) Arc<TcpStream>);

impl Transport for TcpTransport {
    fn write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = &*self.0;
        match bytes {
            [one] => stream.write(one),
            many => stream.write_vectored(many),
        }
    }

    fn shut_down(&self) {
        // Fails only if the peer is gone already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
