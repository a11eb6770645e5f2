//! WebSocket client: one frame per send, heads of frames taken out where they were read. Works on blocking and non-blocking sockets,
//! over TLS or not. Frames are masked with zeros, which costs the client nothing and the server what any mask costs.

use std::io;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Bytes of a frame.
const BLOCK: usize = 64 << 10;
const HEAD_MAX: usize = 10;

#[derive(Default)]
pub struct Ws {
    /// the begin of a head
    head: Vec<u8>,
    /// bytes of the frame at hand that are still to come
    left: u64,
    /// the frame at hand is not for the protocol
    control: bool,
    /// what came behind the answer to the request
    early: Vec<u8>,
    /// a frame that is being written, and how much of it has been
    out: Vec<u8>,
    at: usize,
}

fn fail(e: &str) -> isize {
    eprintln!("natsload: WebSocket: {e}");
    unsafe { *libc::__errno_location() = libc::EPROTO };
    -1
}

impl Ws {
    /// Asks for the connection on a blocking socket.
    pub fn connect(
        host: &str,
        mut send: impl FnMut(&[u8]) -> isize,
        mut recv: impl FnMut(&mut [u8]) -> isize,
    ) -> io::Result<Ws> {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        if send(request.as_bytes()) != request.len() as isize {
            return Err(io::Error::last_os_error());
        }
        let (mut answer, mut buf) = (Vec::new(), [0u8; 4096]);
        let end = loop {
            if let Some(p) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
                break p + 4;
            }
            match recv(&mut buf) {
                n if n <= 0 => return Err(io::Error::other("closed before the answer")),
                n => answer.extend_from_slice(&buf[..n as usize]),
            }
        };
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            return Err(io::Error::other(
                String::from_utf8_lossy(&answer[..end]).lines().next().unwrap_or("").to_string(),
            ));
        }
        Ok(Ws { early: answer.split_off(end), ..Ws::default() })
    }

    /// Like read(2): 0 = closed, negative = error or would block.
    pub fn recv(&mut self, b: &mut [u8], mut recv: impl FnMut(&mut [u8]) -> isize) -> isize {
        loop {
            let n = if self.early.is_empty() {
                match recv(b) {
                    n if n <= 0 => return n,
                    n => n as usize,
                }
            } else {
                let n = self.early.len().min(b.len());
                b[..n].copy_from_slice(&self.early[..n]);
                self.early.drain(..n);
                n
            };
            match self.unframe(&mut b[..n]) {
                Ok(0) => {}
                Ok(n) => return n as isize,
                Err(e) => return fail(e),
            }
        }
    }

    /// Takes the heads out; how much data is left.
    fn unframe(&mut self, b: &mut [u8]) -> Result<usize, &'static str> {
        let (mut from, mut to) = (0, 0);
        while from < b.len() {
            if self.left == 0 {
                while from < b.len() && self.left == 0 {
                    self.head.push(b[from]);
                    from += 1;
                    if self.begin()? {
                        break;
                    }
                }
                continue;
            }
            let n = (b.len() - from).min(self.left as usize);
            if !self.control {
                b.copy_within(from..from + n, to);
                to += n;
            }
            from += n;
            self.left -= n as u64;
        }
        Ok(to)
    }

    /// Whether the head is whole.
    fn begin(&mut self) -> Result<bool, &'static str> {
        let h = &self.head;
        if h.len() < 2 {
            return Ok(false);
        }
        if h[1] & 0x80 != 0 || h[0] & 0x70 != 0 {
            return Err("a frame that nobody asked for");
        }
        let big = |b: &[u8]| b.iter().fold(0u64, |n, x| n << 8 | u64::from(*x));
        self.left = match (h[1], h.len()) {
            (126, 4) => big(&h[2..]),
            (127, HEAD_MAX) => big(&h[2..]),
            (126 | 127, _) => return Ok(false),
            (n, _) => u64::from(n),
        };
        match h[0] & 15 {
            8 => return Err("closed by a frame"),
            op => self.control = op > 8,
        }
        self.head.clear();
        Ok(true)
    }

    /// Like send(2); after "would block" the caller must offer the same bytes again.
    pub fn send(&mut self, b: &[u8], mut send: impl FnMut(&[u8]) -> isize) -> isize {
        let b = &b[..b.len().min(BLOCK)];
        if self.out.is_empty() {
            self.out.push(0x82);
            match b.len() {
                n @ 0..=125 => self.out.push(0x80 | n as u8),
                n @ 126..=0xffff => {
                    self.out.push(0x80 | 126);
                    self.out.extend_from_slice(&(n as u16).to_be_bytes());
                }
                n => {
                    self.out.push(0x80 | 127);
                    self.out.extend_from_slice(&(n as u64).to_be_bytes());
                }
            }
            self.out.extend_from_slice(&[0; 4]);
            self.out.extend_from_slice(b);
        }
        while self.at < self.out.len() {
            let n = send(&self.out[self.at..]);
            if n < 0 {
                return n;
            }
            self.at += n as usize;
        }
        self.out.clear();
        self.at = 0;
        b.len() as isize
    }
}
