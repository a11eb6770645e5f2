//! A broker with clients in memory: no socket, no thread, and time moves when the test says so.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use account::AccountIds;
use auth::Directory;
use auth::settings::Settings;
use broker::{
    ClientSettings, Connection, Hub, LoginDesk, LoginJob, LoginOutcome, Mailbox, NobodyWatches, Note, Observer,
    ReadOutcome, Secure, Step, Transport, Worker,
};
use moment::{Instant, Timestamp};
use wire::CloseReason;

/// What a client has been sent, and whether it takes more.
#[derive(Default)]
struct Wire {
    sent: Vec<u8>,
    /// Bytes taken before the transport refuses; `None` takes everything.
    room: Option<usize>,
    shut: bool,
    discarding: bool,
}

struct MemoryTransport(Arc<Mutex<Wire>>);

impl Transport for MemoryTransport {
    fn write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut wire = self.0.lock().unwrap();
        let whole: usize = bytes.iter().map(|slice| slice.len()).sum();
        let taken = wire.room.map_or(whole, |room| room.min(whole));
        if taken == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if wire.discarding {
            return Ok(taken);
        }
        let all: Vec<u8> = bytes.iter().flat_map(|slice| slice.iter().copied()).take(taken).collect();
        wire.sent.extend(all);
        wire.room = wire.room.map(|room| room - taken);
        Ok(taken)
    }

    fn shut_down(&self) {
        self.0.lock().unwrap().shut = true;
    }
}

/// Randomness that is none.
#[derive(Default)]
struct Predictable(std::sync::atomic::AtomicU32);

impl Secure for Predictable {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let step = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            *byte = (step.wrapping_mul(0x9e37_79b1) >> 24) as u8;
        }
    }
}

/// Judges at once, in the middle of the conversation.
#[derive(Default)]
struct Desk(Mutex<VecDeque<LoginJob>>);

impl LoginDesk for Desk {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        self.0.lock().unwrap().push_back(job);
        Ok(())
    }
}

/// A client by its place.
pub struct Client(usize);

struct Seat {
    connection: Connection,
    wire: Arc<Mutex<Wire>>,
    closed: Option<CloseReason>,
    heard: usize,
    /// Sent, and not yet read.
    unread: Vec<u8>,
}

/// Something that happens while a login is judged.
type Intrusion = Box<dyn FnOnce(&Hub)>;

/// The broker, its clients, and the clock.
pub struct Conversation {
    pub hub: Arc<Hub>,
    worker: Worker,
    desk: Arc<Desk>,
    /// What happens while the next login is judged.
    meanwhile: Option<Intrusion>,
    /// Logins that took more than a worker's time.
    pub judged: usize,
    seats: Vec<Seat>,
    now: Instant,
}

impl Conversation {
    /// A broker that asks nobody who he is.
    pub fn open() -> Self {
        Self::with(&Settings::default(), |_| {})
    }

    /// A broker with accounts and users.
    pub fn with(settings: &Settings, change: impl FnOnce(&mut ClientSettings)) -> Self {
        Self::watched(settings, change, Arc::new(NobodyWatches))
    }

    /// The same, and somebody looks on.
    pub fn watched(settings: &Settings, change: impl FnOnce(&mut ClientSettings), watcher: Arc<dyn Observer>) -> Self {
        let directory = Directory::build(settings, &mut AccountIds::default()).expect("the fixture is sound");
        let mut clients = ClientSettings { nonce: directory.needs_nonce(), ..ClientSettings::default() };
        clients.handshake.auth_required = directory.requires_auth();
        clients.handshake.anonymous_allowed = directory.admits_silent_peers();
        change(&mut clients);
        let mailboxes: Arc<[Mailbox]> = Arc::new([Mailbox::new(Box::new(|| {}))]);
        let desk = Arc::new(Desk::default());
        let hub = Hub::new(mailboxes, directory, clients, watcher, desk.clone(), Arc::new(Predictable::default()), 1);
        let mut worker = Worker::new(hub.clone(), 0, 1);
        worker.begin_round(Instant::START, Timestamp::EPOCH);
        Self { hub, worker, desk, meanwhile: None, judged: 0, seats: Vec::new(), now: Instant::START }
    }

