use bulwark_topology::{ReplyMapper, ReplyRoute, split_shown, with_shown, without_shown};
use proptest::prelude::*;
use subject::MappedReply;

fn mapped(mapper: &ReplyMapper, reply: &str, old: bool) -> String {
    let mut out = Vec::new();
    mapper.map(&mut out, reply.as_bytes(), old);
    String::from_utf8(out).expect("text")
}

#[test]
fn an_answer_finds_its_way_back_to_cluster_and_server() {
    let asker = ReplyMapper::new("C2", "NA");
    let colleague = ReplyMapper::new("C2", "NB");
    let stranger = ReplyMapper::new("C1", "NC");
    let subject = mapped(&asker, "rep.g", false);
    assert!(subject.starts_with("_GR_.Q9nuOZ."), "{subject}");
    let parsed = MappedReply::parse(subject.as_bytes()).expect("mapped");
    assert_eq!(asker.route(&parsed, true), ReplyRoute::Here(b"rep.g"));
    assert_eq!(stranger.route(&parsed, true), ReplyRoute::Drop);
    let ReplyRoute::Server { hash, reply } = colleague.route(&parsed, true) else { panic!() };
    assert_eq!((Some(hash), reply), (parsed.server, &b"rep.g"[..]));
    assert_eq!(colleague.route(&parsed, false), ReplyRoute::Here(b"rep.g"), "what came by a route goes no further");
}

#[test]
fn old_peers_get_the_old_form() {
    let asker = ReplyMapper::new("C1", "NA");
    let subject = mapped(&asker, "rep", true);
    assert_eq!(subject, "$GR.ab86.rep");
    let parsed = MappedReply::parse(subject.as_bytes()).expect("mapped");
    assert_eq!(asker.route(&parsed, true), ReplyRoute::Here(b"rep"));
    assert_eq!(ReplyMapper::new("C2", "NA").route(&parsed, true), ReplyRoute::Drop);
}

#[test]
fn what_only_begins_like_a_mapped_reply_is_none() {
    for subject in [
        "",
        "_GR_",
        "_GR_.",
        "_GR_.abcdef",
        "_GR_.abcdef.ghijkl",
        "_GR_.abcdef.ghijkl.",
        "_GR_.abcdeX.ghijk.r",
        "$GR.abcd",
        "$GR.abcd.",
        "$GR.abcdef.r",
        "foo",
    ] {
        assert_eq!(MappedReply::parse(subject.as_bytes()), None, "{subject}");
    }
}

proptest! {
    #[test]
    fn every_reply_comes_back_as_it_was(reply in "[!-~]{1,60}", cluster in ".{0,20}", server in ".{0,20}", old: bool) {
        let mapper = ReplyMapper::new(&cluster, &server);
        let subject = mapped(&mapper, &reply, old);
        let parsed = MappedReply::parse(subject.as_bytes()).expect("mapped");
        prop_assert_eq!(mapper.route(&parsed, true), ReplyRoute::Here(reply.as_bytes()));
    }

    #[test]
    fn no_subject_panics(subject in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = MappedReply::parse(&subject);
    }
}

#[test]
fn the_subject_of_a_stored_message_stands_behind_its_reply() {
    let reply = b"$JS.ACK.S@1.C@2.1.12.3.1700000000.0";
    let mut told = Vec::new();
    with_shown(reply, b"orders.a@b", &mut told);
    assert_eq!(split_shown(&told), Some((reply.as_slice(), b"orders.a@b".as_slice())));
    assert_eq!(split_shown(reply), None, "an `@` in a name is none");
    for whole in [
        b"_INBOX.a.b.c.d.e.f.g.h@x".as_slice(),
        b"$JS.ACK.S.c.1.2.3.4.5@",
        b"$JS.ACK.S.c.1.2.3.4.5@a b",
        b"$JS.ACK.S.c.1.2.3.4.5@a.>",
    ] {
        assert_eq!(split_shown(whole), None, "{:?}", String::from_utf8_lossy(whole));
        let is_reply = whole.starts_with(b"_INBOX");
        assert_eq!(without_shown(whole).contains(&b'@'), is_reply, "{:?}", String::from_utf8_lossy(whole));
    }
    let mut told = Vec::new();
    with_shown(b"_INBOX.x", b"orders", &mut told);
    assert_eq!(told, b"_INBOX.x");
}
