//! Handshakes between servers: whatever comes, nobody is registered who was not let in, and nothing follows an end.

use std::time::Duration;

use topology::{
    Compression, GatewayEffect, GatewayHandshake, GatewayRules, Gossip, Info, LeafConnect, LeafEffect, LeafHandshake,
    LeafRemote, LeafRules, Levels, RouteEffect, RouteHandshake, RouteKind, RouteRules, RouteStart, ServerConnect,
    ToldLists, ToldRights,
};
use wire::client::Limits;
use wire::server::Parsed;

const LIMITS: Limits = Limits { max_control_line: 4096, max_payload: 0, headers: true };
const RTT: Duration = Duration::from_millis(3);

fn info() -> Info {
    Info {
        server_id: "NA".into(),
        server_name: "A".into(),
        cluster: "C1".into(),
        gateway: "C1".into(),
        ..Info::default()
    }
}

/// What became of a step.
#[derive(Default)]
struct Watch {
    is_admitted: bool,
    is_closed: bool,
    is_registered: bool,
}

impl Watch {
    fn registers(&mut self) {
        assert!(self.is_admitted, "registered before it was let in");
        assert!(!self.is_registered, "registered twice");
        self.is_registered = true;
    }

    fn closes(&mut self) {
        assert!(!self.is_closed, "closed twice");
        self.is_closed = true;
    }
}

/// The first byte chooses the kind of link and the end; the rest are lines.
pub fn handshake(bytes: &[u8]) {
    let Some((first, lines)) = bytes.split_first() else { return };
    match first % 6 {
        0 => route(lines, false),
        1 => route(lines, true),
        2 => gateway(lines, false),
        3 => gateway(lines, true),
        4 => leaf(lines, false),
        _ => leaf(lines, true),
    }
}

/// What another server tells of rights: what is read and told on means the same, or is too long.
pub fn rights(bytes: &[u8]) {
    let Ok(told) = ToldRights::parse(bytes) else { return };
    let again =
        ToldRights::encode(&told.who, told.is_leaf, told.lists.as_ref().map(|lists| lists.each_ref().map(lent)));
    assert!(again.len() <= wire::gateway::MAX_RIGHTS_BYTES, "more is told than may be");
    let again = ToldRights::parse(&again).expect("what is told can be read");
    assert_eq!((&again.who, again.is_leaf), (&told.who, told.is_leaf));
    assert!(again.lists.is_none() || again.lists == told.lists, "what is told means the same");
}

fn lent(lists: &ToldLists<String>) -> ToldLists<&str> {
    fn texts(texts: &[String]) -> Vec<&str> {
        texts.iter().map(String::as_str).collect()
    }
    ToldLists { allow: lists.allow.as_deref().map(texts), deny: texts(&lists.deny) }
}

fn route(mut bytes: &[u8], solicited: bool) {
    let rules = RouteRules {
        info: info(),
        pool_size: Some(3),
        compression: Compression::Accept,
        levels: Levels::default(),
        dedicated: vec!["SYS".into()],
        named_by: None,
    };
    let start = RouteStart { kind: RouteKind::Explicit, account: None, gossip: Gossip::Default };
    let mut out = Vec::new();
    let mut handshake = if solicited {
        RouteHandshake::solicit(start, ServerConnect::default(), &rules, &mut out)
    } else {
        RouteHandshake::accept("nonce".into(), &rules, &mut out)
    };
    // Whom this end went to is trusted with its own word.
    let mut watch = Watch { is_admitted: solicited, ..Watch::default() };
    while let Ok(Parsed::Op { op, consumed }) = wire::route::parse(bytes, &LIMITS, wire::route::Form::default()) {
        bytes = &bytes[consumed..];
        out.clear();
        if handshake.may_come(&op).is_err() {
            return;
        }
        match &op {
            wire::route::Op::Connect(json) => handshake.on_connect(json, &rules, &mut out),
            wire::route::Op::Info(json) => match Info::parse(json) {
                Ok(info) => handshake.on_info(info, &rules, RTT, &mut out),
                Err(_) => return,
            },
            _ => {}
        }
        let mut placed = false;
        for effect in &out {
            match effect {
                RouteEffect::Authenticate(_) => {
                    watch.is_admitted = true;
                    handshake.on_admitted(&mut Vec::new());
                }
                RouteEffect::Register(_) => {
                    watch.registers();
                    placed = true;
                }
                RouteEffect::Close(_) => watch.closes(),
                _ => {}
            }
        }
        if placed {
            let mut rest = Vec::new();
            handshake.on_placed(0, &rules, &mut rest);
            assert!(handshake.is_registered());
            return;
        }
        if watch.is_closed {
            return;
        }
    }
}

