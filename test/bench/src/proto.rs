//! Client side of the protocol: pre-encoded publish batches and a fast MSG reader.

use crate::net::Sock;

/// Payload: seq u64 LE | publisher u32 LE | check u32 LE | filler.
pub const MAGIC: u32 = 0x5eed_c0de;

#[inline]
fn check(publ: u32) -> u32 {
    publ.wrapping_mul(0x9e37_79b9) ^ MAGIC
}

/// Appends one publish frame and returns the offset of the payload.
pub fn encode_pub(buf: &mut Vec<u8>, subject: &[u8], reply: &[u8], size: usize, publ: u32, headers: bool) -> u32 {
    const H: &[u8] = b"NATS/1.0\r\nk: v\r\n\r\n";
    buf.extend_from_slice(if headers { b"HPUB " } else { b"PUB " });
    buf.extend_from_slice(subject);
    buf.push(b' ');
    if !reply.is_empty() {
        buf.extend_from_slice(reply);
        buf.push(b' ');
    }
    if headers {
        buf.extend_from_slice(format!("{} {}\r\n", H.len(), H.len() + size).as_bytes());
        buf.extend_from_slice(H);
    } else {
        buf.extend_from_slice(size.to_string().as_bytes());
        buf.extend_from_slice(b"\r\n");
    }
    let off = buf.len() as u32;
    buf.extend_from_slice(&0u64.to_le_bytes());
    buf.extend_from_slice(&publ.to_le_bytes());
    buf.extend_from_slice(&check(publ).to_le_bytes());
    for i in 16..size {
        buf.push(b'a' + (i % 26) as u8);
    }
    buf.extend_from_slice(b"\r\n");
    off
}

#[inline]
pub fn patch_seq(buf: &mut [u8], off: u32, seq: u64) {
    buf[off as usize..off as usize + 8].copy_from_slice(&seq.to_le_bytes());
}

/// Checks a payload and returns (publisher, seq).
#[inline]
pub fn check_payload(p: &[u8], size: usize) -> Option<(u32, u64)> {
    if p.len() != size {
        return None;
    }
    let seq = u64::from_le_bytes(p[0..8].try_into().unwrap());
    let publ = u32::from_le_bytes(p[8..12].try_into().unwrap());
    let c = u32::from_le_bytes(p[12..16].try_into().unwrap());
    if c != check(publ) || (size > 16 && p[size - 1] != b'a' + ((size - 1) % 26) as u8) {
        return None;
    }
    Some((publ, seq))
}

pub struct Msg<'a> {
    pub subject: &'a [u8],
    pub reply: &'a [u8],
    pub payload: &'a [u8],
}

pub enum Ev<'a> {
    Msg(Msg<'a>),
    Ping,
    Pong,
    Err(&'a [u8]),
}

/// Keeps unparsed bytes of one connection between reads and remembers the last MSG line:
/// a frame with the very same line skips parsing.
pub struct Reader {
    pub pending: Vec<u8>,
    line: Vec<u8>,
    line_len: usize,
    subj: (usize, usize),
    reply: (usize, usize),
}

#[inline]
fn find_nl(b: &[u8]) -> Option<usize> {
    let p = unsafe { libc::memchr(b.as_ptr() as *const _, b'\n' as i32, b.len()) };
    if p.is_null() { None } else { Some(p as usize - b.as_ptr() as usize) }
}

impl Reader {
    pub fn new() -> Reader {
        Reader { pending: Vec::new(), line: Vec::new(), line_len: 0, subj: (0, 0), reply: (0, 0) }
    }

    /// Parses all complete frames of `b`, returns the bytes consumed.
    pub fn parse<F: FnMut(Ev)>(&mut self, b: &[u8], mut f: F) -> usize {
        let mut i = 0;
        loop {
            let r = &b[i..];
            let ll = self.line.len();
            if ll > 0 && r.len() > ll && r[..ll] == self.line[..] {
                let end = ll + self.line_len + 2;
                if r.len() < end {
                    return i;
                }
                f(Ev::Msg(Msg {
                    subject: &r[self.subj.0..self.subj.1],
                    reply: &r[self.reply.0..self.reply.1],
                    payload: &r[ll..ll + self.line_len],
                }));
                i += end;
                continue;
            }
            let Some(nl) = find_nl(r) else { return i };
            let line = &r[..nl + 1];
            if line.starts_with(b"MSG ") || line.starts_with(b"HMSG ") {
                let h = line[0] == b'H';
                let mut t: [(usize, usize); 6] = [(0, 0); 6];
                let (mut n, mut p) = (0, if h { 5 } else { 4 });
                let stop = nl - 1; // before \r
                while p < stop && n < 6 {
                    let s = p;
                    while p < stop && line[p] != b' ' {
                        p += 1;
                    }
                    t[n] = (s, p);
                    n += 1;
                    p += 1;
                }
                let num = |x: (usize, usize)| line[x.0..x.1].iter().fold(0usize, |a, &c| a * 10 + (c - b'0') as usize);
                let total = num(t[n - 1]);
                let hl = if h { num(t[n - 2]) } else { 0 };
                let reply = if n == 4 + h as usize { t[2] } else { (0, 0) };
                let end = nl + 1 + total + 2;
                if r.len() < end {
                    return i;
                }
                assert_eq!(&r[end - 2..end], b"\r\n", "frame not terminated");
                f(Ev::Msg(Msg {
                    subject: &r[t[0].0..t[0].1],
                    reply: &r[reply.0..reply.1],
                    payload: &r[nl + 1 + hl..nl + 1 + total],
                }));
                if !h {
                    self.line.clear();
                    self.line.extend_from_slice(line);
                    self.line_len = total;
                    self.subj = t[0];
                    self.reply = reply;
                }
                i += end;
                continue;
            }
            if line.starts_with(b"PING") {
                f(Ev::Ping);
            } else if line.starts_with(b"PONG") {
                f(Ev::Pong);
            } else if line.starts_with(b"-ERR") {
                f(Ev::Err(line));
            }
            i += nl + 1;
        }
    }

    /// One read from `s` through the shared buffer, parses, keeps the rest. Returns bytes read
    /// (0 = closed, negative = error or would block).
    pub fn pump<F: FnMut(Ev)>(&mut self, s: &mut Sock, shared: &mut [u8], f: F) -> isize {
        let k = self.pending.len();
        shared[..k].copy_from_slice(&self.pending);
        let n = s.recv(&mut shared[k..]);
        if n <= 0 {
            return n;
        }
        let used = self.parse(&shared[..k + n as usize], f);
        self.pending.clear();
        self.pending.extend_from_slice(&shared[used..k + n as usize]);
        n
    }
}
