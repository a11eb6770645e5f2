use std::time::Duration;

use bulwark_topology::{
    Compression, Gossip, Info, Levels, LinkError, Pooling, Registration, RouteEffect, RouteHandshake, RouteKind,
    RouteNews, RouteRules, RouteStart, ServerConnect, SubjectRules, route_news,
};
use wire::CloseReason;
use wire::route::Op;

fn rules(id: &str, pool_size: Option<u32>, compression: Compression) -> RouteRules {
    let info = Info {
        server_id: format!("N{id}"),
        server_name: id.into(),
        cluster: "C1".into(),
        compression: compression.as_str().map(str::to_owned),
        lnoc: true,
        lnocu: true,
        route_pool_size: pool_size.map_or(0, i64::from),
        ..Info::default()
    };
    RouteRules {
        info,
        pool_size,
        compression,
        levels: Levels::default(),
        dedicated: vec!["$SYS".into()],
        named_by: None,
    }
}

fn connect(rules: &RouteRules) -> ServerConnect {
    let Info { server_id, cluster, cluster_dynamic, .. } = rules.info.clone();
    ServerConnect { name: server_id, cluster, cluster_dynamic, ..Default::default() }
}

fn start(account: Option<&str>) -> RouteStart {
    RouteStart { kind: RouteKind::Explicit, account: account.map(str::to_owned), gossip: Gossip::Default }
}

/// Two ends of a route that talk until neither has anything to say.
struct Pair {
    rules: [RouteRules; 2],
    ends: [RouteHandshake; 2],
    said: Vec<String>,
    registered: [Option<Registration>; 2],
    closed: [Option<LinkError>; 2],
}

impl Pair {
    fn talk(solicitor: RouteRules, acceptor: RouteRules, account: Option<&str>) -> Self {
        let (mut first, mut second) = (Vec::new(), Vec::new());
        let connect = connect(&solicitor);
        let ends = [
            RouteHandshake::solicit(start(account), connect, &solicitor, &mut first),
            RouteHandshake::accept("nonce".into(), &acceptor, &mut second),
        ];
        let mut pair = Self {
            rules: [solicitor, acceptor],
            ends,
            said: Vec::new(),
            registered: [None, None],
            closed: [None, None],
        };
        let mut queues = [first, second];
        for _ in 0..20 {
            for side in 0..2 {
                for effect in std::mem::take(&mut queues[side]) {
                    pair.carry(side, effect, &mut queues);
                }
            }
        }
        pair
    }

    fn carry(&mut self, side: usize, effect: RouteEffect, queues: &mut [Vec<RouteEffect>; 2]) {
        let other = 1 - side;
        let who = ["sol", "acc"][side];
        let rtt = Duration::from_millis(20);
        match effect {
            RouteEffect::SendConnect(connect) => {
                self.said.push(format!("{who} CONNECT"));
                let json = connect.to_json();
                if self.ends[other].may_come(&Op::Connect(&json)).is_ok() {
                    self.ends[other].on_connect(&json, &self.rules[other], &mut queues[other]);
                    // Nothing more is read until the login is judged, so the verdict comes before the next operation.
                    self.ends[other].on_admitted(&mut queues[other]);
                }
            }
            RouteEffect::SendInfo(info) => {
                let compression = info.compression.clone().unwrap_or_default();
                self.said
                    .push(format!("{who} INFO {compression} idx={} acc={}", info.route_pool_idx, info.route_account));
                let json = info.to_json();
                let read = Info::parse(&json).expect("our own");
                assert_eq!(self.ends[other].may_come(&Op::Info(&json)), Ok(()));
                self.ends[other].on_info(read, &self.rules[other], rtt, &mut queues[other]);
            }
            RouteEffect::Authenticate(_) => {}
            RouteEffect::Compress(mode) => self.said.push(format!("{who} frames {}", mode.as_str().expect("a mode"))),
            RouteEffect::AdoptCluster { name, .. } => {
                self.said.push(format!("{who} adopts {name}"));
                self.rules[side].info.cluster = name;
            }
            RouteEffect::Register(registration) => {
                let index = registration.index.unwrap_or(0);
                self.registered[side] = Some(*registration);
                self.ends[side].on_placed(index, &self.rules[side], &mut queues[side]);
            }
            RouteEffect::Close(error) => self.closed[side] = Some(error),
        }
    }
}

