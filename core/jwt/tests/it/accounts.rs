use bulwark_jwt::chain::AccountRefusal;
use bulwark_jwt::testing::{Chain, NOW, TestAccount, key};
use bulwark_jwt::{
    AccountClaims, AllowedAccount, ClusterTraffic, Export, Import, JetStreamLimits, MessageTrace, ResponseType,
    Sampling, ServiceLatency, Severity, Sharing, WeightedMapping,
};
use nkeys::{Role, XKey};

fn shop() -> (Chain, TestAccount) {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    (chain, shop)
}

/// The blocking issues of an account after a change.
fn blocking(change: impl FnOnce(&mut AccountClaims)) -> Vec<String> {
    let (_, shop) = shop();
    let issues = shop.with(change).claims.validate(NOW.as_secs());
    issues.iter().filter(|issue| issue.severity == Severity::Blocking).map(|issue| issue.text.clone()).collect()
}

fn full() -> TestAccount {
    let (chain, shop) = shop();
    let other = chain.account("other").key.public();
    let mut shop = shop.with(|claims| {
        let latency = Some(ServiceLatency { sampling: Sampling::Percent(50), results: "lat.results".into() });
        claims.exports = vec![
            Export { token_req: true, account_token_position: 2, ..Export::new(Sharing::Stream, "z.*") },
            Export {
                response_type: ResponseType::Chunked,
                response_threshold: 5_000_000_000,
                latency,
                allow_trace: true,
                description: "a <service>".into(),
                info_url: "https://example.com/s".into(),
                ..Export::new(Sharing::Service, "a.svc")
            },
        ];
        claims.imports = vec![Import {
            local_subject: "mine.$1".into(),
            share: true,
            ..Import::new(Sharing::Service, other, "theirs.*")
        }];
        claims.limits.account.conn = 10;
        claims.limits.tiers.insert("R1".into(), JetStreamLimits { disk_storage: -1, ..JetStreamLimits::default() });
        claims.default_permissions.publish.deny = vec!["admin.>".into()];
        claims.mappings.insert(
            "old.*".into(),
            vec![
                WeightedMapping { subject: "new.$1".into(), weight: 60, cluster: String::new() },
                WeightedMapping { subject: "newer.$1".into(), weight: 40, cluster: String::new() },
            ],
        );
        claims.authorization.auth_users = vec![key(Role::User, "callout").public()];
        claims.authorization.allowed_accounts = vec![AllowedAccount::Account(other)];
        claims.authorization.xkey = Some(XKey::from_raw_seed([5; 32].into()).public());
        claims.trace = Some(MessageTrace { destination: "trace.dest".into(), sampling: 10 });
        claims.cluster_traffic = ClusterTraffic::Owner;
        claims.description = "shop".into();
        claims.common.add_tag("Region:EU");
        claims.revocations.revoke(bulwark_jwt::Revoked::All, 17);
    });
    shop.add_scope("clerk", |scope| scope.template.bearer_token = true);
    shop
}

#[test]
fn every_field_survives_writing_and_reading() {
    let shop = full();
    let read = AccountClaims::decode(&shop.token()).expect("an account");
    assert!(shop.claims.validate(NOW.as_secs()).is_empty(), "{:?}", shop.claims.validate(NOW.as_secs()));
    assert_eq!(read.to_json()["nats"], shop.claims.to_json()["nats"]);
    assert_eq!(read.limits, shop.claims.limits);
    assert_eq!(read.signing_keys, shop.claims.signing_keys);
    assert_eq!(read.mappings, shop.claims.mappings);
    assert_eq!(read.authorization, shop.claims.authorization);
    assert_eq!(read.common.tags, ["region:eu"]);
    assert_eq!(read.exports[0].subject, "a.svc", "lists are written in order");
}

#[test]
fn tiers_replace_plain_limits() {
    let (_, shop) = shop();
    let shop = shop.with(|claims| {
        claims.limits.jetstream.disk_storage = 100;
        claims.limits.tiers.insert("R3".into(), JetStreamLimits { disk_storage: 7, ..JetStreamLimits::default() });
    });
    let read = AccountClaims::decode(&shop.token()).expect("an account");
    assert_eq!(read.limits.jetstream, JetStreamLimits::default());
    assert!(read.limits.is_jetstream_enabled());
    assert!(
        !blocking(|claims| {
            claims.limits.jetstream.streams = 1;
            claims.limits.tiers.insert("R1".into(), JetStreamLimits::default());
        })
        .is_empty()
    );
    let blank = (String::new(), JetStreamLimits::default());
    assert!(!blocking(|claims| claims.limits.tiers.extend([blank])).is_empty());
}

