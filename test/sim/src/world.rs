//! The world: what happens next, until nothing does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker::{Arrival, LinkKind, RemoteId, Target};
use moment::Instant;
use testkit::Dice;

use crate::crowd::{Crowd, Listening};
use crate::desk::Way;
use crate::ear::{ORDER, USERS};
use crate::node::Node;
use crate::plan::{Shape, arrivals};
use crate::wire::{Lane, Parcel, SeatAt, Wire, taken};

/// What clients talk about.
const SUBJECTS: [&str; 6] = ["a.1", "a.2", "b.1", "b.2.x", "c", "d.1"];

/// What they listen to.
const FILTERS: [&str; 9] = ["a.1", "a.2", "a.*", "b.>", "b.1", "c", ">", "d.1", "*.1"];

/// Groups that share work.
const QUEUES: [&str; 2] = ["q1", "q2"];

/// How long things break.
const TROUBLE: Duration = Duration::from_secs(40);

/// How long it may take until everybody has found everybody again: a dead wire is found after three pings, and what leads to
/// a server that is not there is tried once a second.
const RECOVERY: Duration = Duration::from_secs(60);

/// How long a probe may take.
const REACH: Duration = Duration::from_secs(3);

enum Event {
    Arrive(usize, usize),
    Look(usize, u64),
    Dial(usize, u64, RemoteId),
    Start(usize),
    Act,
    Break,
}

/// What a story was about.
#[derive(Debug)]
pub struct Story {
    /// How the deployment was put together.
    pub shape: Shape,
    /// Messages that clients published.
    pub published: u64,
    /// Orders that were heard in another cluster, and whose senders something binds.
    pub bound_abroad: u64,
    /// What broke, in order.
    pub troubles: Vec<String>,
}

/// Servers, wires, clients and the time.
pub(crate) struct World {
    shape: Shape,
    now: Instant,
    dice: Dice,
    nodes: Vec<Option<Node>>,
    lives: Vec<u64>,
    looks: Vec<Option<Instant>>,
    wires: Vec<Option<Wire>>,
    /// The wire and the end of it at each seat.
    seats: BTreeMap<(usize, usize), (usize, usize)>,
    crowd: Crowd,
    events: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    /// Servers that are cut off from the others, and until when.
    parted: Option<(BTreeSet<usize>, Instant)>,
    /// Servers whose wires are slow, and until when.
    slow: Option<(usize, Instant)>,
    published: u64,
    bound_abroad: u64,
    troubles: Vec<String>,
    ends: Instant,
}

/// Tells the story of a seed.
///
/// # Errors
/// What went wrong, with the seed.
pub fn tell(seed: u64) -> Result<Story, String> {
    let mut world = World::new(seed);
    let told = world.run().map_err(|why| format!("{why}\n{}", world.links()));
    let World { shape, published, bound_abroad, troubles, now, .. } = world;
    match told {
        Ok(()) => Ok(Story { shape, published, bound_abroad, troubles }),
        Err(why) => {
            let at = Duration::from_nanos(now.as_nanos());
            Err(format!("seed {seed} ({shape:?}), at {at:?}: {why}\nafter {}", troubles.join("\n      ")))
        }
    }
}

