//! As much of a server as a client library needs to reach the host: connections, subscriptions, routing. No permissions,
//! no limits; the real one is the broker.

use bulwark_jetstream_host::{
    AccountSettings, Arrival, Awaited, DeskSettings, Door, Host, Inlet, Outgoing, Port, RealClock, Report,
};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use subject::{Filter, Subject};
use wire::client::{Limits, Op, Parsed, parse};

struct Subscription {
    connection: u64,
    sid: Vec<u8>,
    filter: Filter,
    queue: Option<Vec<u8>>,
    left: Option<u64>,
}

/// Who waits for somebody to listen, and to what.
struct Awaiting {
    subject: Vec<u8>,
    by: Vec<u8>,
}

/// Lines of the latest traffic kept, to be shown when a scene does not come to its end.
const KEPT_LINES: usize = 60;

#[derive(Default)]
struct Shared {
    latest: Mutex<VecDeque<String>>,
    awaiting: Mutex<Vec<Awaiting>>,
    subscriptions: Mutex<Vec<Subscription>>,
    writers: Mutex<HashMap<u64, TcpStream>>,
    listens: Mutex<Vec<(Door, Filter)>>,
    inlet: OnceLock<Inlet>,
    account: OnceLock<Arc<str>>,
}

/// A message on its way through the front.
struct Flight<'a> {
    to: &'a [u8],
    seen: &'a [u8],
    reply: Option<&'a [u8]>,
    headers: &'a [u8],
    payload: &'a [u8],
}

impl Shared {
    /// How many subscriptions got it.
    fn route(&self, flight: &Flight<'_>) -> usize {
        let Ok(subject) = Subject::parse(flight.to) else { return 0 };
        let mut reached: Vec<(u64, Vec<u8>)> = Vec::new();
        {
            let mut subscriptions = self.subscriptions.lock().expect("unharmed");
            let mut queues: Vec<Vec<u8>> = Vec::new();
            for subscription in subscriptions.iter_mut().filter(|s| s.filter.matches(subject)) {
                if let Some(queue) = &subscription.queue {
                    if queues.contains(queue) {
                        continue;
                    }
                    queues.push(queue.clone());
                }
                if let Some(left) = &mut subscription.left {
                    *left = left.saturating_sub(1);
                }
                reached.push((subscription.connection, subscription.sid.clone()));
            }
            subscriptions.retain(|subscription| subscription.left != Some(0));
        }
        for (connection, sid) in &reached {
            self.write(*connection, &message(flight, sid));
        }
        reached.len()
    }

    fn note(&self, what: &str, flight: &Flight<'_>, reached: usize) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(90)]).escape_debug().to_string();
        let (to, seen) = (text(flight.to), text(flight.seen));
        let seen = if to == seen { String::new() } else { format!(" as {seen}") };
        let reply = flight.reply.map(|reply| format!(" reply {}", text(reply))).unwrap_or_default();
        let (headers, payload) = (text(flight.headers), text(flight.payload));
        let mut latest = self.latest.lock().expect("unharmed");
        latest.push_back(format!("{what} {to}{seen}{reply} to {reached}: {headers} {payload}"));
        let surplus = latest.len().saturating_sub(KEPT_LINES);
        latest.drain(..surplus);
    }

    /// Somebody listens to this from now on.
    fn heard(&self, filter: &Filter) {
        let is_heard =
            |waiting: &Awaiting| Subject::parse(&waiting.subject).is_ok_and(|subject| filter.matches(subject));
        let found: Vec<Awaiting> = {
            let mut awaiting = self.awaiting.lock().expect("unharmed");
            awaiting.extract_if(.., |waiting| is_heard(waiting)).collect()
        };
        let (Some(inlet), Some(account)) = (self.inlet.get(), self.account.get()) else { return };
        for waiting in found {
            let message = jetstream::Incoming { subject: &waiting.by, reply: None, headers: b"", payload: b"" };
            inlet
                .deliver(&Arrival { account, door: Door::Interest, message, asker: None, follower: None })
                .expect("room in the queue");
        }
    }