#[test]
fn exports_and_imports_stay_within_the_operators_limits() {
    let stream = |subject: &str| Export::new(Sharing::Stream, subject);
    let over = blocking(|claims| {
        claims.limits.account.exports = 1;
        claims.exports = vec![stream("a"), stream("b")];
    });
    assert_eq!(over, ["the account contains more exports than allowed by the operator"]);
    let wild = blocking(|claims| {
        claims.limits.account.exports = 5;
        claims.limits.account.wildcard_exports = false;
        claims.exports = vec![stream("a.>")];
    });
    assert_eq!(wild, ["the account contains wildcard exports that are not allowed by the operator"]);
    let imports = blocking(|claims| {
        claims.limits.account.imports = 0;
        claims.imports = vec![Import::new(Sharing::Stream, key(Role::Account, "x").public(), "a")];
    });
    assert_eq!(imports, ["the account contains more imports than allowed by the operator"]);
}

#[test]
fn exports_of_one_kind_do_not_overlap() {
    let overlapping = |one: &str, other: &str, sharing| {
        !blocking(|claims| claims.exports = vec![Export::new(Sharing::Stream, one), Export::new(sharing, other)])
            .is_empty()
    };
    for (one, other) in [("a", "a"), ("a.>", "a.b"), ("a.b", "a.*"), (">", "x.y.z")] {
        assert!(overlapping(one, other, Sharing::Stream), "{one} {other}");
        assert!(!overlapping(one, other, Sharing::Service), "{one} {other}");
    }
    assert!(!overlapping("a.*", "*.b", Sharing::Stream), "neither holds the other");
}

#[test]
fn service_imports_from_one_account_do_not_overlap() {
    let (one, other) = (key(Role::Account, "one").public(), key(Role::Account, "other").public());
    let service =
        |account, local: &str| Import { local_subject: local.into(), ..Import::new(Sharing::Service, account, "x") };
    let overlapping = |a, b| !blocking(|claims| claims.imports = vec![a, b]).is_empty();
    assert!(overlapping(service(one, "q"), service(one, "q")));
    assert!(!overlapping(service(one, "q"), service(other, "q")), "others may share a name");
    assert!(!overlapping(service(one, "q"), service(one, "r")));
}

#[test]
fn a_local_subject_takes_up_every_wildcard() {
    let problems = |subject: &str, local: &str| {
        let import = Import {
            local_subject: local.into(),
            ..Import::new(Sharing::Service, key(Role::Account, "x").public(), subject)
        };
        blocking(|claims| claims.imports = vec![import]).len()
    };
    for (subject, local) in [("a.*.*", "b.$2.$1"), ("a.*", "b.*"), ("a.>", "b.>"), ("a", "b.$x")] {
        assert_eq!(problems(subject, local), 0, "{subject} as {local}");
    }
    for (subject, local) in
        [("a.*", "b"), ("a.*", "b.$2"), ("a.*", "b.$0"), ("a", "b.*"), ("a.>", "b"), ("a.*", "b.$1.$1")]
    {
        assert!(problems(subject, local) > 0, "{subject} as {local}");
    }
}

#[test]
fn options_stand_only_where_they_mean_something() {
    let from = key(Role::Account, "x").public();
    let export = |export: Export| blocking(|claims| claims.exports = vec![export]).len();
    let import = |import: Import| blocking(|claims| claims.imports = vec![import]).len();
    assert_eq!(export(Export { allow_trace: true, ..Export::new(Sharing::Stream, "a") }), 1);
    assert_eq!(export(Export { response_threshold: 1, ..Export::new(Sharing::Stream, "a") }), 1);
    assert_eq!(export(Export { response_threshold: -1, ..Export::new(Sharing::Service, "a") }), 1);
    assert_eq!(export(Export { response_type: ResponseType::Stream, ..Export::new(Sharing::Stream, "a") }), 1);
    assert_eq!(import(Import { allow_trace: true, ..Import::new(Sharing::Service, from, "a") }), 1);
    assert_eq!(import(Import { share: true, ..Import::new(Sharing::Stream, from, "a") }), 1);
    let both = Import { to: "b".into(), local_subject: "b".into(), ..Import::new(Sharing::Service, from, "a") };
    assert_eq!(import(both), 1);
    let latency = |sampling, results: &str| {
        let latency = Some(ServiceLatency { sampling, results: results.into() });
        export(Export { latency, ..Export::new(Sharing::Service, "a") })
    };
    assert_eq!(latency(Sampling::Headers, "r"), 0);
    assert_eq!(latency(Sampling::Percent(101), "r"), 1);
    assert_eq!(latency(Sampling::Percent(5), "r.*"), 1);
}

