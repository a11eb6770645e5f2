//! The real binary with a configuration, and clients that speak the protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long silence is listened to before it counts.
const SILENCE: Duration = Duration::from_millis(300);

/// A running server.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: Receiver<String>,
    /// Every line of the log that was read so far.
    pub(crate) said: Vec<String>,
    folder: TempDir,
}

impl Server {
    /// A server with this configuration, on a port of its own.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    pub(crate) fn start_with(config: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("server.conf"), config).unwrap();
        Self::launch(folder, &[&["-c", "server.conf"], flags].concat())
    }

    /// A server without a configuration file.
    pub(crate) fn alone() -> Self {
        Self::launch(tempfile::tempdir().unwrap(), &[])
    }

    fn launch(folder: TempDir, flags: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nats-server"))
            .args(["-a", "127.0.0.1", "-p", "-1"])
            .args(flags)
            .current_dir(folder.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address, log, said: Vec::new(), folder };
        let line = server.logged("Listening for client connections on ");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.logged("Server is ready");
        server
    }

    /// Waits for a line of the log.
    pub(crate) fn logged(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(rest);
            let line = line.unwrap_or_else(|_| panic!("the log never said {part:?}: {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Changes the configuration file; nobody reads it yet.
    pub(crate) fn rewrite(&self, config: &str) {
        std::fs::write(self.path("server.conf"), config).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// A client that is logged in.
    pub(crate) fn client(&self, user: &str, password: &str) -> Client {
        self.connect(&format!(
            r#"{{"user":"{user}","pass":"{password}","name":"{user}-client","lang":"test","version":"1"}}"#
        ))
    }

    /// A client with this CONNECT, made to understand headers, no responders and INFO.
    pub(crate) fn connect(&self, connect: &str) -> Client {
        let mut client = self.stranger();
        client.introduce(connect);
        client.settle();
        client
    }

    /// A connection that has said nothing yet.
    pub(crate) fn stranger(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client { lines: BufReader::new(stream), info: Value::Null, inbox: 0, errors: Vec::new() };
        let line = client.line().expect("a greeting");
        client.info = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
        client
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether somebody is not let in.
    pub(crate) fn is_refused(&self, user: &str, password: &str) -> bool {
        let mut client = self.stranger();
        client.introduce(&format!(r#"{{"user":"{user}","pass":"{password}"}}"#));
        client.say("PING\r\n");
        client.last_words().contains(&"-ERR 'Authorization Violation'".to_owned())
    }

    /// Ends the server politely and gives back all it said.
    pub(crate) fn end(mut self) -> Vec<String> {
        self.signal("TERM");
        self.child.wait().unwrap();
        let rest: Vec<String> = self.log.iter().collect();
        self.said.extend(rest);
        std::mem::take(&mut self.said)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) headers: String,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A client on the protocol.
pub(crate) struct Client {
    lines: BufReader<TcpStream>,
    pub(crate) info: Value,
    inbox: u32,
    pub(crate) errors: Vec<String>,
}

impl Client {
    pub(crate) fn say(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn introduce(&mut self, connect: &str) {
        let mut connect: Value = serde_json::from_str(connect).unwrap();
        for (key, value) in [("verbose", false), ("headers", true), ("no_responders", true), ("echo", true)] {
            connect[key] = value.into();
        }
        connect["protocol"] = 1.into();
        self.say(&format!("CONNECT {connect}\r\n"));
    }

    /// The server's id.
    pub(crate) fn server_id(&self) -> String {
        self.info["server_id"].as_str().unwrap().to_owned()
    }

    /// The connection's id.
    pub(crate) fn id(&self) -> u64 {
        self.info["client_id"].as_u64().unwrap()
    }

    /// Everything said so far was taken.
    pub(crate) fn settle(&mut self) {
        self.say("PING\r\n");
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the server closed: {:?}", self.errors));
            if line == "PONG" {
                return;
            }
            assert!(!line.starts_with("MSG") && !line.starts_with("HMSG"), "a message in between: {line}");
        }
    }

    pub(crate) fn subscribe(&mut self, subject: &str) {
        self.inbox += 1;
        let sid = self.inbox;
        self.say(&format!("SUB {subject} {sid}\r\n"));
        self.settle();
    }

    /// The same where messages may come at once: those before the server has taken it are passed over.
    pub(crate) fn subscribe_amid(&mut self, subject: &str) {
        self.inbox += 1;
        let sid = self.inbox;
        self.say(&format!("SUB {subject} {sid}\r\nPING\r\n"));
        while self.line().expect("the server is there") != "PONG" {}
    }

    /// The next line, or nothing when the server has closed.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("the server says nothing: {error}"),
        }
        let line = line.trim_end().to_owned();
        if line.starts_with("-ERR") {
            self.errors.push(line.clone());
        }
        if line == "PING" {
            self.say("PONG\r\n");
        }
        Some(line)
    }

    /// The next line that begins like this.
    pub(crate) fn hear(&mut self, beginning: &str) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the server closed before {beginning}"));
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// The next line that says something.
    pub(crate) fn next_word(&mut self) -> String {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the server closed: {:?}", self.errors));
            if line != "PING" && !line.starts_with("INFO ") {
                return line;
            }
        }
    }

    /// All that comes until the server closes.
    pub(crate) fn last_words(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Message {
        loop {
            let line = self.line().unwrap_or_else(|| panic!("the server closed: {:?}", self.errors));
            if let Some(message) = self.body(&line) {
                return message;
            }
        }
    }

    fn body(&mut self, line: &str) -> Option<Message> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let sizes = match *words.first()? {
            "MSG" => (0, words.last()?.parse().unwrap()),
            "HMSG" => (words[words.len() - 2].parse().unwrap(), words.last()?.parse().unwrap()),
            _ => return None,
        };
        let (head, size): (usize, usize) = sizes;
        let mut bytes = vec![0; size + 2];
        self.lines.read_exact(&mut bytes).unwrap();
        bytes.truncate(size);
        let payload = bytes.split_off(head);
        Some(Message { subject: words[1].to_owned(), headers: String::from_utf8(bytes).unwrap(), payload })
    }

    /// The next message on such a subject.
    pub(crate) fn message_on(&mut self, is_it: impl Fn(&str) -> bool) -> Message {
        loop {
            let message = self.message();
            if is_it(&message.subject) {
                return message;
            }
        }
    }

    /// Sends a request with these headers and gives the first answer.
    pub(crate) fn request_with(&mut self, subject: &str, headers: &str, body: &str) -> Message {
        let inbox = self.ask(subject, headers, body);
        self.message_on(|subject| subject == inbox)
    }

    pub(crate) fn request(&mut self, subject: &str, body: &str) -> Message {
        self.request_with(subject, "", body)
    }

    /// The answer as JSON.
    pub(crate) fn asks(&mut self, subject: &str, body: &str) -> Value {
        self.request(subject, body).json()
    }

    fn ask(&mut self, subject: &str, headers: &str, body: &str) -> String {
        self.inbox += 1;
        let inbox = format!("_INBOX.{}", self.inbox);
        let sid = self.inbox;
        let publish = if headers.is_empty() {
            format!("PUB {subject} {inbox} {}\r\n{body}\r\n", body.len())
        } else {
            let block = format!("NATS/1.0\r\n{headers}\r\n\r\n");
            format!("HPUB {subject} {inbox} {} {}\r\n{block}{body}\r\n", block.len(), block.len() + body.len())
        };
        self.say(&format!("SUB {inbox} {sid}\r\nUNSUB {sid} 1\r\n{publish}"));
        inbox
    }

    /// Nobody is there to answer.
    pub(crate) fn is_alone_with(&mut self, subject: &str) -> bool {
        self.request(subject, "").headers.starts_with("NATS/1.0 503")
    }

    /// Whether a request is met with silence.
    pub(crate) fn is_ignored(&mut self, subject: &str, body: &str) -> bool {
        self.ask(subject, "", body);
        self.lines.get_ref().set_read_timeout(Some(SILENCE)).unwrap();
        let mut line = String::new();
        let silent = self.lines.read_line(&mut line).is_err();
        self.lines.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        silent && line.is_empty()
    }

    /// Whether the server has closed, or closes.
    pub(crate) fn is_closed(&mut self) -> bool {
        while self.line().is_some() {}
        true
    }
}
