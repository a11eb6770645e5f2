use proptest::prelude::*;

use super::*;
use crate::{AccountIds, Accounts};

fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

/// An account that offers everything to everybody.
fn open(account: &str) -> Account {
    let mut account = Account::named(name(account));
    let subject = subject::Filter::everything();
    account.exports.add_stream(StreamExport { subject: subject.clone(), access: Access::Public }).unwrap();
    account.exports.add_service(ServiceExport::new(subject, Access::Public)).unwrap();
    account
}

fn offering(account: &str, streams: &[(&str, Access)], services: &[(&str, Access)]) -> Account {
    let mut account = Account::named(name(account));
    for (subject, access) in streams {
        let export = StreamExport { subject: subject.parse().unwrap(), access: access.clone() };
        account.exports.add_stream(export).unwrap();
    }
    for (subject, access) in services {
        account.exports.add_service(ServiceExport::new(subject.parse().unwrap(), access.clone())).unwrap();
    }
    account
}

fn stream(from: &str, subject: &str, local: LocalName) -> Import {
    let kind = ImportKind::Stream { local, allow_trace: false };
    Import { account: name(from), subject: subject.into(), kind, activated: false }
}

fn service(from: &str, subject: &str, to: &str) -> Import {
    let kind = ImportKind::Service { to: to.into(), share: false };
    Import { account: name(from), subject: subject.into(), kind, activated: false }
}

fn mapped(to: &str) -> LocalName {
    LocalName::Mapped(to.into())
}

fn importing(account: Account, imports: Vec<Import>) -> Account {
    Account { imports, ..account }
}

fn build(accounts: impl IntoIterator<Item = Account>) -> Accounts {
    Accounts::build(accounts, None, &mut AccountIds::default()).unwrap()
}

/// Why the imports of B from A are refused.
fn refusals(exporter: Account, imports: Vec<Import>) -> Vec<String> {
    let accounts = build([exporter, importing(Account::named(name("B")), imports)]);
    accounts.get("B").unwrap().sharing.refused.iter().map(|(at, error)| format!("{at} {error}")).collect()
}

fn carried(import: Import, subject: &str) -> (String, String) {
    let accounts = build([open("A"), importing(Account::named(name("B")), vec![import])]);
    let sharing = accounts.get("B").unwrap().sharing.clone();
    assert_eq!(sharing.refused, []);
    let subject = subject::Subject::parse(subject.as_bytes()).unwrap();
    let stream = sharing.streams.first().map(|stream| (stream.carry(subject), stream.local().to_string()));
    let service = sharing.services.first().map(|service| (service.carry(subject), service.local().to_string()));
    let (carried, local) = stream.or(service).unwrap();
    (String::from_utf8(carried).unwrap(), local)
}

#[test]
fn a_stream_is_called_as_there_or_prefixed_or_mapped() {
    let of = |local| carried(stream("A", "s.*.>", local), "s.1.2.3");
    assert_eq!(of(LocalName::Same), ("s.1.2.3".into(), "s.*.>".into()));
    assert_eq!(of(LocalName::Prefixed("a.b".into())), ("a.b.s.1.2.3".into(), "a.b.s.*.>".into()));
    assert_eq!(of(LocalName::Prefixed("a.".into())), ("a.s.1.2.3".into(), "a.s.*.>".into()));
    assert_eq!(of(mapped("x.$1.y.>")), ("x.1.y.2.3".into(), "x.*.y.>".into()));
    assert_eq!(of(mapped("x.*.>")), ("x.1.2.3".into(), "x.*.>".into()));
    let swapped = carried(stream("A", "s.*.*", mapped("{{wildcard(2)}}.$1")), "s.1.2");
    assert_eq!(swapped, ("2.1".into(), "*.*".into()));
    assert_eq!(carried(stream("A", "s.x", mapped("y")), "s.x"), ("y".into(), "y".into()));
}

#[test]
fn a_service_is_called_there_by_the_wildcards_it_is_asked_with() {
    assert_eq!(carried(service("A", "svc.*.>", ""), "svc.1.2"), ("svc.1.2".into(), "svc.*.>".into()));
    assert_eq!(carried(service("A", "svc.*.*", "ask.$2.$1"), "ask.b.a"), ("svc.a.b".into(), "ask.*.*".into()));
    assert_eq!(carried(service("A", "svc.x", "ask.*"), "ask.1"), ("svc.x".into(), "ask.*".into()));
}

