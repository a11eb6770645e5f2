//! Who is refused on links between servers, by which end, and what the log says of it: every way to be the wrong server,
//! on each kind of link. `link_refusals.txt` is the table; `BULWARK_WRITE=1` writes it anew.
//!
//! Each cell has two servers that would be joined but for one fault, and a wire between them that remembers what went
//! over it. Whoever is refused hears nothing, and nothing it says is heard, before and after. A last row of each kind shows that
//! nothing but the fault was in the way.

use std::net::SocketAddr;

use testkit::certificates::{Authority, Identity, Subject, Years};

use crate::fleet::{Client, Make, Server, mixtures, settle, until, until_linked};
use crate::link_tls::Papers;
use crate::relay::{End, Relay};

const ACCOUNTS: &str = "accounts { A { users: [{user: a, password: a}] } }\nocsp_cache: false";

/// Cells of one kind that are tried at the same time.
const AT_ONCE: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Route,
    Leaf,
    Gateway,
}

/// Two servers, and what is wrong with one of them.
#[derive(Clone)]
struct Cell {
    fault: &'static str,
    judge: End,
    /// The TLS blocks of both ends; empty for none.
    accepts: String,
    dials: String,
    login: &'static str,
    /// The cluster of the end that dials, or which one it looks for.
    cluster: &'static str,
}

impl Kind {
    /// The end to which the other one goes.
    fn accepting(self, make: Make, tls: &str) -> Server {
        let listen = "listen: \"127.0.0.1:-1\"";
        let login = "authorization { user: l, password: right }";
        let block = match self {
            Self::Route => format!("cluster {{ name: C1, {listen}, {login}\n{tls} }}"),
            Self::Leaf => {
                let login = "authorization { user: l, password: right, account: A }";
                format!("leafnodes {{ {listen}, {login}\n{tls} }}\ncluster {{ name: C1, {listen} }}")
            }
            Self::Gateway => format!("gateway {{ name: C1, {listen}, {login}\n{tls} }}"),
        };
        Server::start(make, &format!("server_name: ACCEPTS\n{ACCOUNTS}\n{block}"))
    }

    fn address(self, server: &Server) -> SocketAddr {
        let address = match self {
            Self::Route => server.route,
            Self::Leaf => server.leaf,
            Self::Gateway => server.gateway,
        };
        address.unwrap()
    }

    fn dialing(self, make: Make, cell: &Cell, wire: &Relay) -> Server {
        let scheme = if cell.dials.is_empty() { "nats" } else { "tls" };
        let Cell { dials: tls, login, cluster, .. } = cell;
        let at = if login.is_empty() { String::new() } else { format!("{login}@") };
        let url = format!("{scheme}://{at}{}", wire.address);
        let listen = "listen: \"127.0.0.1:-1\"";
        let block = match self {
            Self::Route => format!("cluster {{ name: {cluster}, {listen}, pool_size: 1, routes: [\"{url}\"]\n{tls} }}"),
            Self::Leaf => format!(
                "leafnodes {{ remotes: [{{ url: \"{url}\", account: A\n{tls} }}] }}\ncluster {{ name: {cluster}, {listen} }}"
            ),
            Self::Gateway => format!(
                "gateway {{ name: C2, {listen}\n{tls}\n{} gateways: [{{ name: {cluster}, url: \"{url}\" }}] }}",
                if login.is_empty() { "" } else { "authorization { user: l, password: right }," }
            ),
        };
        Server::start(make, &format!("server_name: DIALS\n{ACCOUNTS}\n{block}"))
    }

    /// The cluster that the dialing end has, or looks for, if nothing is wrong with it.
    fn cluster(self) -> &'static str {
        match self {
            Self::Route | Self::Gateway => "C1",
            Self::Leaf => "C2",
        }
    }

    /// What both ends log once they are joined.
    fn joined(self) -> &'static str {
        match self {
            Self::Route => "Route connection created to server",
            Self::Leaf => "Leafnode connection created for account",
            Self::Gateway => "bound gateway connection",
        }
    }
}

/// What a log line says when somebody is refused.
const REFUSALS: [&str; 8] = [
    "TLS handshake error",
    "authentication error",
    "Rejecting connection",
    "rejected",
    "same cluster name",
    "requires TLS",
    "Authentication Timeout",
    "handshake timed out",
];

