//! A worker: one thread, one readiness loop, many connections.

use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::{Arrival, Carrier, ConnectionKey, Hub, LinkKind, Note, ReadOutcome, Step};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use moment::Instant;
use slab::Slab;
use wire::CloseReason;

use crate::asking::Asking;
use crate::dialer::Dialed;
use crate::listener::{AcceptGate, DoorKind, Refused};
use crate::logins::LoginPool;
use crate::origin;
use crate::peers::{CameBy, Peers};
use crate::ready::Ready;
use crate::securing::{Secured, SecuredParts, Securing, SharedSecurity, Side};
use crate::socket::Socket;
use crate::timers::Timers;
use crate::transport::TcpTransport;
use crate::upgrading::{self, Upgrades, Upgrading};
use crate::workers::Clock;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Connections accepted before the others get their turn.
const ACCEPTS_PER_ROUND: usize = 4;

/// Accepted connections greeted before the others get their turn.
const ARRIVALS_PER_ROUND: usize = 1;

/// Accepted connections that wait to be greeted; with more, nobody else is accepted.
const ARRIVALS_MAX: usize = 256;

/// Deadlines looked at before the others get their turn.
const DEADLINES_PER_ROUND: usize = 64;

/// A publisher behind a slow target waits at most this long.
const STALL_MAX: Duration = broker::STALL_MAX;

/// A worker looks around this often even if nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Bytes of a handshake read at once.
const HANDSHAKE_READ_BYTES: usize = 8 * 1024;

/// What a peer hears when too many handshakes begin.
const THROTTLED: &str = "Connection throttling is active. Please try again later.";

/// Tokens: the waker and the listeners come before the connections.
const WAKER: Token = Token(0);
const FIRST_DOOR: usize = 1;
const FIRST_CONNECTION: usize = 16;

/// What only the driver's own threads tell a worker.
pub(crate) enum DriverNote {
    /// Serve this connection, which came by the listener of this number.
    Accepted(std::net::TcpStream, SocketAddr, usize),
    /// Serve this connection, which this server made.
    Dialed(Box<Dialed>),
    /// A step of a handshake is done.
    Secured(ConnectionKey, Secured),
    /// Accept no clients any longer.
    StopListening,
    /// Close everything and end.
    Stop,
}

/// The accepting part of the first worker.
pub(crate) struct Door {
    listener: Option<TcpListener>,
    gate: Arc<dyn AcceptGate>,
    ready: bool,
}

impl Door {
    pub(crate) fn new(listener: TcpListener, gate: Arc<dyn AcceptGate>) -> Self {
        Self { listener: Some(listener), gate, ready: false }
    }
}

/// What every worker knows of a listener.
pub(crate) struct Frame {
    pub(crate) kind: DoorKind,
    pub(crate) security: SharedSecurity,
    /// Connections may begin with a PROXY header.
    pub(crate) expects_origin: bool,
    /// Connections begin with a request to become a WebSocket.
    pub(crate) upgrades: Option<Arc<Upgrades>>,
}

impl Common {
    /// How a connection came to be whose handshake is over.
    fn came_by(&self, socket: &Socket) -> Option<CameBy> {
        let listener = || socket.door.and_then(|door| self.frames.get(door)).map(|frame| frame.kind);
        let dialed = socket.securing.as_ref().and_then(|securing| securing.dialed.clone());
        dialed.or_else(|| listener().map(CameBy::Listener))
    }

    /// What requests to become a WebSocket are judged by, where connections begin with one.
    fn upgrades(&self, door: Option<usize>) -> Option<Arc<Upgrades>> {
        self.frames.get(door?)?.upgrades.clone()
    }

    /// Certificates may have changed while hands were shaken: then the peer is judged by the new ones. It is among the
    /// peers already, so whoever changes them from here on judges it too.
    fn still_stands(&self, socket: &Socket, chain: &[Vec<u8>]) -> Result<(), tls::Fault> {
        let frame = socket.door.and_then(|door| self.frames.get(door));
        let current = frame.and_then(|frame| frame.security.read().clone());
        let securing = socket.securing.as_ref();
        match (current, securing.and_then(|securing| securing.tls.as_ref())) {
            (Some(current), Some(used)) if !Arc::ptr_eq(&current.tls, used) => {
                current.tls.recheck(chain, self.clock.wall().as_nanos() / 1_000_000_000)
            }
            _ => Ok(()),
        }
    }
}

