//! What the running server says about what somebody may do: by the rules in force, about whoever is connected.

use std::process::Command;

use serde_json::{Value, json};

use crate::callout::{Service, config_with};
use crate::running::{Peer, Running, user};

const CONFIG: &str = r#"
accounts {
  SYS { users [ { user: sys, password: s } ] }
  SHOP {
    users [
      { user: clerk, password: c, permissions: {
          publish: { allow: ["orders.>", "$SYS.REQ.USER.EXPLAIN"], deny: "orders.void" }
          subscribe: { allow: ["orders.> workers", "news.>", "_INBOX.>"], deny: "news.secret" } } }
      { user: owner, password: o, limits { messages_per_second: 5 } }
    ]
  }
  BANK { users [ { user: teller, password: t } ] }
}
system_account: SYS
"#;

const EXPLAIN: &str = "$SYS.REQ.SERVER.PING.EXPLAIN";
const OF_ONESELF: &str = "$SYS.REQ.USER.EXPLAIN";

/// The answers to a question, each without the connections it is about.
fn explained(asker: &mut Peer, question: &Value) -> Vec<Value> {
    let answer = asker.request(EXPLAIN, question.to_string().as_bytes()).json();
    let rows = answer["data"]["explained"].as_array().unwrap_or_else(|| panic!("{question}: {answer}"));
    let mut rows = rows.clone();
    rows.iter_mut().for_each(|row| drop(row.as_object_mut().unwrap().remove("connections")));
    rows
}

fn refused(asker: &mut Peer, subject: &str, question: &Value) -> String {
    let answer = asker.request(subject, question.to_string().as_bytes()).json();
    answer["error"]["description"].as_str().unwrap_or_else(|| panic!("{question}: {answer}")).to_owned()
}

