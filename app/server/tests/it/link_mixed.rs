//! Whole deployments: a cluster of three, a hub with a chain of leaf nodes, a super-cluster of two times two; with the
//! reference in every position, and all of it the reference. Whatever is said in one of them is heard in the same way in all.
//!
//! The links are encrypted, pinned, compressed and ask for a password, all at once; `BULWARK_ALL_LINKS` tries each of it alone
//! as well, as `cargo xtask prove mixed` does.

use std::collections::BTreeSet;

use crate::fleet::{Client, Make, Server, mixtures_and_the_reference, settle, until, until_linked};
use crate::link_tls::Papers;

/// Links of leaf nodes carry A alone. What I imports of it crosses as A's, to whichever server it is imported.
const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}], exports: [{stream: "news.>"}, {service: "price.*"}] }
    B { users: [{user: b, password: b}] }
    I {
        users: [{user: i, password: i}]
        imports: [
            {stream: {account: A, subject: "news.>"}, prefix: from.a}
            {service: {account: A, subject: "price.*"}, to: "ask.*"}
        ]
    }
}"#;

const LISTEN: &str = "listen: \"127.0.0.1:-1\"";

/// Deployments that are tried at the same time.
const AT_ONCE: usize = 4;

/// More than a chunk of compressed bytes holds.
const LARGE_BYTES: usize = 300_000;

const JOBS: usize = 30;

/// What the links have.
#[derive(Clone, Copy, Debug)]
struct Guard {
    tls: bool,
    pins: bool,
    compression: bool,
    login: bool,
}

const NOTHING: Guard = Guard { tls: false, pins: false, compression: false, login: false };
const EVERYTHING: Guard = Guard { tls: true, pins: true, compression: true, login: true };

/// What is tried in this run.
fn guards() -> Vec<Guard> {
    if std::env::var_os("BULWARK_ALL_LINKS").is_none() {
        return vec![EVERYTHING];
    }
    vec![
        NOTHING,
        Guard { tls: true, ..NOTHING },
        Guard { tls: true, pins: true, ..NOTHING },
        Guard { compression: true, ..NOTHING },
        Guard { login: true, ..NOTHING },
        EVERYTHING,
    ]
}

impl Guard {
    fn tls(self, papers: &Papers) -> String {
        let pins = if self.pins { format!(", pinned_certs: [\"{}\"]", papers.pin) } else { String::new() };
        if self.tls { papers.block("server", "ca.pem", &format!(", verify: true {pins}")) } else { String::new() }
    }

    /// What a block of routes or gateways says beside where it listens and where it goes.
    fn block(self, papers: &Papers, compresses: bool) -> String {
        let login = if self.login { "authorization { user: l, password: l }" } else { "" };
        let compression = if self.compression && compresses { "compression: s2_better" } else { "" };
        format!("{}\n{login}\n{compression}", self.tls(papers))
    }

    /// The same of a block of leaf nodes, who come into account A.
    fn leafs(self, papers: &Papers) -> String {
        let login = if self.login { "authorization { user: l, password: l, account: A }" } else { "" };
        let compression = if self.compression { "compression: s2_fast" } else { "" };
        format!("{}\n{login}\n{compression}", self.tls(papers))
    }

    /// A leaf node's way to its hub.
    fn remote(self, papers: &Papers, hub: &Server) -> String {
        let url = hub.leaf_url(if self.login { "l:l" } else { "a:a" });
        let url = if self.tls { url.replace("nats:", "tls:") } else { url };
        let compression = if self.compression { "compression: s2_best" } else { "" };
        format!("remotes: [{{ url: \"{url}\", account: A\n{}\n{compression} }}]", self.tls(papers))
    }

    /// How another server is named in a URL.
    fn url(self, url: &str) -> String {
        if self.login { url.replace("//", "//l:l@") } else { url.to_owned() }
    }
}

fn start(make: Make, name: &str, blocks: &str) -> Server {
    Server::start(make, &format!("server_name: {name}\nocsp_cache: false\n{ACCOUNTS}\n{blocks}"))
}