pub(crate) struct Worker {
    number: u16,
    poll: Poll,
    core: broker::Worker,
    common: Common,
    sockets: Slab<Socket>,
    ready: Ready,
    timers: Timers,
    paused: VecDeque<(Instant, u32, u64)>,
    /// Accepted, and not greeted yet: the socket, where from, and by which listener.
    arrivals: VecDeque<(std::net::TcpStream, SocketAddr, usize)>,
    doors: Vec<Door>,
    stopping: bool,
}

/// What all workers have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) hub: Arc<Hub>,
    /// Connections of each worker.
    pub(crate) loads: Arc<[AtomicUsize]>,
    pub(crate) clock: Clock,
    /// The listeners, by number.
    pub(crate) frames: Arc<[Frame]>,
    pub(crate) asking: Arc<Asking>,
    /// Who is connected by TLS.
    pub(crate) peers: Arc<Peers>,
    pub(crate) pool: Arc<LoginPool>,
}

impl Worker {
    pub(crate) fn new(number: u16, poll: Poll, common: Common, doors: Vec<Door>, seed: u64) -> Self {
        Self {
            number,
            poll,
            core: broker::Worker::new(common.hub.clone(), number, seed),
            common,
            sockets: Slab::new(),
            ready: Ready::default(),
            timers: Timers::default(),
            paused: VecDeque::new(),
            arrivals: VecDeque::new(),
            doors,
            stopping: false,
        }
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self) {
        for (number, door) in self.doors.iter_mut().enumerate() {
            if let Some(listener) = &mut door.listener {
                // A listener that cannot be watched accepts nobody; the server notices at its first check.
                let _ = self.poll.registry().register(listener, Token(FIRST_DOOR + number), Interest::READABLE);
                door.ready = true;
            }
        }
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut notes = Vec::new();
        let mut tick_at = self.common.clock.now() + TICK;
        while !self.stopping {
            let now = self.common.clock.now();
            let _ = self.poll.poll(&mut events, Some(self.patience(now, tick_at)));
            let now = self.common.clock.now();
            self.core.begin_round(now, self.common.clock.wall());
            for event in &events {
                self.noticed(event);
            }
            self.common.hub.mailbox(self.number).collect(&mut notes);
            for note in notes.drain(..) {
                self.told(note);
            }
            self.resume_due(now);
            self.accept();
            self.greet_arrivals();
            self.read_ready();
            self.wake_due(now);
            self.flush(now);
            if now >= tick_at {
                tick_at = now + TICK;
                self.core.tick();
            }
        }
        self.close_all();
    }

    /// How long the kernel may let us sleep.
    fn patience(&self, now: Instant, tick_at: Instant) -> Duration {
        if !self.ready.is_empty() || !self.arrivals.is_empty() || self.doors.iter().any(|door| door.ready) {
            return Duration::ZERO;
        }
        let paused = self.paused.front().map(|(at, ..)| *at);
        let next = [self.timers.next(), paused].into_iter().flatten().fold(tick_at, Instant::min);
        // The kernel counts in milliseconds: round up, or a deadline would be waited for busily.
        let wait = next.since(now);
        Duration::from_millis(wait.as_millis() as u64 + u64::from(wait.subsec_nanos() % 1_000_000 != 0))
    }

    fn noticed(&mut self, event: &mio::event::Event) {
        let place = match event.token() {
            WAKER => return,
            Token(token @ FIRST_DOOR..FIRST_CONNECTION) => {
                return self.doors.get_mut(token - FIRST_DOOR).into_iter().for_each(|door| door.ready = true);
            }
            Token(token) => token - FIRST_CONNECTION,
        };
        let Some(socket) = self.sockets.get_mut(place) else { return };
        if event.is_writable() {
            socket.connection.link().clone().writable(&mut self.core);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            socket.readable = true;
            socket.hung_up |= event.is_read_closed() || event.is_error();
            self.ready.list(place, socket);
        }
    }

