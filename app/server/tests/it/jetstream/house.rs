//! A server on a folder of its own, and peers that speak the protocol by hand.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Nothing here takes longer unless it is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Where a server keeps its streams, and how it is configured.
pub(super) struct House {
    folder: TempDir,
    config: String,
}

impl House {
    /// `block` stands in the `jetstream` block, `more` beside it.
    pub(super) fn new(block: &str, more: &str) -> House {
        let mut house = House { folder: tempfile::tempdir().unwrap(), config: String::new() };
        house.configure(block, more);
        house
    }

    /// Without streams.
    pub(super) fn empty(config: &str) -> House {
        House { folder: tempfile::tempdir().unwrap(), config: config.to_owned() }
    }

    pub(super) fn configure(&mut self, block: &str, more: &str) {
        let store = self.store();
        self.config = format!("jetstream {{ store_dir: '{}'\n{block} }}\n{more}\n", store.display());
    }

    /// The folder that `store_dir` names.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn launch(&self) -> (Child, Receiver<String>) {
        self.write();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nats-server"))
            .args(["-a", "127.0.0.1", "-p", "-1", "-D", "-c"])
            .arg(self.folder.path().join("server.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        (child, log)
    }

    fn write(&self) {
        std::fs::write(self.folder.path().join("server.conf"), &self.config).unwrap();
    }

    pub(super) fn start(&self) -> Server {
        let (child, log) = self.launch();
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log, said: Vec::new() };
        let line = server.logged("Listening for client connections on ");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.logged("Server is ready");
        server
    }

    /// What a server says that does not start with this.
    pub(super) fn refusal(&self) -> String {
        let (mut child, log) = self.launch();
        let text: Vec<String> = log.iter().collect();
        assert!(!child.wait().unwrap().success(), "it started: {text:?}");
        text.join("\n")
    }

    /// Goes on with the present configuration.
    pub(super) fn reload(&self, server: &mut Server) {
        self.write();
        server.signal(Signal::HUP);
        server.logged("Reloaded server configuration");
    }

    /// The same, whatever comes of it.
    pub(super) fn try_reload(&self, server: &mut Server) {
        self.write();
        server.signal(Signal::HUP);
    }

    /// What a tool of the binary says about the store, and whether it says yes.
    pub(super) fn tool(&self, words: &[&str]) -> (bool, String) {
        self.write();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nats-server"));
        let output = command.arg("store").args(words).arg("-c").arg(self.folder.path().join("server.conf")).output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Every file of the store with its bytes.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        gather(&self.store(), &mut files);
        files.sort();
        files
    }
}

fn gather(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, files);
        } else if let Ok(bytes) = std::fs::read(&path) {
            files.push((path, bytes));
        }
    }
}

/// A running server.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    log: Receiver<String>,
    said: Vec<String>,
}