#[test]
fn a_pooled_route_is_registered_at_both_ends() {
    let off = Compression::Off;
    let pair = Pair::talk(rules("B", Some(3), off), rules("A", Some(5), off), None);
    assert_eq!(pair.said, ["sol CONNECT", "acc INFO off idx=0 acc=", "sol INFO off idx=0 acc="]);
    for side in 0..2 {
        let registration = pair.registered[side].as_ref().expect("registered");
        assert_eq!(registration.pooling, Pooling::Pool(5));
        assert!(registration.form.names_account && registration.form.unsubscribe_names_origin);
        assert!(pair.ends[side].is_registered());
    }
    assert_eq!(pair.closed, [None, None]);
}

#[test]
fn a_dedicated_route_says_its_account_and_leaves_it_out_of_lines() {
    let off = Compression::Off;
    let pair = Pair::talk(rules("B", Some(3), off), rules("A", Some(3), off), Some("$SYS"));
    assert_eq!(pair.said, ["sol CONNECT", "sol INFO off idx=0 acc=$SYS", "acc INFO off idx=0 acc="]);
    for side in 0..2 {
        let registration = pair.registered[side].as_ref().expect("registered");
        assert_eq!(registration.info.route_account, "$SYS");
        assert!(!registration.form.names_account);
    }
}

#[test]
fn a_dedicated_route_needs_both_ends() {
    let off = Compression::Off;
    let pair = Pair::talk(rules("B", Some(3), off), rules("A", None, off), Some("$SYS"));
    assert_eq!(pair.closed[1], Some(LinkError::NoDedicatedRoute("$SYS".into())));
    let mut other = rules("A", Some(3), off);
    other.dedicated.clear();
    let pair = Pair::talk(rules("B", Some(3), off), other, Some("$SYS"));
    let error = pair.closed[1].clone().expect("closed");
    assert_eq!(error.wire_text().as_deref(), Some("No route for account \"$SYS\""));
}

#[test]
fn compression_is_settled_before_registration_and_in_the_right_order() {
    let pair = Pair::talk(rules("B", Some(1), Compression::S2Fast), rules("A", Some(1), Compression::Accept), None);
    let order: Vec<_> = pair.said.iter().map(String::as_str).collect();
    let solicitor: Vec<_> = order.iter().filter(|line| line.starts_with("sol")).collect();
    let acceptor: Vec<_> = order.iter().filter(|line| line.starts_with("acc")).collect();
    assert_eq!(
        solicitor,
        [&"sol CONNECT", &"sol INFO s2_fast idx=0 acc=", &"sol frames s2_fast", &"sol INFO s2_fast idx=0 acc="]
    );
    assert_eq!(acceptor, [&"acc INFO accept idx=0 acc=", &"acc frames s2_fast", &"acc INFO s2_fast idx=0 acc="]);
    assert!(pair.registered.iter().all(|r| r.as_ref().is_some_and(|r| r.compression == Compression::S2Fast)));
}

#[test]
fn s2_auto_picks_by_round_trip_time_and_still_says_auto() {
    let pair = Pair::talk(rules("B", Some(1), Compression::S2Auto), rules("A", Some(1), Compression::S2Auto), None);
    assert!(pair.said.contains(&"sol frames s2_fast".to_owned()), "{:?}", pair.said);
    assert!(pair.registered.iter().all(Option::is_some));
}

#[test]
fn two_that_accept_do_not_compress() {
    let pair = Pair::talk(rules("B", Some(1), Compression::Accept), rules("A", Some(1), Compression::Accept), None);
    assert!(!pair.said.iter().any(|line| line.contains("frames")));
    assert!(pair.said.contains(&"sol INFO off idx=0 acc=".to_owned()), "{:?}", pair.said);
    assert!(pair.registered.iter().all(Option::is_some));
}

#[test]
fn an_old_server_gets_one_connection() {
    let off = Compression::NotSupported;
    let pair = Pair::talk(rules("B", Some(3), off), rules("A", None, off), None);
    assert!(
        pair.registered.iter().all(|r| r.as_ref().is_some_and(|r| r.pooling == Pooling::Single && r.index == Some(0)))
    );
}