#[test]
fn the_account_token_is_a_star() {
    let problems = |position, subject: &str| {
        let export = Export { account_token_position: position, ..Export::new(Sharing::Stream, subject) };
        blocking(|claims| claims.exports = vec![export]).len()
    };
    assert_eq!(problems(2, "a.*"), 0);
    for (position, subject) in [(1, "a.*"), (3, "a.*"), (1, "a"), (2, "a.>"), (u32::MAX, "*")] {
        assert_eq!(problems(position, subject), 1, "{position} {subject}");
    }
}

#[test]
fn mappings_weigh_at_most_a_hundred() {
    let problems = |weights: &[(u8, &str)]| {
        let to = |(weight, cluster): &(u8, &str)| WeightedMapping {
            subject: "b".into(),
            weight: *weight,
            cluster: (*cluster).into(),
        };
        blocking(|claims| drop(claims.mappings.insert("a".into(), weights.iter().map(to).collect()))).len()
    };
    assert_eq!(problems(&[(50, ""), (50, "")]), 0);
    assert_eq!(problems(&[(100, "east"), (100, "west"), (0, "")]), 0);
    assert_eq!(problems(&[(50, ""), (51, "")]), 1);
    assert_eq!(problems(&[(0, "east"), (1, "east")]), 1);
    assert_eq!(problems(&[(101, "")]), 2);
}

#[test]
fn a_callout_has_users_and_a_trace_a_place() {
    let any = AllowedAccount::Any;
    assert_eq!(blocking(|claims| claims.authorization.allowed_accounts = vec![any]).len(), 1);
    let two = blocking(|claims| {
        claims.authorization.auth_users = vec![key(Role::User, "u").public()];
        claims.authorization.allowed_accounts = vec![any, AllowedAccount::Account(key(Role::Account, "a").public())];
    });
    assert_eq!(two.len(), 1);
    let trace = |destination: &str, sampling| {
        blocking(|claims| claims.trace = Some(MessageTrace { destination: destination.into(), sampling })).len()
    };
    assert_eq!(trace("t", 0), 0);
    assert_eq!(trace("t.*", 0), 1);
    assert_eq!(trace("t", 101), 1);
    assert_eq!(trace("", -1), 2);
}

#[test]
fn an_activation_that_does_not_fit_blocks_the_account() {
    let chain = Chain::new("acme");
    let (market, shop, thief) = (chain.account("market"), chain.account("shop"), chain.account("thief"));
    let export = Export { token_req: true, ..Export::new(Sharing::Stream, "prices.>") };
    let activation = market.activation(shop.key.public(), &export);
    let import = market.import_of(&export, Some(&activation));
    let judge = |account: &TestAccount, import: Import| {
        let account = account.clone().with(|claims| claims.imports = vec![import]);
        chain.trust().admit_account(&account.token(), &account.key.public(), NOW)
    };
    assert!(judge(&shop, import.clone()).is_ok());
    let refused = judge(&thief, import.clone()).expect_err("refused");
    assert!(
        matches!(&refused, AccountRefusal::Invalid(text) if text.contains("doesn't match account it is being included in"))
    );
    assert!(judge(&shop, Import { subject: "news.>".into(), ..import.clone() }).is_err());
    assert!(judge(&shop, Import { account: thief.key.public(), ..import }).is_err());
}

#[test]
fn a_list_of_the_largest_size_is_judged_in_bounded_time() {
    let (_, shop) = shop();
    let exports = (0..8000).map(|at| Export::new(Sharing::Stream, &format!("a.{}.*.{}.>", at % 90, at))).collect();
    let shop = shop.with(|claims| claims.exports = exports);
    assert!(!shop.claims.validate(NOW.as_secs()).is_blocking());
}

#[test]
fn issues_are_bounded_and_a_blocking_one_is_never_lost() {
    let texts = blocking(|claims| claims.exports = vec![Export::new(Sharing::Stream, "a b"); 5000]);
    assert!((1..=65).contains(&texts.len()));
    let late = blocking(|claims| {
        let from = key(Role::Account, "x").public();
        claims.imports =
            (0..100).map(|at| Import { to: format!("p{at}"), ..Import::new(Sharing::Stream, from, "a") }).collect();
        claims.description = String::new();
        claims.exports = vec![Export::new(Sharing::Stream, "")];
    });
    assert_eq!(late.len(), 1, "a hundred warnings do not hide it");
}
