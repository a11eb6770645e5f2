//! Sockets: connect + NATS handshake, plain, TLS or WebSocket, thin wrappers over read/write/epoll.

use crate::opts::{Addr, Opts};
use crate::tls::Tls;
use crate::ws::Ws;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// A connection. `recv` and `send` return what read(2) and send(2) return.
pub struct Sock {
    tcp: TcpStream,
    tls: Option<Box<Tls>>,
    ws: Option<Box<Ws>>,
}

#[inline]
fn recv(tls: &mut Option<Box<Tls>>, fd: RawFd, b: &mut [u8]) -> isize {
    match tls {
        None => read_fd(fd, b),
        Some(t) => t.recv(fd, b),
    }
}

#[inline]
fn send(tls: &mut Option<Box<Tls>>, fd: RawFd, b: &[u8]) -> isize {
    match tls {
        None => write_fd(fd, b),
        Some(t) => t.send(fd, b),
    }
}

impl Sock {
    #[inline]
    pub fn recv(&mut self, b: &mut [u8]) -> isize {
        let fd = self.tcp.as_raw_fd();
        match &mut self.ws {
            None => recv(&mut self.tls, fd, b),
            Some(w) => w.recv(b, |b| recv(&mut self.tls, fd, b)),
        }
    }
    /// After "would block" the same bytes must be offered again.
    #[inline]
    pub fn send(&mut self, b: &[u8]) -> isize {
        let fd = self.tcp.as_raw_fd();
        match &mut self.ws {
            None => send(&mut self.tls, fd, b),
            Some(w) => w.send(b, |b| send(&mut self.tls, fd, b)),
        }
    }
    fn ask(&mut self, host: &str) -> io::Result<()> {
        let fd = self.tcp.as_raw_fd();
        let tls = std::cell::RefCell::new(&mut self.tls);
        let ws = Ws::connect(host, |b| send(&mut tls.borrow_mut(), fd, b), |b| recv(&mut tls.borrow_mut(), fd, b))?;
        self.ws = Some(Box::new(ws));
        Ok(())
    }
    pub fn send_all(&mut self, b: &[u8]) -> io::Result<()> {
        let fd = self.as_raw_fd();
        send_all(fd, b, |b| self.send(b))
    }
}

impl Deref for Sock {
    type Target = TcpStream;
    fn deref(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Read for Sock {
    fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
        usize::try_from(self.recv(b)).map_err(|_| io::Error::last_os_error())
    }
}

fn tcp(a: &Addr) -> io::Result<TcpStream> {
    let a = (a.0.as_str(), a.1).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("no address"))?;
    let s = TcpStream::connect_timeout(&a, Duration::from_secs(10))?;
    s.set_nodelay(true)?;
    Ok(s)
}

fn esc(s: &str) -> String {
    s.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Who logs in: `*` stands for the number of the connection.
struct Who<'a> {
    user: Option<&'a str>,
    pass: Option<&'a str>,
    number: usize,
}

fn connect_line(o: &Opts, who: &Who, name: &str, info: &str) -> io::Result<String> {
    let mut c = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"lang\":\"natsload\",\"version\":\"0.1\",\"protocol\":1,\"headers\":true,\"no_responders\":false,\"echo\":true,\"name\":\"{name}\""
    );
    if let (Some(u), Some(p)) = (who.user, who.pass) {
        let numbered = |s: &str| esc(&s.replace('*', &who.number.to_string()));
        c.push_str(&format!(",\"user\":\"{}\",\"pass\":\"{}\"", numbered(u), numbered(p)));
    }
    if let Some(t) = &o.token {
        c.push_str(&format!(",\"auth_token\":\"{}\"", esc(t)));
    }
    if let Some(l) = &o.login {
        c.push_str(&l.fields(info)?);
    }
    c.push_str("}\r\n");
    Ok(c)
}

/// Connects and completes INFO / TLS / CONNECT / PING / PONG. The socket is blocking.
pub fn connect(o: &Opts, name: &str) -> io::Result<Sock> {
    connect_nth(o, name, 0)
}

/// The same for one of several connections.
pub fn connect_nth(o: &Opts, name: &str, number: usize) -> io::Result<Sock> {
    connect_to(o, &o.addr, &Who { user: o.user.as_deref(), pass: o.pass.as_deref(), number }, name)
}

/// The same for the receiving side of a scenario, which may have its own server and its own login.
pub fn connect_sub(o: &Opts, name: &str, number: usize) -> io::Result<Sock> {
    let (user, pass) = match &o.sub_user {
        Some(user) => (Some(user.as_str()), o.sub_pass.as_deref()),
        None => (o.user.as_deref(), o.pass.as_deref()),
    };
    connect_to(o, o.sub_addr.as_ref().unwrap_or(&o.addr), &Who { user, pass, number }, name)
}

