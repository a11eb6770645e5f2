//! Who reads what whom publishes, over mappings and imports: what is explained is what happens.

use std::collections::BTreeSet;
use std::sync::Arc;

use account::{
    Access, AccountIds, AccountName, Destination, Import, ImportKind, LocalName, Mapping, ServiceExport, StreamExport,
};
use auth::settings::{
    AccountSettings, ExportSettings, PermissionsSettings, Place, Placed, Settings, SideSettings, UserSettings,
};
use auth::{Directory, Outcome, Wish};
use subject::Subject;

use crate::conversation::{Client, Conversation};

const SUBJECTS: [&str; 15] = [
    "s.1",
    "in.2",
    "x.2.y",
    "s.2",
    "in.1",
    "half",
    "whole",
    "q.1",
    "ask.1",
    "fixed",
    "chain.1",
    "from.a.s.1",
    "from.a.s.2",
    "x.1.y",
    "private",
];

fn user(name: &str, publish: &[&str], subscribe: &[&str]) -> UserSettings {
    let side = |allow: &[&str]| match allow {
        [">"] => SideSettings::default(),
        allow => SideSettings { allow: Some(allow.iter().map(|text| (*text).into()).collect()), deny: None },
    };
    let permissions = PermissionsSettings { publish: side(publish), subscribe: side(subscribe), ..Default::default() };
    UserSettings {
        user: Some(name.into()),
        password: Some(secret::Secret::new(name.to_owned())),
        permissions: Some(Box::new(permissions)),
        ..UserSettings::default()
    }
}

fn import(line: u32, account: &str, subject: &str, kind: ImportKind) -> Placed<Import> {
    let account = AccountName::parse(account).unwrap();
    let what = Import { account, subject: subject.into(), kind, activated: false };
    Placed { what, origin: Place::new("shop.conf", line, 1) }
}

fn stream(line: u32, account: &str, subject: &str, local: LocalName) -> Placed<Import> {
    import(line, account, subject, ImportKind::Stream { local, allow_trace: false })
}

fn service(line: u32, account: &str, subject: &str, to: &str) -> Placed<Import> {
    import(line, account, subject, ImportKind::Service { to: to.into(), share: false })
}

/// A offers a stream and two services and moves what its clients publish; B, C and D take of it, D over B.
fn accounts() -> Settings {
    let offers = |what| Placed { what, origin: Place::default() };
    let streams = |subject: &str| {
        offers(ExportSettings::Stream(StreamExport { subject: subject.parse().unwrap(), access: Access::Public }))
    };
    let serves =
        |subject: &str| offers(ExportSettings::Service(ServiceExport::new(subject.parse().unwrap(), Access::Public)));
    let mut a = AccountSettings {
        name: "A".into(),
        users: vec![user("ann", &[">"], &[">"]), user("abe", &["in.>", "s.1"], &["q.>", "s.2"])],
        exports: vec![streams("s.>"), serves("q.*"), serves("only")],
        ..AccountSettings::default()
    };
    for (from, to) in [("in.*", "s.$1"), ("whole", "q.1")] {
        a.mappings.add(Mapping::compile(from, &[Destination::all(to)]).unwrap()).unwrap();
    }
    let b = AccountSettings {
        name: "B".into(),
        users: vec![user("bob", &[">"], &[">"]), user("bea", &["ask.>"], &["from.a.s.2"])],
        exports: vec![serves("ask.*")],
        imports: vec![
            stream(3, "A", "s.>", LocalName::Prefixed("from.a".into())),
            service(4, "A", "q.*", "ask.*"),
            service(5, "A", "only", "fixed"),
        ],
        ..AccountSettings::default()
    };
    let c = AccountSettings {
        name: "C".into(),
        users: vec![user("cyd", &[">"], &["x.>"])],
        imports: vec![stream(6, "A", "s.*", LocalName::Mapped("x.$1.y".into()))],
        ..AccountSettings::default()
    };
    let d = AccountSettings {
        name: "D".into(),
        users: vec![user("dan", &[">"], &[">"])],
        imports: vec![service(7, "B", "ask.*", "chain.*")],
        ..AccountSettings::default()
    };
    Settings { accounts: vec![a, b, c, d], ..Settings::default() }
}

const USERS: [&str; 6] = ["ann", "abe", "bob", "bea", "cyd", "dan"];

fn all_subjects() -> Vec<&'static str> {
    SUBJECTS.into_iter().chain(["only"]).collect()
}

