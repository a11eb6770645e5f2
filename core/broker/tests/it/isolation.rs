//! Isolation: random accounts that share with each other, move messages and restrict their users. A message is delivered
//! if and only if the oracle, which knows nothing of plans, graphs or imports that were compiled, says so; and imports that
//! would bring a message back to where it came from are refused.
//!
//! `BULWARK_GRAPHS` is how many graphs are tried, `BULWARK_GRAPH` the first one.

use std::collections::BTreeSet;

use account::{
    Access, AccountIds, AccountName, Destination, Import, ImportKind, LocalName, Mapping, ServiceExport, StreamExport,
};
use auth::Directory;
use auth::settings::{
    AccountSettings, ExportSettings, PermissionsSettings, Place, Placed, Settings, SideSettings, UserSettings,
};

use crate::conversation::{Client, Conversation};

/// Graphs of an ordinary run.
const GRAPHS: u64 = 2000;

/// Numbers that look random, the same for the same graph.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % bound
    }

    fn once_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    fn literal(&mut self) -> String {
        let length = 1 + self.below(2) + usize::from(self.once_in(5));
        (0..length).map(|_| self.of(&["a", "a", "b", "p", "q"])).collect::<Vec<_>>().join(".")
    }

    fn filter(&mut self) -> String {
        let length = 1 + self.below(2);
        let mut tokens: Vec<&str> = (0..length).map(|_| self.of(&["a", "b", "p", "*", "*"])).collect();
        if self.once_in(4) {
            tokens.push(">");
        }
        tokens.join(".")
    }

    fn filters(&mut self, most: usize) -> Vec<String> {
        (0..=self.below(most)).map(|_| self.filter()).collect()
    }
}

#[derive(Clone, Debug)]
struct Sub {
    filter: String,
    queue: Option<&'static str>,
}

#[derive(Clone, Debug, Default)]
struct User {
    publish: (Option<Vec<String>>, Vec<String>),
    subscribe: (Option<Vec<String>>, Vec<String>),
    subs: Vec<Sub>,
}

/// What is offered: the subject, whether it is a stream, and to whom if not to all.
#[derive(Clone, Debug)]
struct Export {
    subject: String,
    stream: bool,
    only: Option<BTreeSet<usize>>,
}

/// What is taken: `local` is what it is called here, with a wildcard for each one there.
#[derive(Clone, Debug, PartialEq)]
struct Taken {
    from: usize,
    subject: String,
    local: String,
    stream: bool,
}

#[derive(Clone, Debug, Default)]
struct Tenant {
    users: Vec<User>,
    exports: Vec<Export>,
    imports: Vec<Taken>,
    mappings: Vec<(String, String)>,
}

type World = Vec<Tenant>;

// The oracle.

/// Whether a filter matches everything that another filter or a subject does.
fn covers(filter: &str, other: &str) -> bool {
    matches_text(filter, other) && !filter.split('.').zip(other.split('.')).any(|pair| pair == ("*", ">"))
}

/// Whether a filter matches a text, whatever stands in it.
fn matches_text(filter: &str, other: &str) -> bool {
    let (filter, other): (Vec<&str>, Vec<&str>) = (filter.split('.').collect(), other.split('.').collect());
    let fits = |(at, token): (usize, &&str)| match *token {
        ">" | "*" => other.len() > at,
        token => other.get(at) == Some(&token),
    };
    filter.iter().enumerate().all(fits) && (filter.len() == other.len() || filter.last() == Some(&">"))
}

/// A subject that matches `from`, with what its wildcards stood for put in the places of those of `to`.
fn moved(from: &str, to: &str, subject: &str) -> String {
    let tokens: Vec<&str> = subject.split('.').collect();
    let wild = from.split('.').enumerate().filter(|(_, token)| *token == "*");
    let mut caught = wild.map(|(at, _)| tokens[at]);
    let rest = tokens[from.split('.').count() - 1..].join(".");
    let token = |token: &str| match token {
        "*" => caught.next().unwrap_or_default().to_owned(),
        ">" => rest.clone(),
        token => token.to_owned(),
    };
    to.split('.').map(token).collect::<Vec<_>>().join(".")
}

