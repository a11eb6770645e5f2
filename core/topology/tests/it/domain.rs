use bulwark_topology::{DomainFacts, DomainVerdict, domain_mappings, judge_domains};

const FACTS: DomainFacts<'_> = DomainFacts {
    local: "hub",
    remote: "leaf",
    has_jetstream: true,
    will_extend: false,
    is_system_account: false,
    has_system_account: true,
    has_empty_default: false,
    account_has_empty_default: false,
};

#[test]
fn the_verdict_follows_the_table() {
    use DomainVerdict::*;
    let same = DomainFacts { remote: "hub", ..FACTS };
    let none = DomainFacts { local: "", remote: "", ..FACTS };
    let off = DomainFacts { has_jetstream: false, ..none };
    let system = |facts| DomainFacts { is_system_account: true, ..facts };
    for (facts, verdict) in [
        (FACTS, Separate),
        (system(FACTS), SeparateSystem),
        (same, Shared),
        (system(same), Extended),
        (none, Shared),
        (system(none), Extended),
        (off, Separate),
        (system(off), SeparateSystem),
        (system(DomainFacts { will_extend: true, ..off }), Extended),
        (DomainFacts { has_jetstream: false, ..same }, Shared),
        (DomainFacts { has_system_account: false, ..same }, Separate),
        (system(DomainFacts { has_empty_default: true, ..same }), SeparateSystem),
        (DomainFacts { has_empty_default: true, account_has_empty_default: true, ..FACTS }, OldWay),
        (DomainFacts { has_empty_default: true, ..same }, Shared),
    ] {
        assert_eq!(judge_domains(&facts), verdict, "{facts:?}");
    }
}

#[test]
fn every_verdict_but_the_open_ones_denies_the_api() {
    use DomainVerdict::*;
    for verdict in [Separate, SeparateSystem, Shared] {
        assert!(verdict.denies().contains(&"$JS.API.>"));
    }
    assert!(SeparateSystem.denies().contains(&"$NRG.>"));
    assert!(OldWay.denies().is_empty() && Extended.denies().is_empty());
    assert_eq!(
        [OldWay, SeparateSystem, Separate, Extended, Shared].map(DomainVerdict::keeps_own_domain),
        [false, true, true, false, false]
    );
}

#[test]
fn a_domain_is_reached_by_its_name() {
    let mappings = domain_mappings("hub");
    let find = |source: &str| mappings.iter().find(|(from, _)| from == source).map(|(_, to)| to.as_str());
    assert_eq!(find("$JS.hub.API.INFO"), Some("$JS.API.INFO"));
    assert_eq!(find("$JS.hub.API.STREAM.>"), Some("$JS.API.STREAM.>"));
    assert_eq!(find("$JS.hub.API.$KV.>"), Some("$KV.>"));
    assert_eq!(mappings.len(), 9);
}
