//! The system account: what is answered and told there, and to whom.

use serde_json::{Value, json};

use crate::house::{Client, Server};

const TWO: &str = r#"
server_name: one
server_tags: ["region:eu"]
accounts {
  SYS { users [ { user: sys, password: s3cret-sys } ] }
  APP { users [ { user: app, password: s3cret-app } ] }
  BANK { users [ { user: bob, password: s3cret-bob } ] }
}
system_account: SYS
"#;

fn house() -> (Server, Client, Client) {
    let server = Server::start(TWO);
    let (sys, app) = (server.client("sys", "s3cret-sys"), server.client("app", "s3cret-app"));
    (server, sys, app)
}

fn ping(token: &str) -> String {
    format!("$SYS.REQ.SERVER.PING.{token}")
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_question_about_a_server_is_answered_in_the_system_account() {
    let (_server, mut sys, _app) = house();
    let id = sys.server_id();
    for (token, field) in [
        ("VARZ", "server_id"),
        ("SUBSZ", "num_subscriptions"),
        ("CONNZ", "connections"),
        ("ROUTEZ", "routes"),
        ("GATEWAYZ", "outbound_gateways"),
        ("LEAFZ", "leafs"),
        ("ACCOUNTZ", "accounts"),
        ("JSZ", "disabled"),
        ("HEALTHZ", "status_code"),
        ("PROFILEZ", "error"),
    ] {
        for subject in [ping(token), format!("$SYS.REQ.SERVER.{id}.{token}")] {
            let answer = sys.asks(&subject, "");
            assert_eq!(keys(&answer), ["server", "data"], "{subject}");
            assert_eq!((&answer["server"]["name"], &answer["server"]["ver"]), (&"one".into(), &"2.15.1".into()));
            assert!(answer["data"].get(field).is_some(), "{subject}: {answer}");
        }
    }
    assert_eq!(sys.asks(&ping("IDZ"), ""), json!({"name": "one", "host": "127.0.0.1", "id": id}));
    for subject in ["$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.STATSZ"] {
        let answer = sys.asks(subject, "");
        assert_eq!((keys(&answer), &answer["statsz"]["connections"]), (vec!["server", "statsz"], &2.into()));
    }
    assert_eq!(sys.asks(&ping("RAFTZ"), "")["data"], json!({}));
    assert!(sys.asks(&ping("IPQUEUESZ"), r#"{"all":true}"#)["data"]["System recvQ"]["pending"].is_number());
    assert!(sys.asks(&ping("IPQUEUESZ"), r#"{"all":true,"filter":"recv"}"#)["data"]["System recvQ"].is_object());
    assert_eq!(sys.asks(&ping("IPQUEUESZ"), r#"{"all":true,"filter":"nothing"}"#)["data"], json!({}));
    assert!(sys.is_alone_with(&ping("BOGUS")));
}

/// 2026-14: the arguments of the process were shown.
#[test]
fn advisory_2026_14_the_command_line_is_shown_to_nobody() {
    let server = Server::start_with(TWO, &["--server_name", "MARKER"]);
    let mut sys = server.client("sys", "s3cret-sys");
    let answer = sys.asks(&ping("EXPVARZ"), "");
    assert_eq!((&answer["data"], &answer["error"]["code"]), (&Value::Null, &500.into()));
    assert!(!answer.to_string().contains("cmdline"));
}

#[test]
fn the_numbers_of_answers_go_up_by_one() {
    let (_server, mut sys, _app) = house();
    let mut number = || sys.asks(&ping("HEALTHZ"), "")["server"]["seq"].as_u64().unwrap();
    let first = number();
    assert_eq!((number(), number()), (first + 1, first + 2));
}

#[test]
fn a_server_that_a_filter_leaves_out_is_silent() {
    let (_server, mut sys, _app) = house();
    for admitted in
        [r#"{"server_name":"on"}"#, r#"{"tags":["region:eu"]}"#, r#"{"server_name":"one","exact_match":true}"#]
    {
        assert_eq!(sys.asks(&ping("HEALTHZ"), admitted)["data"]["status"], "ok", "{admitted}");
    }
    for left_out in
        [r#"{"server_name":"on","exact_match":true}"#, r#"{"tags":["ssd"]}"#, r#"{"cluster":"c"}"#, r#"{"domain":"d"}"#]
    {
        assert!(sys.is_ignored(&ping("HEALTHZ"), left_out), "{left_out}");
    }
    assert!(sys.is_ignored(&ping("STATSZ"), r#"{"server_name":"other"}"#));
    assert_eq!(sys.asks(&ping("IDZ"), r#"{"server_name":"other"}"#)["name"], "one");
}

/// The texts and codes were recorded from the reference server.
#[test]
fn what_cannot_be_read_or_done_is_told_with_code_and_text() {
    let (_server, mut sys, _app) = house();
    for (token, body, code, text) in [
        ("CONNZ", "xyz", 400, "invalid character 'x' looking for beginning of value"),
        (
            "CONNZ",
            r#"{"limit":"x"}"#,
            400,
            "json: cannot unmarshal string into Go struct field ConnzEventOptions.limit of type int",
        ),
        ("CONNZ", r#"{"sort":"bogus"}"#, 500, "invalid sorting option: bogus"),
        ("CONNZ", r#"{"filter_subject":"foo"}"#, 500, "filter by subject only valid with account filtering"),
        ("SUBSZ", r#"{"test":"foo.*"}"#, 500, "invalid test subject, must be valid publish subject: foo.*"),
        ("ACCOUNTZ", r#"{"account":"NOPE"}"#, 500, "Account NOPE does not exist"),
    ] {
        let answer = sys.asks(&ping(token), body);
        assert_eq!(answer["error"], json!({"code": code, "description": text}), "{token} {body}");
        assert_eq!(answer.get("data"), (code == 500).then_some(&Value::Null), "{token} {body}");
    }
}

#[test]
fn connections_are_chosen_by_what_they_listen_to() {
    let (_server, mut sys, mut app) = house();
    app.subscribe("orders.*");
    let cids = |sys: &mut Client, filter: &str| {
        let body = json!({"acc": "APP", "filter_subject": filter}).to_string();
        sys.asks(&ping("CONNZ"), &body)["data"]["num_connections"].as_u64().unwrap()
    };
    assert_eq!((cids(&mut sys, "orders.new"), cids(&mut sys, "*.new"), cids(&mut sys, "bills.>")), (1, 1, 0));
    let id = app.id();
    drop(app);
    let closed = json!({"state": 1, "acc": "APP", "filter_subject": "orders.>", "subscriptions": true}).to_string();
    let row = loop {
        let answer = sys.asks(&ping("CONNZ"), &closed);
        if answer["data"]["num_connections"] == 1 {
            break answer["data"]["connections"][0].clone();
        }
    };
    assert_eq!((&row["cid"], &row["subscriptions_list"]), (&id.into(), &json!(["orders.*"])));
}

#[test]
fn every_question_about_an_account_is_answered_in_the_system_account() {
    let (_server, mut sys, _app) = house();
    let of = |token: &str, account: &str| format!("$SYS.REQ.ACCOUNT.{account}.{token}");
    assert_eq!(sys.asks(&of("CONNZ", "APP"), "")["data"]["total"], 1);
    assert_eq!(sys.asks(&of("CONNZ", "NOPE"), "")["data"]["connections"], Value::Null);
    assert_eq!(sys.asks(&of("INFO", "APP"), "")["data"]["account_name"], "APP");
    assert_eq!(sys.asks(&of("INFO", "NOPE"), "")["error"]["description"], "Account NOPE does not exist");
    assert!(sys.asks(&of("SUBSZ", "APP"), "")["data"]["total"].is_number());
    assert_eq!(sys.asks(&of("LEAFZ", "APP"), "")["data"]["leafnodes"], 0);
    assert_eq!(sys.asks(&of("JSZ", "APP"), "")["error"]["description"], "jetstream not enabled");
    assert_eq!(sys.asks(&of("STATZ", "APP"), "")["data"]["account_statz"][0]["conns"], 1);
    assert_eq!(sys.asks(&of("CONNS", "APP"), "")["total_conns"], 1);
    for nobody in ["BANK", "NOPE"] {
        assert!(sys.is_ignored(&of("STATZ", nobody), ""), "{nobody}");
        assert!(sys.is_ignored(&of("CONNS", nobody), ""), "{nobody}");
    }
    let unused = sys.asks(&of("STATZ", "BANK"), r#"{"include_unused":true}"#);
    assert_eq!(unused["data"]["account_statz"][0]["acc"], "BANK");
    let names = |answer: &Value| -> Vec<String> {
        let stats = answer["data"]["account_statz"].as_array().unwrap();
        stats.iter().map(|stat| stat["acc"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&sys.asks(&of("STATZ", "PING"), "")), ["APP", "SYS"]);
    assert_eq!(names(&sys.asks(&of("STATZ", "PING"), r#"{"accounts":["APP"]}"#)), ["APP"]);
}

#[test]
fn other_accounts_ask_about_themselves_and_about_nobody_else() {
    let (_server, mut sys, mut app) = house();
    app.subscribe("a");
    for subject in ["$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ"] {
        for body in ["", r#"{"acc":"SYS","auth":true}"#, r#"{"acc":"BANK"}"#, r#"{"user":"sys"}"#] {
            let answer = app.asks(subject, body)["data"].clone();
            let rows = answer["connections"].as_array().unwrap();
            assert!(rows.iter().all(|row| row["name"] == "app-client"), "{subject} {body}: {answer}");
            assert_eq!(answer["total"], 1);
        }
    }
    let stats = app.asks("$SYS.REQ.ACCOUNT.PING.STATZ", r#"{"accounts":["SYS","BANK"]}"#);
    assert_eq!(stats["data"]["account_statz"].as_array().unwrap().len(), 1);
    assert_eq!(stats["data"]["account_statz"][0]["acc"], "APP");
    let id = sys.server_id();
    for subject in [
        "$SYS.REQ.SERVER.PING".to_owned(),
        ping("VARZ"),
        ping("IDZ"),
        format!("$SYS.REQ.SERVER.{id}.CONNZ"),
        format!("$SYS.REQ.SERVER.{id}.KICK"),
        format!("$SYS.REQ.SERVER.{id}.RELOAD"),
        "$SYS.REQ.ACCOUNT.APP.CONNZ".to_owned(),
        "$SYS.REQ.ACCOUNT.SYS.CONNZ".to_owned(),
        "$SYS.DEBUG.SUBSCRIBERS".to_owned(),
    ] {
        assert!(app.is_alone_with(&subject), "{subject}");
    }
    // And what is said there stays there.
    sys.subscribe("$SYS.ACCOUNT.>");
    app.say("PUB $SYS.ACCOUNT.APP.CONNECT 2\r\nhi\r\n");
    app.settle();
    sys.settle();
}

/// 2026-28: a page at the end of numbers, asked for by a tenant.
#[test]
fn advisory_2026_28_a_tenant_cannot_run_a_page_over() {
    let (_server, mut sys, mut app) = house();
    for subject in ["$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"] {
        for offset in [i64::MAX, i64::MIN, -1] {
            let body = format!(r#"{{"offset":{offset},"limit":{}}}"#, i64::MAX);
            let answer = app.asks(subject, &body);
            assert_eq!(answer["data"]["num_connections"], u64::from(offset < 0), "{body}");
        }
        let error = &app.asks(subject, r#"{"offset":9223372036854775808}"#)["error"];
        assert_eq!(error["code"], 400);
    }
    assert_eq!(sys.asks(&ping("HEALTHZ"), "")["data"]["status"], "ok");
}

#[test]
fn answers_are_packed_for_those_who_unpack_them() {
    let (_server, mut sys, _app) = house();
    for (accepted, encoding, beginning) in [
        ("gzip", "gzip", &b"\x1f\x8b"[..]),
        ("s2", "snappy", b"\xff\x06\0\0sNaPpY"),
        ("br", "identity", b"{\"server\""),
    ] {
        let answer = sys.request_with(&ping("VARZ"), &format!("Accept-Encoding: {accepted}"), "");
        assert_eq!(answer.headers, format!("NATS/1.0\r\nContent-Encoding: {encoding}\r\n\r\n"));
        assert!(answer.payload.starts_with(beginning), "{accepted}");
    }
    let error = sys.request_with(&ping("CONNZ"), "Accept-Encoding: gzip", "xyz");
    assert!(error.headers.is_empty() && error.text().contains("\"code\":400"));
}

#[test]
fn a_connection_is_closed_or_sent_elsewhere_on_request() {
    let (_server, mut sys, mut app) = house();
    let id = sys.server_id();
    let to = |command: &str| format!("$SYS.REQ.SERVER.{id}.{command}");
    let error = |answer: Value| answer["error"]["description"].as_str().unwrap().to_owned();
    assert_eq!(error(sys.asks(&to("KICK"), r#"{"cid":999}"#)), "no such client or leafnode id");
    assert_eq!(error(sys.asks(&to("LDM"), r#"{"cid":999}"#)), "no such client id");
    for unreadable in ["", "junk", r#"{"cid":"x"}"#] {
        assert!(sys.is_ignored(&to("KICK"), unreadable), "{unreadable}");
    }
    let cid = json!({"cid": app.id()}).to_string();
    assert_eq!(keys(&sys.asks(&to("LDM"), &cid)), ["server"]);
    // The first INFO answered the login.
    while !app.hear("INFO ").contains(r#""ldm":true"#) {}
    assert_eq!(keys(&sys.asks(&to("KICK"), &cid)), ["server"]);
    assert!(app.is_closed());
    // The end is seen here before it is written down there.
    let reason = loop {
        let closed = sys.asks(&ping("CONNZ"), r#"{"state":1}"#);
        if let Some(row) = closed["data"]["connections"].get(0) {
            break row["reason"].clone();
        }
    };
    assert_eq!(reason, "Kicked");
    assert!(sys.is_alone_with("$SYS.REQ.SERVER.PING.KICK"));
}

#[test]
fn who_comes_and_goes_is_told_in_the_system_account() {
    let (server, mut sys, _app) = house();
    sys.subscribe("$SYS.ACCOUNT.BANK.>");
    let mut bob = server.client("bob", "s3cret-bob");
    let came = sys.message_on(|subject| subject == "$SYS.ACCOUNT.BANK.CONNECT").json();
    assert_eq!(came["type"], "io.nats.server.advisory.v1.client_connect");
    assert_eq!(keys(&came), ["type", "id", "timestamp", "server", "client"]);
    assert_eq!(came["id"].as_str().unwrap().len(), 22);
    let client = &came["client"];
    assert_eq!(
        keys(client),
        ["start", "host", "id", "acc", "user", "name", "lang", "ver", "name_tag", "kind", "client_type"]
    );
    assert_eq!((&client["id"], &client["user"], &client["kind"]), (&bob.id().into(), &"bob".into(), &"Client".into()));
    let connections = sys.message_on(|subject| subject == "$SYS.ACCOUNT.BANK.SERVER.CONNS").json();
    assert_eq!((&connections["acc"], &connections["conns"]), (&"BANK".into(), &1.into()));
    bob.say("PUB x 3\r\nabc\r\n");
    bob.settle();
    drop(bob);
    let gone = sys.message_on(|subject| subject == "$SYS.ACCOUNT.BANK.DISCONNECT").json();
    assert_eq!(keys(&gone), ["type", "id", "timestamp", "server", "client", "sent", "received", "reason"]);
    assert_eq!((&gone["sent"], &gone["reason"]), (&json!({"msgs": 1, "bytes": 3}), &"Client Closed".into()));
    assert!(gone["client"]["stop"].is_string());
    let connections = sys.message_on(|subject| subject == "$SYS.ACCOUNT.BANK.SERVER.CONNS").json();
    assert_eq!((&connections["conns"], &connections["received"]["bytes"]), (&0.into(), &3.into()));
}

#[test]
fn a_refused_login_is_told_with_the_name_that_was_tried() {
    let (server, mut sys, _app) = house();
    sys.subscribe("$SYS.SERVER.*.CLIENT.AUTH.ERR");
    let mut eve = server.stranger();
    eve.introduce(r#"{"user":"eve","pass":"MARKER","lang":"test"}"#);
    assert!(eve.is_closed());
    let event = sys.message();
    assert_eq!(event.subject, format!("$SYS.SERVER.{}.CLIENT.AUTH.ERR", sys.server_id()));
    let json = event.json();
    assert_eq!((&json["client"]["acc"], &json["client"]["user"]), (&"$G".into(), &"eve".into()));
    assert_eq!(json["reason"], "Authentication Failure");
    assert!(!event.text().contains("MARKER"));
}

#[test]
fn statistics_come_by_themselves_and_the_end_comes_last() {
    let (server, mut sys, _app) = house();
    sys.subscribe("$SYS.SERVER.*.STATSZ");
    sys.subscribe("$SYS.SERVER.*.SHUTDOWN");
    let stats = sys.message().json();
    assert_eq!((&stats["server"]["name"], &stats["statsz"]["connections"]), (&"one".into(), &2.into()));
    server.signal("TERM");
    let end = sys.message_on(|subject| subject.ends_with(".SHUTDOWN")).json();
    assert_eq!(end["name"], "one");
    assert!(sys.is_closed());
    drop(server);
}

#[test]
fn a_lame_duck_is_told() {
    let (server, mut sys, _app) = house();
    sys.subscribe("$SYS.SERVER.*.LAMEDUCK");
    server.signal("USR2");
    assert_eq!(sys.message().json()["name"], "one");
}

#[test]
fn the_configuration_is_read_again_on_request_and_everybody_who_listens_hears_of_it() {
    let (mut server, mut sys, mut app) = house();
    let reload = format!("$SYS.REQ.SERVER.{}.RELOAD", sys.server_id());
    sys.subscribe("$SYS.SERVER.*.RELOADED");
    let heard = |sys: &mut Client| sys.message_on(|subject| subject.ends_with(".RELOADED")).json();
    server.rewrite(&TWO.replace("s3cret-app", "s3cret-new"));
    // The answer and the event may come in either order.
    sys.say(&format!("PUB {reload} answer 0\r\n\r\nSUB answer 900\r\n"));
    let event = heard(&mut sys);
    assert_eq!(event["type"], "io.nats.server.advisory.v1.config_reload");
    assert!(event["changes"].as_array().unwrap().contains(&json!("Reloaded: authorization users")), "{event}");
    assert!(!event.to_string().contains("s3cret"));
    server.logged("Reloaded server configuration");
    assert!(app.is_closed());
    server.rewrite(&TWO.replace("server_name: one", "server_name: two"));
    let answer = sys.request(&reload, "");
    let text = "config reload not supported for ServerName: old=one, new=two";
    assert_eq!(answer.json()["error"], json!({"code": 500, "description": text}));
    server.logged(&format!("Failed to reload server configuration: {text}"));
    let said = server.end().join("\n");
    assert!(!said.contains("s3cret-app") && !said.contains("s3cret-new"), "{said}");
}

#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    let server = Server::alone();
    let mut sys = server.connect(r#"{"user":"sys"}"#);
    // Everybody is in the global account here, and cannot ask.
    assert!(sys.is_alone_with(&format!("$SYS.REQ.SERVER.{}.RELOAD", sys.server_id())));
    server.signal("HUP");
    let mut server = server;
    server.logged(
        "Failed to reload server configuration: can only reload config when a file is provided using -c or --config",
    );
}

#[test]
fn without_a_system_account_nobody_is_there() {
    let server = Server::start("no_system_account: true");
    let mut client = server.connect("{}");
    for subject in ["$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ"] {
        assert!(client.is_alone_with(subject), "{subject}");
    }
}