/// The line without time and address.
fn told(line: &str) -> String {
    let text = line.split_once("id:").map_or(line, |(_, text)| text);
    text.split_once(" - ").map_or(text, |(_, text)| text).to_owned()
}

/// A pair of clients, one at each end.
struct Talk {
    subscriber: Client,
    publisher: Client,
}

fn talks(accepts: &Server, dials: &Server) -> [Talk; 2] {
    let talk = |from: &Server, to: &Server| {
        let (mut subscriber, publisher) = (to.log_in("a"), from.log_in("a"));
        subscriber.subscribe("canary.>", "1");
        Talk { subscriber, publisher }
    };
    [talk(accepts, dials), talk(dials, accepts)]
}

fn nothing_crosses(talks: &mut [Talk; 2], what: &str) {
    // Each end hears its own, and nothing else.
    for (number, talk) in talks.iter_mut().enumerate() {
        talk.publisher.publish(&format!("canary.{number}"), "canary");
        talk.publisher.flush();
    }
    for talk in talks.iter_mut() {
        settle(&mut talk.subscriber);
    }
    for (number, talk) in talks.iter_mut().enumerate() {
        talk.publisher.publish(&format!("canary.{number}"), "canary");
        talk.publisher.flush();
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    for (number, talk) in talks.iter_mut().enumerate() {
        let own = format!("canary.{}", 1 - number);
        let came = talk.subscriber.drain();
        assert!(came.iter().all(|message| message.subject == own), "{what}: {came:?}");
    }
}

/// Plays a cell. What the judge says.
fn refusal(kind: Kind, cell: &Cell, [accepting, dialing]: [Make; 2]) -> String {
    let what = format!("{kind:?} {} {accepting:?} {dialing:?}", cell.fault);
    let mut accepts = kind.accepting(accepting, &cell.accepts);
    let mut near = accepts.log_in("a");
    near.subscribe("canary.>", "9");
    let wire = Relay::to(kind.address(&accepts));
    let mut dials = kind.dialing(dialing, cell, &wire);
    let mut line = String::new();
    {
        let judge = if cell.judge == End::Accepts { &mut accepts } else { &mut dials };
        until(&format!("{what} is refused"), || {
            let log = judge.log();
            // On a busy machine a handshake may take too long; the next one says what is wrong.
            let names_it = |line: &&str| !line.ends_with("handshake error: timeout");
            let found = log.lines().filter(names_it).find(|line| REFUSALS.iter().any(|part| line.contains(part)));
            line = found.unwrap_or_default().to_owned();
            !line.is_empty()
        });
        line = told(&line);
    }
    nothing_crosses(&mut talks(&accepts, &dials), &what);
    // Who is refused may take itself for joined until the other one has judged, and talk; who judges never does.
    assert!(!wire.has_said(cell.judge, "canary"), "{what}: the judge tells nothing of it");
    let judge = if cell.judge == End::Accepts { &mut accepts } else { &mut dials };
    let log = judge.log();
    assert!(!log.contains(kind.joined()), "{what}: {log}");
    line
}

/// Certificates, roots and a list of one authority and of a stranger's.
struct Cells {
    papers: Papers,
}

impl Cells {
    fn new() -> Self {
        let papers = Papers::new();
        let subject = || Subject::named("server").dns("localhost").address([127, 0, 0, 1].into());
        papers.identity("expired", &papers.ours.issue(subject().years(Years::Past)));
        papers.identity("future", &papers.ours.issue(subject().years(Years::Future)));
        papers.identity("elsewhere", &papers.ours.issue(Subject::named("elsewhere").dns("elsewhere")));
        let revoked = papers.ours.issue(subject());
        papers.identity("revoked", &revoked);
        papers.write("list.crl", &papers.ours.revocation_list(&[&revoked], Years::Now));
        Self { papers }
    }

    fn block(&self, own: &str, trusts: &str, more: &str) -> String {
        self.papers.block(own, trusts, &format!(", verify: true {more}"))
    }

    fn of(&self, kind: Kind) -> Vec<Cell> {
        let good = || self.block("server", "ca.pem", "");
        let cell = |fault, judge| Cell {
            fault,
            judge,
            accepts: good(),
            dials: good(),
            login: "l:right",
            cluster: kind.cluster(),
        };
        let crl = format!(", crl_file: '{}'", self.papers.path("list.crl"));
        let pins = format!(", pinned_certs: [\"{}\"]", "ab".repeat(32));
        let mut cells = Vec::new();
        // Faults in the papers of one end, found by the other.
        for judge in [End::Accepts, End::Dials] {
            let mut papers = |fault, shown: &str, asked: String| {
                let shown = self.block(shown, "ca.pem", "");
                let (accepts, dials) = if judge == End::Accepts { (asked, shown) } else { (shown, asked) };
                cells.push(Cell { accepts, dials, ..cell(fault, judge) });
            };
            papers("certificate of another authority", "stranger", good());
            papers("certificate that has expired", "expired", good());
            papers("certificate of the future", "future", good());
            papers("certificate that is revoked", "revoked", self.block("server", "ca.pem", &crl));
            papers("key that is not pinned", "server", self.block("server", "ca.pem", &pins));
            if judge == End::Dials {
                papers("certificate for another name", "elsewhere", good());
            }
        }
        // A leaf node hears from its hub that it must have some, and finds that it has none; a gateway hears nothing at all.
        let judge = if kind == Kind::Route { End::Accepts } else { End::Dials };
        cells.push(Cell { dials: String::new(), ..cell("no TLS", judge) });
        // Faults in what is said, in the clear so that the wire can be read.
        let plain = |fault, judge| Cell { accepts: String::new(), dials: String::new(), ..cell(fault, judge) };
        cells.push(Cell { login: "l:wrong", ..plain("wrong password", End::Accepts) });
        cells.push(Cell { login: "x:right", ..plain("unknown user", End::Accepts) });
        cells.push(Cell { login: "", ..plain("no login", End::Accepts) });
        cells.push(match kind {
            Kind::Route => Cell { cluster: "C9", ..plain("another cluster", End::Accepts) },
            Kind::Leaf => Cell { cluster: "C1", ..plain("the hub's own cluster", End::Accepts) },
            Kind::Gateway => Cell { cluster: "C9", ..plain("another cluster", End::Dials) },
        });
        cells
    }
}

/// The rows of the table for one kind.
fn rows(kind: Kind) -> String {
    let cells = Cells::new();
    let all = cells.of(kind);
    let mut rows = Vec::new();
    for some in all.chunks(AT_ONCE) {
        let played: Vec<String> = std::thread::scope(|scope| {
            let plays: Vec<_> = some.iter().map(|cell| scope.spawn(move || play(kind, cell))).collect();
            plays.into_iter().map(|play| play.join().unwrap()).collect()
        });
        rows.extend(played);
    }
    rows.push(joined(kind, &cells));
    rows.join("\n") + "\n"
}

fn play(kind: Kind, cell: &Cell) -> String {
    let judged_by = if cell.judge == End::Accepts { 0 } else { 1 };
    let mut said: Vec<String> = mixtures::<2>()
        .into_iter()
        .filter(|mix| mix[judged_by] == Make::Ours)
        .map(|mix| refusal(kind, cell, mix))
        .collect();
    let first = said.remove(0);
    for other in said {
        // The reference shows no certificate that the other end does not ask for.
        assert!(other == first || other.ends_with("client didn't provide a certificate"), "{first} {other}");
    }
    let judge = if cell.judge == End::Accepts { "accepts" } else { "dials" };
    format!("{kind:?} | {} | {judge} | {first}", cell.fault)
}

/// With no fault they are joined.
fn joined(kind: Kind, cells: &Cells) -> String {
    let good = cells.block("server", "ca.pem", "");
    let cell = Cell {
        fault: "none",
        judge: End::Accepts,
        accepts: good.clone(),
        dials: good,
        login: "l:right",
        cluster: kind.cluster(),
    };
    let accepts = kind.accepting(Make::Ours, &cell.accepts);
    let wire = Relay::to(kind.address(&accepts));
    let dials = kind.dialing(Make::Ours, &cell, &wire);
    for Talk { subscriber, publisher } in &mut talks(&accepts, &dials) {
        until_linked(publisher, subscriber, "canary.x");
    }
    format!("{kind:?} | none | - | they are joined")
}

fn compare(kind: Kind, rows: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/link_refusals.txt");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let start = format!("{kind:?} |");
    let before: String = text.lines().filter(|line| line.starts_with(&start)).map(|line| format!("{line}\n")).collect();
    if std::env::var_os("BULWARK_WRITE").is_some() {
        let others: String =
            text.lines().filter(|line| !line.starts_with(&start)).map(|line| format!("{line}\n")).collect();
        return std::fs::write(&path, others + rows).unwrap();
    }
    assert_eq!(before, rows, "the table is another one");
}

#[test]
fn routes_refuse_every_wrong_server_and_say_why() {
    compare(Kind::Route, &rows(Kind::Route));
}

#[test]
fn leaf_connections_refuse_every_wrong_server_and_say_why() {
    compare(Kind::Leaf, &rows(Kind::Leaf));
}

#[test]
fn gateways_refuse_every_wrong_server_and_say_why() {
    compare(Kind::Gateway, &rows(Kind::Gateway));
}

/// What makes a link that stands fall.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// A list revokes the other end's certificate.
    List,
    /// The roots are those of somebody else.
    Roots,
}

