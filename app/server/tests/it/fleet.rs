//! Several servers and their clients, for scenes about links.
//!
//! A scene says which make each server is. Ours is always there; the reference is as well if `REFERENCE_NATS_SERVER` names
//! its binary, as the prove run does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Nothing here takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that is about to happen.
const LOOK: Duration = Duration::from_millis(20);

/// Who made a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Make {
    Ours,
    Reference,
}

/// Every way to fill `N` places with the makes that are there; ours alone comes first.
pub(crate) fn mixtures<const N: usize>() -> Vec<[Make; N]> {
    let has_reference = std::env::var_os("REFERENCE_NATS_SERVER").is_some();
    let ways = if has_reference { 1 << N } else { 1 };
    let of = |way: usize, place: usize| if way >> place & 1 == 1 { Make::Reference } else { Make::Ours };
    // All places filled by the reference would prove nothing about us.
    (0..ways).map(|way| std::array::from_fn(|place| of(way, place))).filter(|mix| mix.contains(&Make::Ours)).collect()
}

/// Ours in all mixtures, and where the reference is there, it alone as well: so what is expected is what it does.
pub(crate) fn mixtures_and_the_reference<const N: usize>() -> Vec<[Make; N]> {
    let mut all = mixtures();
    if all.len() > 1 {
        all.push([Make::Reference; N]);
    }
    all
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    log: Receiver<String>,
    seen: Vec<String>,
    pub(crate) client: SocketAddr,
    pub(crate) leaf: Option<SocketAddr>,
    pub(crate) route: Option<SocketAddr>,
    pub(crate) gateway: Option<SocketAddr>,
    pub(crate) websocket: Option<SocketAddr>,
    folder: TempDir,
}

impl Server {
    /// Starts a server; `config` says everything but where clients come in.
    pub(crate) fn start(make: Make, config: &str) -> Self {
        Self::start_at(make, "127.0.0.1:-1", config)
    }

    /// The same, where clients come in by another address.
    pub(crate) fn start_at(make: Make, listen: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.conf");
        std::fs::write(&path, format!("listen: \"{listen}\"\n{config}\n")).unwrap();
        let binary = match make {
            Make::Ours => env!("CARGO_BIN_EXE_nats-server").into(),
            Make::Reference => std::env::var_os("REFERENCE_NATS_SERVER").unwrap(),
        };
        let mut child = Command::new(binary).arg("-D").arg("-c").arg(&path).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        let client = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self {
            child,
            log,
            seen: Vec::new(),
            client,
            leaf: None,
            route: None,
            gateway: None,
            websocket: None,
            folder,
        };
        server.logged("Server is ready");
        if config.contains("cluster {") {
            // The reference says it is ready before it listens for routes.
            server.logged("Listening for route connections on ");
        }
        if config.contains("gateway {") {
            server.logged("Listening for gateways connections on ");
        }
        if config.contains("websocket {") {
            server.logged("Listening for websocket clients on ");
        }
        let port = |text: &str| {
            let line = server.seen.iter().find(|line| line.contains(text))?;
            line.rsplit([' ', '/']).next().unwrap().parse().ok()
        };
        let (client, leaf, route, gateway) = (
            port("Listening for client connections on "),
            port("Listening for leafnode connections on "),
            port("Listening for route connections on "),
            port("Listening for gateways connections on "),
        );
        let websocket = port("Listening for websocket clients on ");
        (server.client, server.leaf, server.route, server.gateway) = (client.unwrap(), leaf, route, gateway);
        server.websocket = websocket;
        server
    }

