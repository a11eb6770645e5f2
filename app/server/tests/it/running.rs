//! A built server with a configuration, and peers that speak to it by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing here takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What every refused login hears.
pub(crate) const REFUSED: &str = "-ERR 'Authorization Violation'";

/// The time in seconds, as claims have it.
pub(crate) fn seconds() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A running server.
pub(crate) struct Running {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Receiver<String>,
    folder: TempDir,
}

fn launch(folder: &Path) -> (Child, Receiver<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nats-server"))
        .args(["-a", "127.0.0.1", "-p", "-1", "-D", "-c"])
        .arg(folder.join("server.conf"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (lines, log) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
    (child, log)
}

impl Running {
    /// Starts a server in a folder of its own.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    /// Starts a server in this folder.
    pub(crate) fn start_in(folder: TempDir, config: &str) -> Self {
        std::fs::write(folder.path().join("server.conf"), config).unwrap();
        let (child, log) = launch(folder.path());
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log, folder };
        server.await_start();
        server
    }

    fn await_start(&mut self) {
        let line = self.logged("Listening for client connections on ");
        let address = line.rsplit(' ').next().unwrap();
        // In JSON the text stands at the end of its object.
        self.address = address.trim_end_matches(['"', '}']).parse().unwrap();
        self.logged("Server is ready");
    }

    /// Stops it the hard way and starts it again in the same folder.
    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.child, self.log) = launch(self.folder.path());
        self.await_start();
    }

    /// Stops it the polite way.
    pub(crate) fn stop(&mut self) {
        let done = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success() && self.child.wait().unwrap().success());
    }

    /// Starts it again in the same folder, after it was stopped.
    pub(crate) fn start_again(&mut self) {
        (self.child, self.log) = launch(self.folder.path());
        self.await_start();
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for a line of the log.
    pub(crate) fn logged(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(rest).unwrap_or_else(|_| panic!("the log never said {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Seconds of processor time that it has used.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name in parentheses: in user mode and in the kernel, in hundredths (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// What the log of a server that has ended still says.
    pub(crate) fn rest_of_log(&self) -> Vec<String> {
        let next = || self.log.recv_timeout(PATIENCE).ok();
        std::iter::from_fn(next).collect()
    }

    /// Goes on with another configuration.
    pub(crate) fn reload(&self, config: &str) {
        self.signal_reload(config);
        self.logged("Reloaded server configuration");
    }

    /// Stays with the configuration it has, and says why.
    pub(crate) fn fail_to_reload(&self, config: &str, why: &str) {
        self.signal_reload(config);
        let line = self.logged("Failed to reload server configuration");
        assert!(line.contains(why), "{line:?} does not say {why:?}");
    }

    fn signal_reload(&self, config: &str) {
        std::fs::write(self.path("server.conf"), config).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// A peer that has read INFO.
    pub(crate) fn peer(&self) -> Peer {
        Peer::at(self.address)
    }

    /// A login with these options, up to the first answer.
    pub(crate) fn login(&self, options: &Value) -> (Peer, String) {
        let mut peer = self.peer();
        let answer = peer.connect(options);
        (peer, answer)
    }

    /// A login that succeeds.
    pub(crate) fn admitted(&self, options: &Value) -> Peer {
        let (peer, answer) = self.login(options);
        assert_eq!(answer, "PONG", "{options}");
        peer
    }

    /// A login that fails; the peer is told the standard text, and the log why.
    pub(crate) fn refused(&self, options: &Value, why: &str) {
        let (mut peer, answer) = self.login(options);
        assert_eq!(answer, REFUSED, "{options}");
        assert!(peer.is_closed());
        let line = self.logged("authentication error");
        assert!(line.contains(why), "{line:?} does not say {why:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and password.
pub(crate) fn user(name: &str, password: &str) -> Value {
    json!({ "user": name, "pass": password })
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: String,
    pub(crate) payload: Vec<u8>,
}

impl Delivered {
    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }

    /// The payload as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// A peer.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    /// The first INFO.
    pub(crate) info: Value,
}

impl Peer {
    /// A peer of whatever server listens here, that has read INFO.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Self { stream: BufReader::new(stream), info: Value::Null };
        let line = peer.line();
        peer.info = serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap();
        peer
    }

    /// What INFO gives to sign.
    pub(crate) fn nonce(&self) -> String {
        self.info["nonce"].as_str().expect("there is something to sign").to_owned()
    }

    /// The next line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line that is neither an INFO nor a PING.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            if line == "PING" {
                self.say("PONG\r\n");
            } else if !line.starts_with("INFO ") {
                return line;
            }
        }
    }

    /// Says something.
    pub(crate) fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Introduces itself; the first answer.
    pub(crate) fn connect(&mut self, options: &Value) -> String {
        let mut all = json!({ "verbose": false, "protocol": 1, "headers": true });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.say(&format!("CONNECT {all}\r\nPING\r\n"));
        self.answer()
    }

    /// Everything before was taken, and nothing else has come.
    pub(crate) fn settle(&mut self) {
        self.say("PING\r\n");
        assert_eq!(self.answer(), "PONG");
    }

    /// Subscribes.
    pub(crate) fn subscribe(&mut self, filter: &str, sid: &str) {
        self.say(&format!("SUB {filter} {sid}\r\n"));
        self.settle();
    }

    /// Publishes.
    pub(crate) fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &[u8]) {
        let reply = reply.map(|reply| format!("{reply} ")).unwrap_or_default();
        let mut bytes = format!("PUB {subject} {reply}{}\r\n", payload.len()).into_bytes();
        bytes.extend_from_slice(payload);
        bytes.extend_from_slice(b"\r\n");
        self.stream.get_mut().write_all(&bytes).unwrap();
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Delivered {
        let line = self.answer();
        self.rest_of(&line).unwrap_or_else(|| panic!("{line:?} is no message"))
    }

    /// Everything before was taken; how many messages have come.
    pub(crate) fn drain(&mut self) -> usize {
        self.say("PING\r\n");
        let mut count = 0;
        loop {
            let line = self.answer();
            if line == "PONG" {
                return count;
            }
            self.rest_of(&line).unwrap_or_else(|| panic!("{line:?} is no message"));
            count += 1;
        }
    }

    /// The next message, unless the connection ends.
    pub(crate) fn message_or_end(&mut self) -> Option<Delivered> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.starts_with("PING") {
                self.say("PONG\r\n");
            } else if let Some(message) = self.rest_of(line.trim_end()) {
                return Some(message);
            }
        }
    }

    fn rest_of(&mut self, line: &str) -> Option<Delivered> {
        let words: Vec<&str> = line.split(' ').collect();
        let (head, sizes) = match words.as_slice() {
            ["MSG", head @ .., size] => (head, (0, size.parse().unwrap())),
            ["HMSG", head @ .., header, size] => (head, (header.parse().unwrap(), size.parse().unwrap())),
            _ => return None,
        };
        let (subject, reply) = match head {
            [subject, _] => (*subject, None),
            [subject, _, reply] => (*subject, Some((*reply).to_owned())),
            _ => return None,
        };
        let (header, size): (usize, usize) = sizes;
        let mut body = vec![0; size + 2];
        self.stream.read_exact(&mut body).unwrap();
        body.truncate(size);
        let payload = body.split_off(header);
        Some(Delivered { subject: subject.to_owned(), reply, headers: String::from_utf8(body).unwrap(), payload })
    }

    /// Asks and takes the answer.
    pub(crate) fn request(&mut self, subject: &str, payload: &[u8]) -> Delivered {
        self.subscribe("_INBOX.it.1", "77");
        self.publish(subject, Some("_INBOX.it.1"), payload);
        let message = self.message();
        self.say("UNSUB 77\r\n");
        message
    }

    /// Who the server thinks it is.
    pub(crate) fn who(&mut self) -> Value {
        self.request("$SYS.REQ.USER.INFO", b"").json()["data"].clone()
    }

    /// A socket to end it from another thread.
    pub(crate) fn handle(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    /// The connection is over.
    pub(crate) fn is_closed(&mut self) -> bool {
        // A reset is as good an end as an empty line.
        let mut line = String::new();
        self.stream.read_line(&mut line).is_ok_and(|count| count == 0) || line.is_empty()
    }
}
