//! A broker that serves on loopback, with a monitor beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use account::AccountIds;
use auth::Directory;
use auth::settings::{AccountSettings, Settings, UserSettings};
use broker::{ClientSettings, Hub, NobodyWatches, Secure};
use moment::Timestamp;
use monitor::{Monitor, MonitorSettings, Observatory, Portrait, ServerFacts, TraceTotals};
use net::{AcceptGate, DoorKind, Listener, LoginPool, LoginPoolLimits, Refused, Running, SharedSecurity, Workers};
use secret::Secret;
use serde_json::Value;

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets everybody in, and counts.
#[derive(Default)]
struct Everybody(OnceLock<Arc<Hub>>);

impl AcceptGate for Everybody {
    fn admit(&self, _: SocketAddr) -> Result<(), Option<Refused>> {
        let hub = self.0.get().ok_or(None)?;
        hub.admit_client().then_some(()).ok_or(None)
    }
}

struct Counting;

impl Secure for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.iter_mut().zip(1..).for_each(|(byte, number)| *byte = number);
    }
}

#[derive(Default)]
struct Facts {
    missing: Mutex<Vec<&'static str>>,
    warnings: Mutex<Vec<String>>,
}

impl ServerFacts for Facts {
    fn portrait(&self) -> Portrait {
        let system_account = Some("$SYS".to_owned());
        Portrait { start: Timestamp::from_secs(1), system_account, ..Portrait::default() }
    }

    fn missing_listeners(&self) -> Vec<&'static str> {
        self.missing.lock().unwrap().clone()
    }

    fn traces(&self) -> Option<TraceTotals> {
        Some(TraceTotals { exported: 3, ..TraceTotals::default() })
    }

    fn warn(&self, text: &str) {
        self.warnings.lock().unwrap().push(text.to_owned());
    }
}

/// A server with a monitor.
pub(crate) struct House {
    pub(crate) hub: Arc<Hub>,
    pub(crate) monitor: Monitor,
    facts: Arc<Facts>,
    clients: SocketAddr,
    running: Option<Running>,
    _pool: Arc<LoginPool>,
}

fn user(name: &str, password: &str) -> UserSettings {
    UserSettings {
        user: Some(name.into()),
        password: Some(Secret::new(password.to_owned())),
        ..UserSettings::default()
    }
}

/// Two tenants: SHOP with `ann`, BANK with `bob`. Their passwords are what the secrets test looks for.
pub(crate) fn tenants() -> Settings {
    let account = |name: &str, user| AccountSettings { name: name.into(), users: vec![user], ..Default::default() };
    let accounts = vec![account("SHOP", user("ann", "MARKER-ann")), account("BANK", user("bob", "MARKER-bob"))];
    Settings { accounts, ..Settings::default() }
}

impl House {
    /// A server without users.
    pub(crate) fn open() -> Self {
        Self::with(Settings::default(), ClientSettings::default(), MonitorSettings::default())
    }

    pub(crate) fn with(settings: Settings, mut clients: ClientSettings, monitor: MonitorSettings) -> Self {
        let directory = Directory::build(&settings, &mut AccountIds::default()).unwrap();
        clients.handshake.auth_required = directory.requires_auth();
        clients.greeting.server_id = "NSERVER".into();
        let workers = Workers::prepare(2, Instant::now()).unwrap();
        let (limits, no_others) = (LoginPoolLimits::default(), Arc::new(net::NoCounsel));
        let pool = LoginPool::start(limits, workers.mailboxes(), no_others, Arc::new(Counting));
        let pool = Arc::new(pool.unwrap());
        let watcher = Arc::new(NobodyWatches);
        let hub = Hub::new(workers.mailboxes(), directory, clients, watcher, pool.clone(), Arc::new(Counting), 7);
        let gate = Arc::new(Everybody(OnceLock::from(hub.clone())));
        let listener = Listener::bind(DoorKind::Client, "127.0.0.1", 0, gate, SharedSecurity::default()).unwrap();
        let clients = listener.address().unwrap();
        let running = workers.start(&hub, vec![listener], &pool, 7).unwrap();
        let facts = Arc::new(Facts::default());
        let monitor = MonitorSettings { port: 0, ..monitor };
        let monitor = Monitor::start(monitor, Observatory::new(hub.clone(), facts.clone()), None).unwrap();
        Self { hub, monitor, facts, clients, running: Some(running), _pool: pool }
    }

    pub(crate) fn lose_listener(&self, name: &'static str) {
        self.facts.missing.lock().unwrap().push(name);
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.facts.warnings.lock().unwrap().clone()
    }

    /// A client that has logged in with this CONNECT.
    pub(crate) fn client(&self, connect: &str) -> Client {
        let stream = TcpStream::connect(self.clients).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client { reader: BufReader::new(stream.try_clone().unwrap()), stream };
        client.say(&format!("CONNECT {connect}\r\n"));
        client.settle();
        client
    }

    /// A connection that says nothing.
    pub(crate) fn stranger(&self) -> TcpStream {
        TcpStream::connect(self.clients).unwrap()
    }

    /// The raw answer to a path.
    pub(crate) fn visit(&self, path: &str) -> Reply {
        self.visit_raw(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    }

    pub(crate) fn visit_raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.monitor.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::parse(&String::from_utf8(bytes).unwrap())
    }

    /// A document.
    pub(crate) fn json(&self, path: &str) -> Value {
        let reply = self.visit(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        serde_json::from_str(&reply.body).unwrap()
    }

    /// The document of an answer that is not 200.
    pub(crate) fn json_of_failure(&self, path: &str) -> Value {
        serde_json::from_str(&self.visit(path).body).unwrap()
    }

    /// Asks again until the document is as it must become.
    pub(crate) fn json_when(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let document = self.json(path);
            if is_so(&document) {
                return document;
            }
            assert!(Instant::now() < until, "{path} never became so: {document}");
            std::thread::yield_now();
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.monitor.stop();
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

/// What a visitor got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

/// A client on the protocol.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Everything said so far was taken.
    pub(crate) fn settle(&mut self) {
        self.say("PING\r\n");
        self.hear("PONG");
    }

    /// Reads until a line begins like this.
    pub(crate) fn hear(&mut self, beginning: &str) {
        let mut line = String::new();
        while !line.starts_with(beginning) {
            line.clear();
            assert!(self.reader.read_line(&mut line).unwrap() > 0, "the server closed before {beginning}");
        }
    }
}