/// The last two know only the first.
fn cluster(makes: [Make; 3], guard: Guard, papers: &Papers) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for (make, name) in makes.into_iter().zip(["ONE", "TWO", "THREE"]) {
        let routes: Vec<String> =
            servers.first().map(|first| format!("\"{}\"", guard.url(&first.route_url("")))).into_iter().collect();
        let block = guard.block(papers, true);
        let cluster = format!("cluster {{ name: C, {LISTEN}\n{block}\nroutes: [{}] }}", routes.join(", "));
        servers.push(start(make, name, &cluster));
    }
    servers
}

fn chain(makes: [Make; 3], guard: Guard, papers: &Papers) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for (make, name) in makes.into_iter().zip(["HUB", "MIDDLE", "END"]) {
        let remote = servers.last().map(|hub| guard.remote(papers, hub)).unwrap_or_default();
        servers.push(start(make, name, &format!("leafnodes {{ {LISTEN}\n{}\n{remote} }}", guard.leafs(papers))));
    }
    servers
}

/// Two clusters of two. The servers of the second know one of the first.
fn super_cluster(makes: [Make; 4], guard: Guard, papers: &Papers) -> Vec<Server> {
    let mut servers: Vec<Server> = Vec::new();
    for (at, (make, name)) in makes.into_iter().zip(["C1-1", "C1-2", "C2-1", "C2-2"]).enumerate() {
        let cluster = &name[..2];
        let mate = (at % 2 == 1).then(|| format!("\"{}\"", guard.url(&servers[at - 1].route_url(""))));
        let routes = mate.unwrap_or_default();
        let to_first = (at >= 2).then(|| {
            let url = guard.url(&servers[0].gateway_url(""));
            let url = if guard.tls { url.replace("nats:", "tls:") } else { url };
            format!("gateways: [{{ name: C1, url: \"{url}\" }}]")
        });
        let blocks = format!(
            "cluster {{ name: {cluster}, {LISTEN}\n{}\nroutes: [{routes}] }}\ngateway {{ name: {cluster}, {LISTEN}\n{}\n{} }}",
            guard.block(papers, true),
            guard.block(papers, false),
            to_first.unwrap_or_default()
        );
        servers.push(start(make, name, &blocks));
    }
    servers
}

/// What is heard: who hears what from whom, how often, and what is answered.
fn transcript(servers: &[Server]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut ears: Vec<Client> = servers.iter().map(|server| server.log_in("a")).collect();
    let mut mouths: Vec<Client> = servers.iter().map(|server| server.log_in("a")).collect();
    let mut strangers: Vec<Client> = servers.iter().map(|server| server.log_in("b")).collect();
    for (number, (ear, stranger)) in ears.iter_mut().zip(&mut strangers).enumerate() {
        ear.subscribe(&format!("to.{number}"), "1");
        stranger.subscribe(">", "1");
    }
    for (from, mouth) in mouths.iter_mut().enumerate() {
        for (to, ear) in ears.iter_mut().enumerate() {
            until_linked(mouth, ear, &format!("to.{to}"));
            mouth.publish_with_headers(&format!("to.{to}"), &format!("From: {from}"), "hello");
            let came = ear.next();
            lines.push(format!("{from} to {to}: {} {:?} {}", came.subject, came.headers, came.payload));
            mouth.publish(&format!("to.{to}"), &"0123456789".repeat(LARGE_BYTES / 10));
            lines.push(format!("{from} to {to}: {} bytes", ear.next().payload.len()));
        }
    }
    lines.extend(everybody(&mut ears, &mut mouths));
    lines.extend(jobs(&mut ears, &mut mouths));
    lines.extend(questions(&mut ears, &mut mouths));
    let mut importers: Vec<Client> = servers.iter().map(|server| server.log_in("i")).collect();
    lines.extend(imported_streams(&mut importers, &mut mouths));
    lines.extend(imported_services(&mut ears, &mut importers));
    for (number, stranger) in strangers.iter_mut().enumerate() {
        lines.push(format!("another account at {number} has heard {}", stranger.drain().len()));
    }
    lines
}