    fn write(&self, connection: u64, bytes: &[u8]) {
        if let Some(writer) = self.writers.lock().expect("unharmed").get_mut(&connection) {
            let _ = writer.write_all(bytes);
        }
    }

    fn client_published(&self, connection: u64, flight: &Flight<'_>) {
        let doors: Vec<Door> = {
            let listens = self.listens.lock().expect("unharmed");
            let subject = Subject::parse(flight.to);
            let of =
                |subject: Subject<'_>| listens.iter().filter(|(_, f)| f.matches(subject)).map(|(d, _)| *d).collect();
            subject.map(of).unwrap_or_default()
        };
        let reached = self.route(flight);
        self.note("client", flight, reached);
        if let (false, Some(inlet), Some(account)) = (doors.is_empty(), self.inlet.get(), self.account.get()) {
            let Flight { to: subject, reply, headers, payload, .. } = *flight;
            let message = jetstream::Incoming { subject, reply, headers, payload };
            for door in doors {
                inlet
                    .deliver(&Arrival { account, door, message, asker: None, follower: None })
                    .expect("room in the queue");
            }
        } else if reached == 0
            && let Some(reply) = flight.reply
        {
            let headers = b"NATS/1.0 503\r\n\r\n";
            self.route(&Flight { to: reply, seen: reply, reply: None, headers, payload: b"" });
        }
        let _ = connection;
    }
}

fn message(flight: &Flight<'_>, sid: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(flight.payload.len() + 128);
    out.extend_from_slice(if flight.headers.is_empty() { b"MSG " } else { b"HMSG " });
    out.extend_from_slice(flight.seen);
    out.push(b' ');
    out.extend_from_slice(sid);
    if let Some(reply) = flight.reply {
        out.push(b' ');
        out.extend_from_slice(reply);
    }
    if !flight.headers.is_empty() {
        out.extend_from_slice(format!(" {}", flight.headers.len()).as_bytes());
    }
    out.extend_from_slice(format!(" {}\r\n", flight.headers.len() + flight.payload.len()).as_bytes());
    out.extend_from_slice(flight.headers);
    out.extend_from_slice(flight.payload);
    out.extend_from_slice(b"\r\n");
    out
}

impl Port for Shared {
    fn publish<'a>(&self, _: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        for Outgoing { to, subject, reply, headers, payload, .. } in messages {
            let flight = Flight { to, seen: subject.unwrap_or(to), reply, headers, payload };
            let reached = self.route(&flight);
            self.note("host", &flight, reached);
        }
    }
    fn await_interest(&self, account: &str, awaited: Awaited) {
        let Awaited { subject, by, .. } = awaited;
        self.awaiting.lock().expect("unharmed").push(Awaiting { subject: subject.clone(), by });
        if self.is_wanted(account, &subject) {
            self.heard(&Filter::parse(&subject).expect("a subject"));
        }
    }
    fn no_longer_awaits(&self, _: &str, awaited: &Awaited) {
        self.awaiting.lock().expect("unharmed").retain(|waiting| waiting.by != awaited.by);
    }
    fn is_wanted(&self, _: &str, subject: &[u8]) -> bool {
        let Ok(subject) = Subject::parse(subject) else { return false };
        self.subscriptions.lock().expect("unharmed").iter().any(|s| s.filter.matches(subject))
    }
    fn listen(&self, _: &str, door: Door, filter: &Filter) {
        self.listens.lock().expect("unharmed").push((door, filter.clone()));
    }
    fn unlisten(&self, _: &str, door: Door, filter: &Filter) {
        let mut listens = self.listens.lock().expect("unharmed");
        if let Some(at) = listens.iter().position(|(d, other)| *d == door && other == filter) {
            listens.remove(at);
        }
    }
    fn report(&self, report: Report) {
        assert!(matches!(report, Report::Restored { .. }), "nothing is wrong in these scenes, and yet: {report:?}");
    }
}

/// A server with JetStream on a directory.
pub(crate) struct Front {
    pub url: String,
    shared: Arc<Shared>,
    _host: Host,
}

/// A scene that takes longer than this, on the busiest machine, does not come to its end.
const SCENE_WITHIN: Duration = Duration::from_secs(90);

