//! What `explain` says is what a connection experiences: random users, rules and subjects against a live broker.
//!
//! `PROPTEST_CASES=100000` asks for more of them.

use account::AccountIds;
use auth::settings::{AccountSettings, PermissionsSettings, RuleText, Settings, SideSettings, UserSettings};
use auth::{Directory, Outcome, Wish};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use subject::{Filter, Queue, Subject};

use crate::conversation::{Client, Conversation};

/// Every subject of up to two tokens over two words.
const SUBJECTS: [&str; 6] = ["a", "b", "a.a", "a.b", "b.a", "b.b"];
/// Where messages may be wanted: there, and in inboxes.
const SENT: [&str; 9] = ["a", "b", "a.a", "a.b", "b.a", "b.b", "_", "_.a", "_.b"];
/// A question that the server answers itself.
const WHO: &str = "$SYS.REQ.USER.INFO";
const FILTERS: [&str; 13] = ["a", "b", "*", ">", "a.a", "a.b", "b.a", "a.*", "b.*", "*.a", "*.b", "*.*", "a.>"];
const QUEUES: [Option<&str>; 3] = [None, Some("q1"), Some("q2")];

fn rules(with_queues: bool) -> impl Strategy<Value = Option<Vec<RuleText>>> {
    let queues = if with_queues { QUEUES.len() } else { 1 };
    let rule = (0..FILTERS.len(), 0..queues).prop_map(|(filter, queue)| match QUEUES[queue] {
        None => RuleText::from(FILTERS[filter]),
        Some(queue) => RuleText::from(format!("{} {queue}", FILTERS[filter]).as_str()),
    });
    prop::option::of(prop::collection::vec(rule, 0..4))
}

fn side(with_queues: bool) -> impl Strategy<Value = SideSettings> {
    (rules(with_queues), rules(with_queues)).prop_map(|(allow, deny)| SideSettings { allow, deny })
}

fn user(name: &str, permissions: Option<PermissionsSettings>) -> UserSettings {
    let password = Some(secret::Secret::new(name.to_owned()));
    UserSettings {
        user: Some(name.into()),
        password,
        permissions: permissions.map(Box::new),
        ..UserSettings::default()
    }
}

fn settings(mut publish: SideSettings, subscribe: SideSettings) -> Settings {
    if let Some(allow) = &mut publish.allow {
        allow.push(RuleText::from(WHO));
    }
    let permissions = PermissionsSettings { publish, subscribe, ..PermissionsSettings::default() };
    let users = vec![user("clerk", Some(permissions)), user("owner", None)];
    Settings {
        accounts: vec![AccountSettings { name: "SHOP".into(), users, ..AccountSettings::default() }],
        ..Settings::default()
    }
}

/// Whether the server took what the clerk said without an error.
fn takes(broker: &mut Conversation, clerk: &Client, line: String) -> bool {
    broker.says(clerk, line);
    !broker.hears(clerk).starts_with("-ERR 'Permissions Violation")
}

fn explained(settings: &Settings, wish: Wish<'_>) -> Outcome {
    let directory = Directory::build(settings, &mut AccountIds::default()).unwrap();
    directory.explain("clerk", wish).unwrap().outcome
}

/// The same by what the running server knows of the clerk's connection.
fn live(broker: &Conversation, wish: Wish<'_>) -> Outcome {
    let known = broker.hub.connections();
    let clerk = known.iter().find(|known| &*known.facts.user == "clerk").expect("the clerk is connected");
    clerk.permissions().expect("the clerk is logged in").explain(wish)
}

fn cases() -> u32 {
    std::env::var_os("PROPTEST_CASES").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(1_000)
}

/// What one of them asks for: to publish to a subject, to subscribe, and to be sent messages.
#[derive(Debug, Clone)]
struct Case {
    publish: SideSettings,
    subscribe: SideSettings,
    subject: &'static str,
    filter: &'static str,
    queue: Option<&'static str>,
    to: &'static str,
}