    fn told(&mut self, note: Note) {
        match note {
            Note::Resume(key) => self.resume(key.place, key.id),
            Note::Watch(key) => self.look_at(key),
            Note::Driver(note) => match note.downcast::<DriverNote>() {
                Ok(note) => self.driven(*note),
                Err(_) => debug_assert!(false, "only the driver sends driver notes"),
            },
            Note::Publish(messages) => self.core.publish_own(&messages),
            Note::Review => {
                for place in self.places() {
                    self.with(place, |core, socket| core.review(&mut socket.connection));
                }
            }
            Note::ReviewOf(accounts) => {
                for place in self.places() {
                    self.with(place, |core, socket| core.review_of(&mut socket.connection, &accounts));
                }
            }
            Note::Done(done) => done(),
            Note::Announce => {
                for place in self.places() {
                    self.with(place, |core, socket| {
                        core.announce(&socket.connection);
                        Step::Continue
                    });
                }
            }
            Note::Spent(key, _) | Note::Login(key, _) | Note::Close(key, _) | Note::Do(key, _) | Note::Flush(key) => {
                if self.find(key.place, key.id).is_some() {
                    self.with(key.place as usize, |core, socket| core.told(&mut socket.connection, note));
                }
            }
        }
    }

    fn driven(&mut self, note: DriverNote) {
        match note {
            DriverNote::Accepted(stream, address, door) => self.arrivals.push_back((stream, address, door)),
            DriverNote::Dialed(dialed) => self.serve_dialed(*dialed),
            DriverNote::Secured(key, secured) => {
                if self.find(key.place, key.id).is_some() {
                    let common = self.common.clone();
                    self.with(key.place as usize, |core, socket| go_on(core, socket, secured, &common));
                }
            }
            DriverNote::StopListening => self.close_door(),
            DriverNote::Stop => self.stopping = true,
        }
    }

    fn close_door(&mut self) {
        for (door, frame) in self.doors.iter_mut().zip(self.common.frames.iter()) {
            if frame.kind.is_for_clients()
                && let Some(mut listener) = door.listener.take()
            {
                let _ = self.poll.registry().deregister(&mut listener);
                door.ready = false;
            }
        }
    }

    /// Takes in who is waiting, a bounded number at a time.
    fn accept(&mut self) {
        for number in 0..self.doors.len() {
            self.accept_at(number);
        }
    }