#[test]
fn a_server_does_not_route_to_itself_nor_to_its_namesake() {
    let off = Compression::Off;
    let pair = Pair::talk(rules("A", Some(1), off), rules("A", Some(1), off), None);
    assert_eq!(pair.closed[0], Some(LinkError::DuplicateRoute));
    let mut namesake = rules("B", Some(1), off);
    namesake.info.server_name = "A".into();
    let pair = Pair::talk(namesake, rules("A", Some(1), off), None);
    assert_eq!(pair.closed[1].as_ref().map(LinkError::close_reason), Some(CloseReason::DuplicateServerName));
}

#[test]
fn clusters_of_different_names_do_not_mix_unless_a_name_was_made_up() {
    let off = Compression::Off;
    let named = |id: &str, cluster: &str, dynamic| {
        let mut rules = rules(id, Some(1), off);
        rules.info.cluster = cluster.into();
        rules.info.cluster_dynamic = dynamic;
        rules
    };
    let pair = Pair::talk(named("B", "C2", false), named("A", "C1", false), None);
    let error = pair.closed[1].clone().expect("closed");
    assert_eq!(error.close_reason(), CloseReason::ClusterNameConflict);
    assert_eq!(error.to_string(), "Rejecting connection, cluster name \"C2\" does not match \"C1\"");

    let pair = Pair::talk(named("B", "C2", false), named("A", "xyz", true), None);
    assert!(pair.said.contains(&"acc adopts C2".to_owned()), "a configured name wins over a made-up one");
}