    /// A client connects and takes the first INFO.
    pub fn connect(&mut self) -> Client {
        let wire = Arc::new(Mutex::new(Wire::default()));
        let transport = Box::new(MemoryTransport(wire.clone()));
        let place = self.seats.len() as u32;
        assert!(self.hub.admit_client());
        let mut connection = self.worker.welcome(place, "127.0.0.1:1".parse().unwrap(), transport);
        self.worker.greet(&mut connection);
        self.seats.push(Seat { connection, wire, closed: None, heard: 0, unread: Vec::new() });
        let client = Client(self.seats.len() - 1);
        self.round();
        assert!(self.hears(&client).starts_with("INFO {"));
        client
    }

    /// A client that is quiet and reads headers.
    pub fn login(&mut self, user: &str) -> Client {
        let client = self.connect();
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"user\":\"{user}\",\"pass\":\"{user}\",\"headers\":true,\
             \"no_responders\":true,\"protocol\":1}}\r\n"
        );
        self.says(&client, &connect);
        assert_eq!(self.hears(&client), "", "the login of {user}");
        client
    }

    /// A client that is quiet, on a broker that asks nobody.
    pub fn guest(&mut self) -> Client {
        let client = self.connect();
        self.says(
            &client,
            "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n",
        );
        client
    }

    /// The client sends bytes, however many.
    pub fn says(&mut self, client: &Client, bytes: impl AsRef<[u8]>) {
        let mut rest = bytes.as_ref();
        while !rest.is_empty() && self.seats[client.0].closed.is_none() {
            // As the driver does: who waits is not read.
            if self.seats[client.0].connection.is_waiting() {
                self.round();
            }
            let seat = &mut self.seats[client.0];
            if seat.connection.is_waiting() {
                seat.unread.extend_from_slice(rest);
                break;
            }
            let outcome = self.worker.read(&mut seat.connection, &mut |room| {
                let taken = room.len().min(rest.len());
                room[..taken].copy_from_slice(&rest[..taken]);
                rest = &rest[taken..];
                Ok(taken)
            });
            match outcome {
                ReadOutcome::Step { step, .. } => self.step(client.0, step),
                ReadOutcome::Nothing | ReadOutcome::End | ReadOutcome::Failed => panic!("the bytes were there"),
            }
        }
        self.round();
    }

    /// The client sends bytes one at a time.
    pub fn spells(&mut self, client: &Client, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.says(client, [*byte]);
        }
    }

    fn step(&mut self, place: usize, step: Step) {
        if let Step::Close(reason) = step {
            self.worker.goodbye(&mut self.seats[place].connection, reason);
            self.seats[place].closed = self.seats[place].connection.link().closed();
        }
    }

    /// While the next login is judged, this happens.
    pub fn meanwhile(&mut self, happens: impl FnOnce(&Hub) + 'static) {
        self.meanwhile = Some(Box::new(happens));
    }

    /// Flushes, lets the desk judge and the notes arrive, until nothing is left to do.
    pub fn round(&mut self) -> usize {
        let mut stalled = self.worker.flush().count();
        loop {
            let mut notes = Vec::new();
            self.hub.mailbox(0).collect(&mut notes);
            let jobs: Vec<_> = self.desk.0.lock().unwrap().drain(..).collect();
            if notes.is_empty() && jobs.is_empty() {
                return stalled;
            }
            for LoginJob { key, directory, attempt, epoch, .. } in jobs {
                self.judged += 1;
                let verdict = auth::authenticate(&directory, &attempt, Timestamp::EPOCH);
                if let Some(happens) = self.meanwhile.take() {
                    happens(&self.hub);
                }
                notes.push(Note::Login(
                    key,
                    Box::new(LoginOutcome { attempt, verdict, vouched: None, directory, epoch }),
                ));
            }
            for note in notes {
                self.note(note);
            }
            stalled += self.worker.flush().count();
        }
    }

    fn note(&mut self, note: Note) {
        match &note {
            Note::ReviewOf(accounts) => {
                for place in 0..self.seats.len() {
                    if self.seats[place].closed.is_none() {
                        let step = self.worker.review_of(&mut self.seats[place].connection, accounts);
                        self.step(place, step);
                    }
                }
            }
            Note::Review => {
                for place in 0..self.seats.len() {
                    if self.seats[place].closed.is_none() {
                        let step = self.worker.review(&mut self.seats[place].connection);
                        self.step(place, step);
                    }
                }
            }
            Note::Spent(key, _) | Note::Login(key, _) | Note::Close(key, _) | Note::Flush(key) => {
                let place = key.place as usize;
                if self.seats[place].closed.is_none() {
                    let step = self.worker.told(&mut self.seats[place].connection, note);
                    self.step(place, step);
                }
            }
            Note::Publish(messages) => self.worker.publish_own(messages),
            Note::Done(done) => done(),
            Note::Resume(_) | Note::Watch(_) | Note::Announce | Note::Do(..) | Note::Driver(_) => {}
        }
    }

    /// What the client has heard since it was last asked.
    pub fn hears(&mut self, client: &Client) -> String {
        let seat = &mut self.seats[client.0];
        let wire = seat.wire.lock().unwrap();
        let text = String::from_utf8_lossy(&wire.sent[seat.heard..]).into_owned();
        seat.heard = wire.sent.len();
        text
    }

    /// The same as bytes.
    pub fn hears_bytes(&mut self, client: &Client) -> Vec<u8> {
        let seat = &mut self.seats[client.0];
        let wire = seat.wire.lock().unwrap();
        let bytes = wire.sent[seat.heard..].to_vec();
        seat.heard = wire.sent.len();
        bytes
    }

    /// From now on nobody keeps what the client is sent.
    pub fn discards(&mut self, client: &Client) {
        self.seats[client.0].wire.lock().unwrap().discarding = true;
    }

    /// The client goes away.
    pub fn hangs_up(&mut self, client: &Client) {
        self.step(client.0, Step::Close(CloseReason::ClientClosed));
        self.round();
    }

    /// Why the client was closed, if it was.
    pub fn closed(&self, client: &Client) -> Option<CloseReason> {
        self.seats[client.0].closed.or_else(|| self.seats[client.0].connection.link().closed())
    }

    /// From now on the client's transport takes so many bytes and no more.
    pub fn takes_only(&mut self, client: &Client, bytes: usize) {
        self.seats[client.0].wire.lock().unwrap().room = Some(bytes);
    }

    /// The client's transport takes everything again, and the owner hears of it.
    pub fn takes_all(&mut self, client: &Client) {
        self.seats[client.0].wire.lock().unwrap().room = None;
        let link = self.seats[client.0].connection.link().clone();
        link.writable(&mut self.worker);
        self.round();
    }

    /// Bytes that wait for the client.
    pub fn pending(&self, client: &Client) -> usize {
        self.seats[client.0].connection.link().pending_bytes()
    }

    /// Time passes, and everybody whose deadline it was is looked at.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
        self.worker.begin_round(self.now, Timestamp::from_nanos(self.now.as_nanos() as i64));
        for place in 0..self.seats.len() {
            if self.seats[place].closed.is_none() {
                let step = self.worker.deadline(&mut self.seats[place].connection);
                self.step(place, step);
            }
            let unread = std::mem::take(&mut self.seats[place].unread);
            self.says(&Client(place), unread);
        }
        self.round();
    }

    /// The connection itself, for what only some scenes need.
    pub fn with_connection<T>(&mut self, client: &Client, act: impl FnOnce(&mut Worker, &mut Connection) -> T) -> T {
        act(&mut self.worker, &mut self.seats[client.0].connection)
    }
}