#[test]
fn what_a_subscription_wants_is_found_in_the_names_of_the_exporter() {
    let wanted = |from: &str, to: &str, filter: &str| {
        let accounts = build([open("A"), importing(Account::named(name("B")), vec![stream("A", from, mapped(to))])]);
        let stream = accounts.get("B").unwrap().sharing.streams[0].clone();
        stream.wanted(&filter.parse().unwrap()).map(|filter| filter.to_string())
    };
    assert_eq!(wanted("s.>", "", ">").as_deref(), Some("s.>"));
    assert_eq!(wanted("s.>", "", "s.*.x").as_deref(), Some("s.*.x"));
    assert_eq!(wanted("s.*.*", "x.$2.$1", "x.1.*").as_deref(), Some("s.*.1"));
    assert_eq!(wanted("s.*.*", "x.$2.$1", "*.1.2").as_deref(), Some("s.2.1"));
    assert_eq!(wanted("s.*.>", "x.$1.>", "x.1.2.>").as_deref(), Some("s.1.2.>"));
    assert_eq!(wanted("s.*.>", "x.$1.>", ">").as_deref(), Some("s.*.>"));
    assert_eq!(wanted("s.1", "x", "*").as_deref(), Some("s.1"));
    assert_eq!(wanted("s.>", "x.>", "s.1"), None);
    assert_eq!(wanted("s.*", "x.$1", "x.1.2"), None);
}

#[test]
fn only_those_import_who_may() {
    let refused = |access: Access, subject: &str, activated| {
        let import = |import: Import| Import { activated, ..import };
        let imports = vec![import(stream("A", subject, LocalName::Same)), import(service("A", subject, ""))];
        refusals(offering("A", &[("s.*.>", access.clone())], &[("s.*.>", access)]), imports)
    };
    let both = ["0 stream import not authorized", "1 service import not authorized"];
    let approved = |names: &[&str]| Access::Approved(names.iter().map(|text| name(text)).collect());
    assert_eq!(refused(Access::Public, "s.1.2", false), [""; 0]);
    assert_eq!(refused(Access::Public, "s.>", false), both, "wider than what is offered");
    assert_eq!(refused(Access::Public, "t", false), both);
    assert_eq!(refused(approved(&["B", "C"]), "s.*.>", false), [""; 0]);
    assert_eq!(refused(approved(&["C"]), "s.*.>", false), both);
    assert_eq!(refused(Access::Token, "s.*.>", false), both);
    assert_eq!(refused(Access::Token, "s.*.>", true), [""; 0]);
    assert_eq!(refused(Access::Position(2), "s.B.>", false), [""; 0]);
    assert_eq!(refused(Access::Position(2), "s.C.>", false), both);
    assert_eq!(refused(Access::Position(2), "s.*.>", false), both);
}

#[test]
fn what_is_no_import_is_refused_in_the_reference_servers_words() {
    let refused = |imports| refusals(open("A"), imports);
    assert_eq!(refused(vec![stream("Z", "s", LocalName::Same)]), ["0 account missing"]);
    let prefix = "0 stream import prefix can not contain wildcard tokens";
    assert_eq!(refused(vec![stream("A", "s", LocalName::Prefixed("a.*".into()))]), [prefix]);
    let twice = vec![stream("A", "s", LocalName::Same), stream("A", "s", mapped("t"))];
    assert_eq!(refused(twice), ["1 stream import already exists"]);
    assert_eq!(
        refused(vec![service("A", "s", "x"), service("A", "t", "x")]),
        ["1 duplicate service import subject \"x\", previously used in import for account \"A\", subject \"s\""]
    );
    assert_eq!(
        refused(vec![stream("A", "s.*.*", mapped("x.$1"))]),
        ["0 failed to create mapping transform for stream import subject from \"s.*.*\" to \"x.$1\": invalid mapping \
          destination: not using all of the token wildcard(s) in x.$1"]
    );
    assert_eq!(
        refused(vec![stream("A", "s.*", mapped("{{partition(3,1)}}"))]),
        ["0 failed to create mapping transform for stream import subject from \"s.*\" to \"{{partition(3,1)}}\": \
          invalid mapping destination: the only mapping function allowed for import transforms is {{Wildcard()}} in \
          {{partition(3,1)}}"]
    );
    assert_eq!(refused(vec![service("A", "s..t", "")]), ["0 invalid subject"]);
}