    /// Waits for a line of the log.
    pub(crate) fn logged(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        if let Some(line) = self.seen.iter().find(|line| line.contains(part)) {
            return line.clone();
        }
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(rest) {
                Ok(line) => self.seen.push(line),
                Err(_) => panic!("the log never said {part:?}:\n{}", self.seen.join("\n")),
            }
            if self.seen.last().unwrap().contains(part) {
                return self.seen.last().unwrap().clone();
            }
        }
    }

    /// What the log has said so far.
    pub(crate) fn log(&mut self) -> String {
        loop {
            match self.log.recv_timeout(Duration::ZERO) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return self.seen.join("\n"),
            }
        }
    }

    /// The URL of the leaf node port.
    pub(crate) fn leaf_url(&self, login: &str) -> String {
        url(self.leaf.unwrap(), login)
    }

    /// The URL of the port for WebSocket, for a leaf node.
    pub(crate) fn websocket_url(&self, login: &str, path: &str) -> String {
        format!("{}{path}", url(self.websocket.unwrap(), login).replace("nats://", "ws://"))
    }

    /// The URL of the route port.
    pub(crate) fn route_url(&self, login: &str) -> String {
        url(self.route.unwrap(), login)
    }

    /// The URL of the gateway port.
    pub(crate) fn gateway_url(&self, login: &str) -> String {
        url(self.gateway.unwrap(), login)
    }

    /// What is said first on one of the ports.
    pub(crate) fn first_info(address: SocketAddr) -> serde_json::Value {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(line.strip_prefix("INFO ").unwrap()).unwrap()
    }

    /// A client without credentials.
    pub(crate) fn connect(&self) -> Client {
        Client::new(self.client, "")
    }

    /// A client of this user, or without credentials.
    pub(crate) fn connect_as(&self, user: &str) -> Client {
        if user.is_empty() { self.connect() } else { self.log_in(user) }
    }

    /// Reads the configuration again, changed.
    pub(crate) fn reload(&mut self, change: &dyn Fn(&str) -> String) {
        self.ask_for_reload(change);
        self.logged("Reloaded server configuration");
    }

    /// The same, whatever comes of it.
    pub(crate) fn ask_for_reload(&mut self, change: &dyn Fn(&str) -> String) {
        let path = self.folder.path().join("server.conf");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(&config)).unwrap();
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
    }

    /// It is to take no new clients and to go soon.
    pub(crate) fn lame_duck(&self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::USR2).unwrap();
    }

    /// A client that logs in.
    pub(crate) fn log_in(&self, user: &str) -> Client {
        Client::new(self.client, &format!(r#","user":"{user}","pass":"{user}""#))
    }
}

fn url(address: SocketAddr, login: &str) -> String {
    let at = if login.is_empty() { String::new() } else { format!("{login}@") };
    format!("nats://{at}{address}")
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message as a client got it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) sid: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: String,
    pub(crate) payload: String,
}

/// A client on a socket.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    pub(crate) errors: Vec<String>,
    pub(crate) infos: Vec<String>,
    waiting: Vec<Message>,
}

impl Client {
    fn new(address: SocketAddr, login: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client =
            Self { stream: BufReader::new(stream), errors: Vec::new(), infos: Vec::new(), waiting: Vec::new() };
        client.send(&format!(
            "CONNECT {{\"verbose\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1,\"echo\":true{login}}}\r\n"
        ));
        client.flush();
        client
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub(crate) fn subscribe(&mut self, subject: &str, sid: &str) {
        self.send(&format!("SUB {subject} {sid}\r\n"));
        self.flush();
    }

    pub(crate) fn join(&mut self, subject: &str, queue: &str, sid: &str) {
        self.send(&format!("SUB {subject} {queue} {sid}\r\n"));
        self.flush();
    }

    pub(crate) fn publish(&mut self, subject: &str, payload: &str) {
        self.send(&format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()));
    }

    pub(crate) fn ask(&mut self, subject: &str, reply: &str, payload: &str) {
        self.send(&format!("PUB {subject} {reply} {}\r\n{payload}\r\n", payload.len()));
    }

    pub(crate) fn publish_with_headers(&mut self, subject: &str, headers: &str, payload: &str) {
        let headers = format!("NATS/1.0\r\n{headers}\r\n\r\n");
        let total = headers.len() + payload.len();
        self.send(&format!("HPUB {subject} {} {total}\r\n{headers}{payload}\r\n", headers.len()));
    }