/// What is for all comes to each once.
fn everybody(ears: &mut [Client], mouths: &mut [Client]) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, ear) in ears.iter_mut().enumerate() {
        ear.subscribe("all.>", "2");
        for mouth in mouths.iter_mut() {
            until_linked(mouth, ear, &format!("all.probe.{number}"));
        }
    }
    ears.iter_mut().for_each(settle);
    for (from, mouth) in mouths.iter_mut().enumerate() {
        mouth.publish(&format!("all.{from}"), "hear");
        for (to, ear) in ears.iter_mut().enumerate() {
            let first = ear.next();
            settle(ear);
            lines.push(format!("{} of {from} at {to}, and {} more", first.subject, ear.drain().len()));
        }
    }
    lines
}

/// Of a queue group with members everywhere one gets each message.
fn jobs(ears: &mut [Client], mouths: &mut [Client]) -> Vec<String> {
    let mut lines = Vec::new();
    ears.iter_mut().for_each(|ear| ear.join("jobs.*", "workers", "3"));
    ears.iter_mut().for_each(settle);
    for (from, mouth) in mouths.iter_mut().enumerate() {
        for job in 0..JOBS {
            mouth.publish(&format!("jobs.{job}"), "do");
        }
        mouth.flush();
        let (mut done, mut times) = (BTreeSet::new(), 0);
        until("all jobs are done", || {
            for message in ears.iter_mut().flat_map(Client::drain) {
                done.insert(message.subject);
                times += 1;
            }
            done.len() == JOBS
        });
        ears.iter_mut().for_each(settle);
        lines.push(format!("{} jobs of {from} were done {times} times", done.len()));
    }
    lines
}

/// A question is answered wherever it is asked, and nobody answers where nobody listens any more.
fn questions(ears: &mut [Client], mouths: &mut [Client]) -> Vec<String> {
    let mut lines = Vec::new();
    for (to, ear) in ears.iter_mut().enumerate() {
        let service = format!("service.{to}");
        ear.subscribe(&service, "4");
        for (from, mouth) in mouths.iter_mut().enumerate() {
            until_linked(mouth, ear, &service);
            let inbox = format!("inbox.{from}.{to}");
            mouth.send(&format!("SUB {inbox} {}\r\n", 5 + to));
            mouth.ask(&service, &inbox, "?");
            let question = ear.next();
            ear.publish(&question.reply.unwrap(), "!");
            let answer = mouth.next();
            lines.push(format!("{from} asks {to}: {} {}", answer.subject, answer.payload));
        }
        ear.send("UNSUB 4\r\n");
        ear.flush();
        for (from, mouth) in mouths.iter_mut().enumerate() {
            let mut status = String::new();
            until("nobody answers any more", || {
                mouth.ask(&service, &format!("inbox.{from}.{to}"), "?");
                status = mouth.drain().into_iter().map(|message| message.headers).next().unwrap_or_default();
                !status.is_empty()
            });
            lines.push(format!("{from} asks {to} again: {}", status.lines().next().unwrap_or_default()));
        }
        mouths.iter_mut().for_each(settle);
    }
    lines
}

/// What one account exports as a stream another one hears at every server, from every server.
fn imported_streams(importers: &mut [Client], mouths: &mut [Client]) -> Vec<String> {
    let mut lines = Vec::new();
    for (to, importer) in importers.iter_mut().enumerate() {
        importer.subscribe("from.a.news.*", "1");
        for (from, mouth) in mouths.iter_mut().enumerate() {
            until_linked(mouth, importer, "news.probe");
            mouth.publish_with_headers(&format!("news.{from}"), &format!("From: {from}"), "told");
            let came = importer.next();
            settle(importer);
            let more = importer.drain().len();
            lines.push(format!(
                "{from} tells the importer at {to}: {} {:?}, and {more} more",
                came.subject, came.headers
            ));
        }
        importer.send("UNSUB 1\r\n");
        importer.flush();
    }
    lines
}

