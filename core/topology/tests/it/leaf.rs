use std::time::Duration;

use bulwark_topology::{
    Compression, Info, LeafConnect, LeafEffect, LeafHandshake, LeafRegistration, LeafRemote, LeafRole, LeafRules,
    Levels, LinkError, SubjectRules,
};
use wire::CloseReason;
use wire::leaf::Op;
use wire::server::{Disinterest, Interest};

const RTT: Duration = Duration::from_millis(1);

fn hub(compression: Compression) -> LeafRules {
    let info = Info {
        server_id: "NA".into(),
        server_name: "RA".into(),
        proto: 3,
        cluster: "C1".into(),
        headers: true,
        ..Info::default()
    };
    LeafRules { info, compression, levels: Levels::default(), min_version: None }
}

fn remote(compression: Compression) -> LeafRemote {
    let connect = LeafConnect {
        version: "2.15.1".into(),
        server_id: "NL".into(),
        name: "LF".into(),
        cluster: "LF".into(),
        headers: true,
        remote_account: "L".into(),
        protocol: 3,
        ..LeafConnect::default()
    };
    LeafRemote { connect, compression, levels: Levels::default(), tls: false, tls_done: false, headers: true }
}

/// Lets both ends talk; returns what was said and who was registered.
fn talk(remote: LeafRemote, rules: &LeafRules) -> (Vec<String>, [Option<LeafRegistration>; 2], [Option<LinkError>; 2]) {
    let mut queues = [Vec::new(), Vec::new()];
    let mut spoke = LeafHandshake::solicit(remote);
    let mut acceptor = LeafHandshake::accept(6, "nonce".into(), rules, &mut queues[1]);
    let (mut said, mut registered, mut closed) = (Vec::new(), [None, None], [None, None]);
    for _ in 0..20 {
        for side in 0..2 {
            for effect in std::mem::take(&mut queues[side]) {
                let who = ["sol", "acc"][side];
                match effect {
                    LeafEffect::SendInfo(info) => {
                        said.push(format!("{who} INFO {}", info.compression.clone().unwrap_or_default()));
                        let json = info.to_json();
                        let end = if side == 0 { &mut acceptor } else { &mut spoke };
                        assert_eq!(end.may_come(&Op::Info(&json)), Ok(()));
                        end.on_info(Info::parse(&json).expect("our own"), rules, RTT, &mut queues[1 - side]);
                    }
                    LeafEffect::SendConnect { nonce, connect } => {
                        assert_eq!(nonce, "nonce", "the first nonce is signed");
                        said.push(format!("{who} CONNECT {}", connect.compress_mode.clone().unwrap_or_default()));
                        acceptor.on_connect(&connect.to_json(), rules, &mut queues[1]);
                    }
                    LeafEffect::Authenticate(_) => {
                        let answer = Info { remote_account: "A".into(), ..rules.info.clone() };
                        acceptor.on_admitted(answer, &mut queues[1]);
                    }
                    LeafEffect::StartTls => {
                        said.push(format!("{who} TLS"));
                        spoke.on_tls(RTT, &mut queues[0]);
                    }
                    LeafEffect::Compress(mode) => said.push(format!("{who} frames {}", mode.as_str().expect("a mode"))),
                    LeafEffect::Register(registration) => registered[side] = Some(*registration),
                    LeafEffect::Close(error) => closed[side] = Some(error),
                }
            }
        }
    }
    (said, registered, closed)
}

#[test]
fn a_leaf_node_and_its_hub_come_together() {
    let (said, registered, closed) = talk(remote(Compression::Off), &hub(Compression::Off));
    assert_eq!(said, ["acc INFO off", "sol CONNECT off", "acc INFO "]);
    assert_eq!(closed, [None, None]);
    let [Some(spoke), Some(acceptor)] = registered else { panic!() };
    assert_eq!((spoke.role, acceptor.role), (LeafRole::Spoke, LeafRole::Hub));
    assert_eq!((spoke.server.as_str(), spoke.cluster.as_str(), spoke.remote_account.as_str()), ("RA", "C1", "A"));
    assert_eq!(
        (acceptor.server.as_str(), acceptor.cluster.as_str(), acceptor.remote_account.as_str()),
        ("LF", "LF", "L")
    );
    assert!(spoke.headers && acceptor.headers);
}

#[test]
fn compression_is_settled_before_connect() {
    let (said, registered, _) = talk(remote(Compression::S2Auto), &hub(Compression::S2Auto));
    assert_eq!(
        said,
        [
            "acc INFO s2_auto",
            "sol INFO s2_uncompressed",
            "sol frames s2_uncompressed",
            "acc frames s2_uncompressed",
            "acc INFO s2_uncompressed",
            "sol CONNECT s2_uncompressed",
            "acc INFO "
        ]
    );
    assert!(registered.iter().all(|r| r.as_ref().is_some_and(|r| r.compression == Compression::S2Uncompressed)));
}

