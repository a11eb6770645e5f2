use bulwark_topology::{InboundInterest, InterestMode, MAX_NO_INTEREST, OutboundInterest, Tell};
use subject::{Filter, Subject};

fn filter(text: &str) -> Filter {
    Filter::parse(text.as_bytes()).expect("a filter")
}

fn wants(interest: &OutboundInterest, account: &str, subject: &str) -> bool {
    interest.wanted(account, Subject::parse(subject.as_bytes()).expect("a subject")).plain
}

fn queues(interest: &OutboundInterest, account: &str, subject: &str) -> Vec<String> {
    let wanted = interest.wanted(account, Subject::parse(subject.as_bytes()).expect("a subject"));
    wanted.queues.iter().map(|queue| String::from_utf8_lossy(queue).into_owned()).collect()
}

#[test]
fn an_optimistic_peer_gets_everything_until_it_refuses() {
    let mut there = OutboundInterest::new(false);
    assert!(wants(&there, "A", "foo"));
    there.unsubscribe("A", b"foo", None);
    assert!(!wants(&there, "A", "foo") && wants(&there, "A", "bar") && wants(&there, "B", "foo"));
    there.subscribe("A", filter("foo"), None, 1);
    assert!(wants(&there, "A", "foo"));
    for subject in ["x.1", "x.2", "y"] {
        there.unsubscribe("A", subject.as_bytes(), None);
    }
    there.subscribe("A", filter("x.*"), None, 1);
    assert!(wants(&there, "A", "x.1") && wants(&there, "A", "x.2") && !wants(&there, "A", "y"));
    there.account_wants_nothing("A");
    assert!(!wants(&there, "A", "x.1"));
    there.account_wants("A");
    assert!(wants(&there, "A", "y"));
}

#[test]
fn queue_groups_are_asked_for_by_name_in_every_mode() {
    for interest_only in [false, true] {
        let mut there = OutboundInterest::new(interest_only);
        assert!(queues(&there, "A", "foo").is_empty());
        assert!(there.subscribe("A", filter("foo"), Some(b"q1".as_slice().into()), 1));
        assert!(there.subscribe("A", filter("*"), Some(b"q2".as_slice().into()), 1));
        assert!(!there.subscribe("A", filter("foo"), Some(b"q1".as_slice().into()), 3), "only the weight is new");
        assert_eq!(queues(&there, "A", "foo").len(), 2);
        assert_eq!(queues(&there, "A", "bar"), ["q2"]);
        there.account_wants_nothing("A");
        assert_eq!(queues(&there, "A", "bar"), ["q2"], "A- leaves queue groups alone");
        assert!(there.unsubscribe("A", b"*", Some(b"q2".as_slice().into())));
        assert!(!there.unsubscribe("A", b"*", Some(b"q2".as_slice().into())));
        assert_eq!(queues(&there, "A", "foo"), ["q1"]);
    }
}

#[test]
fn an_interest_only_peer_gets_what_it_asked_for() {
    let mut there = OutboundInterest::new(true);
    assert!(!wants(&there, "A", "foo"));
    assert!(there.subscribe("A", filter("foo.*"), None, 1));
    assert!(wants(&there, "A", "foo.x") && !wants(&there, "A", "foo") && !wants(&there, "B", "foo.x"));
    assert!(there.unsubscribe("A", b"foo.*", None));
    assert!(!wants(&there, "A", "foo.x"));
    assert_eq!(there.mode("A"), InterestMode::InterestOnly);
}

#[test]
fn an_account_changes_over_without_losing_a_message() {
    let mut there = OutboundInterest::new(false);
    there.unsubscribe("A", b"no", None);
    there.all_follows("A");
    assert_eq!(there.mode("A"), InterestMode::Transitioning);
    assert!(wants(&there, "A", "foo"), "until all is told, what is not refused is sent");
    assert!(there.subscribe("A", filter("foo"), None, 1));
    there.all_sent("A");
    assert_eq!(there.mode("A"), InterestMode::InterestOnly);
    assert!(wants(&there, "A", "foo") && !wants(&there, "A", "bar"));
}