impl Front {
    /// Runs a scene to its end, or shows what went on last.
    pub(crate) async fn play<T>(&self, scene: impl Future<Output = T>) -> T {
        match tokio::time::timeout(SCENE_WITHIN, scene).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let latest = self.shared.latest.lock().expect("unharmed");
                let lines: Vec<&str> = latest.iter().map(String::as_str).collect();
                panic!("not at its end after {SCENE_WITHIN:?}; the latest traffic:\n{}", lines.join("\n"));
            }
        }
    }

    pub(crate) fn start(dir: &Path, settings: DeskSettings, account: AccountSettings) -> Front {
        let shared = Arc::new(Shared::default());
        let disk = Arc::new(disk::RealDisk::open(dir).expect("a free directory"));
        let name: Arc<str> = account.account.as_str().into();
        let clock = Arc::new(RealClock::default());
        let host = Host::start(
            disk,
            Arc::new(disk::OsEntropy),
            settings,
            vec![account],
            (shared.clone(), Inlet::default()),
            clock,
        );
        let host = host.expect("the store opens");
        shared.inlet.set(host.inlet()).unwrap_or_else(|_| unreachable!("set once"));
        shared.account.set(name).expect("set once");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("nats://{}", listener.local_addr().expect("bound"));
        let held = shared.clone();
        std::thread::spawn(move || {
            for (id, stream) in (1..).zip(listener.incoming().flatten()) {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&shared, id, stream));
            }
        });
        Front { url, shared: held, _host: host }
    }
}

fn serve(shared: &Shared, id: u64, mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let info = concat!(
        r#"INFO {"server_id":"SERVER","server_name":"front","version":"2.15.1","proto":1,"headers":true,"#,
        r#""max_payload":1048576,"jetstream":true}"#,
        "\r\n"
    );
    let _ = stream.write_all(info.as_bytes());
    shared.writers.lock().expect("unharmed").insert(id, stream.try_clone().expect("a second handle"));
    let limits = Limits { max_control_line: 4096, max_payload: 1 << 20, headers: true };
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(read @ 1..) = stream.read(&mut chunk) {
        buffer.extend_from_slice(&chunk[..read]);
        let mut at = 0;
        while let Parsed::Op { op, consumed } = parse(&buffer[at..], &limits).expect("the libraries speak the protocol")
        {
            take(shared, id, &buffer[at..], op);
            at += consumed;
            if at == buffer.len() {
                break;
            }
        }
        buffer.drain(..at);
    }
    shared.subscriptions.lock().expect("unharmed").retain(|subscription| subscription.connection != id);
    shared.writers.lock().expect("unharmed").remove(&id);
}

fn take(shared: &Shared, id: u64, buffer: &[u8], op: Op<'_>) {
    match op {
        Op::Ping => shared.write(id, b"PONG\r\n"),
        Op::Publish(publish) => {
            let body = &buffer[publish.body];
            let (headers, payload) = body.split_at(publish.header_len);
            let flight = Flight { to: publish.subject, seen: publish.subject, reply: publish.reply, headers, payload };
            shared.client_published(id, &flight);
        }
        Op::Subscribe { subject, queue, sid } => {
            let filter = Filter::parse(subject).expect("a filter");
            let queue = queue.map(<[u8]>::to_vec);
            let subscription = Subscription { connection: id, sid: sid.to_vec(), filter, queue, left: None };
            let filter = subscription.filter.clone();
            shared.subscriptions.lock().expect("unharmed").push(subscription);
            shared.heard(&filter);
        }
        Op::Unsubscribe { sid, max } => {
            let mut subscriptions = shared.subscriptions.lock().expect("unharmed");
            match max.filter(|max| *max > 0) {
                None => subscriptions.retain(|s| s.connection != id || s.sid != sid),
                Some(max) => {
                    let mine = subscriptions.iter_mut().find(|s| s.connection == id && s.sid == sid);
                    mine.into_iter().for_each(|subscription| subscription.left = Some(max));
                }
            }
        }
        _ => {}
    }
}
