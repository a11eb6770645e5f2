//! A worker: one thread, one readiness loop, many connections.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::{ConnectionKey, Hub, LinkKind, Note, ReadOutcome, Step};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use moment::Instant;
use slab::Slab;
use wire::CloseReason;

use crate::listener::{AcceptGate, Refused};
use crate::logins::LoginPool;
use crate::securing::{Secured, Securing, SharedSecurity};
use crate::socket::Socket;
use crate::timers::Timers;
use crate::transport::TcpTransport;
use crate::workers::Clock;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 1024;

/// Connections accepted before the others get their turn.
const ACCEPTS_PER_ROUND: usize = 64;

/// A publisher behind a slow target waits at most this long.
const STALL_MAX: Duration = broker::STALL_MAX;

/// A worker looks around this often even if nothing happens.
const TICK: Duration = Duration::from_secs(1);

/// Bytes of a handshake read at once.
const HANDSHAKE_READ_BYTES: usize = 8 * 1024;

/// What a peer hears when too many handshakes begin.
const THROTTLED: &str = "Connection throttling is active. Please try again later.";

/// Tokens: the waker and the listener come before the connections.
const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// What only the driver's own threads tell a worker.
pub(crate) enum DriverNote {
    /// Serve this connection.
    Accepted(std::net::TcpStream, SocketAddr),
    /// A step of a handshake is done.
    Secured(ConnectionKey, Secured),
    /// Accept no longer.
    StopListening,
    /// Close everything and end.
    Stop,
}

/// The accepting part of the first worker.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) gate: Arc<dyn AcceptGate>,
}

pub(crate) struct Worker {
    number: u16,
    poll: Poll,
    core: broker::Worker,
    common: Common,
    sockets: Slab<Socket>,
    ready: VecDeque<usize>,
    timers: Timers,
    paused: VecDeque<(Instant, u32, u64)>,
    door: Option<Door>,
    door_ready: bool,
    stopping: bool,
}

/// What all workers have in common.
pub(crate) struct Common {
    pub(crate) hub: Arc<Hub>,
    /// Connections of each worker.
    pub(crate) loads: Arc<[AtomicUsize]>,
    pub(crate) clock: Clock,
    pub(crate) security: SharedSecurity,
    pub(crate) pool: Arc<LoginPool>,
}

impl Worker {
    pub(crate) fn new(number: u16, poll: Poll, common: Common, door: Option<Door>, seed: u64) -> Self {
        Self {
            number,
            poll,
            core: broker::Worker::new(common.hub.clone(), number, seed),
            common,
            sockets: Slab::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            paused: VecDeque::new(),
            door,
            door_ready: false,
            stopping: false,
        }
    }