#[test]
fn a_peer_cannot_fill_our_memory_with_refusals() {
    let mut there = OutboundInterest::new(false);
    let kept = (0..10 * MAX_NO_INTEREST).filter(|n| there.unsubscribe("A", format!("s.{n}").as_bytes(), None)).count();
    assert_eq!(kept, 2 * MAX_NO_INTEREST);
}

#[test]
fn the_receiving_end_refuses_once_and_takes_it_back() {
    let mut here = InboundInterest::default();
    assert_eq!(here.on_unwanted("A", b"foo", false), Some(Tell::AccountWantsNothing));
    assert_eq!(here.on_unwanted("A", b"foo", false), None);
    assert_eq!(here.on_change("A", &filter("foo"), true), Some(Tell::AccountWants));
    assert_eq!(here.on_change("A", &filter("bar"), true), None, "it is optimistic again");
    assert_eq!(here.on_unwanted("A", b"x.1", true), Some(Tell::WantsNot));
    assert_eq!(here.on_unwanted("A", b"x.1", true), None);
    assert_eq!(here.on_change("A", &filter("x.*"), true), Some(Tell::Wants));
    assert_eq!(here.on_change("A", &filter("x.*"), false), None);
    assert_eq!(here.on_unwanted("A", b"x.1", true), Some(Tell::WantsNot));
}

#[test]
fn too_many_refusals_end_optimism() {
    let mut here = InboundInterest::default();
    let told: Vec<_> =
        (0..=MAX_NO_INTEREST).filter_map(|n| here.on_unwanted("A", format!("s.{n}").as_bytes(), true)).collect();
    assert_eq!(told.len(), MAX_NO_INTEREST + 1);
    assert_eq!(told.last(), Some(&Tell::AllInterest));
    assert!(told[..MAX_NO_INTEREST].iter().all(|tell| *tell == Tell::WantsNot));
    assert_eq!(here.on_unwanted("A", b"y", true), None);
    assert_eq!(here.on_change("A", &filter("y"), true), Some(Tell::Wants));
    assert_eq!(here.on_change("A", &filter("y"), false), Some(Tell::WantsNot));
}

#[test]
fn an_account_is_switched_once() {
    let mut here = InboundInterest::default();
    assert!(here.switch_to_interest_only("A"));
    assert!(!here.switch_to_interest_only("A"));
}

#[test]
fn both_ends_agree_on_what_is_sent() {
    // Everything the receiving end says is done by the sending end; what is wanted here must be sent from there.
    let mut here = InboundInterest::default();
    let mut there = OutboundInterest::new(false);
    let mut wanted: Vec<&str> = Vec::new();
    let subjects = ["a", "b", "x.1", "x.2"];
    let steps = [("x.*", true), ("a", true), ("x.*", false), ("b", true), ("a", false), ("b", false), ("x.1", true)];
    for (text, added) in steps {
        if added {
            wanted.push(text)
        } else {
            wanted.retain(|known| *known != text)
        }
        let tell = here.on_change("A", &filter(text), added);
        say(&mut there, tell, text);
        for subject in subjects {
            let is_wanted =
                wanted.iter().any(|text| filter(text).matches(Subject::parse(subject.as_bytes()).expect("a subject")));
            let is_sent = wants(&there, "A", subject);
            assert!(is_sent || !is_wanted, "{subject} is wanted and not sent after {text} {added}");
            if is_sent && !is_wanted {
                let tell = here.on_unwanted("A", subject.as_bytes(), !wanted.is_empty());
                say(&mut there, tell, subject);
                assert!(!wants(&there, "A", subject), "{subject} was refused");
            }
        }
    }
}

fn say(there: &mut OutboundInterest, tell: Option<Tell>, text: &str) {
    match tell {
        None | Some(Tell::AllInterest) => {}
        Some(Tell::AccountWants) => there.account_wants("A"),
        Some(Tell::AccountWantsNothing) => there.account_wants_nothing("A"),
        Some(Tell::Wants) => drop(there.subscribe("A", filter(text), None, 1)),
        Some(Tell::WantsNot) => drop(there.unsubscribe("A", text.as_bytes(), None)),
    }
}