/// Files that only the judge reads, so that only it changes its mind.
struct Own<'a> {
    papers: &'a Papers,
    far: Identity,
    name: String,
}

impl<'a> Own<'a> {
    fn new(papers: &'a Papers, name: String) -> Self {
        let subject = Subject::named("server").dns("localhost").address([127, 0, 0, 1].into());
        let far = papers.ours.issue(subject);
        papers.identity(&format!("far-{name}"), &far);
        papers.write(&format!("own-{name}.pem"), &papers.ours.pem);
        papers.write(&format!("own-{name}.crl"), &papers.ours.revocation_list(&[], Years::Now));
        Self { papers, far, name }
    }

    fn block(&self) -> String {
        let list = self.papers.path(&format!("own-{}.crl", self.name));
        let more = format!(", verify: true, crl_file: '{list}'");
        self.papers.block("server", &format!("own-{}.pem", self.name), &more)
    }

    fn far_block(&self) -> String {
        self.papers.block(&format!("far-{}", self.name), "ca.pem", ", verify: true")
    }

    fn change(&self, change: Change) {
        match change {
            Change::List => {
                let list = self.papers.ours.revocation_list(&[&self.far], Years::Now);
                self.papers.write(&format!("own-{}.crl", self.name), &list);
            }
            Change::Roots => {
                let other = Authority::new("Other");
                self.papers.write(&format!("own-{}.crl", self.name), &other.revocation_list(&[], Years::Now));
                self.papers.write(&format!("own-{}.pem", self.name), &other.pem);
            }
        }
    }
}