impl World {
    /// A world whose servers all start at once.
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let shape = Shape::ALL[(seed % 4) as usize];
        dice.next();
        let servers = shape.clusters().len();
        let mut world = Self {
            shape,
            now: Instant::from_nanos(1),
            dice,
            nodes: (0..servers).map(|_| None).collect(),
            lives: vec![0; servers],
            looks: vec![None; servers],
            wires: Vec::new(),
            seats: BTreeMap::new(),
            crowd: Crowd::default(),
            events: BTreeMap::new(),
            next_event: 0,
            parted: None,
            slow: None,
            published: 0,
            bound_abroad: 0,
            troubles: Vec::new(),
            ends: Instant::START + TROUBLE,
        };
        for node in 0..servers {
            let after = world.millis(0, 500);
            world.plan(after, Event::Start(node));
        }
        world.plan(Duration::from_secs(1), Event::Act);
        world.plan(Duration::from_secs(4), Event::Break);
        world
    }

    fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.dice.below(to - from))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = self.dice.below(from.len() as u64) as usize;
        from.get(at).copied()
    }

    fn plan(&mut self, after: Duration, event: Event) {
        self.plan_at(self.now + after, event);
    }

    fn plan_at(&mut self, at: Instant, event: Event) {
        self.next_event += 1;
        self.events.insert((at, self.next_event), event);
    }

    fn run(&mut self) -> Result<(), String> {
        self.run_until(self.ends)?;
        self.parted = None;
        self.slow = None;
        self.run_until(self.ends + RECOVERY)?;
        self.probe()?;
        self.leave()
    }

    fn run_until(&mut self, end: Instant) -> Result<(), String> {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), event) = entry.remove_entry();
            self.now = at.max(self.now);
            self.happen(event)?;
        }
        self.now = end;
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Arrive(wire, end) => self.arrive(wire, end),
            Event::Look(node, life) => {
                if self.lives[node] == life {
                    self.looks[node] = None;
                    let now = self.now;
                    return self.at(node, |server| server.look(now)).map(drop);
                }
                Ok(())
            }
            Event::Dial(node, life, remote) => {
                if self.lives[node] == life {
                    self.dial(node, remote)
                } else {
                    Ok(())
                }
            }
            Event::Start(node) => self.start(node),
            Event::Act => self.act(),
            Event::Break => self.break_something(),
        }
    }

    /// Does something at a server, and carries on what came of it.
    fn at<T>(&mut self, node: usize, act: impl FnOnce(&mut Node) -> T) -> Result<Option<T>, String> {
        let now = self.now;
        let Some(server) = self.nodes[node].as_mut() else { return Ok(None) };
        server.begin(now);
        let done = act(server);
        self.collect(node)?;
        Ok(Some(done))
    }

    /// What a server has written goes on its way; who it wants to go to is gone to; when it wants to look is noted.
    fn collect(&mut self, node: usize) -> Result<(), String> {
        let life = self.lives[node];
        let Some(server) = self.nodes[node].as_mut() else { return Ok(()) };
        let mut written = Vec::new();
        for (place, seat) in server.seats.iter_mut().enumerate() {
            let Some(open) = seat else { continue };
            let bytes = taken(&open.written);
            let is_closed = open.is_closed;
            if is_closed {
                *seat = None;
            }
            if !bytes.is_empty() || is_closed {
                written.push((place, bytes, is_closed));
            }
        }
        let (dials, look, orders) = (server.desk.dials(), server.next_look(), server.ear.taken());
        for heard in orders {
            let clusters = self.shape.clusters();
            let is_bound_abroad = self.crowd.judge_order(heard, |node| clusters[node].is_empty())?;
            self.bound_abroad += u64::from(is_bound_abroad);
        }
        for (place, bytes, is_closed) in written {
            match self.seats.get(&(node, place)).copied() {
                Some((wire, end)) => self.send(wire, end, bytes, is_closed),
                None => self.crowd.hear(node, place, &bytes)?,
            }
            if is_closed {
                self.seats.remove(&(node, place));
            }
        }
        for (remote, after) in dials {
            let jitter = self.millis(1, 200);
            self.plan(after + jitter, Event::Dial(node, life, remote));
        }
        if let Some(due) = look
            && self.looks[node].is_none_or(|known| due < known)
        {
            self.looks[node] = Some(due);
            self.plan_at(due.max(self.now), Event::Look(node, life));
        }
        Ok(())
    }

    fn latency(&mut self, one: usize, other: usize) -> Duration {
        let slow = self.slow.is_some_and(|(node, until)| (node == one || node == other) && self.now < until);
        if slow { self.millis(100, 400) } else { self.millis(1, 5) }
    }

    /// Bytes from one end of a wire go to the other.
    fn send(&mut self, wire: usize, from: usize, bytes: Vec<u8>, is_closed: bool) {
        let Some(Wire { ends, is_dead: false, .. }) = &self.wires[wire] else { return };
        let latency = self.latency(ends[0].node, ends[1].node);
        let Some(known) = self.wires[wire].as_mut() else { return };
        let to = 1 - from;
        let lane = &mut known.lanes[to];
        let last = lane.parcels.back().map_or(Instant::START, |(at, _)| *at);
        let at = (self.now + latency).max(last);
        if !bytes.is_empty() {
            lane.parcels.push_back((at, Parcel::Bytes(bytes)));
        }
        if is_closed {
            lane.parcels.push_back((at, Parcel::End));
        }
        self.plan_at(at, Event::Arrive(wire, to));
    }

    fn is_parted(&self, one: usize, other: usize) -> Option<Instant> {
        let (group, until) = self.parted.as_ref().filter(|(_, until)| self.now < *until)?;
        (group.contains(&one) != group.contains(&other)).then_some(*until)
    }

    fn arrive(&mut self, wire: usize, end: usize) -> Result<(), String> {
        loop {
            let Some(known) = self.wires[wire].as_ref().filter(|wire| !wire.is_dead) else { return Ok(()) };
            let (ends, Some((at, _))) = (known.ends, known.lanes[end].parcels.front()) else { return Ok(()) };
            if *at > self.now {
                return Ok(());
            }
            if let Some(until) = self.is_parted(ends[0].node, ends[1].node) {
                self.plan_at(until, Event::Arrive(wire, end));
                return Ok(());
            }
            let parcel = self.wires[wire].as_mut().and_then(|wire| wire.lanes[end].parcels.pop_front());
            let SeatAt { node, place } = ends[end];
            // Nobody may sit there any more.
            if self.seats.get(&(node, place)) != Some(&(wire, end)) {
                return Ok(());
            }
            match parcel {
                Some((_, Parcel::Bytes(bytes))) => self.at(node, |server| server.hear(place, &bytes))?,
                Some((_, Parcel::End)) => self.at(node, |server| server.hang_up(place))?,
                None => return Ok(()),
            };
        }
    }

    fn dial(&mut self, node: usize, remote: RemoteId) -> Result<(), String> {
        let Some(server) = &self.nodes[node] else { return Ok(()) };
        let (desk, hub, server_id) = (server.desk.clone(), server.hub.clone(), server.server_id.clone());
        let Some(way) = desk.way(remote) else { return Ok(()) };
        let to = match &way {
            Way::Route { node, .. } => Some(*node),
            Way::Gateway { nodes, .. } | Way::Leaf { nodes } => self.pick(nodes),
        };
        let reached = to.filter(|to| self.nodes[*to].is_some() && self.is_parted(node, *to).is_none());
        let Some(to) = reached else {
            desk.failed(remote);
            return self.collect(node);
        };
        let (ours, theirs) = arrivals(self.shape, node, &server_id, &hub, remote, &way);
        let wire = self.wires.len();
        self.wires.push(None);
        let solicitor = self.seat(node, wire, 0, ours)?;
        let acceptor = self.seat(to, wire, 1, theirs)?;
        let ends = [SeatAt { node, place: solicitor }, SeatAt { node: to, place: acceptor }];
        self.wires[wire] = Some(Wire { ends, lanes: [Lane::default(), Lane::default()], is_dead: false });
        self.collect(node)?;
        self.collect(to)
    }

    /// Sits a connection down without carrying on what it says: the wire is not laid yet.
    fn seat(&mut self, node: usize, wire: usize, end: usize, arrival: Arrival) -> Result<usize, String> {
        let now = self.now;
        let server = self.nodes[node].as_mut().ok_or("the server is there")?;
        server.begin(now);
        let place = server.take_link(arrival);
        self.seats.insert((node, place), (wire, end));
        Ok(place)
    }

    fn start(&mut self, node: usize) -> Result<(), String> {
        if self.nodes[node].is_some() {
            return Ok(());
        }
        self.lives[node] += 1;
        self.looks[node] = None;
        let server = Node::new(self.shape, node, self.lives[node], self.now, &mut self.dice);
        self.nodes[node] = Some(server);
        for user in USERS {
            if let Some(place) = self.at(node, Node::take_client)? {
                let number = self.crowd.come(node, place, user == USERS[1]);
                let login = format!("\"user\":\"{user}\",\"pass\":\"{user}\"");
                let hello = format!(
                    "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"echo\":true,{login}}}\r\n"
                );
                self.at(node, |server| server.hear(place, hello.as_bytes()))?;
                for _ in 0..2 {
                    self.listen(number)?;
                }
            }
        }
        Ok(())
    }

    fn listen(&mut self, number: u64) -> Result<(), String> {
        let (Some(filter), Some(queue)) = (self.pick(&FILTERS), self.pick(&QUEUES)) else { return Ok(()) };
        let queue = (self.dice.below(3) == 0).then_some(queue);
        match self.crowd.listen(number, Listening { filter, queue }) {
            Some((node, place, said)) => self.at(node, |server| server.hear(place, said.as_bytes())).map(drop),
            None => Ok(()),
        }
    }

    /// A client does something.
    fn act(&mut self) -> Result<(), String> {
        if self.now >= self.ends {
            return Ok(());
        }
        let after = self.millis(5, 100);
        self.plan(after, Event::Act);
        let numbers: Vec<u64> = self.crowd.clients.keys().copied().collect();
        let Some(number) = self.pick(&numbers) else { return Ok(()) };
        match self.dice.below(10) {
            0 => self.listen(number),
            1 => {
                let first = self.dice.below(2) == 0;
                match self.crowd.stop(number, first) {
                    Some((node, place, said)) => self.at(node, |server| server.hear(place, said.as_bytes())).map(drop),
                    None => Ok(()),
                }
            }
            2 => self.publish(number, ORDER).map(drop),
            _ => {
                let Some(subject) = self.pick(&SUBJECTS) else { return Ok(()) };
                self.publish(number, subject).map(drop)
            }
        }
    }

    fn publish(&mut self, number: u64, subject: &str) -> Result<u64, String> {
        self.published += 1;
        let payload = self.published.to_string();
        let Some(client) = self.crowd.clients.get(&number) else { return Ok(self.published) };
        let (node, place) = (client.node, client.place);
        self.crowd.published.insert(self.published, (node, client.is_bound));
        let said = format!("PUB {subject} {}\r\n{payload}\r\n", payload.len());
        self.at(node, |server| server.hear(place, said.as_bytes()))?;
        Ok(self.published)
    }

    fn break_something(&mut self) -> Result<(), String> {
        if self.now + Duration::from_secs(12) >= self.ends {
            return Ok(());
        }
        let after = self.millis(500, 4000);
        self.plan(after, Event::Break);
        let node = self.dice.below(self.nodes.len() as u64) as usize;
        let at = Duration::from_nanos(self.now.as_nanos());
        let live: Vec<usize> = (0..self.wires.len()).filter(|wire| self.is_laid(*wire)).collect();
        let what = match self.dice.below(5) {
            0 => {
                let after = self.millis(200, 8000);
                self.plan(after, Event::Start(node));
                self.crash(node)?;
                format!("server {node} crashes and comes back after {after:?}")
            }
            1 => {
                let Some(wire) = self.pick(&live) else { return Ok(()) };
                self.cut(wire)?;
                format!("wire {wire} is cut")
            }
            2 => {
                let Some(wire) = self.pick(&live) else { return Ok(()) };
                if let Some(known) = self.wires[wire].as_mut() {
                    known.is_dead = true;
                    known.lanes = [Lane::default(), Lane::default()];
                }
                format!("wire {wire} goes dead")
            }
            3 => {
                let until = self.now + self.millis(500, 8000);
                self.parted = Some((BTreeSet::from([node]), until));
                format!("server {node} is cut off until {:?}", Duration::from_nanos(until.as_nanos()))
            }
            _ => {
                let until = self.now + self.millis(500, 8000);
                self.slow = Some((node, until));
                format!("the wires of server {node} are slow until {:?}", Duration::from_nanos(until.as_nanos()))
            }
        };
        self.troubles.push(format!("{at:?}: {what}"));
        Ok(())
    }

    fn is_laid(&self, wire: usize) -> bool {
        self.wires[wire].as_ref().is_some_and(|known| {
            let sits = |end: usize| {
                let SeatAt { node, place } = known.ends[end];
                self.seats.get(&(node, place)) == Some(&(wire, end))
            };
            !known.is_dead && sits(0) && sits(1)
        })
    }

    /// Both ends hear of it at once.
    fn cut(&mut self, wire: usize) -> Result<(), String> {
        let Some(known) = self.wires[wire].take() else { return Ok(()) };
        for (end, SeatAt { node, place }) in known.ends.into_iter().enumerate() {
            if self.seats.get(&(node, place)) == Some(&(wire, end)) {
                self.at(node, |server| server.hang_up(place))?;
            }
        }
        Ok(())
    }

    fn crash(&mut self, node: usize) -> Result<(), String> {
        self.nodes[node] = None;
        self.lives[node] += 1;
        self.crowd.lose(node);
        let wires: Vec<usize> =
            self.seats.iter().filter(|((at, _), _)| *at == node).map(|(_, (wire, _))| *wire).collect();
        self.seats.retain(|(at, _), _| *at != node);
        wires
            .into_iter()
            .filter(|wire| self.wires[*wire].as_ref().is_some_and(|wire| !wire.is_dead))
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|wire| self.cut(wire))
    }

    /// From every server every subject reaches everybody who listens to it, once.
    fn probe(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            let here = self.crowd.clients.iter().find(|(_, client)| client.node == node).map(|(number, _)| *number);
            let number = here.ok_or_else(|| format!("server {node} has clients"))?;
            for subject in SUBJECTS {
                self.crowd.probed.clear();
                let message = self.publish(number, subject)?;
                self.run_until(self.now + REACH)?;
                if let Some(wrong) = self.crowd.judge(message, subject) {
                    return Err(format!("published at server {node}: {wrong}"));
                }
            }
            let links = self.nodes[node].as_ref().map(|server| {
                let links = server.hub.links();
                let far = links.iter().filter(|link| {
                    link.link.kind == LinkKind::Gateway || !link.solicited && link.link.kind == LinkKind::Leaf
                });
                links.len() - far.count()
            });
            let wanted = self.shape.links(node);
            if links != Some(wanted) {
                return Err(format!("server {node} has {links:?} links and not {wanted}"));
            }
        }
        Ok(())
    }

    fn links(&self) -> String {
        let lines = self.nodes.iter().flatten().flat_map(|server| {
            let own = server.hub.links();
            own.into_iter().map(|link| {
                let way = if link.solicited { "to" } else { "from" };
                let (number, kind, place) = (server.number, link.link.kind, link.link.key.place);
                let wire = self.seats.get(&(number, place as usize)).map(|(wire, _)| *wire);
                format!("server {number}: {kind:?} {way} {} {} on wire {wire:?}", link.server_id, link.server)
            })
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Nobody listens any more, and nothing is left of what was listened to.
    fn leave(&mut self) -> Result<(), String> {
        let numbers: Vec<u64> = self.crowd.clients.keys().copied().collect();
        for number in numbers {
            while let Some((node, place, said)) = self.crowd.stop(number, true) {
                self.at(node, |server| server.hear(place, said.as_bytes()))?;
            }
        }
        self.run_until(self.now + REACH)?;
        for server in self.nodes.iter().flatten() {
            for account in server.hub.accounts() {
                let mut left = Vec::new();
                account.graph.for_each(&mut |entry| {
                    let filter = entry.grant.filter.to_string();
                    if FILTERS.contains(&&*filter) && !matches!(entry.target, Target::Internal(_)) {
                        left.push(filter);
                    }
                });
                if !left.is_empty() {
                    return Err(format!("server {} still knows of {left:?}", server.number));
                }
            }
        }
        Ok(())
    }
}