fn allows((allow, deny): &(Option<Vec<String>>, Vec<String>), what: &str) -> bool {
    allow.as_ref().is_none_or(|allow| allow.iter().any(|entry| covers(entry, what)))
        && !deny.iter().any(|entry| matches_text(entry, what))
}

fn mapped(tenant: &Tenant, subject: &str) -> String {
    let found = tenant.mappings.iter().find(|(source, _)| covers(source, subject));
    found.map_or(subject.to_owned(), |(source, to)| moved(source, to, subject))
}

/// Who gets a message: account, user, subscription, and the subject they see.
type Got = (usize, usize, usize, String);

/// What a message leads to: whom it reaches for certain, and groups of which one gets it.
#[derive(Default, Debug)]
struct Fate {
    all: Vec<Got>,
    one_of: Vec<Vec<Got>>,
}

impl Fate {
    /// A message is in an account. `passed` are the exports it came by.
    fn follow(&mut self, world: &World, at: usize, subject: &str, passed: &mut Vec<(usize, String)>) {
        let mut wanted = Self::listeners(world, at, subject);
        for (other, tenant) in world.iter().enumerate().filter(|_| passed.is_empty()) {
            let heard = tenant.imports.iter().filter(|import| import.stream && import.from == at);
            for import in heard.filter(|import| covers(&import.subject, subject)) {
                wanted.extend(Self::listeners(world, other, &moved(&import.subject, &import.local, subject)));
            }
        }
        let (plain, queued): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(queue, _)| queue.is_none());
        self.all.extend(plain.into_iter().map(|(_, got)| got));
        for queue in queued.iter().map(|(queue, _)| *queue).collect::<BTreeSet<_>>() {
            self.one_of.push(queued.iter().filter(|(other, _)| *other == queue).map(|(_, got)| got.clone()).collect());
        }
        for import in world[at].imports.iter().filter(|import| !import.stream && covers(&import.local, subject)) {
            let export = (import.from, exported(world, import));
            if !passed.contains(&export) {
                passed.push(export);
                let there = mapped(&world[import.from], &moved(&import.local, &import.subject, subject));
                self.follow(world, import.from, &there, passed);
                passed.pop();
            }
        }
    }

    fn listeners(world: &World, at: usize, subject: &str) -> Vec<(Option<&'static str>, Got)> {
        let mut found = Vec::new();
        for (who, user) in world[at].users.iter().enumerate() {
            for (sid, sub) in user.subs.iter().enumerate() {
                let hears = covers(&sub.filter, subject) && allows(&user.subscribe, &sub.filter);
                if hears && !user.subscribe.1.iter().any(|deny| covers(deny, subject)) {
                    found.push((sub.queue, (at, who, sid, subject.to_owned())));
                }
            }
        }
        found
    }

    fn of(world: &World, at: usize, who: usize, subject: &str) -> Self {
        let mut fate = Self::default();
        let subject = mapped(&world[at], subject);
        if allows(&world[at].users[who].publish, &subject) {
            fate.follow(world, at, &subject, &mut Vec::new());
        }
        fate
    }

    /// Whether this is what happened.
    fn is(&self, mut got: Vec<Got>) -> bool {
        let certain = self.all.iter().all(|wanted| {
            let at = got.iter().position(|found| found == wanted);
            at.map(|at| got.swap_remove(at)).is_some()
        });
        certain && one_of_each(&self.one_of, &mut got)
    }
}

fn one_of_each(groups: &[Vec<Got>], got: &mut Vec<Got>) -> bool {
    let Some((group, rest)) = groups.split_first() else { return got.is_empty() };
    (0..got.len()).any(|at| {
        let picked = got.remove(at);
        let fits = group.contains(&picked) && one_of_each(rest, got);
        got.insert(at, picked);
        fits
    })
}

