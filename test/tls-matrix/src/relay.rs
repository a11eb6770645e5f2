//! A relay for clients that know TLS and not NATS: it takes the line that a server says first, and hands on everything else.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Opens a port for one client. The server's first line does not reach it.
pub(crate) fn open(server: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        // A client or a server that hangs up ends it.
        let _ = serve(&listener, server);
    });
    Ok(address)
}

fn serve(listener: &TcpListener, server: SocketAddr) -> io::Result<()> {
    let (near, _) = listener.accept()?;
    let mut far = TcpStream::connect(server)?;
    let mut byte = [0];
    while far.read(&mut byte)? == 1 && byte != *b"\n" {}
    let (from, to) = (near.try_clone()?, far.try_clone()?);
    let up = thread::spawn(move || hand_on(from, to));
    hand_on(far, near);
    let _ = up.join();
    Ok(())
}

fn hand_on(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