#[test]
fn a_made_up_name_is_given_up_for_nobody_who_has_not_logged_in() {
    let mut rules = rules("A", Some(1), Compression::Off);
    (rules.info.cluster, rules.info.cluster_dynamic) = ("xyz".into(), true);
    let mut out = Vec::new();
    let mut acceptor = RouteHandshake::accept(String::new(), &rules, &mut out);
    let adopts = |out: &[RouteEffect]| out.iter().any(|effect| matches!(effect, RouteEffect::AdoptCluster { .. }));
    acceptor.on_connect(br#"{"cluster":"C2"}"#, &rules, &mut out);
    assert!(matches!(out.last(), Some(RouteEffect::Authenticate(_))) && !adopts(&out));
    acceptor.on_admitted(&mut out);
    assert!(adopts(&out));
}

#[test]
fn who_gave_a_server_its_made_up_name_may_give_it_another() {
    for (named_by, adopts) in [(None, false), (Some("C"), false), (Some("B"), true)] {
        let mut rules = rules("A", Some(1), Compression::Off);
        (rules.info.cluster, rules.info.cluster_dynamic) = ("xyz".into(), true);
        rules.named_by = named_by.map(str::to_owned);
        let mut out = Vec::new();
        let mut acceptor = RouteHandshake::accept(String::new(), &rules, &mut out);
        // Of two made-up names the greater one counts otherwise.
        acceptor.on_connect(br#"{"name":"B","cluster":"C2","cluster_dynamic":true}"#, &rules, &mut out);
        acceptor.on_admitted(&mut out);
        let adopted = matches!(out.last(), Some(RouteEffect::AdoptCluster { name, server_id, .. }) if name == "C2" && server_id == "B");
        assert_eq!(adopted, adopts, "{named_by:?}");
    }
}

#[test]
fn who_comes_to_the_wrong_port_is_told() {
    for (json, text, reason) in [
        (r#"{"lang":"go"}"#, "attempted to connect to route port", CloseReason::IncorrectPort),
        (
            r#"{"gateway":"C2"}"#,
            "Rejecting connection from gateway \"C2\" on the Route port",
            CloseReason::WrongGateway,
        ),
    ] {
        let rules = rules("A", Some(1), Compression::Off);
        let mut out = Vec::new();
        let mut acceptor = RouteHandshake::accept(String::new(), &rules, &mut out);
        acceptor.on_connect(json.as_bytes(), &rules, &mut out);
        let Some(RouteEffect::Close(error)) = out.last() else { panic!("{out:?}") };
        assert_eq!((error.wire_text().as_deref(), error.close_reason()), (Some(text), reason));
        assert!(acceptor.may_come(&Op::Ping).is_err());
    }
}

#[test]
fn ghsa_38x3_nothing_but_connect_comes_first_on_a_route() {
    let rules = rules("A", Some(1), Compression::S2Fast);
    let mut out = Vec::new();
    let mut acceptor = RouteHandshake::accept(String::new(), &rules, &mut out);
    let line = wire::server::Interest { subject: b"x", queue: None };
    for op in [
        Op::Ping,
        Op::Pong,
        Op::Info(b"{}"),
        Op::Ok,
        Op::Account(b"A"),
        Op::Subscribe { scope: Default::default(), interest: line },
    ] {
        assert_eq!(acceptor.may_come(&op), Err(LinkError::Violation), "{op:?}");
    }
    assert_eq!(acceptor.may_come(&Op::Err(b"x")), Err(LinkError::TurnedAway), "it is no violation");
    out.clear();
    acceptor.on_info(Info::default(), &rules, Duration::ZERO, &mut out);
    assert!(matches!(out.as_slice(), [RouteEffect::Close(LinkError::OutOfTurn)]));
}

#[test]
fn until_the_login_is_judged_nothing_more_is_heard() {
    let rules = rules("A", Some(1), Compression::Off);
    let mut out = Vec::new();
    let mut acceptor = RouteHandshake::accept(String::new(), &rules, &mut out);
    acceptor.on_connect(br#"{"name":"NB","cluster":"C1"}"#, &rules, &mut out);
    assert!(matches!(out.last(), Some(RouteEffect::Authenticate(_))));
    assert_eq!(acceptor.may_come(&Op::Info(b"{}")), Err(LinkError::Violation));
    acceptor.on_admitted(&mut out);
    assert_eq!(acceptor.may_come(&Op::Info(b"{}")), Ok(()));
    acceptor.on_connect(b"{}", &rules, &mut out);
    assert!(matches!(out.last(), Some(RouteEffect::Close(LinkError::OutOfTurn))), "a second CONNECT");
}

#[test]
fn a_pool_index_out_of_range_is_refused() {
    let rules = rules("A", Some(3), Compression::Off);
    for index in [-1, 3, 1 << 40] {
        let mut out = Vec::new();
        let mut acceptor = RouteHandshake::accept(String::new(), &rules, &mut out);
        acceptor.on_connect(br#"{"cluster":"C1"}"#, &rules, &mut out);
        acceptor.on_admitted(&mut out);
        let info = Info { server_id: "NB".into(), route_pool_size: 3, route_pool_idx: index, ..Info::default() };
        acceptor.on_info(info, &rules, Duration::ZERO, &mut out);
        let Some(RouteEffect::Close(error)) = out.last() else { panic!("{out:?}") };
        assert_eq!(error.to_string(), format!("Invalid route pool index: {index} - pool size is 3"));
    }
}

#[test]
fn later_infos_are_sorted_by_what_they_are_about() {
    let own = Info { server_id: "NB".into(), ..Info::default() };
    let about = |info: Info| route_news(info, "NB");
    assert_eq!(about(own.clone()), RouteNews::Rules { import: None, export: None });
    let import = Some(SubjectRules { allow: vec!["a".into()], deny: vec![] });
    assert_eq!(about(Info { import: import.clone(), ..own.clone() }), RouteNews::Rules { import, export: None });
    assert_eq!(about(Info { ldm: true, ..own.clone() }), RouteNews::LameDuck);
    let other = Info { server_id: "NC".into(), ip: "nats-route://h:1/".into(), ..Info::default() };
    assert_eq!(about(other.clone()), RouteNews::Server(Box::new(other)));
    let gateway = Info { server_id: "GWNB".into(), gateway: "C2".into(), ..Info::default() };
    assert_eq!(about(gateway.clone()), RouteNews::Gateway(Box::new(gateway)));
    let moves = Info { route_account: "B".into(), route_acc_add_reqid: "r".into(), route_pool_size: 10, ..own.clone() };
    let answer = Info { route_account: String::new(), ..moves.clone() };
    assert_eq!(
        about(moves),
        RouteNews::AccountMoves { account: "B".into(), index: 9, answer: Box::new(answer.clone()) }
    );
    assert_eq!(about(answer), RouteNews::AccountMoved("r".into()));
}