/// A link stands, falls when the files of one end change, and does not come back.
fn falls(kind: Kind, judge: End, change: Change, papers: &Papers) {
    let what = format!("{kind:?}-{judge:?}-{change:?}");
    let own = Own::new(papers, what.clone());
    let (accepts, dials) = match judge {
        End::Accepts => (own.block(), own.far_block()),
        End::Dials => (own.far_block(), own.block()),
    };
    let cell = Cell { fault: "none", judge, accepts, dials, login: "l:right", cluster: kind.cluster() };
    let mut accepts = kind.accepting(Make::Ours, &cell.accepts);
    let wire = Relay::to(kind.address(&accepts));
    let mut dials = kind.dialing(Make::Ours, &cell, &wire);
    let mut talks = talks(&accepts, &dials);
    for Talk { subscriber, publisher } in &mut talks {
        until_linked(publisher, subscriber, "canary.x");
    }
    own.change(change);
    let server = if judge == End::Accepts { &mut accepts } else { &mut dials };
    let line = server.logged("TLS connection closed by reload: ");
    assert!(line.contains("x509: "), "{what}: {line}");
    server.logged("TLS handshake error: ");
    nothing_crosses(&mut talks, &what);
}

fn all_fall(kind: Kind) {
    let papers = Papers::new();
    std::thread::scope(|scope| {
        for judge in [End::Accepts, End::Dials] {
            for change in [Change::List, Change::Roots] {
                let papers = &papers;
                scope.spawn(move || falls(kind, judge, change, papers));
            }
        }
    });
}

#[test]
fn a_route_falls_when_its_papers_no_longer_hold() {
    all_fall(Kind::Route);
}

#[test]
fn a_leaf_connection_falls_when_its_papers_no_longer_hold() {
    all_fall(Kind::Leaf);
}

#[test]
fn a_gateway_falls_when_its_papers_no_longer_hold() {
    all_fall(Kind::Gateway);
}