#[test]
fn what_is_no_export_is_refused() {
    let mut exports = Exports::default();
    let position = |position| ServiceExport::new("s.*".parse().unwrap(), Access::Position(position));
    assert_eq!(exports.add_service(position(1)), Err(SharingError::Subject));
    assert_eq!(exports.add_service(position(3)), Err(SharingError::Subject));
    assert_eq!(exports.add_service(position(2)), Ok(()));
    let latency = |subject: &str, response| {
        let latency = Some(Latency { sampling: LatencySampling::Headers, subject: subject.into() });
        ServiceExport { latency, response, ..ServiceExport::new("t.>".parse().unwrap(), Access::Public) }
    };
    assert_eq!(exports.add_service(latency("t.x", ResponseType::Singleton)), Err(SharingError::LatencySubject));
    assert_eq!(exports.add_service(latency("s.x", ResponseType::Singleton)), Err(SharingError::LatencySubject));
    assert_eq!(exports.add_service(latency("l.*", ResponseType::Singleton)), Err(SharingError::LatencySubject));
    assert_eq!(exports.add_service(latency("l", ResponseType::Stream)), Err(SharingError::LatencyOfMany));
    assert_eq!(exports.add_service(latency("l", ResponseType::Singleton)), Ok(()));
}

#[test]
fn who_is_named_in_two_places_is_named() {
    let approved = |names: &[&str]| Access::Approved(names.iter().map(|text| name(text)).collect());
    let twice = [("s", approved(&["B"])), ("s", approved(&["C"])), ("s", Access::Public)];
    assert_eq!(refusals(offering("A", &twice, &[]), vec![stream("A", "s", LocalName::Same)]), [""; 0]);
    let others = [("s", approved(&["C"])), ("s", Access::Public)];
    let refused = refusals(offering("A", &others, &[]), vec![stream("A", "s", LocalName::Same)]);
    assert_eq!(refused, ["0 stream import not authorized"]);
}

/// Accounts on a circle, in any order of definition.
fn circle(length: usize, kind: impl Fn(&str, &str) -> Import) -> impl Fn(usize) -> Vec<Account> {
    move |turn| {
        let account = |at: usize| {
            let (own, next) = (format!("A{at}"), format!("A{}", (at + 1) % length));
            importing(open(&own), vec![kind(&next, &own)])
        };
        let mut accounts: Vec<_> = (0..length).map(account).collect();
        accounts.rotate_left(turn % length);
        if turn % 2 == 1 {
            accounts.reverse();
        }
        accounts
    }
}

#[test]
fn advisories_cve_2020_28466_and_cve_2022_42709_circles_are_refused_in_any_order() {
    for length in [1, 2, 3, 7] {
        let streams = circle(length, |next, _| stream(next, "s.>", LocalName::Same));
        let services = circle(length, |next, _| service(next, "s", ""));
        let wild = circle(length, |next, _| service(next, "s.*", "s.*"));
        for turn in 0..100 {
            for accounts in [streams(turn), services(turn), wild(turn)] {
                let accounts = build(accounts);
                for at in 0..length {
                    let sharing = &accounts.get(&format!("A{at}")).unwrap().sharing;
                    assert_eq!(sharing.refused, [(0, SharingError::Cycle)], "{length} accounts, turn {turn}");
                    assert!(sharing.streams.is_empty() && sharing.services.is_empty());
                }
            }
        }
    }
}

