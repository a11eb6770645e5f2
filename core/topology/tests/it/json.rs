//! INFO and CONNECT as peers write and read them.

use bulwark_topology::{Info, LeafConnect, LinkError, ServerConnect, SubjectRules, all_interest_info, gossip_info};
use secret::Secret;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_route_info_has_its_fields_in_wire_order() {
    let info = Info {
        server_id: "NA".into(),
        server_name: "RA".into(),
        version: "2.15.1".into(),
        proto: 3,
        go: "rustc".into(),
        host: "127.0.0.1".into(),
        port: 24401,
        headers: true,
        max_payload: 1_048_576,
        nonce: "n".into(),
        cluster: "C1".into(),
        compression: Some("accept".into()),
        lnoc: true,
        lnocu: true,
        ln: true,
        route_pool_size: 3,
        gateway_url: "127.0.0.1:24501".into(),
        ..Info::default()
    };
    assert_eq!(
        text(info.to_json()),
        "{\"server_id\":\"NA\",\"server_name\":\"RA\",\"version\":\"2.15.1\",\"proto\":3,\"go\":\"rustc\",\
         \"host\":\"127.0.0.1\",\"port\":24401,\"headers\":true,\"max_payload\":1048576,\"nonce\":\"n\",\
         \"cluster\":\"C1\",\"compression\":\"accept\",\"lnoc\":true,\"lnocu\":true,\"ln\":true,\
         \"route_pool_size\":3,\"gateway_url\":\"127.0.0.1:24501\"}"
    );
    assert_eq!(Info::parse(&info.to_json()), Ok(info));
}

#[test]
fn gossip_about_a_gateway_is_written_as_seen_on_the_wire() {
    assert_eq!(
        text(gossip_info("C2", vec!["127.0.0.1:24503".into()], "NA", true).to_json()),
        "{\"server_id\":\"GWNA\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\"go\":\"\",\"host\":\"\",\"port\":0,\
         \"headers\":false,\"max_payload\":0,\"gateway\":\"C2\",\"gateway_urls\":[\"127.0.0.1:24503\"],\"gateway_cmd\":1}"
    );
    assert!(
        text(all_interest_info("C1", "A", false).to_json())
            .ends_with(r#""gateway_cmd":2,"gateway_cmd_payload":"QQ=="}"#)
    );
}

#[test]
fn connects_are_written_as_seen_on_the_wire() {
    let route =
        ServerConnect { headers: true, name: "NB".into(), cluster: "C1".into(), lnoc: true, ..Default::default() };
    assert_eq!(
        text(route.to_json()),
        r#"{"echo":true,"verbose":false,"pedantic":false,"tls_required":false,"headers":true,"name":"NB","cluster":"C1","lnoc":true,"ln":true}"#
    );
    let gateway = ServerConnect { name: "NB".into(), gateway: "C2".into(), ..Default::default() };
    assert_eq!(
        text(gateway.to_json()),
        r#"{"echo":false,"verbose":false,"pedantic":false,"tls_required":false,"headers":false,"name":"NB","cluster":"","gateway":"C2"}"#
    );
    let leaf = LeafConnect {
        version: "2.15.1".into(),
        user: "l".into(),
        pass: Some(Secret::new("l".into())),
        server_id: "NL".into(),
        name: "LF".into(),
        cluster: "LF".into(),
        headers: true,
        compress_mode: Some("off".into()),
        remote_account: "L".into(),
        protocol: 3,
        ..Default::default()
    };
    assert_eq!(
        text(leaf.to_json()),
        r#"{"version":"2.15.1","user":"l","pass":"l","server_id":"NL","name":"LF","cluster":"LF","headers":true,"compress_mode":"off","remote_account":"L","protocol":3}"#
    );
    let back = LeafConnect::parse(&leaf.to_json()).expect("our own");
    assert!(back.pass.is_some_and(|pass| pass.is(b"l")) && back.protocol == 3);
}

#[test]
fn unknown_fields_are_ignored_and_rules_are_read() {
    let info =
        Info::parse(br#"{"server_id":"N","future":{"x":1},"import":{"allow":["a.>"]},"export":{}}"#).expect("valid");
    assert_eq!(info.import, Some(SubjectRules { allow: vec!["a.>".into()], deny: vec![] }));
    assert_eq!(info.export, Some(SubjectRules::default()));
}

#[test]
fn what_goes_beyond_a_bound_is_refused() {
    let unreadable = |json: String| matches!(Info::parse(json.as_bytes()), Err(LinkError::Unreadable(_)));
    assert!(unreadable(format!(r#"{{"cluster":"{}"}}"#, "a".repeat(1025))));
    assert!(unreadable(r#"{"server_name":"a\nb"}"#.into()));
    assert!(unreadable(r#"{"port":70000}"#.into()));
    assert!(unreadable(r#"{"gateway_cmd_payload":"?"}"#.into()));
    assert!(unreadable(format!(r#"{{"gateway_urls":[{}]}}"#, vec![r#""u""#; 1025].join(","))));
    assert!(unreadable("null".into()) && unreadable("{".into()) && unreadable("[".repeat(9_999)));
    assert!(ServerConnect::parse(br#"{"name":"a\u0000"}"#).is_err());
    assert!(LeafConnect::parse(format!(r#"{{"deny_pub":[{}]}}"#, vec![r#""u""#; 5000].join(",")).as_bytes()).is_err());
}

#[test]
fn no_secret_is_printed() {
    let connect =
        LeafConnect::parse(br#"{"pass":"MARKER","jwt":"MARKER","sig":"MARKER","auth_token":"MARKER"}"#).expect("valid");
    assert!(!format!("{connect:?}").contains("MARKER"));
    let connect = ServerConnect::parse(br#"{"pass":"MARKER"}"#).expect("valid");
    assert!(!format!("{connect:?}").contains("MARKER"));
}