fn any_case() -> impl Strategy<Value = Case> {
    let wishes = (0..SUBJECTS.len(), 0..FILTERS.len(), 0..QUEUES.len(), 0..SENT.len());
    (side(false), side(true), wishes).prop_map(|(publish, subscribe, (subject, filter, queue, to))| Case {
        publish,
        subscribe,
        subject: SUBJECTS[subject],
        filter: FILTERS[filter],
        queue: QUEUES[queue],
        to: SENT[to],
    })
}

#[test]
fn explain_equals_what_a_connection_experiences() {
    let config = ProptestConfig { cases: cases(), source_file: Some(file!()), ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    runner.run(&any_case(), equals).unwrap_or_else(|error| panic!("{error}"));
    println!("measured: what explain says is what a connection experiences, for {} random users, all of them", cases());
}

/// Whether the server sends the clerk's answer to a subject, where the owner listens.
fn sends_as_explained(
    settings: &Settings,
    broker: &mut Conversation,
    (clerk, owner): (&Client, &Client),
    to: &str,
) -> Result<(), TestCaseError> {
    let wish = Wish::Deliver { to: Subject::parse(to.as_bytes()).unwrap(), queue: None };
    let outcome = explained(settings, wish);
    prop_assert_eq!(&live(broker, wish), &outcome);
    let asks = Wish::Publish(Subject::parse(WHO.as_bytes()).unwrap());
    if matches!(explained(settings, asks), Outcome::Denied(_)) {
        return Ok(());
    }
    broker.says(owner, format!("SUB {to} sent\r\n"));
    broker.hears(owner);
    broker.says(clerk, format!("PUB {WHO} {to} 0\r\n\r\n"));
    broker.hears(clerk);
    let sent = broker.hears(owner).starts_with("MSG");
    prop_assert_eq!(sent, matches!(outcome, Outcome::Allowed { .. }), "to {}: {}", to, outcome);
    broker.says(owner, "UNSUB sent\r\n");
    broker.hears(owner);
    Ok(())
}

fn equals(case: Case) -> Result<(), TestCaseError> {
    let Case { publish, subscribe, subject, filter, queue, to } = case;
    let settings = settings(publish, subscribe);
    let mut broker = Conversation::with(&settings, |_| {});
    let (clerk, owner) = (broker.login("clerk"), broker.login("owner"));

    let wish = Wish::Publish(Subject::parse(subject.as_bytes()).unwrap());
    let outcome = explained(&settings, wish);
    prop_assert_eq!(&live(&broker, wish), &outcome);
    let taken = takes(&mut broker, &clerk, format!("PUB {subject} 0\r\n\r\n"));
    prop_assert_eq!(taken, matches!(outcome, Outcome::Allowed { .. }), "publish {}: {}", subject, outcome);

    sends_as_explained(&settings, &mut broker, (&clerk, &owner), to)?;

    let wanted = Filter::parse(filter.as_bytes()).unwrap();
    let queue = queue.map(|name| Queue::parse(name.as_bytes()).unwrap());
    let wish = Wish::Subscribe { filter: &wanted, queue: queue.as_ref() };
    let outcome = explained(&settings, wish);
    prop_assert_eq!(&live(&broker, wish), &outcome);
    let words = queue.as_ref().map_or(String::new(), |queue| format!(" {}", String::from_utf8_lossy(queue.as_bytes())));
    let taken = takes(&mut broker, &clerk, format!("SUB {}{words} 1\r\n", filter));
    prop_assert_eq!(taken, matches!(outcome, Outcome::Allowed { .. }), "subscribe {}{}: {}", filter, words, outcome);

    let Outcome::Allowed { withheld, .. } = outcome else { return Ok(()) };
    let denies: Vec<Filter> =
        withheld.iter().map(|rule| Filter::parse(rule.text.split(' ').next().unwrap().as_bytes()).unwrap()).collect();
    for text in SUBJECTS {
        let subject = Subject::parse(text.as_bytes()).unwrap();
        let promised = wanted.matches(subject) && !denies.iter().any(|deny| deny.matches(subject));
        broker.says(&owner, format!("PUB {text} 0\r\n\r\n"));
        let heard = broker.hears(&clerk).starts_with("MSG");
        prop_assert_eq!(heard, promised, "{} on {}{}", text, filter, words);
    }
    Ok(())
}