/// What one account exports as a service another one asks at every server, wherever it is answered, and hears where it is
/// answered no more.
fn imported_services(ears: &mut [Client], importers: &mut [Client]) -> Vec<String> {
    let mut lines = Vec::new();
    for (to, ear) in ears.iter_mut().enumerate() {
        ear.subscribe("price.*", "100");
        for (from, importer) in importers.iter_mut().enumerate() {
            until_linked(importer, ear, "ask.probe");
            let inbox = format!("inbox.{from}.{to}");
            importer.send(&format!("SUB {inbox} {}\r\n", 100 + to));
            importer.ask("ask.apples", &inbox, "?");
            let question = ear.next();
            ear.publish(&question.reply.unwrap(), "!");
            let answer = importer.next();
            let (asked, answered) = (question.subject, answer.subject);
            lines.push(format!("the importer at {from} asks {to} {asked}: {answered} {}", answer.payload));
        }
        ear.send("UNSUB 100\r\n");
        ear.flush();
        for (from, importer) in importers.iter_mut().enumerate() {
            let mut status = String::new();
            until("no service answers any more", || {
                importer.ask("ask.apples", &format!("inbox.{from}.{to}"), "?");
                status = importer.drain().into_iter().map(|message| message.headers).next().unwrap_or_default();
                !status.is_empty()
            });
            let status = status.lines().next().unwrap_or_default();
            lines.push(format!("the importer at {from} asks {to} again: {status}"));
        }
        importers.iter_mut().for_each(settle);
    }
    lines
}

/// Every mixture, and what is heard in it.
fn same_in_all<const N: usize>(what: &str, build: fn([Make; N], Guard, &Papers) -> Vec<Server>) {
    let papers = Papers::new();
    let mut cells = Vec::new();
    for guard in guards() {
        for makes in mixtures_and_the_reference() {
            cells.push((guard, makes));
        }
    }
    let mut heard: Vec<(String, Vec<String>)> = Vec::new();
    for cells in cells.chunks(AT_ONCE) {
        let papers = &papers;
        std::thread::scope(|scope| {
            let run = |(guard, makes): &(Guard, [Make; N])| {
                let (guard, makes) = (*guard, *makes);
                scope.spawn(move || (format!("{makes:?} {guard:?}"), transcript(&build(makes, guard, papers))))
            };
            let running: Vec<_> = cells.iter().map(run).collect();
            heard.extend(running.into_iter().map(|running| running.join().expect("the deployment works")));
        });
    }
    let (first, expected) = &heard[0];
    let (all, guards) = (heard.len(), guards().len());
    let positions = all / guards;
    println!(
        "{what}: {all} deployments ({positions} ways to mix the makes, {guards} ways to guard the links), all alike in \
         the {} lines heard",
        expected.len()
    );
    for (makes, lines) in &heard {
        assert_eq!(lines, expected, "{makes} differs from {first}");
    }
    for (number, line) in expected.iter().enumerate() {
        let is_right = line.contains("hello")
            || line.ends_with(&format!("{LARGE_BYTES} bytes"))
            || line.ends_with("and 0 more")
            || line.contains(&format!("{JOBS} jobs of ")) && line.ends_with(&format!("done {JOBS} times"))
            || line.ends_with(" !")
            || line.ends_with("NATS/1.0 503")
            || line.ends_with("has heard 0");
        assert!(is_right, "{number}: {line}");
    }
}

#[test]
fn a_cluster_of_three_is_the_same_whoever_made_its_servers() {
    same_in_all("a cluster of three", cluster);
}

#[test]
fn a_chain_of_leaf_nodes_is_the_same_whoever_made_its_servers() {
    same_in_all("a chain of three", chain);
}

#[test]
fn two_clusters_of_two_are_the_same_whoever_made_their_servers() {
    same_in_all("two clusters of two", super_cluster);
}
