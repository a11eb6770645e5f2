//! A client that is only a socket: it sends what it is told and cuts what it hears into operations.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::framed::{self, Framed, Piece};
use crate::operation;

/// The first byte of a message in one frame.
const WHOLE_BINARY: u8 = 0x82;

/// What reading gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A whole operation.
    Operation(Vec<u8>),
    /// The end of the connection; bytes that were no whole operation before it.
    End(Vec<u8>),
    /// Nothing whole in time.
    Nothing,
}

pub(crate) struct Peer {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// The protocol travels in frames.
    framed: Option<Framed>,
    /// What was heard before a control frame, and that.
    before: VecDeque<Vec<u8>>,
    ended: bool,
    pub(crate) shows_pings: bool,
    /// The nonce of the last INFO that had one.
    pub(crate) nonce: String,
    /// The id the server gave this connection.
    pub(crate) client_id: String,
    /// The last message.
    pub(crate) message: Vec<u8>,
    /// The id of the server.
    pub(crate) server_id: String,
    /// Where the last message that wanted an answer wanted it.
    pub(crate) reply: String,
    /// Our port.
    pub(crate) port: u16,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        socket.set_nodelay(true)?;
        let port = socket.local_addr()?.port();
        Ok(Self {
            socket,
            buffer: Vec::new(),
            framed: None,
            before: VecDeque::new(),
            ended: false,
            shows_pings: false,
            nonce: String::new(),
            client_id: String::new(),
            message: Vec::new(),
            server_id: String::new(),
            reply: String::new(),
            port,
        })
    }

    pub(crate) fn is_framed(&self) -> bool {
        self.framed.is_some()
    }

    /// Sends a part of the protocol, in a frame if it travels in frames.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match self.framed {
            Some(_) => self.send_raw(&framed::frame(WHOLE_BINARY, bytes)),
            None => self.send_raw(bytes),
        }
    }

    /// A server that has closed already is found out by reading, so an error here says nothing.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.socket.write_all(bytes);
    }

    /// Asks for a connection in frames: the lines of the answer, and the body of one that refuses.
    pub(crate) fn ask(&mut self, request: &str, deadline: Instant) -> Vec<String> {
        self.send_raw(request.as_bytes());
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if self.ended || !self.fill(deadline) {
                let rest = std::mem::take(&mut self.buffer);
                return vec![format!("(no answer but {:?})", String::from_utf8_lossy(&rest))];
            }
        };
        let head = String::from_utf8_lossy(&self.buffer.drain(..end + 4).collect::<Vec<u8>>()).into_owned();
        let lines = framed::answer(&head);
        if lines.first().is_some_and(|status| status.starts_with("HTTP/1.1 101 ")) {
            self.framed = Some(Framed::new(head.contains("permessage-deflate")));
            let behind = std::mem::take(&mut self.buffer);
            self.unframe(&behind);
        }
        lines
    }

    fn unframe(&mut self, bytes: &[u8]) {
        let pieces = self.framed.as_mut().map(|framed| framed.take(bytes)).unwrap_or_default();
        for piece in pieces {
            match piece {
                Piece::Data(data) => self.buffer.extend_from_slice(&data),
                Piece::Control(text) => {
                    while let Some(operation) = self.take() {
                        self.before.push_back(operation);
                    }
                    self.before.push_back(text.into_bytes());
                }
            }
        }
    }

    pub(crate) fn hear(&mut self, deadline: Instant) -> Heard {
        loop {
            if let Some(operation) = self.before.pop_front().or_else(|| self.take()) {
                if operation == b"PING\r\n" && !self.shows_pings {
                    self.send(b"PONG\r\n");
                    continue;
                }
                self.remember(&operation);
                return Heard::Operation(operation);
            }
            if self.ended {
                return Heard::End(std::mem::take(&mut self.buffer));
            }
            if !self.fill(deadline) {
                return Heard::Nothing;
            }
        }
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let length = operation::length(&self.buffer)?;
        Some(self.buffer.drain(..length).collect())
    }

    /// False when the deadline passed.
    fn fill(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let mut chunk = [0; 65_536];
        let read = self.socket.set_read_timeout(Some(left)).and_then(|()| self.socket.read(&mut chunk));
        match read {
            Ok(0) => self.ended = true,
            Ok(count) if self.framed.is_some() => self.unframe(&chunk[..count]),
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.ended = true,
        }
        true
    }

    fn remember(&mut self, operation: &[u8]) {
        if operation.starts_with(b"MSG ") {
            self.message = operation.to_vec();
        }
        if let Some(reply) = operation::reply(operation) {
            self.reply = reply;
        }
        if !operation.starts_with(b"INFO ") {
            return;
        }
        let info = String::from_utf8_lossy(operation);
        if let Some(nonce) = between(&info, "\"nonce\":\"", "\"") {
            self.nonce = nonce.to_owned();
        }
        if let Some(id) = between(&info, "\"server_id\":\"", "\"") {
            self.server_id = id.to_owned();
        }
        if let Some(id) = between(&info, "\"client_id\":", ",") {
            self.client_id = id.to_owned();
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(inside, _)| inside)
}
