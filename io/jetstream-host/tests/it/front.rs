//! As much of a server as a client library needs to reach the host: connections, subscriptions, routing. No permissions,
//! no limits; the real one is the broker.

use bulwark_jetstream_host::{AccountSettings, DeskSettings, Host, Inlet, Outgoing, Port, RealClock, Report};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use subject::{Filter, Subject};
use wire::client::{Limits, Op, Parsed, parse};

struct Subscription {
    connection: u64,
    sid: Vec<u8>,
    filter: Filter,
    queue: Option<Vec<u8>>,
    left: Option<u64>,
}

#[derive(Default)]
struct Shared {
    subscriptions: Mutex<Vec<Subscription>>,
    writers: Mutex<HashMap<u64, TcpStream>>,
    listens: Mutex<Vec<Filter>>,
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

    fn write(&self, connection: u64, bytes: &[u8]) {
        if let Some(writer) = self.writers.lock().expect("unharmed").get_mut(&connection) {
            let _ = writer.write_all(bytes);
        }
    }

    fn client_published(&self, connection: u64, flight: &Flight<'_>) {
        let is_listened = {
            let subject = Subject::parse(flight.to);
            let listens = self.listens.lock().expect("unharmed");
            subject.is_ok_and(|subject| listens.iter().any(|filter| filter.matches(subject)))
        };
        let reached = self.route(flight);
        if is_listened && let (Some(inlet), Some(account)) = (self.inlet.get(), self.account.get()) {
            inlet.deliver(account, flight.to, flight.reply, flight.headers, flight.payload).expect("room in the queue");
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
    fn publish(&self, _: &str, messages: Vec<Outgoing>) {
        for m in messages {
            let seen = m.subject.as_deref().unwrap_or(&m.to);
            let flight =
                Flight { to: &m.to, seen, reply: m.reply.as_deref(), headers: &m.headers, payload: &m.payload };
            self.route(&flight);
        }
    }
    fn is_wanted(&self, _: &str, subject: &[u8]) -> bool {
        let Ok(subject) = Subject::parse(subject) else { return false };
        self.subscriptions.lock().expect("unharmed").iter().any(|s| s.filter.matches(subject))
    }
    fn listen(&self, _: &str, filter: &Filter) {
        self.listens.lock().expect("unharmed").push(filter.clone());
    }
    fn unlisten(&self, _: &str, filter: &Filter) {
        let mut listens = self.listens.lock().expect("unharmed");
        if let Some(at) = listens.iter().position(|other| other == filter) {
            listens.remove(at);
        }
    }
    fn report(&self, report: Report) {
        panic!("nothing is wrong in these scenes, and yet: {report:?}");
    }
}

/// A server with JetStream on a directory.
pub(crate) struct Front {
    pub url: String,
    _host: Host,
}

impl Front {
    pub(crate) fn start(dir: &Path, settings: DeskSettings, account: AccountSettings) -> Front {
        let shared = Arc::new(Shared::default());
        let disk = Arc::new(disk::RealDisk::open(dir).expect("a free directory"));
        let name: Arc<str> = account.account.as_str().into();
        let clock = Arc::new(RealClock::default());
        let host = Host::start(disk, Arc::new(disk::OsEntropy), settings, vec![account], shared.clone(), clock);
        let host = host.expect("the store opens");
        shared.inlet.set(host.inlet()).unwrap_or_else(|_| unreachable!("set once"));
        shared.account.set(name).expect("set once");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("nats://{}", listener.local_addr().expect("bound"));
        std::thread::spawn(move || {
            for (id, stream) in (1..).zip(listener.incoming().flatten()) {
                let shared = shared.clone();
                std::thread::spawn(move || serve(&shared, id, stream));
            }
        });
        Front { url, _host: host }
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
            shared.subscriptions.lock().expect("unharmed").push(subscription);
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