/// The export an import is a part of: the same, or the first that covers it.
fn exported(world: &World, import: &Taken) -> String {
    let mut exports: Vec<_> =
        world[import.from].exports.iter().filter(|export| export.stream == import.stream).collect();
    exports.sort_by(|one, other| one.subject.cmp(&other.subject));
    let same = exports.iter().find(|export| export.subject == import.subject);
    let export = same.or_else(|| exports.iter().find(|export| covers(&export.subject, &import.subject)));
    export.map(|export| export.subject.clone()).unwrap_or_default()
}

fn may_import(world: &World, at: usize, import: &Taken) -> bool {
    let name = exported(world, import);
    let export =
        world[import.from].exports.iter().find(|export| export.stream == import.stream && export.subject == name);
    export.is_some_and(|export| export.only.as_ref().is_none_or(|only| only.contains(&at)))
}

/// Whether some subject is matched by both.
fn meet(one: &str, other: &str) -> bool {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('.').collect(), other.split('.').collect());
    let mut pairs = one.iter().zip(&other);
    let open = |tokens: &[&str], at: usize| tokens.get(at) == Some(&">");
    match pairs.position(|(a, b)| *a == ">" || *b == ">" || (*a != "*" && *b != "*" && a != b)) {
        Some(at) => open(&one, at) || open(&other, at),
        None => one.len() == other.len(),
    }
}

/// Whether an account could get a message back that leaves by this import.
fn is_circle(world: &World, at: usize, import: &Taken) -> bool {
    let (mut reached, mut work) = (Vec::new(), vec![(import.from, import.subject.clone())]);
    while let Some((there, subject)) = work.pop() {
        if there == at && meet(&subject, &import.local) {
            return true;
        }
        for next in world[there].imports.iter().filter(|next| next.stream == import.stream) {
            if meet(&subject, &next.local) && !reached.contains(&next) {
                reached.push(next);
                work.push((next.from, next.subject.clone()));
            }
        }
    }
    false
}

// The worlds.

fn user(dice: &mut Dice) -> User {
    let mut side = |often| {
        let allow = dice.once_in(often).then(|| dice.filters(3));
        let deny = if dice.once_in(often) { dice.filters(2) } else { Vec::new() };
        (allow, deny)
    };
    let (publish, subscribe) = (side(4), side(3));
    let sub = |dice: &mut Dice| Sub {
        filter: if dice.once_in(5) { ">".to_owned() } else { dice.filter() },
        queue: dice.once_in(4).then(|| dice.of(&["x", "y"])).map(|name| if name == "x" { "x" } else { "y" }),
    };
    User { publish, subscribe, subs: (0..1 + dice.below(4)).map(|_| sub(dice)).collect() }
}

fn tenant(dice: &mut Dice, tenants: usize) -> Tenant {
    let mut made = Tenant { users: (0..1 + dice.below(2)).map(|_| user(dice)).collect(), ..Tenant::default() };
    for _ in 0..1 + dice.below(4) {
        let (subject, stream) = (if dice.once_in(6) { ">".to_owned() } else { dice.filter() }, dice.once_in(2));
        let only = dice.once_in(4).then(|| (0..tenants).filter(|_| dice.once_in(2)).collect::<BTreeSet<_>>());
        // An empty list of accounts is no list.
        let only = only.filter(|only| !only.is_empty());
        if !made.exports.iter().any(|known| (known.stream, &known.subject) == (stream, &subject)) {
            made.exports.push(Export { subject, stream, only });
        }
    }
    while dice.once_in(3) {
        let source = dice.filter();
        let wild = source.matches('*').count();
        if source.ends_with('>') || made.mappings.iter().any(|(known, _)| *known == source) {
            continue;
        }
        let to = if dice.once_in(2) { format!("q{}", ".*".repeat(wild)) } else { dice.literal() };
        made.mappings.push((source, to));
    }
    made
}