fn subject(text: &str) -> Subject<'_> {
    Subject::parse(text.as_bytes()).unwrap()
}

fn is_allowed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Allowed { .. })
}

fn may_publish(directory: &Directory, publisher: &str, text: &str) -> bool {
    is_allowed(&directory.explain(publisher, Wish::Publish(subject(text))).unwrap().outcome)
}

/// Who hears what a user publishes, and under which name, as explained.
fn explained(directory: &Directory, publisher: &str, text: &str) -> BTreeSet<(String, String)> {
    let (account, _) = directory.permissions_of(publisher).unwrap();
    if !may_publish(directory, publisher, text) {
        return BTreeSet::new();
    }
    let readers = directory.readers(account, subject(text)).into_iter();
    readers.filter(|reader| is_allowed(&reader.outcome)).map(|reader| (reader.user, reader.subject)).collect()
}

/// The same, as it happens.
fn experienced(
    broker: &mut Conversation,
    clients: &[Client],
    publisher: usize,
    text: &str,
) -> BTreeSet<(String, String)> {
    broker.says(&clients[publisher], format!("PUB {text} 1\r\nx\r\n"));
    let mut heard = BTreeSet::new();
    for (name, client) in USERS.iter().zip(clients) {
        for line in broker.hears(client).lines() {
            if let Some(rest) = line.strip_prefix("HMSG ").or(line.strip_prefix("MSG ")) {
                heard.insert(((*name).to_owned(), rest.split(' ').next().unwrap().to_owned()));
            }
        }
    }
    heard
}

#[test]
fn who_reads_what_whom_publishes_is_what_happens() {
    let settings = accounts();
    let directory = Directory::build(&settings, &mut AccountIds::default()).unwrap();
    let mut broker = Conversation::with(&settings, |_| ());
    let clients = USERS.map(|name| broker.login(name));
    for client in &clients {
        for (sid, text) in all_subjects().iter().enumerate() {
            broker.says(client, format!("SUB {text} {sid}\r\n"));
        }
        broker.hears(client);
    }
    let mut reached = 0;
    for (at, publisher) in USERS.iter().enumerate() {
        for text in all_subjects() {
            let explained = explained(&directory, publisher, text);
            assert_eq!(experienced(&mut broker, &clients, at, text), explained, "{publisher} publishes {text}");
            reached += explained.len();
        }
    }
    assert!(reached > 60, "the scene says something: {reached}");
}

#[test]
fn who_may_publish_to_a_subject_is_who_reaches_it() {
    let settings = accounts();
    let directory = Directory::build(&settings, &mut AccountIds::default()).unwrap();
    for name in ["A", "B", "C"] {
        let account = directory.account(name).unwrap();
        for text in all_subjects() {
            let publishers = directory.publishers(account, subject(text)).into_iter();
            let named: BTreeSet<_> = publishers
                .filter(|party| is_allowed(&party.outcome))
                .map(|party| (party.user, party.subject))
                .collect();
            let mut found = BTreeSet::new();
            for user in USERS {
                let (home, _) = directory.permissions_of(user).unwrap();
                for from in all_subjects().into_iter().filter(|from| may_publish(&directory, user, from)) {
                    let arrivals = directory.arrivals(home, subject(from));
                    let arrives = arrivals
                        .iter()
                        .any(|at| Arc::ptr_eq(&at.account, account) && at.subject == text && imports(&at.steps) < 2);
                    found.extend(arrives.then(|| (user.to_owned(), from.to_owned())));
                }
            }
            assert_eq!(named, found, "{name} {text}");
        }
    }
}

fn imports(steps: &[auth::Step]) -> usize {
    steps.iter().filter(|step| matches!(step, auth::Step::Imported { .. })).count()
}

#[test]
fn each_step_says_where_it_is_written() {
    let directory = Directory::build(&accounts(), &mut AccountIds::default()).unwrap();
    let account = directory.account("A").unwrap();
    let arrivals = directory.arrivals(account, subject("in.1"));
    let told: Vec<String> = arrivals.iter().flat_map(|at| at.steps.iter().map(ToString::to_string)).collect();
    let moved = "a mapping of A moves 100 % of \"in.1\" to \"s.1\"";
    let (b, c) = (
        "B imports the stream of A: it arrives in B as \"from.a.s.1\" (shop.conf:3:1)",
        "C imports the stream of A: it arrives in C as \"x.1.y\" (shop.conf:6:1)",
    );
    assert_eq!(told, [moved, moved, b, moved, c]);
}