/// Lets the interest in new subscriptions reach the other server.
pub fn settle(o: &Opts) {
    if o.sub_addr.is_some() {
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn connect_to(o: &Opts, a: &Addr, who: &Who, name: &str) -> io::Result<Sock> {
    let a = &(a.0.clone(), a.1 + o.websocket.unwrap_or(0));
    let mut s = Sock { tcp: tcp(a)?, tls: None, ws: None };
    s.set_read_timeout(Some(Duration::from_secs_f64(o.timeout)))?;
    let start_tls = |s: &mut Sock| -> io::Result<()> {
        if let Some(c) = &o.tls {
            s.tls = Some(Box::new(Tls::connect(s.as_raw_fd(), c, o.tls_name.as_ref().unwrap_or(&a.0))?));
        }
        Ok(())
    };
    let tls_first = o.tls_first || o.websocket.is_some();
    if tls_first {
        start_tls(&mut s)?;
    }
    if o.websocket.is_some() {
        s.ask(&a.0)?;
    }
    let mut buf = [0u8; 16384];
    let mut n = 0;
    while !buf[..n].contains(&b'\n') {
        let r = s.read(&mut buf[n..])?;
        if r == 0 {
            return Err(io::Error::other("closed before INFO"));
        }
        n += r;
    }
    if !buf.starts_with(b"INFO ") {
        return Err(io::Error::other("no INFO"));
    }
    if !tls_first {
        start_tls(&mut s)?;
    }
    let mut m = connect_line(o, who, name, &String::from_utf8_lossy(&buf[..n]))?;
    m.push_str("PING\r\n");
    s.send_all(m.as_bytes())?;
    wait_pong(&mut s)?;
    s.set_read_timeout(None)?;
    Ok(s)
}

/// Reads until a PONG line; fails on -ERR. Only for connections with no message traffic.
pub fn wait_pong(s: &mut Sock) -> io::Result<()> {
    let mut v: Vec<u8> = Vec::with_capacity(1024);
    let mut buf = [0u8; 4096];
    loop {
        let r = s.read(&mut buf)?;
        if r == 0 {
            return Err(io::Error::other("closed while waiting for PONG"));
        }
        v.extend_from_slice(&buf[..r]);
        while let Some(p) = v.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = v.drain(..=p).collect();
            if line.starts_with(b"PONG") {
                return Ok(());
            } else if line.starts_with(b"PING") {
                s.send_all(b"PONG\r\n")?;
            } else if line.starts_with(b"-ERR") {
                return Err(io::Error::other(String::from_utf8_lossy(&line).trim().to_string()));
            }
        }
    }
}

pub fn flush(s: &mut Sock) -> io::Result<()> {
    s.send_all(b"PING\r\n")?;
    wait_pong(s)
}

#[inline]
pub fn read_fd(fd: RawFd, b: &mut [u8]) -> isize {
    unsafe { libc::read(fd, b.as_mut_ptr() as *mut _, b.len()) }
}

#[inline]
pub fn write_fd(fd: RawFd, b: &[u8]) -> isize {
    unsafe { libc::send(fd, b.as_ptr() as *const _, b.len(), libc::MSG_NOSIGNAL) }
}

pub fn write_all_fd(fd: RawFd, b: &[u8]) -> io::Result<()> {
    send_all(fd, b, |b| write_fd(fd, b))
}

#[inline]
fn send_all(fd: RawFd, mut b: &[u8], mut send: impl FnMut(&[u8]) -> isize) -> io::Result<()> {
    while !b.is_empty() {
        let n = send(b);
        if n < 0 {
            let e = io::Error::last_os_error();
            match e.kind() {
                io::ErrorKind::Interrupted => continue,
                io::ErrorKind::WouldBlock => {
                    let mut p = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
                    unsafe { libc::poll(&mut p, 1, 1000) };
                    continue;
                }
                _ => return Err(e),
            }
        }
        b = &b[n as usize..];
    }
    Ok(())
}

pub fn would_block() -> bool {
    let e = io::Error::last_os_error();
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

pub struct Epoll {
    fd: RawFd,
    evs: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> Epoll {
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(fd >= 0);
        Epoll { fd, evs: vec![libc::epoll_event { events: 0, u64: 0 }; 256] }
    }
    pub fn add(&self, s: &TcpStream, key: usize) {
        let mut e = libc::epoll_event { events: libc::EPOLLIN as u32, u64: key as u64 };
        assert_eq!(unsafe { libc::epoll_ctl(self.fd, libc::EPOLL_CTL_ADD, s.as_raw_fd(), &mut e) }, 0);
    }
    /// Keys of the ready connections.
    pub fn wait(&mut self, ms: i32, out: &mut Vec<usize>) {
        out.clear();
        let n = unsafe { libc::epoll_wait(self.fd, self.evs.as_mut_ptr(), self.evs.len() as i32, ms) };
        for i in 0..n.max(0) as usize {
            out.push(self.evs[i].u64 as usize);
        }
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        unsafe { libc::close(self.fd) };
    }
}

pub fn raise_nofile() {
    unsafe {
        let mut r = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut r);
        r.rlim_cur = r.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &r);
    }
}