#[test]
fn tls_comes_before_anything_is_said_if_either_side_asks_for_it() {
    let mut rules = hub(Compression::S2Fast);
    rules.info.tls_required = true;
    let (said, registered, _) = talk(remote(Compression::S2Fast), &rules);
    assert_eq!(&said[..3], ["acc INFO s2_fast", "sol TLS", "sol INFO s2_fast"]);
    assert!(registered.iter().all(Option::is_some));
    let (said, ..) = talk(LeafRemote { tls: true, ..remote(Compression::Off) }, &hub(Compression::Off));
    assert_eq!(said[1], "sol TLS");
    let (said, ..) = talk(LeafRemote { tls: true, tls_done: true, ..remote(Compression::Off) }, &hub(Compression::Off));
    assert!(!said.contains(&"sol TLS".to_owned()));
}

#[test]
fn who_wants_to_be_the_hub_makes_the_acceptor_a_spoke() {
    let mut wish = remote(Compression::Off);
    wish.connect.is_hub = true;
    let (_, registered, _) = talk(wish, &hub(Compression::Off));
    let [Some(solicitor), Some(acceptor)] = registered else { panic!() };
    assert_eq!((solicitor.role, acceptor.role), (LeafRole::Hub, LeafRole::Spoke));
}

#[test]
fn an_old_hub_that_answers_no_connect_is_taken_at_once() {
    let mut spoke = LeafHandshake::solicit(remote(Compression::Off));
    let mut out = Vec::new();
    let info = Info { server_id: "NA".into(), client_id: 1, leafnode_urls: Some(vec![]), ..Info::default() };
    spoke.on_info(info, &hub(Compression::Off), RTT, &mut out);
    let [LeafEffect::SendConnect { .. }, LeafEffect::Register(registration)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(registration.server, "NA");
    assert!(spoke.is_registered());
}

#[test]
fn what_is_no_leaf_port_is_recognised() {
    for info in [
        Info::default(),
        Info { client_id: 5, proto: 1, ..Info::default() },
        Info { client_id: 5, connect_urls: vec!["h:1".into()], proto: 1, ..Info::default() },
        Info { gateway: "C2".into(), proto: 3, ..Info::default() },
    ] {
        let mut spoke = LeafHandshake::solicit(remote(Compression::S2Fast));
        let mut out = Vec::new();
        spoke.on_info(info, &hub(Compression::Off), RTT, &mut out);
        let [LeafEffect::Close(error)] = &out[..] else { panic!("{out:?}") };
        assert_eq!((error, error.close_reason()), (&LinkError::WrongPort, CloseReason::IncorrectPort));
    }
}

#[test]
fn the_acceptor_refuses_whom_it_cannot_have() {
    let rules = LeafRules { min_version: Some("2.10.0".into()), ..hub(Compression::Off) };
    for (json, text, reason) in [
        (r#"{"lang":"go"}"#, "attempted to connect to leaf node port", CloseReason::IncorrectPort),
        (r#"{"cluster":"C1"}"#, "remote leafnode has same cluster name", CloseReason::ClusterNamesIdentical),
        (r#"{"cluster":"a b"}"#, "cluster name cannot contain spaces", CloseReason::ProtocolViolation),
        (
            r#"{"gateway":"C2"}"#,
            "Rejecting connection from gateway \"C2\" on the leafnode port",
            CloseReason::WrongGateway,
        ),
        (
            r#"{"version":"2.9.9"}"#,
            "connection rejected since minimum version required is \"2.10.0\"",
            CloseReason::MinimumVersionRequired,
        ),
        (
            r#"{"version":"garbage"}"#,
            "connection rejected since minimum version required is \"2.10.0\"",
            CloseReason::MinimumVersionRequired,
        ),
    ] {
        let mut out = Vec::new();
        let mut acceptor = LeafHandshake::accept(1, String::new(), &rules, &mut out);
        acceptor.on_connect(json.as_bytes(), &rules, &mut out);
        let Some(LeafEffect::Close(error)) = out.last() else { panic!("{out:?}") };
        assert_eq!((error.wire_text().as_deref(), error.close_reason()), (Some(text), reason));
    }
    let mut out = Vec::new();
    let mut acceptor = LeafHandshake::accept(1, String::new(), &rules, &mut out);
    acceptor.on_connect(br#"{"version":"v2.10.0-beta.1"}"#, &rules, &mut out);
    assert!(matches!(out.last(), Some(LeafEffect::Authenticate(_))));
}

fn too_early<'a>() -> Vec<Op<'a>> {
    vec![
        Op::Subscribe(Interest { subject: b"x", queue: None }),
        Op::Unsubscribe(Disinterest { subject: b"x", queue: None }),
        Op::Ping,
        Op::Pong,
        Op::Ok,
        Op::Err(b"'Loop detected for leafnode account=\"A\"'"),
    ]
}

#[test]
fn cve_2026_29785_nothing_about_subjects_comes_before_connect() {
    for compression in [Compression::Off, Compression::Accept, Compression::S2Auto, Compression::NotSupported] {
        let rules = hub(compression);
        let mut out = Vec::new();
        let mut acceptor = LeafHandshake::accept(1, String::new(), &rules, &mut out);
        for op in too_early() {
            let refused = if matches!(op, Op::Err(_)) { LinkError::TurnedAway } else { LinkError::Violation };
            assert_eq!(acceptor.may_come(&op), Err(refused), "{compression:?} {op:?}");
        }
        acceptor.on_connect(b"{}", &rules, &mut out);
        for op in too_early() {
            assert_eq!(acceptor.may_come(&op), Err(LinkError::Violation), "the login is not judged yet: {op:?}");
        }
    }
}

#[test]
fn cve_2026_33218_an_error_before_connect_moves_nothing() {
    let rules = hub(Compression::S2Auto);
    let mut out = Vec::new();
    let acceptor = LeafHandshake::accept(1, String::new(), &rules, &mut out);
    for text in [&b"'Loop detected'"[..], b"'remote leafnode has same cluster name'", b""] {
        assert_eq!(acceptor.may_come(&Op::Err(text)), Err(LinkError::TurnedAway));
    }
}

#[test]
fn ghsa_3g5q_a_second_info_before_connect_is_refused() {
    let rules = hub(Compression::S2Auto);
    let mut out = Vec::new();
    let mut acceptor = LeafHandshake::accept(1, String::new(), &rules, &mut out);
    assert_eq!(acceptor.may_come(&Op::Info(b"{}")), Ok(()));
    acceptor.on_info(Info { compression: Some("off".into()), ..Info::default() }, &rules, RTT, &mut out);
    let info = Info { connect_info: true, remote_account: "$SYS".into(), ..Info::default() };
    assert_eq!(acceptor.may_come(&Op::Info(b"{}")), Err(LinkError::Violation));
    acceptor.on_info(info, &rules, RTT, &mut out);
    assert!(matches!(out.last(), Some(LeafEffect::Close(LinkError::OutOfTurn))));
    assert!(!acceptor.is_registered());
}

#[test]
fn the_acceptors_nonce_cannot_be_replaced_by_the_peer() {
    // Security fix without a number: an inbound INFO replaced the nonce over which the signature was checked.
    let rules = hub(Compression::S2Auto);
    let mut out = Vec::new();
    let mut acceptor = LeafHandshake::accept(1, "ours".into(), &rules, &mut out);
    let forged = Info { nonce: "theirs".into(), compression: Some("s2_fast".into()), ..Info::default() };
    acceptor.on_info(forged, &rules, RTT, &mut out);
    for effect in &out {
        if let LeafEffect::SendInfo(info) = effect {
            assert_ne!(info.nonce, "theirs");
        }
    }
}

#[test]
fn an_inbound_leaf_cannot_change_its_own_permissions() {
    // Security fix without a number: import and export in a later INFO of the peer took effect.
    let rules = hub(Compression::Off);
    let mut out = Vec::new();
    let mut acceptor = LeafHandshake::accept(1, String::new(), &rules, &mut out);
    acceptor.on_connect(br#"{"name":"LF","cluster":"LF"}"#, &rules, &mut out);
    acceptor.on_admitted(Info::default(), &mut out);
    assert!(acceptor.is_registered());
    out.clear();
    let everything = SubjectRules { allow: vec![">".into()], deny: vec![] };
    let forged = Info { import: Some(everything.clone()), export: Some(everything), ..Info::default() };
    acceptor.on_info(forged, &rules, RTT, &mut out);
    assert!(matches!(out[..], [LeafEffect::Close(LinkError::OutOfTurn)]), "{out:?}");
}

/// By a word in the clear nobody leads a leaf node, with its login, to another server.
#[test]
fn who_speaks_before_tls_names_no_others() {
    let mut out = Vec::new();
    let tells = |tls_required| Info {
        tls_required,
        client_id: 6,
        info_on_connect: true,
        nonce: "n".into(),
        leafnode_urls: Some(vec!["evil.example:7422".into()]),
        ..hub(Compression::Off).info
    };
    let solicit = |tls, tls_done| LeafHandshake::solicit(LeafRemote { tls, tls_done, ..remote(Compression::Off) });
    assert!(!solicit(true, false).may_name_others(&tells(true)));
    assert!(!solicit(true, false).may_name_others(&tells(false)), "TLS is wanted, whatever the far end says");
    assert!(!solicit(false, false).may_name_others(&tells(true)));
    assert!(solicit(true, true).may_name_others(&tells(true)), "TLS came first");
    assert!(solicit(false, false).may_name_others(&tells(false)), "nothing is encrypted here");
    let mut spoke = solicit(true, false);
    spoke.on_info(tells(true), &hub(Compression::Off), RTT, &mut out);
    assert!(!spoke.may_name_others(&tells(true)), "the handshake is not over");
    spoke.on_tls(RTT, &mut out);
    assert!(spoke.may_name_others(&tells(true)));
}