    fn accept_at(&mut self, number: usize) {
        for _ in 0..ACCEPTS_PER_ROUND.min(ARRIVALS_MAX.saturating_sub(self.arrivals.len())) {
            let Some(door) = self.doors.get_mut(number).filter(|door| door.ready) else { return };
            let Some(listener) = &door.listener else { return };
            match listener.accept() {
                Ok((stream, address)) => match door.gate.admit(address) {
                    Ok(()) => self.place(stream.into(), address, number),
                    // Before the answer to a request nothing of the protocol may be said; after it a client is counted in.
                    Err(_) if self.common.upgrades(Some(number)).is_some() => {}
                    Err(refused) => self.refuse(&stream, address, refused),
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => door.ready = false,
                // The peer gave up already, or descriptors ran out: the next round tries again.
                Err(_) => return,
            }
        }
    }

    fn refuse(&self, stream: &TcpStream, address: SocketAddr, refused: Option<Refused>) {
        if let Some(refused) = refused {
            let text = self.common.hub.refusal(address, refused.error, refused.info_first);
            let _ = std::io::Write::write(&mut &*stream, &text);
        }
    }

    /// Gives a new connection to the worker with the fewest.
    fn place(&mut self, stream: std::net::TcpStream, address: SocketAddr, door: usize) {
        let least =
            (0..self.common.loads.len()).min_by_key(|&worker| self.common.loads[worker].load(Ordering::Relaxed));
        let worker = least.unwrap_or(0);
        self.common.loads[worker].fetch_add(1, Ordering::Relaxed);
        if worker == usize::from(self.number) {
            return self.arrivals.push_back((stream, address, door));
        }
        let note = Box::new(DriverNote::Accepted(stream, address, door));
        self.common.hub.mailbox(worker as u16).post(Note::Driver(note));
    }

    fn greet_arrivals(&mut self) {
        for _ in 0..ARRIVALS_PER_ROUND {
            let Some((stream, address, door)) = self.arrivals.pop_front() else { return };
            self.serve(stream, address, door);
        }
    }

    fn serve(&mut self, stream: std::net::TcpStream, address: SocketAddr, door: usize) {
        let Some(Frame { kind, security, expects_origin, upgrades }) = self.common.frames.get(door) else { return };
        let (kind, security, expects_origin, upgrades) =
            (*kind, security.read().clone(), *expects_origin, upgrades.clone());
        let Some(place) = self.seat(stream, |core, place, transport| match kind {
            DoorKind::Client => core.welcome(place, address, transport),
            DoorKind::WebSocket => core.welcome_by(Carrier::WebSocket, place, address, transport),
            DoorKind::Leaf => core.welcome_link(Arrival::LeafAccepted, place, address, transport),
            DoorKind::Route => core.welcome_link(Arrival::RouteAccepted, place, address, transport),
            DoorKind::Gateway => core.welcome_link(Arrival::GatewayAccepted, place, address, transport),
        }) else {
            return self.common.hub.turned_away(address.ip(), kind == DoorKind::Client);
        };
        let now = self.common.clock.now();
        let Some(socket) = self.sockets.get_mut(place) else { return };
        socket.door = Some(door);
        if expects_origin {
            socket.header_until = Some(origin::deadline(now));
            self.core.await_address(&mut socket.connection);
        }
        let link = socket.connection.link().kind;
        let begun = security.as_ref().map(|security| Securing::begin(&Side::Accepts(security), link, now));
        match begun {
            None if upgrades.is_some() => {
                socket.upgrading = upgrades.map(|upgrades| Upgrading::begin(upgrades, false, now));
                self.schedule(place);
            }
            None => self.core.greet(&mut socket.connection),
            Some(Err(_)) => return self.close(place, CloseReason::TlsHandshakeFailure),
            Some(Ok(securing)) => {
                socket.securing = Some(securing);
                self.with(place, |core, socket| overdue(core, socket, now));
            }
        }
        self.look_first(place);
    }

    /// Serves a connection that this server made.
    fn serve_dialed(&mut self, dialed: Dialed) {
        let Dialed { stream, address, tls, arrival, frames } = dialed;
        let carrier = if frames.is_some() { Carrier::WebSocket } else { Carrier::Stream };
        let Some(place) = self
            .seat(stream, |core, place, transport| core.welcome_link_by(carrier, arrival, place, address, transport))
        else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(place) else { return };
        let first = tls.as_ref().is_some_and(|tls| tls.first);
        (socket.dial, socket.frames) = (tls, frames);
        let now = self.common.clock.now();
        if first {
            self.with(place, |_, _| Step::StartTls);
        } else if socket.frames.is_some() {
            self.with(place, |core, socket| ask(core, socket, now));
        } else {
            self.core.greet(&mut socket.connection);
        }
        self.look_first(place);
    }

    /// Gives a new connection its place; `None` if the system does not watch it.
    fn seat(
        &mut self,
        stream: std::net::TcpStream,
        welcome: impl FnOnce(&mut broker::Worker, u32, Box<dyn broker::Transport>) -> broker::Connection,
    ) -> Option<usize> {
        let mut stream = TcpStream::from_std(stream);
        let _ = stream.set_nodelay(true);
        let vacant = self.sockets.vacant_entry();
        let place = vacant.key();
        if register(self.poll.registry(), &mut stream, place).is_err() {
            self.common.loads[usize::from(self.number)].fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let stream = Arc::new(stream);
        let connection = welcome(&mut self.core, place as u32, Box::new(TcpTransport(stream.clone())));
        vacant.insert(Socket::new(stream, connection));
        Some(place)
    }

    /// The peer may have written before it was registered: there will be no further edge for that.
    fn look_first(&mut self, place: usize) {
        let Some(socket) = self.sockets.get_mut(place) else { return };
        socket.readable = true;
        self.ready.list(place, socket);
        self.schedule(place);
    }

    /// Begins a TLS handshake as its client: this end speaks first.
    fn start_tls(&mut self, place: usize) {
        let now = self.common.clock.now();
        let pool = self.common.pool.clone();
        let Some(socket) = self.sockets.get_mut(place) else { return };
        let Some(dial) = socket.dial.take() else {
            self.core.report(&socket.connection, "the far end requires TLS, and none is configured for it");
            return self.close(place, CloseReason::TlsHandshakeFailure);
        };
        match Securing::begin(&Side::Connects(&dial), socket.connection.link().kind, now) {
            Ok(securing) => {
                // Where the handshake comes first, nothing has been said yet.
                let securing = Securing { greeted: !dial.first, ..securing };
                socket.securing = Some(securing);
                self.with(place, |_, socket| press_on(socket, &pool));
            }
            Err(fault) => {
                handshake_failed(&mut self.core, socket, &fault);
                self.close(place, CloseReason::TlsHandshakeFailure);
            }
        }
    }

    /// Reads once from each connection on the list.
    fn read_ready(&mut self) {
        let (known, strangers) = self.ready.round();
        for _ in 0..known {
            let Some(place) = self.ready.next_known() else { break };
            self.read_at(place);
        }
        for _ in 0..strangers {
            let Some(place) = self.ready.next_stranger() else { break };
            self.read_at(place);
        }
    }

    fn read_at(&mut self, place: usize) {
        let Some(socket) = self.sockets.get_mut(place) else { return };
        socket.listed = false;
        if !socket.wants_reading() {
            return;
        }
        let pool = self.common.pool.clone();
        let now = self.common.clock.now();
        self.with(place, |core, socket| match socket.securing {
            _ if socket.header_until.is_some() => origin::read_header(core, socket),
            None if socket.upgrading.is_some() => upgrading::read(core, socket),
            None => read(core, socket),
            Some(_) => read_handshake(core, socket, &pool, now),
        });
        if let Some(socket) = self.sockets.get_mut(place) {
            self.ready.list(place, socket);
        }
    }

    /// Runs one step of a connection. A panic in it closes that connection and no other.
    fn with(&mut self, place: usize, step: impl FnOnce(&mut broker::Worker, &mut Socket) -> Step) {
        let Some(socket) = self.sockets.get_mut(place) else { return };
        let core = &mut self.core;
        let outcome = catch_unwind(AssertUnwindSafe(|| step(core, socket)));
        match outcome {
            Ok(Step::Continue) => {
                self.ready.list(place, socket);
                self.schedule(place);
            }
            Ok(Step::StartTls) => self.start_tls(place),
            Ok(Step::Close(reason)) => self.close(place, reason),
            Err(_) => self.close(place, CloseReason::Unknown),
        }
    }

    /// Makes sure the connection is looked at when it asked to be.
    fn schedule(&mut self, place: usize) {
        let Some(socket) = self.sockets.get_mut(place) else { return };
        let Some(at) = socket.next_deadline() else { return };
        if socket.wake_at.is_none_or(|earlier| at < earlier) {
            socket.wake_at = Some(at);
            self.timers.set(at, socket.connection.key());
        }
    }

    fn wake_due(&mut self, now: Instant) {
        for _ in 0..DEADLINES_PER_ROUND {
            let Some((place, id)) = self.timers.due(now) else { return };
            let Some(socket) = self.find(place, id) else { continue };
            socket.wake_at = None;
            self.with(place as usize, |core, socket| overdue(core, socket, now));
        }
    }

    fn look_at(&mut self, key: ConnectionKey) {
        if self.find(key.place, key.id).is_some() {
            let now = self.common.clock.now();
            self.with(key.place as usize, |core, socket| overdue(core, socket, now));
        }
    }

    fn find(&mut self, place: u32, id: u64) -> Option<&mut Socket> {
        self.sockets.get_mut(place as usize).filter(|socket| socket.connection.key().id == id)
    }

    fn resume(&mut self, place: u32, id: u64) {
        if let Some(socket) = self.find(place, id) {
            socket.paused_until = None;
            self.ready.list(place as usize, &mut self.sockets[place as usize]);
        }
    }

    fn resume_due(&mut self, now: Instant) {
        while let Some((_, place, id)) = self.paused.pop_front_if(|(at, ..)| *at <= now) {
            self.resume(place, id);
        }
    }

    /// Sends everything staged in this round and holds up those who publish to a link that is behind.
    fn flush(&mut self, now: Instant) {
        let until = now + STALL_MAX;
        for key in self.core.flush() {
            let Some(socket) = self.sockets.get_mut(key.place as usize) else { continue };
            // A link carries many publishers: none of them is to wait for another's receiver.
            let is_link = socket.connection.link().kind != LinkKind::Client;
            if socket.connection.key() == key && socket.paused_until.is_none() && !is_link {
                socket.paused_until = Some(until);
                self.paused.push_back((until, key.place, key.id));
            }
        }
    }

    fn places(&self) -> Vec<usize> {
        self.sockets.iter().map(|(place, _)| place).collect()
    }

    fn close(&mut self, place: usize, reason: CloseReason) {
        let Some(mut socket) = self.sockets.try_remove(place) else { return };
        self.core.goodbye(&mut socket.connection, reason);
        self.common.loads[usize::from(self.number)].fetch_sub(1, Ordering::Relaxed);
        if socket.is_peer {
            self.common.peers.leave(socket.connection.key());
        }
        deregister(self.poll.registry(), &socket.stream);
        // Unread bytes would turn the close into a reset, which may overtake the last line we sent.
        let mut unread = [0; 4096];
        let _ = (&*socket.stream).read(&mut unread);
    }

    fn close_all(&mut self) {
        for place in self.places() {
            self.close(place, CloseReason::ServerShutdown);
        }
        self.core.flush();
    }
}

/// Whatever is due at this time.
fn overdue(core: &mut broker::Worker, socket: &mut Socket, now: Instant) -> Step {
    if socket.header_until.is_some_and(|until| until <= now) {
        return origin::too_late(core, socket);
    }
    if socket.securing.is_none() && socket.upgrading.is_some() {
        return upgrading::overdue(core, socket, now);
    }
    let Socket { securing, connection, .. } = socket;
    let Some(securing) = securing else { return core.deadline(connection) };
    if securing.greet_at.is_some_and(|at| at <= now) {
        securing.greet_at = None;
        securing.greeted = true;
        core.greet(connection);
    }
    if now < securing.until {
        return Step::Continue;
    }
    if securing.undecided {
        // Whoever has not begun a handshake by now speaks in the clear.
        return in_the_clear(core, socket, &[]);
    }
    core.report(connection, "TLS handshake error: timeout");
    Step::Close(CloseReason::TlsHandshakeFailure)
}

/// One read of a handshake. The arithmetic is done elsewhere.
fn read_handshake(core: &mut broker::Worker, socket: &mut Socket, pool: &LoginPool, now: Instant) -> Step {
    let mut bytes = [0; HANDSHAKE_READ_BYTES];
    let bytes = match socket.read(&mut bytes) {
        Ok(bytes) => bytes,
        Err(step) => return step,
    };
    let Some(securing) = &mut socket.securing else { return Step::Continue };
    if std::mem::take(&mut securing.undecided) && bytes.first() != Some(&tls::FIRST_BYTE) {
        return in_the_clear(core, socket, bytes);
    }
    // The peer has begun: INFO goes inside.
    securing.greet_at = None;
    if securing.rate.take().is_some_and(|rate| !rate.admits(now)) {
        core.send_raw(&socket.connection, &wire::encode::err(THROTTLED));
        return Step::Close(CloseReason::MaxConnectionsExceeded);
    }
    if !core.lend(&mut socket.connection, bytes.len()) {
        core.report(&socket.connection, "TLS handshake error: too many bytes wait for the end of a handshake");
        return Step::Close(CloseReason::TlsHandshakeFailure);
    }
    let Some(shaking) = &mut securing.handshake else { return Step::Continue };
    if let Err(fault) = shaking.handshake.feed(bytes) {
        return handshake_failed(core, socket, &fault);
    }
    press_on(socket, pool)
}

/// Gives a handshake that has work to a thread of the pool.
fn press_on(socket: &mut Socket, pool: &LoginPool) -> Step {
    let Some(securing) = &mut socket.securing else { return Step::Continue };
    let key = socket.connection.key();
    let address = socket.connection.link().address.ip();
    let Some(shaking) = securing.handshake.take_if(|shaking| shaking.handshake.has_work()) else {
        return Step::Continue;
    };
    if pool.secure(key, address, shaking) { Step::Continue } else { Step::Close(CloseReason::TlsHandshakeFailure) }
}

/// A peer that speaks in the clear where that is allowed.
fn in_the_clear(core: &mut broker::Worker, socket: &mut Socket, bytes: &[u8]) -> Step {
    if let Some(securing) = socket.securing.take()
        && !securing.greeted
    {
        core.greet(&mut socket.connection);
    }
    core.take_bytes(&mut socket.connection, bytes)
}

/// A step of a handshake has been done elsewhere.
fn go_on(core: &mut broker::Worker, socket: &mut Socket, secured: Secured, common: &Common) -> Step {
    match secured {
        Secured::Wait(shaking, out) => {
            core.send_raw(&socket.connection, &out);
            if let Some(securing) = &mut socket.securing {
                securing.handshake = Some(shaking);
            }
            Step::Continue
        }
        Secured::Failed(fault, out) => {
            core.send_raw(&socket.connection, &out);
            handshake_failed(core, socket, &fault)
        }
        Secured::Ask(parts, out) => {
            core.send_raw(&socket.connection, &out);
            let key = socket.connection.key();
            let check = socket.securing.as_ref().and_then(|securing| securing.check.clone());
            if check.is_some_and(|check| common.asking.ask(key, parts, check)) {
                return Step::Continue;
            }
            handshake_failed(core, socket, &tls::Fault::OcspInvalid("too many wait for an answer".to_owned()))
        }
        Secured::Done(parts, out) => {
            let SecuredParts { opener, sealer, certificate, tls, chain } = *parts;
            core.send_raw(&socket.connection, &out);
            if let Some(by) = common.came_by(socket) {
                socket.is_peer = true;
                common.peers.enter(socket.connection.key(), by, chain.clone());
            }
            if let Err(fault) = common.still_stands(socket, &chain) {
                return handshake_failed(core, socket, &fault);
            }
            let greeted = socket.securing.take().is_some_and(|securing| securing.greeted);
            let connection = &mut socket.connection;
            match core.secure(connection, Box::new(opener), Box::new(sealer), certificate, Some(tls)) {
                Step::Continue => {}
                step => return step,
            }
            if let Some(upgrades) = common.upgrades(socket.door) {
                socket.upgrading = Some(Upgrading::begin(upgrades, true, common.clock.now()));
                return upgrading::take(core, socket, &[]);
            }
            if socket.frames.is_some() {
                return ask(core, socket, common.clock.now());
            }
            if !greeted {
                core.greet(connection);
            }
            core.take_behind(connection)
        }
    }
}

/// Asks for the connection to be framed, where this server made it for that.
fn ask(core: &mut broker::Worker, socket: &mut Socket, now: Instant) -> Step {
    match socket.frames.take() {
        Some(frames) => upgrading::ask(core, socket, &frames, now),
        None => Step::Continue,
    }
}

fn handshake_failed(core: &mut broker::Worker, socket: &Socket, fault: &tls::Fault) -> Step {
    use tls::Fault;
    let text = format!("TLS handshake error: {fault}");
    match fault {
        Fault::NoCertificate | Fault::CertificateRefused(_) | Fault::OcspInvalid(_) | Fault::NotPinned => {
            core.certificate_refused(&socket.connection, &text);
        }
        // Anybody can do that at will: not for the log of everybody.
        Fault::NotTls => core.remark(&socket.connection, &text),
        _ => core.report(&socket.connection, &text),
    }
    Step::Close(CloseReason::TlsHandshakeFailure)
}

/// One read from the socket through the broker.
fn read(core: &mut broker::Worker, socket: &mut Socket) -> Step {
    let stream = socket.stream.clone();
    let outcome = core.read(&mut socket.connection, &mut |room| (&*stream).read(room));
    match outcome {
        ReadOutcome::Step { step, filled } => {
            // A short read emptied the socket; the kernel tells of more. After a hang-up it will not.
            socket.readable = filled || socket.hung_up;
            step
        }
        ReadOutcome::Nothing => {
            socket.readable = false;
            socket.hung_up = false;
            Step::Continue
        }
        ReadOutcome::End => Step::Close(CloseReason::ClientClosed),
        ReadOutcome::Failed => Step::Close(CloseReason::ReadError),
    }
}

fn register(registry: &Registry, stream: &mut TcpStream, place: usize) -> std::io::Result<()> {
    registry.register(stream, Token(place + FIRST_CONNECTION), Interest::READABLE | Interest::WRITABLE)
}

#[cfg(unix)]
fn deregister(registry: &Registry, stream: &TcpStream) {
    use std::os::fd::AsRawFd;
    let _ = mio::event::Source::deregister(&mut mio::unix::SourceFd(&stream.as_raw_fd()), registry);
}
