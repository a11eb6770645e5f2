//! The far end of a link between servers, by hand: it says whatever it likes.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::house::PATIENCE;

pub(super) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(super) fn to(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub(super) fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The next line that is no ping.
    pub(super) fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the server hung up");
            match line.trim_end() {
                "PING" => self.say("PONG\r\n"),
                line => return line.to_owned(),
            }
        }
    }

    /// The next line that begins like this.
    pub(super) fn line_that(&mut self, begins: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(begins) {
                return line;
            }
        }
    }

    /// Everything said so far has been taken.
    pub(super) fn settle(&mut self) {
        self.say("PING\r\n");
        self.line_that("PONG");
    }

    /// The next message: its line, and headers and payload.
    pub(super) fn message(&mut self) -> (String, String) {
        loop {
            let line = self.line();
            if ["LMSG ", "RMSG ", "HMSG ", "RIGHTS "].iter().any(|verb| line.starts_with(verb)) {
                let size: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
                let mut body = vec![0; size + 2];
                self.0.read_exact(&mut body).unwrap();
                body.truncate(size);
                return (line, String::from_utf8(body).unwrap());
            }
        }
    }

    /// The server hangs up.
    pub(super) fn ends(&mut self) {
        let ended = self.0.read_to_end(&mut Vec::new());
        let waits = ended.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        assert!(!waits, "the server did not hang up");
    }
}