impl Server {
    /// Waits for a line of the log that was not looked at yet.
    pub(super) fn logged(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(rest);
            let line = line.unwrap_or_else(|_| panic!("the log never said {part:?}, only {:#?}", self.said));
            self.said.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for a line of the log, unless it has been there already.
    pub(super) fn has_logged(&mut self, part: &str) {
        if !self.said.iter().any(|line| line.contains(part)) {
            self.logged(part);
        }
    }

    /// What the log has said up to the line that was waited for last.
    pub(super) fn said(&self) -> String {
        self.said.join("\n")
    }

    /// Where it takes other servers: `gateways`, `leafnode` or `route`.
    pub(super) fn port_of(&self, kind: &str) -> SocketAddr {
        let part = format!("Listening for {kind} connections on ");
        let line = self.said.iter().find(|line| line.contains(&part)).expect("there is such a listener");
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(super) fn peer(&self, login: &str) -> Peer {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer =
            Peer { lines: BufReader::new(socket), info: serde_json::Value::Null, inboxes: String::new(), asked: 0 };
        let info = peer.line().unwrap();
        peer.info = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        // Servers that are joined have their inboxes in common.
        let server = peer.info["server_id"].as_str().map(|id| id.chars().take(12).collect::<String>());
        peer.inboxes = format!("_I.{}.{}", server.unwrap(), peer.info["client_id"]);
        let connect = format!("CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true{login}}}");
        peer.send(&format!("{connect}\r\nSUB {}.> 1\r\nPING\r\n", peer.inboxes));
        assert_eq!(peer.line().unwrap(), "PONG");
        peer
    }

    /// A page of the monitor.
    pub(super) fn page(&self, path: &str) -> serde_json::Value {
        let part = "Starting http monitor on ";
        let line = self.said.iter().find(|line| line.contains(part)).expect("there is a monitor");
        let address: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Ends it at once, wherever it is.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as operators do.
    pub(super) fn stop(mut self) -> String {
        self.signal(Signal::INT);
        assert!(self.child.wait().unwrap().success());
        self.said.extend(self.log.try_iter());
        self.said()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub subject: String,
    pub reply: String,
    pub headers: String,
    pub body: String,
}

/// A client that listens to inboxes of its own.
pub(super) struct Peer {
    lines: BufReader<TcpStream>,
    pub info: serde_json::Value,
    /// What its inboxes begin with.
    pub inboxes: String,
    asked: u64,
}

impl Peer {
    pub(super) fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.try_send(text).unwrap();
    }

    pub(super) fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.lines.get_mut().write_all(text.as_bytes())
    }

    /// The next message, or error.
    pub(super) fn heard(&mut self) -> std::io::Result<Heard> {
        loop {
            let line = self.line()?;
            let mut words: Vec<&str> = line.split(' ').collect();
            match words.first() {
                Some(&"MSG" | &"HMSG") => {}
                Some(&"PING") => {
                    self.try_send("PONG\r\n")?;
                    continue;
                }
                Some(&"-ERR") => return Ok(Heard { headers: line, ..Heard::default() }),
                _ => continue,
            }
            let size: usize = words.pop().unwrap().parse().unwrap();
            let head: usize = if words[0] == "HMSG" { words.pop().unwrap().parse().unwrap() } else { 0 };
            let (subject, reply) = (words[1].to_owned(), words.get(3).copied().unwrap_or_default().to_owned());
            let mut bytes = vec![0; size + 2];
            self.lines.read_exact(&mut bytes)?;
            let headers = String::from_utf8_lossy(&bytes[..head]).into_owned();
            let body = String::from_utf8_lossy(&bytes[head..size]).into_owned();
            return Ok(Heard { subject, reply, headers, body });
        }
    }

    /// Hears that it is not answered on this subject.
    pub(super) fn is_not_answered_on(&mut self, reply: &str) {
        let said = self.heard().unwrap().headers;
        assert_eq!(said, format!("-ERR 'Permissions Violation for Publish with Reply of \"{reply}\"'"));
    }

    pub(super) fn inbox(&mut self) -> String {
        self.asked += 1;
        format!("{}.{}", self.inboxes, self.asked)
    }

    /// Asks, and gives the answer.
    pub(super) fn ask(&mut self, subject: &str, body: &str) -> Heard {
        let inbox = self.inbox();
        self.send(&format!("PUB {subject} {inbox} {}\r\n{body}\r\n", body.len()));
        self.heard().unwrap()
    }

    /// The same with one line of headers.
    pub(super) fn ask_with(&mut self, subject: &str, header: &str, body: &str) -> Heard {
        let inbox = self.inbox();
        let block = format!("NATS/1.0\r\n{header}\r\n\r\n");
        self.send(&format!("HPUB {subject} {inbox} {} {}\r\n{block}{body}\r\n", block.len(), block.len() + body.len()));
        self.heard().unwrap()
    }

    /// Calls the API and gives the answer as JSON, which must not be an error.
    pub(super) fn call(&mut self, call: &str, body: &str) -> serde_json::Value {
        let answer = self.ask(&format!("$JS.API.{call}"), body);
        let answer: serde_json::Value =
            serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{call}: {answer:?}"));
        assert!(answer["error"].is_null(), "{call}: {answer}");
        answer
    }

    /// Calls the API and gives the number of the error.
    pub(super) fn refused(&mut self, call: &str, body: &str) -> u64 {
        let answer = self.ask(&format!("$JS.API.{call}"), body).body;
        let value: serde_json::Value = serde_json::from_str(&answer).unwrap();
        value["error"]["err_code"].as_u64().unwrap_or_else(|| panic!("{call} was not refused: {answer}"))
    }

    /// Publishes into a stream and gives the sequence.
    pub(super) fn store(&mut self, subject: &str, body: &str) -> u64 {
        let answer = self.ask(subject, body);
        let ack: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        ack["seq"].as_u64().filter(|_| ack["error"].is_null()).unwrap_or_else(|| panic!("not stored: {ack}"))
    }

    /// Pulls one message.
    pub(super) fn pull(&mut self, stream: &str, consumer: &str) -> Heard {
        self.ask(&format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"), "{\"batch\":1,\"no_wait\":true}")
    }
}