/// A part of what another account offers, under a name of its own or the same.
fn wish(dice: &mut Dice, world: &World) -> Option<Taken> {
    let from = dice.below(world.len());
    let exports = &world[from].exports;
    let Export { subject, stream, .. } = exports.get(dice.below(exports.len().max(1)))?;
    let narrower = dice.filter();
    let subject = if dice.once_in(3) && covers(subject, &narrower) { &narrower } else { subject };
    let wild = subject.matches('*').count();
    let local = match dice.below(4) {
        0 if *stream => format!("p.{subject}"),
        1 if !subject.ends_with('>') && (*stream || wild > 0) => format!("q{}", ".*".repeat(wild)),
        2 if !*stream && wild == 0 && !subject.ends_with('>') => dice.literal(),
        _ => subject.clone(),
    };
    Some(Taken { from, subject: subject.clone(), local, stream: *stream })
}

/// Imports that may not stand, by the reason.
#[derive(Default, Debug)]
struct Refused {
    rights: usize,
    circles: usize,
}

fn world(dice: &mut Dice, refused: &mut Refused) -> World {
    let tenants = 2 + dice.below(4);
    let mut world: World = (0..tenants).map(|_| tenant(dice, tenants)).collect();
    for _ in 0..dice.below(20) {
        let at = dice.below(tenants);
        let Some(import) = wish(dice, &world) else { continue };
        let twice = |known: &Taken| {
            let key =
                |one: &Taken| (one.from, one.stream, if one.stream { one.subject.clone() } else { one.local.clone() });
            key(known) == key(&import)
        };
        if world[at].imports.iter().any(twice) {
            continue;
        }
        let (may, circle) = (may_import(&world, at, &import), is_circle(&world, at, &import));
        let stands = may && !circle;
        refused.rights += usize::from(!may);
        refused.circles += usize::from(may && circle);
        let mut further = world.clone();
        further[at].imports.push(import.clone());
        if stands {
            world = further;
        } else {
            let built = Directory::build(&settings(&further), &mut AccountIds::default());
            assert!(built.is_err(), "{at} may not have {import:?} of {world:?}");
        }
    }
    world
}

// The worlds as settings.

fn name(at: usize) -> String {
    format!("T{at}")
}

fn login(at: usize, who: usize) -> String {
    format!("t{at}u{who}")
}

fn side((allow, deny): &(Option<Vec<String>>, Vec<String>)) -> SideSettings {
    let rules = |texts: &Vec<String>| texts.iter().map(|text| text.as_str().into()).collect();
    SideSettings { allow: allow.as_ref().map(rules), deny: (!deny.is_empty()).then(|| rules(deny)) }
}

fn placed<T>(what: T) -> Placed<T> {
    Placed { what, origin: Place::default() }
}

fn export(export: &Export) -> ExportSettings {
    let names = |only: &BTreeSet<usize>| only.iter().map(|at| AccountName::parse(&name(*at)).unwrap()).collect();
    let access = export.only.as_ref().map_or(Access::Public, |only| Access::Approved(names(only)));
    let subject = export.subject.parse().unwrap();
    match export.stream {
        true => ExportSettings::Stream(StreamExport { subject, access }),
        false => ExportSettings::Service(ServiceExport::new(subject, access)),
    }
}

/// `*` as `$1`, `$2` and so on.
fn numbered(local: &str) -> String {
    let mut next = 0;
    let token = |token: &str| match token {
        "*" => {
            next += 1;
            format!("${next}")
        }
        token => token.to_owned(),
    };
    local.split('.').map(token).collect::<Vec<_>>().join(".")
}

fn import(taken: &Taken) -> Import {
    let local = match &taken.local {
        same if *same == taken.subject => LocalName::Same,
        other if *other == format!("p.{}", taken.subject) => LocalName::Prefixed("p".into()),
        other => LocalName::Mapped(numbered(other)),
    };
    let kind = match taken.stream {
        true => ImportKind::Stream { local, allow_trace: false },
        false => ImportKind::Service { to: taken.local.clone(), share: false },
    };
    let account = AccountName::parse(&name(taken.from)).unwrap();
    Import { account, subject: taken.subject.clone(), kind, activated: false }
}