fn gateway(mut bytes: &[u8], solicited: bool) {
    let rules = GatewayRules { info: info(), reject_unknown: false, known: Vec::new(), server_names: vec!["A".into()] };
    let mut out = Vec::new();
    let mut handshake = if solicited {
        GatewayHandshake::outbound("C2".into(), ServerConnect::default())
    } else {
        GatewayHandshake::inbound(&rules, &mut out)
    };
    let mut watch = Watch { is_admitted: solicited, ..Watch::default() };
    while let Ok(Parsed::Op { op, consumed }) = wire::gateway::parse(bytes, &LIMITS) {
        bytes = &bytes[consumed..];
        out.clear();
        if handshake.may_come(&op).is_err() {
            return;
        }
        match &op {
            wire::gateway::Op::Connect(json) => handshake.on_connect(json, &rules, &mut out),
            wire::gateway::Op::Info(json) => match Info::parse(json) {
                Ok(info) => handshake.on_info(info, &rules, &mut out),
                Err(_) => return,
            },
            _ => {}
        }
        for effect in &out {
            match effect {
                GatewayEffect::Authenticate(connect) => {
                    assert!(rules.is_wanted(&connect.gateway), "a cluster that may not come");
                    watch.is_admitted = true;
                    handshake.on_admitted();
                }
                GatewayEffect::RegisterOutbound(info) => {
                    assert_eq!(info.gateway, "C2", "another cluster than was looked for");
                    watch.registers();
                }
                GatewayEffect::RegisterInbound(info) => {
                    assert!(rules.is_wanted(&info.gateway), "a cluster that may not come");
                    watch.registers();
                }
                GatewayEffect::Close(_) => watch.closes(),
                GatewayEffect::SendInfo(_) | GatewayEffect::SendConnect(_) => {}
            }
        }
        if watch.is_closed || watch.is_registered {
            return;
        }
    }
}

fn leaf(mut bytes: &[u8], solicited: bool) {
    let rules =
        LeafRules { info: info(), compression: Compression::Accept, levels: Levels::default(), min_version: None };
    let mut out = Vec::new();
    let mut handshake = if solicited {
        LeafHandshake::solicit(LeafRemote {
            connect: LeafConnect::default(),
            compression: Compression::Accept,
            levels: Levels::default(),
            tls: false,
            tls_done: false,
            headers: true,
        })
    } else {
        LeafHandshake::accept(7, "nonce".into(), &rules, &mut out)
    };
    let mut watch = Watch { is_admitted: solicited, ..Watch::default() };
    while let Ok(Parsed::Op { op, consumed }) = wire::leaf::parse(bytes, &LIMITS) {
        bytes = &bytes[consumed..];
        out.clear();
        if handshake.may_come(&op).is_err() {
            return;
        }
        match &op {
            wire::leaf::Op::Connect(json) => handshake.on_connect(json, &rules, &mut out),
            wire::leaf::Op::Info(json) => match Info::parse(json) {
                Ok(info) => handshake.on_info(info, &rules, RTT, &mut out),
                Err(_) => return,
            },
            _ => {}
        }
        for effect in std::mem::take(&mut out) {
            match effect {
                LeafEffect::Authenticate(_) => {
                    watch.is_admitted = true;
                    let mut answer = Vec::new();
                    handshake.on_admitted(info(), &mut answer);
                    if answer.iter().any(|effect| matches!(effect, LeafEffect::Register(_))) {
                        watch.registers();
                    }
                }
                LeafEffect::Register(_) => watch.registers(),
                LeafEffect::Close(_) => watch.closes(),
                LeafEffect::StartTls => handshake.on_tls(RTT, &mut out),
                _ => {}
            }
        }
        if watch.is_closed || watch.is_registered {
            return;
        }
    }
}