#[test]
fn who_only_hangs_on_a_circle_or_has_other_names_is_let_in() {
    let mutual =
        |own: &str, other: &str| importing(open(own), vec![stream(other, "s", LocalName::Prefixed("in".into()))]);
    let accounts = build([mutual("A", "B"), mutual("B", "A")]);
    assert!(["A", "B"].iter().all(|name| accounts.get(name).unwrap().sharing.refused.is_empty()));
    let circle = |own: &str, other: &str| importing(open(own), vec![service(other, "s", "")]);
    let accounts = build([circle("A", "B"), circle("B", "A"), importing(open("C"), vec![service("A", "s", "")])]);
    assert_eq!(accounts.get("C").unwrap().sharing.services.len(), 1);
    let chain = (0..3000).map(|at| importing(open(&format!("A{at}")), vec![service(&format!("A{}", at + 1), "s", "")]));
    let accounts = build(chain.chain([open("A3000")]));
    assert!(accounts.iter().all(|account| account.sharing.refused.is_empty()), "a long chain is no circle");
}

#[test]
fn what_comes_later_is_shared_as_if_it_had_been_there() {
    let mut ids = AccountIds::default();
    let importer = importing(Account::named(name("B")), vec![service("A", "s", "")]);
    let alone = Accounts::build([importer], None, &mut ids).unwrap();
    assert_eq!(alone.get("B").unwrap().sharing.refused, [(0, SharingError::MissingAccount)]);
    let (both, changed) = alone.with(open("A"), &mut ids);
    assert_eq!(changed, [name("A"), name("B")].into());
    assert_eq!(both.get("B").unwrap().sharing.services.len(), 1);
    let (again, _) = both.with(Account::named(name("A")), &mut ids);
    assert_eq!(again.get("B").unwrap().sharing.refused, [(0, SharingError::ServiceNotAuthorized)]);
    assert_eq!(both.without(&name("A")).0.get("B").unwrap().sharing.refused, [(0, SharingError::MissingAccount)]);
}

/// An account of a small world: whether it offers all, and from whom it takes what.
fn arbitrary_account() -> impl Strategy<Value = Account> {
    let import = (0..5_usize, 0..3_usize, proptest::bool::ANY).prop_map(|(from, what, is_stream)| {
        let (from, subject) = (format!("A{from}"), ["s", "s.*", "t"][what]);
        if is_stream { stream(&from, subject, LocalName::Same) } else { service(&from, subject, "") }
    });
    (0..5_usize, proptest::bool::ANY, proptest::collection::vec(import, 0..3)).prop_map(|(own, offers, imports)| {
        let own = format!("A{own}");
        importing(if offers { open(&own) } else { Account::named(name(&own)) }, imports)
    })
}

proptest! {
    #[test]
    fn accounts_that_come_and_go_end_where_building_anew_ends(
        steps in proptest::collection::vec((arbitrary_account(), proptest::bool::weighted(0.2)), 1..30)
    ) {
        let mut ids = AccountIds::default();
        let mut accounts = Accounts::build([], None, &mut ids).unwrap();
        let mut written = std::collections::BTreeMap::new();
        for (account, goes) in steps {
            let before = accounts.clone();
            let own = account.name.clone();
            let (next, changed) = if goes {
                written.remove(&own);
                accounts.without(&own)
            } else {
                written.insert(own, account.clone());
                accounts.with(account, &mut ids)
            };
            accounts = next;
            let anew = Accounts::build(written.values().cloned(), None, &mut ids).unwrap();
            prop_assert_eq!(accounts.count(), anew.count());
            for account in anew.iter() {
                prop_assert_eq!(accounts.get(account.name.as_str()), Some(account));
            }
            for at in 0..5 {
                let own = name(&format!("A{at}"));
                let same = match (before.get(own.as_str()), accounts.get(own.as_str())) {
                    (Some(before), Some(after)) => Arc::ptr_eq(before, after),
                    (before, after) => before.is_none() && after.is_none(),
                };
                prop_assert!(same || changed.contains(&own), "{own} changed and nobody was told");
            }
        }
    }
}

#[test]
fn one_more_account_among_many_leaves_the_others_alone() {
    let mut ids = AccountIds::default();
    let central = |at: usize| importing(Account::named(name(&format!("B{at}"))), vec![service("A", "s", "")]);
    let many = build((0..1000).map(central).chain([open("A")]));
    let (more, changed) = many.with(central(1000), &mut ids);
    assert_eq!(changed, [name("B1000")].into());
    assert_eq!(more.importers_of(&name("A")).count(), 1001);
    assert!(Arc::ptr_eq(many.get("B7").unwrap(), more.get("B7").unwrap()));
}
