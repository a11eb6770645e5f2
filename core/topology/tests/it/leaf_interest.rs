use bulwark_topology::{LeafInterest, LeafRole, LeafTell, LocalInterest, Peer, is_loop};

fn want(from: Peer, subject: &str) -> LocalInterest<'_> {
    LocalInterest { from, origin: None, subject: subject.as_bytes(), queue: None }
}

#[test]
fn a_filter_is_told_once_and_taken_back_with_its_last_wish() {
    let mut told = LeafInterest::new(LeafRole::Hub, "LF", false);
    let foo = want(Peer::Client, "foo");
    assert_eq!(told.update(&foo, 1), Some(LeafTell::Subscribe(1)));
    assert_eq!(told.update(&foo, 1), None);
    assert_eq!(told.update(&foo, -1), None);
    assert_eq!(told.update(&foo, -1), Some(LeafTell::Unsubscribe));
    assert_eq!(told.update(&foo, -1), None);
    assert_eq!(told.iter().count(), 0);
}

#[test]
fn the_weight_of_a_queue_group_is_told_whenever_it_changes() {
    let mut told = LeafInterest::new(LeafRole::Hub, "LF", false);
    let group = LocalInterest { queue: Some(b"q"), ..want(Peer::Client, "foo") };
    assert_eq!(told.update(&group, 1), Some(LeafTell::Subscribe(1)));
    assert_eq!(told.update(&group, 2), Some(LeafTell::Subscribe(3)));
    assert_eq!(told.update(&want(Peer::Client, "foo"), 1), Some(LeafTell::Subscribe(1)), "apart from the plain one");
    assert_eq!(told.update(&group, -1), Some(LeafTell::Subscribe(2)));
    assert_eq!(told.update(&group, -2), Some(LeafTell::Unsubscribe));
    assert_eq!(told.iter().collect::<Vec<_>>(), [(&b"foo"[..], None, 1)]);
}

#[test]
fn a_hub_tells_everything_and_a_spoke_only_its_own() {
    let hub = LeafInterest::new(LeafRole::Hub, "LF", false);
    let spoke = LeafInterest::new(LeafRole::Spoke, "C1", false);
    for peer in Peer::ALL {
        assert!(hub.concerns(&want(peer, "foo")), "{peer:?}");
        let own = matches!(peer, Peer::Client | Peer::Leaf(LeafRole::Hub));
        assert_eq!(spoke.concerns(&want(peer, "foo")), own, "{peer:?}");
    }
}

#[test]
fn nothing_goes_back_to_the_cluster_it_came_from() {
    let told = LeafInterest::new(LeafRole::Hub, "LF", false);
    let from = |origin| LocalInterest { origin, ..want(Peer::Route, "foo") };
    assert!(!told.concerns(&from(Some("LF"))));
    assert!(told.concerns(&from(Some("OTHER"))));
    assert!(told.concerns(&from(None)));
    let lds = LocalInterest { origin: Some("LF"), ..want(Peer::Route, "$LDS.abc") };
    assert!(!told.concerns(&lds));
}

#[test]
fn an_isolated_leaf_hears_of_no_other_leaf_but_still_finds_loops() {
    let told = LeafInterest::new(LeafRole::Hub, "LF", true);
    let leaf = Peer::Leaf(LeafRole::Hub);
    assert!(!told.concerns(&want(leaf, "foo")));
    assert!(!told.concerns(&LocalInterest { origin: Some("OTHER"), ..want(Peer::Route, "foo") }));
    assert!(told.concerns(&want(Peer::Client, "foo")));
    assert!(told.concerns(&want(leaf, "$LDS.abc")));
}

#[test]
fn who_hears_his_own_detection_subject_is_in_a_loop() {
    assert!(is_loop(b"$LDS.abc", b"$LDS.abc"));
    assert!(!is_loop(b"$LDS.abd", b"$LDS.abc"));
    assert!(!is_loop(b"foo", b"foo"));
}

#[test]
fn a_count_cannot_overflow() {
    let mut told = LeafInterest::new(LeafRole::Hub, "LF", false);
    let group = LocalInterest { queue: Some(b"q"), ..want(Peer::Client, "foo") };
    assert_eq!(told.update(&group, i64::from(u32::MAX)), Some(LeafTell::Subscribe(u32::MAX)));
    assert_eq!(told.update(&group, 1 << 40), None);
    assert_eq!(told.update(&group, -(1 << 50)), Some(LeafTell::Unsubscribe));
}