    /// Serves until told to stop.
    pub(crate) fn run(mut self) {
        if let Some(door) = &mut self.door {
            // A listener that cannot be watched accepts nobody; the server notices at its first check.
            let _ = self.poll.registry().register(&mut door.listener, LISTENER, Interest::READABLE);
            self.door_ready = true;
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
        if !self.ready.is_empty() || self.door_ready {
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
            LISTENER => return self.door_ready = true,
            Token(token) => token - FIRST_CONNECTION,
        };
        let Some(socket) = self.sockets.get_mut(place) else { return };
        if event.is_writable() {
            socket.connection.link().clone().writable(&mut self.core);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            socket.readable = true;
            socket.hung_up |= event.is_read_closed() || event.is_error();
            list(&mut self.ready, place, socket);
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
            Note::Review => {
                for place in self.places() {
                    self.with(place, |core, socket| core.review(&mut socket.connection));
                }
            }
            Note::Announce => {
                for place in self.places() {
                    self.with(place, |core, socket| {
                        core.announce(&socket.connection);
                        Step::Continue
                    });
                }
            }
            Note::Spent(key, _) | Note::Login(key, _) | Note::Close(key, _) | Note::Do(key, _) => {
                if self.find(key.place, key.id).is_some() {
                    self.with(key.place as usize, |core, socket| core.told(&mut socket.connection, note));
                }
            }
        }
    }

    fn driven(&mut self, note: DriverNote) {
        match note {
            DriverNote::Accepted(stream, address) => self.serve(stream, address),
            DriverNote::Secured(key, secured) => {
                if self.find(key.place, key.id).is_some() {
                    self.with(key.place as usize, |core, socket| go_on(core, socket, secured));
                }
            }
            DriverNote::StopListening => self.close_door(),
            DriverNote::Stop => self.stopping = true,
        }
    }

    fn close_door(&mut self) {
        if let Some(mut door) = self.door.take() {
            let _ = self.poll.registry().deregister(&mut door.listener);
        }
        self.door_ready = false;
    }

    /// Takes in who is waiting, a bounded number at a time.
    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_ROUND {
            let (true, Some(door)) = (self.door_ready, &self.door) else { return };
            match door.listener.accept() {
                Ok((stream, address)) => match door.gate.admit(address) {
                    Ok(()) => self.place(stream.into(), address),
                    Err(refused) => self.refuse(&stream, address, refused),
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => self.door_ready = false,
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
    fn place(&mut self, stream: std::net::TcpStream, address: SocketAddr) {
        let least =
            (0..self.common.loads.len()).min_by_key(|&worker| self.common.loads[worker].load(Ordering::Relaxed));
        let worker = least.unwrap_or(0);
        self.common.loads[worker].fetch_add(1, Ordering::Relaxed);
        if worker == usize::from(self.number) {
            return self.serve(stream, address);
        }
        let note = Box::new(DriverNote::Accepted(stream, address));
        self.common.hub.mailbox(worker as u16).post(Note::Driver(note));
    }

    fn serve(&mut self, stream: std::net::TcpStream, address: SocketAddr) {
        let mut stream = TcpStream::from_std(stream);
        let _ = stream.set_nodelay(true);
        let vacant = self.sockets.vacant_entry();
        let place = vacant.key();
        if register(self.poll.registry(), &mut stream, place).is_err() {
            self.common.hub.turned_away(address.ip());
            self.common.loads[usize::from(self.number)].fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let stream = Arc::new(stream);
        let transport = Box::new(TcpTransport(stream.clone()));
        let connection = self.core.welcome(LinkKind::Client, place as u32, address, transport);
        let socket = vacant.insert(Socket::new(stream, connection));
        let security = self.common.security.read().clone();
        if let Some(security) = &security {
            socket.securing = Securing::begin(security, self.common.clock.now()).ok();
        }
        if security.is_none() {
            self.core.greet(&mut socket.connection);
        } else if socket.securing.is_none() {
            return self.close(place, CloseReason::TlsHandshakeFailure);
        } else {
            let now = self.common.clock.now();
            self.with(place, |core, socket| overdue(core, socket, now));
        }
        let Some(socket) = self.sockets.get_mut(place) else { return };
        // The client may have written before it was registered: there will be no further edge for that.
        socket.readable = true;
        list(&mut self.ready, place, socket);
        self.schedule(place);
    }

    /// Reads once from each connection on the list.
    fn read_ready(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(place) = self.ready.pop_front() else { return };
            let Some(socket) = self.sockets.get_mut(place) else { continue };
            socket.listed = false;
            if socket.wants_reading() {
                let pool = self.common.pool.clone();
                let now = self.common.clock.now();
                self.with(place, |core, socket| match socket.securing {
                    None => read(core, socket),
                    Some(_) => read_handshake(core, socket, &pool, now),
                });
                if let Some(socket) = self.sockets.get_mut(place) {
                    list(&mut self.ready, place, socket);
                }
            }
        }
    }

    /// Runs one step of a connection. A panic in it closes that connection and no other.
    fn with(&mut self, place: usize, step: impl FnOnce(&mut broker::Worker, &mut Socket) -> Step) {
        let Some(socket) = self.sockets.get_mut(place) else { return };
        let core = &mut self.core;
        let outcome = catch_unwind(AssertUnwindSafe(|| step(core, socket)));
        match outcome {
            Ok(Step::Continue) => {
                list(&mut self.ready, place, socket);
                self.schedule(place);
            }
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
        while let Some((place, id)) = self.timers.due(now) {
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
            list(&mut self.ready, place as usize, &mut self.sockets[place as usize]);
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
            if socket.connection.key() == key && socket.paused_until.is_none() {
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

/// Puts a connection that wants reading on the ready list, once.
fn list(ready: &mut VecDeque<usize>, place: usize, socket: &mut Socket) {
    if socket.wants_reading() && !socket.listed {
        socket.listed = true;
        ready.push_back(place);
    }
}

/// Whatever is due at this time.
fn overdue(core: &mut broker::Worker, socket: &mut Socket, now: Instant) -> Step {
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
    let read = match (&*socket.stream).read(&mut bytes) {
        Ok(0) => return Step::Close(CloseReason::ClientClosed),
        Ok(read) => read,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            socket.readable = false;
            socket.hung_up = false;
            return Step::Continue;
        }
        Err(_) => return Step::Close(CloseReason::ReadError),
    };
    socket.readable = read == bytes.len() || socket.hung_up;
    let bytes = &bytes[..read];
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
    let Some(handshake) = &mut securing.handshake else { return Step::Continue };
    if let Err(fault) = handshake.feed(bytes) {
        return handshake_failed(core, socket, &fault);
    }
    if handshake.has_work() {
        let key = socket.connection.key();
        let address = socket.connection.link().address.ip();
        if let Some(handshake) = securing.handshake.take()
            && !pool.secure(key, address, handshake)
        {
            return Step::Close(CloseReason::TlsHandshakeFailure);
        }
    }
    Step::Continue
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
fn go_on(core: &mut broker::Worker, socket: &mut Socket, secured: Secured) -> Step {
    match secured {
        Secured::Wait(handshake, out) => {
            core.send_raw(&socket.connection, &out);
            if let Some(securing) = &mut socket.securing {
                securing.handshake = Some(handshake);
            }
            Step::Continue
        }
        Secured::Failed(fault, out) => {
            core.send_raw(&socket.connection, &out);
            handshake_failed(core, socket, &fault)
        }
        Secured::Done(parts, out) => {
            let (opener, sealer, certificate) = *parts;
            core.send_raw(&socket.connection, &out);
            let greeted = socket.securing.take().is_some_and(|securing| securing.greeted);
            let step = core.secure(&mut socket.connection, Box::new(opener), Box::new(sealer), certificate);
            if !greeted && step == Step::Continue {
                core.greet(&mut socket.connection);
            }
            step
        }
    }
}

fn handshake_failed(core: &mut broker::Worker, socket: &Socket, fault: &tls::Fault) -> Step {
    let text = format!("TLS handshake error: {fault}");
    match fault {
        // Anybody can do that at will: not for the log of everybody.
        tls::Fault::NotTls => core.remark(&socket.connection, &text),
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
