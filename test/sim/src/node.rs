//! One server: a broker with one worker, and the connections that it reads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use account::AccountIds;
use auth::Directory;
use broker::{
    Arrival, ClientSettings, Connection, Hub, LoginDesk, LoginJob, Mailbox, NobodyWatches, Note, ReadOutcome, Secure,
    Step, Worker,
};
use moment::{Instant, Timestamp};
use testkit::Dice;
use wire::CloseReason;

use crate::desk::Desk;
use crate::ear::{self, Ear};
use crate::plan::{NEVER, Shape, settings};
use crate::wire::{Pen, Written};

/// Nobody here proves who he is.
struct NoLogins;

impl LoginDesk for NoLogins {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        Err(job)
    }
}

struct Chance(Mutex<Dice>);

impl Secure for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().expect("nobody panics with the dice in hand");
        bytes.iter_mut().for_each(|byte| *byte = dice.next() as u8);
    }
}

/// A connection, and what it has written.
pub(crate) struct Seat {
    connection: Connection,
    pub(crate) written: Arc<Mutex<Written>>,
    pub(crate) is_closed: bool,
}

/// A server.
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) server_id: String,
    pub(crate) hub: Arc<Hub>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) ear: Ear,
    worker: Worker,
    pub(crate) seats: Vec<Option<Seat>>,
}

impl Node {
    /// A server that has just started, for the `life`th time.
    pub(crate) fn new(shape: Shape, number: usize, life: u64, now: Instant, dice: &mut Dice) -> Self {
        let directory = Directory::build(&ear::users(), &mut AccountIds::default());
        let directory = directory.unwrap_or_else(|errors| panic!("there are two users: {errors:?}"));
        let server_id = format!("N{number}L{life}");
        let mut clients = ClientSettings { ping: NEVER, ..ClientSettings::default() };
        clients.greeting.server_id.clone_from(&server_id);
        clients.handshake.auth_required = true;
        clients.handshake.anonymous_allowed = false;
        let mailboxes: Arc<[Mailbox]> = Arc::new([Mailbox::new(Box::new(|| {}))]);
        let chance = Arc::new(Chance(Mutex::new(Dice(dice.next()))));
        let seed = dice.next();
        let hub = Hub::new(mailboxes, directory, clients, Arc::new(NobodyWatches), Arc::new(NoLogins), chance, seed);
        let desk = Arc::new(Desk::default());
        hub.set_links(settings(shape, number, &server_id));
        hub.set_link_desk(desk.clone());
        let worker = Worker::new(hub.clone(), 0, dice.next());
        let ear = Ear::default();
        let home = hub.account_named("$G").expect("the global account is there");
        hub.listen(&home, ear::ORDER.parse().expect("it is a filter"), None, Arc::new(ear.clone()));
        let mut node = Self { number, server_id, hub, desk, ear, worker, seats: Vec::new() };
        node.begin(now);
        shape.ways(number).into_iter().for_each(|way| node.desk.add(way));
        node
    }

    /// What is done next happens at this time.
    pub(crate) fn begin(&mut self, now: Instant) {
        let wall = Timestamp::from_nanos(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX));
        self.worker.begin_round(now, wall);
    }

    fn sit(&mut self, welcome: impl FnOnce(&mut Worker, u32, SocketAddr, Box<Pen>) -> Connection) -> usize {
        let place = self.seats.iter().position(Option::is_none).unwrap_or(self.seats.len());
        let written = Arc::new(Mutex::new(Written::default()));
        let address = SocketAddr::from(([10, 0, 1, 1], 1));
        let pen = Box::new(Pen(written.clone()));
        let mut connection = welcome(&mut self.worker, u32::try_from(place).expect("few seats"), address, pen);
        self.worker.greet(&mut connection);
        if place == self.seats.len() {
            self.seats.push(None);
        }
        self.seats[place] = Some(Seat { connection, written, is_closed: false });
        self.settle();
        place
    }

    /// A client comes. Its place.
    pub(crate) fn take_client(&mut self) -> usize {
        assert!(self.hub.admit_client(), "there is no limit");
        self.sit(|worker, place, address, pen| worker.welcome(place, address, pen))
    }

    /// A connection between servers begins. Its place.
    pub(crate) fn take_link(&mut self, arrival: Arrival) -> usize {
        self.sit(|worker, place, address, pen| worker.welcome_link(arrival, place, address, pen))
    }

    /// Bytes come.
    pub(crate) fn hear(&mut self, place: usize, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut).filter(|seat| !seat.is_closed) else {
                return;
            };
            let outcome = self.worker.read(&mut seat.connection, &mut |room| {
                let taken = room.len().min(rest.len());
                room[..taken].copy_from_slice(&rest[..taken]);
                rest = &rest[taken..];
                Ok(taken)
            });
            match outcome {
                ReadOutcome::Step { step, .. } => self.step(place, step),
                ReadOutcome::Nothing | ReadOutcome::End | ReadOutcome::Failed => unreachable!("the bytes were there"),
            }
        }
        self.settle();
    }

    /// The far end has closed.
    pub(crate) fn hang_up(&mut self, place: usize) {
        self.step(place, Step::Close(CloseReason::ClientClosed));
        self.settle();
    }

    fn step(&mut self, place: usize, step: Step) {
        let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut).filter(|seat| !seat.is_closed) else {
            return;
        };
        if let Step::Close(reason) = step {
            self.worker.goodbye(&mut seat.connection, reason);
            seat.is_closed = true;
        }
    }

    /// Looks at everybody whose deadline it is.
    pub(crate) fn look(&mut self, now: Instant) {
        for place in 0..self.seats.len() {
            let Some(seat) = self.seats[place].as_mut().filter(|seat| !seat.is_closed) else { continue };
            if seat.connection.next_deadline().is_some_and(|due| due <= now) {
                let step = self.worker.deadline(&mut seat.connection);
                self.step(place, step);
            }
        }
        self.worker.tick();
        self.settle();
    }

    /// When to look next.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        let open = self.seats.iter().flatten().filter(|seat| !seat.is_closed);
        open.filter_map(|seat| seat.connection.next_deadline()).min()
    }

    /// Everything that is to be done at this time is done.
    fn settle(&mut self) {
        loop {
            self.worker.flush().for_each(drop);
            let mut notes = Vec::new();
            self.hub.mailbox(0).collect(&mut notes);
            if notes.is_empty() {
                return;
            }
            notes.into_iter().for_each(|note| self.note(note));
        }
    }

    fn note(&mut self, note: Note) {
        let key = match &note {
            Note::Spent(key, _) | Note::Login(key, _) | Note::Close(key, _) | Note::Flush(key) | Note::Do(key, _) => {
                *key
            }
            Note::Publish(messages) => return self.worker.publish_own(messages),
            Note::Done(done) => return done(),
            Note::Resume(_) | Note::Watch(_) | Note::Review | Note::ReviewOf(_) | Note::Announce | Note::Driver(_) => {
                return;
            }
        };
        let place = key.place as usize;
        let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut) else { return };
        if !seat.is_closed && seat.connection.key() == key {
            let step = self.worker.told(&mut seat.connection, note);
            self.step(place, step);
        }
    }
}