fn settings(world: &World) -> Settings {
    let account = |(at, tenant): (usize, &Tenant)| {
        let user = |(who, user): (usize, &User)| UserSettings {
            user: Some(login(at, who)),
            password: Some(secret::Secret::new(login(at, who))),
            permissions: Some(Box::new(PermissionsSettings {
                publish: side(&user.publish),
                subscribe: side(&user.subscribe),
                ..PermissionsSettings::default()
            })),
            ..UserSettings::default()
        };
        let mut account = AccountSettings {
            name: name(at),
            users: tenant.users.iter().enumerate().map(user).collect(),
            exports: tenant.exports.iter().map(export).map(placed).collect(),
            imports: tenant.imports.iter().map(import).map(placed).collect(),
            ..AccountSettings::default()
        };
        for (source, to) in &tenant.mappings {
            let mapping = Mapping::compile(source, &[Destination::all(numbered(to))]).unwrap();
            account.mappings.add(mapping).unwrap();
        }
        account
    };
    Settings { accounts: world.iter().enumerate().map(account).collect(), ..Settings::default() }
}

// What happens.

struct Stage {
    broker: Conversation,
    clients: Vec<Vec<Client>>,
}

impl Stage {
    fn set(world: &World) -> Self {
        let mut broker = Conversation::with(&settings(world), |_| {});
        let mut clients = Vec::new();
        for (at, tenant) in world.iter().enumerate() {
            let own: Vec<_> = (0..tenant.users.len()).map(|who| broker.login(&login(at, who))).collect();
            for (client, user) in own.iter().zip(&tenant.users) {
                for (sid, sub) in user.subs.iter().enumerate() {
                    let queue = sub.queue.map(|queue| format!("{queue} ")).unwrap_or_default();
                    broker.says(client, format!("SUB {} {queue}{sid}\r\n", sub.filter));
                }
            }
            clients.push(own);
        }
        clients.iter().flatten().for_each(|client| drop(broker.hears(client)));
        Self { broker, clients }
    }

    fn publish(&mut self, at: usize, who: usize, subject: &str) -> Vec<Got> {
        self.broker.says(&self.clients[at][who], format!("PUB {subject} 0\r\n\r\n"));
        let mut got = Vec::new();
        for (at, own) in self.clients.iter().enumerate() {
            for (who, client) in own.iter().enumerate() {
                for line in self.broker.hears(client).lines() {
                    if let [verb, subject, sid, ..] = line.split(' ').collect::<Vec<_>>()[..]
                        && verb.ends_with("MSG")
                    {
                        got.push((at, who, sid.parse().unwrap(), subject.to_owned()));
                    }
                }
            }
        }
        got
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var_os(variable).and_then(|text| text.to_str()?.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_message_is_delivered_if_and_only_if_the_oracle_says_so() {
    let first = number("BULWARK_GRAPH", 0);
    let (mut reached, mut across, mut refused) = (0, 0, Refused::default());
    for graph in first..first + number("BULWARK_GRAPHS", GRAPHS) {
        let mut dice = Dice(graph);
        let world = world(&mut dice, &mut refused);
        let mut stage = Stage::set(&world);
        for _ in 0..12 {
            let at = dice.below(world.len());
            let (who, subject) = (dice.below(world[at].users.len()), dice.literal());
            let fate = Fate::of(&world, at, who, &subject);
            let got = stage.publish(at, who, &subject);
            reached += usize::from(!got.is_empty());
            across += usize::from(got.iter().any(|(there, ..)| *there != at));
            assert!(
                fate.is(got.clone()),
                "graph {graph}: user {who} of {at} published {subject}\nexpected {fate:?}\ngot {got:?}\n{world:?}"
            );
        }
    }
    assert!(reached > 0 && across > 0, "{reached} messages reached somebody, {across} in another account");
    println!("{reached} messages reached somebody, {across} of them in another account; {refused:?}");
}
