use bulwark_topology::{
    GatewayEffect, GatewayHandshake, GatewayNews, GatewayRules, Info, LinkError, ServerConnect, all_interest_info,
    gateway_news, gossip_info,
};
use wire::CloseReason;
use wire::gateway::Op;

fn rules(gateway: &str, server: &str) -> GatewayRules {
    let info = Info {
        server_id: format!("N{server}"),
        server_name: server.into(),
        gateway: gateway.into(),
        ..Info::default()
    };
    GatewayRules { info, reject_unknown: false, known: vec![], server_names: vec![server.into()] }
}

fn connect(rules: &GatewayRules) -> ServerConnect {
    ServerConnect { name: rules.info.server_id.clone(), gateway: rules.info.gateway.clone(), ..Default::default() }
}

fn closed(out: &[GatewayEffect]) -> LinkError {
    let Some(GatewayEffect::Close(error)) = out.last() else { panic!("{out:?}") };
    error.clone()
}

#[test]
fn a_gateway_is_registered_at_both_ends() {
    let (b, a) = (rules("C2", "GB"), rules("C1", "RA"));
    let mut outbound = GatewayHandshake::outbound("C1".into(), connect(&b));
    let mut said = Vec::new();
    let mut inbound = GatewayHandshake::inbound(&a, &mut said);
    let [GatewayEffect::SendInfo(info)] = &said[..] else { panic!() };

    let mut answer = Vec::new();
    outbound.on_info(*info.clone(), &b, &mut answer);
    let [GatewayEffect::SendConnect(connect), GatewayEffect::SendInfo(own), GatewayEffect::RegisterOutbound(remote)] =
        &answer[..]
    else {
        panic!("{answer:?}")
    };
    assert_eq!(remote.gateway, "C1");
    assert!(outbound.is_registered());

    let mut heard = Vec::new();
    inbound.on_connect(&connect.to_json(), &a, &mut heard);
    assert!(matches!(heard[..], [GatewayEffect::Authenticate(_)]));
    inbound.on_admitted();
    inbound.on_info(*own.clone(), &a, &mut heard);
    assert!(matches!(&heard[1], GatewayEffect::RegisterInbound(info) if info.gateway == "C2"));
    assert!(inbound.is_registered());
}

#[test]
fn the_outbound_end_says_nothing_before_it_knows_whom_it_has_reached() {
    let own = rules("C2", "GB");
    for (info, text, reason) in [
        (Info::default(), "Attempt to connect to gateway \"C1\" using wrong port", CloseReason::IncorrectPort),
        (
            Info { gateway: "C3".into(), ..Info::default() },
            "Connection from \"C2\" rejected, wanted to connect to \"C1\", this is \"C3\"",
            CloseReason::WrongGateway,
        ),
    ] {
        let mut outbound = GatewayHandshake::outbound("C1".into(), connect(&own));
        let mut out = Vec::new();
        outbound.on_info(info, &own, &mut out);
        assert_eq!(out.len(), 1);
        let error = closed(&out);
        assert_eq!((error.wire_text().as_deref(), error.close_reason()), (Some(text), reason));
    }
}

#[test]
fn the_inbound_end_refuses_strangers() {
    let own = GatewayRules { reject_unknown: true, known: vec!["C3".into()], ..rules("C1", "RA") };
    for (json, text) in [
        (r#"{"lang":"go"}"#, "attempted to connect to gateway port"),
        (r#"{"name":"N","cluster":"C1"}"#, "attempted to connect to gateway port"),
        (r#"{"gateway":"C2"}"#, "Connection to gateway \"C1\" rejected"),
    ] {
        let mut out = Vec::new();
        let mut inbound = GatewayHandshake::inbound(&own, &mut out);
        inbound.on_connect(json.as_bytes(), &own, &mut out);
        assert_eq!(closed(&out).wire_text().as_deref(), Some(text));
    }
}

#[test]
fn two_servers_of_one_name_do_not_meet() {
    let own = rules("C1", "RA");
    let mut out = Vec::new();
    let mut inbound = GatewayHandshake::inbound(&own, &mut out);
    inbound.on_connect(br#"{"gateway":"C2"}"#, &own, &mut out);
    inbound.on_admitted();
    inbound.on_info(Info { server_name: "RA".into(), gateway: "C2".into(), ..Info::default() }, &own, &mut out);
    assert_eq!(closed(&out).close_reason(), CloseReason::DuplicateServerName);
}

#[test]
fn ghsa_38x3_nothing_but_connect_comes_first_on_a_gateway() {
    let own = rules("C1", "RA");
    let mut out = Vec::new();
    let inbound = GatewayHandshake::inbound(&own, &mut out);
    for op in [Op::Ping, Op::Info(b"{}"), Op::AccountInterest(b"A"), Op::AccountDisinterest(b"A"), Op::Ok] {
        assert_eq!(inbound.may_come(&op), Err(LinkError::Violation), "{op:?}");
    }
    let refused = inbound.may_come(&Op::Err(b"Connection rejected")).unwrap_err();
    assert_eq!((refused.wire_text(), refused.close_reason()), (None, CloseReason::ClientClosed), "it is no violation");
    let outbound = GatewayHandshake::outbound("C2".into(), connect(&own));
    assert_eq!(outbound.may_come(&Op::Connect(b"{}")), Err(LinkError::OutOfTurn));
    assert_eq!(outbound.may_come(&Op::AccountInterest(b"A")), Err(LinkError::OutOfTurn));
}

#[test]
fn later_infos_are_gossip_or_commands() {
    let own = rules("C2", "GB");
    let news = |info| gateway_news(info, "C1", &own);
    let gossip = gossip_info("C3", vec!["h:1".into()], "NA", false);
    assert_eq!(news(gossip.clone()), Ok(Some(GatewayNews::Gateway(Box::new(gossip.clone())))));
    assert_eq!(news(gossip_info("C2", vec![], "NA", false)), Ok(None), "that is this cluster");
    let strict = GatewayRules { reject_unknown: true, ..own.clone() };
    assert_eq!(gateway_news(gossip, "C1", &strict), Ok(None), "nobody asked for it");
    assert_eq!(news(all_interest_info("C1", "A", false)), Ok(Some(GatewayNews::AllInterestFollows("A".into()))));
    assert_eq!(news(all_interest_info("C1", "A", true)), Ok(Some(GatewayNews::AllInterestSent("A".into()))));
    let urls = Info { gateway: "C1".into(), gateway_urls: vec!["h:1".into()], ..Info::default() };
    assert_eq!(news(urls), Ok(Some(GatewayNews::Urls(vec!["h:1".into()]))));
    let unknown = Info { gateway: "C1".into(), gateway_cmd: 9, ..Info::default() };
    assert_eq!(news(unknown), Ok(Some(GatewayNews::Unknown(9))));
    let nameless = Info { gateway: "C1".into(), gateway_cmd: 2, ..Info::default() };
    let error = news(nameless).expect_err("no account");
    assert_eq!(error.to_string(), "Account absent from receive-all-subscriptions-start command");
    assert!(news(Info { gateway: "C9".into(), ..Info::default() }).is_err());
}
