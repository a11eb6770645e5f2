//! TLS client (rustls, unbuffered API): one read or write system call per block of records, and no buffer
//! per connection beyond a partial record. Works on blocking and non-blocking sockets.

use crate::net::{read_fd, write_all_fd, write_fd};
use rustls::client::{Resumption, UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::unbuffered::{ConnectionState as State, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, Error, RootCertStore};
use std::cell::RefCell;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
const BLOCK: usize = 64 << 10;

/// Every handshake is a full one: no session is resumed.
pub fn config(ca: Option<&str>, cert: Option<&str>, key: Option<&str>) -> Result<Arc<ClientConfig>, String> {
    let certs = |f: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        CertificateDer::pem_file_iter(f).and_then(|i| i.collect()).map_err(|e| format!("{f}: {e}"))
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certs(ca.unwrap_or(SYSTEM_CA))?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trust = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let b = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_webpki_verifier(trust.build().map_err(|e| e.to_string())?);
    let mut c = match (cert, key) {
        (Some(c), Some(k)) => {
            let key = PrivateKeyDer::from_pem_file(k).map_err(|e| format!("{k}: {e}"))?;
            b.with_client_auth_cert(certs(c)?, key).map_err(|e| e.to_string())?
        }
        (None, None) => b.with_no_client_auth(),
        _ => return Err("--tls-cert and --tls-key go together".into()),
    };
    c.resumption = Resumption::disabled();
    Ok(Arc::new(c))
}

pub struct Tls {
    conn: UnbufferedClientConnection,
    /// ciphertext of a record that is not complete yet
    part: Vec<u8>,
    /// plaintext that did not fit the caller's buffer
    left: Vec<u8>,
    out: Out,
    /// plaintext bytes that `out` stands for; the caller offers them again until they are written
    taken: usize,
}

/// Ciphertext to write: `buf[at..end]`.
#[derive(Default)]
struct Out {
    buf: Vec<u8>,
    at: usize,
    end: usize,
}

impl Out {
    fn room(&mut self, n: usize) -> &mut [u8] {
        if self.buf.len() < self.end + n {
            self.buf.resize(self.end + n, 0);
        }
        &mut self.buf[self.end..]
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 512 << 10]);
}

fn fail(e: Error) -> isize {
    eprintln!("natsload: TLS: {e}");
    unsafe { *libc::__errno_location() = libc::EPROTO };
    -1
}

/// Processes all complete records of `data`, returns the bytes used and whether the peer has closed.
fn absorb(
    conn: &mut UnbufferedClientConnection,
    out: &mut Out,
    data: &mut [u8],
    mut sink: impl FnMut(&[u8]),
) -> Result<(usize, bool), Error> {
    let mut used = 0;
    loop {
        let UnbufferedStatus { mut discard, state, .. } = conn.process_tls_records(&mut data[used..]);
        let (more, closed) = match state? {
            State::ReadTraffic(mut t) => {
                while let Some(r) = t.next_record() {
                    let r = r?;
                    discard += r.discard;
                    sink(r.payload);
                }
                (true, false)
            }
            State::EncodeTlsData(mut e) => {
                match e.encode(out.room(4096)) {
                    Ok(n) => out.end += n,
                    Err(EncodeError::InsufficientSize(s)) => {
                        let n = e.encode(out.room(s.required_size)).map_err(|e| Error::General(e.to_string()))?;
                        out.end += n;
                    }
                    Err(e) => return Err(Error::General(e.to_string())),
                }
                (true, false)
            }
            State::TransmitTlsData(t) => {
                t.done();
                (true, false)
            }
            State::PeerClosed | State::Closed => (false, true),
            _ => (false, false),
        };
        used += discard;
        if !more {
            return Ok((used, closed));
        }
    }
}

impl Tls {
    /// Handshake on a blocking socket.
    pub fn connect(fd: RawFd, config: &Arc<ClientConfig>, name: &str) -> io::Result<Tls> {
        let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
        let conn = UnbufferedClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        let mut t = Tls { conn, part: Vec::new(), left: Vec::new(), out: Out::default(), taken: 0 };
        let mut buf = [0u8; 16384];
        loop {
            let r = absorb(&mut t.conn, &mut t.out, &mut t.part, |p| t.left.extend_from_slice(p));
            write_all_fd(fd, &t.out.buf[t.out.at..t.out.end])?;
            (t.out.at, t.out.end) = (0, 0);
            t.part.drain(..r.map_err(io::Error::other)?.0);
            if !t.conn.is_handshaking() {
                t.out.buf = Vec::new();
                return Ok(t);
            }
            match read_fd(fd, &mut buf) {
                0 => return Err(io::Error::other("closed in the TLS handshake")),
                n if n < 0 => return Err(io::Error::last_os_error()),
                n => t.part.extend_from_slice(&buf[..n as usize]),
            }
        }
    }

    /// Like read(2): 0 = closed, negative = error or would block.
    pub fn recv(&mut self, fd: RawFd, b: &mut [u8]) -> isize {
        let Tls { conn, part, left, out, .. } = self;
        if !left.is_empty() {
            let n = left.len().min(b.len());
            b[..n].copy_from_slice(&left[..n]);
            left.drain(..n);
            return n as isize;
        }
        SCRATCH.with_borrow_mut(|s| {
            loop {
                let k = part.len();
                s[..k].copy_from_slice(part);
                let lim = b.len().clamp(32 << 10, s.len());
                let n = read_fd(fd, &mut s[k..lim]);
                if n <= 0 {
                    return n;
                }
                let all = k + n as usize;
                let mut got = 0;
                let r = absorb(conn, out, &mut s[..all], |p| {
                    let fit = p.len().min(b.len() - got);
                    b[got..got + fit].copy_from_slice(&p[..fit]);
                    left.extend_from_slice(&p[fit..]);
                    got += fit;
                });
                let (used, closed) = match r {
                    Ok(x) => x,
                    Err(e) => return fail(e),
                };
                part.clear();
                part.extend_from_slice(&s[used..all]);
                if got > 0 || closed {
                    return got as isize;
                }
            }
        })
    }

    /// Like send(2); after "would block" the caller must offer the same bytes again.
    pub fn send(&mut self, fd: RawFd, b: &[u8]) -> isize {
        if self.taken == 0 {
            if let Err(e) = absorb(&mut self.conn, &mut self.out, &mut [], |_| ()) {
                return fail(e);
            }
            let b = &b[..b.len().min(BLOCK)];
            let room = self.out.room(b.len() + (b.len() / 16384 + 1) * 64);
            let UnbufferedStatus { state, .. } = self.conn.process_tls_records(&mut []);
            match state {
                Ok(State::WriteTraffic(mut w)) => match w.encrypt(b, room) {
                    Ok(n) => self.out.end += n,
                    Err(e) => return fail(Error::General(e.to_string())),
                },
                Ok(_) => return fail(Error::General("closed".into())),
                Err(e) => return fail(e),
            }
            self.taken = b.len();
        }
        while self.out.at < self.out.end {
            let n = write_fd(fd, &self.out.buf[self.out.at..self.out.end]);
            if n < 0 {
                return n;
            }
            self.out.at += n as usize;
        }
        (self.out.at, self.out.end) = (0, 0);
        std::mem::take(&mut self.taken) as isize
    }
}