/// What the tool says that reads the configuration.
fn offline(server: &Running, words: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nats-server"));
    let file = server.path("server.conf");
    let output = command.args(["explain", "--json", "-c"]).arg(file).args(words).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn the_running_server_answers_as_the_tool_does_about_those_who_are_connected_and_those_who_are_not() {
    let server = Running::start(CONFIG);
    let mut sys = server.admitted(&user("sys", "s"));
    for is_connected in [false, true] {
        let _clerk = is_connected.then(|| server.admitted(&user("clerk", "c")));
        for (wish, words) in [
            (json!({"publish": "orders.new"}), vec!["--publish", "orders.new"]),
            (json!({"publish": "orders.void"}), vec!["--publish", "orders.void"]),
            (json!({"publish": "billing"}), vec!["--publish", "billing"]),
            (json!({"publish": "_GR_.x"}), vec!["--publish", "_GR_.x"]),
            (json!({"subscribe": "news.>"}), vec!["--subscribe", "news.>"]),
            (json!({"subscribe": "news.secret"}), vec!["--subscribe", "news.secret"]),
            (
                json!({"subscribe": "orders.>", "queue": "workers"}),
                vec!["--subscribe", "orders.>", "--queue", "workers"],
            ),
            (json!({"deliver": "orders.new"}), vec!["--deliver", "orders.new"]),
            (json!({"deliver": "_INBOX.x"}), vec!["--deliver", "_INBOX.x"]),
            (json!({"deliver": "news.today", "queue": "q"}), vec!["--deliver", "news.today", "--queue", "q"]),
            (json!({"subscribe": "orders.>", "queue": "others"}), vec!["--subscribe", "orders.>", "--queue", "others"]),
        ] {
            let mut question = wish.clone();
            question["user"] = "clerk".into();
            let live = explained(&mut sys, &question);
            assert_eq!(live, offline(&server, &[&["--user", "clerk"], &words[..]].concat()), "{question}");
            question["account"] = "SHOP".into();
            assert_eq!(explained(&mut sys, &question), live, "{question}");
            question["account"] = "BANK".into();
            assert_eq!(
                refused(&mut sys, EXPLAIN, &question),
                "nobody called \"clerk\" is connected or configured here"
            );
        }
    }
    let limits = explained(&mut sys, &json!({"user": "owner", "publish": "a"}));
    assert_eq!(limits[0]["limits"], json!(["messages per second: 5 (the user)"]));
}

#[test]
fn connections_are_named_and_a_reload_changes_the_answer() {
    let server = Running::start(CONFIG);
    let mut sys = server.admitted(&user("sys", "s"));
    let (one, two) = (server.admitted(&user("clerk", "c")), server.admitted(&user("clerk", "c")));
    let question = json!({"user": "clerk", "publish": "billing"}).to_string();
    let answer = sys.request(EXPLAIN, question.as_bytes()).json();
    let row = &answer["data"]["explained"][0];
    assert_eq!(row["connections"], json!([one.info["client_id"], two.info["client_id"]]), "{answer}");
    assert_eq!(row["verdict"], "denied");
    let by_id = explained(&mut sys, &json!({"cid": two.info["client_id"], "publish": "billing"}));
    assert_eq!(by_id[0]["user"], "clerk");
    assert_eq!(
        refused(&mut sys, EXPLAIN, &json!({"cid": 99_999, "publish": "a"})),
        "there is no such connection: 99999"
    );
    server.reload(&CONFIG.replace("\"orders.>\", \"$SYS", "\"billing\", \"$SYS"));
    let answer = sys.request(EXPLAIN, question.as_bytes()).json();
    assert_eq!(answer["data"]["explained"][0]["verdict"], "allowed", "{answer}");
}

#[test]
fn somebody_asks_about_himself_in_his_own_account_and_about_nobody_else() {
    let server = Running::start(CONFIG);
    let mut clerk = server.admitted(&user("clerk", "c"));
    let mut ask = |question: Value| clerk.request(OF_ONESELF, question.to_string().as_bytes()).json();
    let answer = ask(json!({"user": "teller", "account": "BANK", "publish": "orders.void"}));
    let row = &answer["data"]["explained"][0];
    assert_eq!((&row["account"], &row["user"], &row["verdict"]), (&"SHOP".into(), &"clerk".into(), &"denied".into()));
    assert_eq!(row["why"], "deny \"orders.void\" (the configuration)", "{answer}");
    assert!(
        !answer.to_string().contains("server.conf"),
        "where the server keeps its files is told to nobody: {answer}"
    );
    let answer = ask(json!({"subscribe": "news.>"}));
    assert_eq!(answer["data"]["explained"][0]["verdict"], "filtered", "{answer}");
    let mut teller = server.admitted(&user("teller", "t"));
    teller.subscribe("r", "1");
    teller.publish(EXPLAIN, Some("r"), br#"{"user":"clerk","publish":"a"}"#);
    teller.settle();
    for (question, said) in [
        (json!({}), "\"publish\", \"subscribe\" or \"deliver\" says what is wanted"),
        (json!({"publish": "a.*"}), "\"a.*\" is no subject to publish to"),
        (
            json!({"publish": "a", "subscribe": "b"}),
            "one thing is asked at a time: to publish, to subscribe, or to have messages sent",
        ),
        (json!({"publish": 5}), "json: cannot unmarshal number into Go struct field ExplainReq.publish of type string"),
    ] {
        assert!(refused(&mut teller, OF_ONESELF, &question).contains(said.trim_start_matches("json: ")), "{question}");
    }
}

#[test]
fn what_a_service_gave_is_told_as_such() {
    let server = Running::start(&config_with("", ""));
    let service = server.admitted(&user("auth", "auth"));
    let answer = |request: &jwt::AuthorizationRequest| {
        crate::callout::answered(request, "OPEN", |claims| {
            claims.rights.permissions.publish.allow = vec!["orders.>".into()];
            claims.common.tags = vec!["limit.messages_per_second:7".into()];
        })
    };
    let _service = Service::serve(service, None, Box::new(answer));
    let _bob = server.admitted(&user("bob", "b0b"));
    let mut admin = server.admitted(&user("admin", "admin"));
    let rows = explained(&mut admin, &json!({"user": "bob", "publish": "orders.new"}));
    assert_eq!(
        rows,
        [json!({
            "account": "OPEN",
            "user": "bob",
            "wish": "publish to \"orders.new\"",
            "verdict": "allowed",
            "why": "allow \"orders.>\" (answer of the auth callout service)",
            "ways": [],
            "limits": ["messages per second: 7 (the user)"],
            "to_change": [],
        })]
    );
}