    /// Everything sent so far has been taken.
    pub(crate) fn flush(&mut self) {
        self.send("PING\r\n");
        while !self.take_one() {}
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Message {
        while self.waiting.is_empty() {
            self.take_one();
        }
        self.waiting.remove(0)
    }

    /// What has come so far.
    pub(crate) fn drain(&mut self) -> Vec<Message> {
        self.flush();
        std::mem::take(&mut self.waiting)
    }

    /// Takes what comes next; whether it was a PONG.
    fn take_one(&mut self) -> bool {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "PONG" => return true,
            "PING" => self.send("PONG\r\n"),
            "INFO" => self.infos.push(line),
            "-ERR" => self.errors.push(line),
            "MSG" => self.take_message(&words[1..], false),
            "HMSG" => self.take_message(&words[1..], true),
            other => panic!("{other:?} in {line:?}"),
        }
        false
    }

    fn take_message(&mut self, words: &[&str], has_headers: bool) {
        let sizes = if has_headers { 2 } else { 1 };
        let (address, sizes) = words.split_at(words.len() - sizes);
        let sizes: Vec<usize> = sizes.iter().map(|size| size.parse().unwrap()).collect();
        let total = *sizes.last().unwrap();
        let headers = if has_headers { sizes[0] } else { 0 };
        let mut body = vec![0; total + 2];
        self.stream.read_exact(&mut body).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        self.waiting.push(Message {
            subject: address[0].to_owned(),
            sid: address[1].to_owned(),
            reply: address.get(2).map(|reply| (*reply).to_owned()),
            headers: text(&body[..headers]),
            payload: text(&body[headers..total]),
        });
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the server hung up: {:?}", self.errors);
        line.trim_end().to_owned()
    }
}

/// Until a message published at one end arrives at the other, where it is subscribed to already: from then on the interest
/// is known. What came is drained.
pub(crate) fn until_linked(from: &mut Client, to: &mut Client, subject: &str) {
    until(&format!("{subject} crosses"), || {
        from.publish(subject, "probe");
        from.flush();
        std::thread::sleep(LOOK);
        !to.drain().is_empty()
    });
    settle(to);
}

/// Until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it never came to pass that {what}");
        std::thread::sleep(LOOK);
    }
}

/// Until nothing more comes of what was sent before.
pub(crate) fn settle(client: &mut Client) {
    std::thread::sleep(LOOK * 5);
    client.drain();
}

/// A message from each to each other one, once.
pub(crate) fn all_hear_all(servers: &[&Server], mix: &str) {
    let mut ears: Vec<Client> = servers.iter().map(|server| server.log_in("a")).collect();
    for (number, ear) in ears.iter_mut().enumerate() {
        ear.subscribe(&format!("to.{number}"), "1");
    }
    for from in servers {
        let mut mouth = from.log_in("a");
        for (number, ear) in ears.iter_mut().enumerate() {
            let subject = format!("to.{number}");
            until_linked(&mut mouth, ear, &subject);
            mouth.publish(&subject, "once");
            assert_eq!(ear.next().payload, "once", "{mix}");
            settle(ear);
            assert!(ear.drain().is_empty(), "{mix}");
        }
    }
}

/// What the users of one account say, those of another one do not hear, whatever lies between two servers.
pub(crate) fn accounts_stay_apart(first: &Server, second: &Server, mix: &str) {
    let (mut a, mut b) = (second.log_in("a"), second.log_in("b"));
    a.subscribe(">", "1");
    b.subscribe(">", "1");
    let (mut from_a, mut from_b) = (first.log_in("a"), first.log_in("b"));
    until_linked(&mut from_a, &mut a, "probe");
    until_linked(&mut from_b, &mut b, "probe");
    from_a.publish("secret", "of A");
    assert_eq!(a.next().payload, "of A", "{mix}");
    settle(&mut a);
    from_b.publish("secret", "of B");
    assert_eq!(b.next().payload, "of B", "{mix}");
    assert!(a.drain().is_empty(), "{mix}");
}
