//! The log in JSON: what a line is about is fields, and its text is the same as in a log of text.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::{REFUSED, Running};

const PASSWORD: &str = "PLANTED-PASSWORD";
const TOKEN: &str = "PLANTED-TOKEN";

fn config(format: &str) -> String {
    format!(
        r#"
server_name: harbour, log_format: {format}
accounts {{ SHOP {{ users [ {{ user: clerk, password: {PASSWORD}, permissions: {{
  publish: {{ allow: "orders.>", deny: "orders.void" }}, subscribe: "orders.> workers"
}} }} ] }} }}
"#
    )
}

/// The lines that speak of connections, after the same conversation.
fn lines(format: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let mut server = Running::start_in(folder, &config(format));
    let clerk = |password: &str| json!({"user": "clerk", "pass": password, "name": "till \"1\"\n", "lang": "rs", "version": "2"});
    let mut peer = server.admitted(&clerk(PASSWORD));
    for wish in ["PUB orders.void 0\r\n\r\n", "PUB billing 0\r\n\r\n", "SUB orders.> others 1\r\n", "SUB _GR_.> 2\r\n"]
    {
        peer.say(wish);
        assert!(peer.answer().starts_with("-ERR"), "{wish}");
    }
    let (_, answer) = server.login(&clerk("PLANTED-GUESS"));
    assert_eq!(answer, REFUSED);
    let (_, answer) = server.login(&json!({"auth_token": TOKEN}));
    assert_eq!(answer, REFUSED);
    drop(peer);
    server.stop();
    let all = server.rest_of_log();
    assert!(!all.iter().any(|line| line.contains("PLANTED")), "{all:#?}");
    all.into_iter().filter(|line| line.contains("cid:") || line.contains("\"kind\"")).collect()
}

fn fields(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

/// The line of this action and subject.
fn find<'a>(lines: &'a [Value], name: &str, value: &str) -> &'a Value {
    lines.iter().find(|line| line[name] == value).unwrap_or_else(|| panic!("no {name} {value}: {lines:#?}"))
}

#[test]
fn refusals_and_denials_have_their_fields() {
    let lines = fields(&lines("json"));
    let void = find(&lines, "subject", "orders.void");
    let expected = json!({
        "level": "error", "server": "harbour", "kind": "client", "client": "till \"1\"\n", "lang": "rs", "version": "2",
        "account": "SHOP", "user": "clerk", "action": "publish", "rule": "orders.void",
        "message": format!("Publish Violation - Subject \"orders.void\": {}", void["because"].as_str().unwrap()),
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&void[name], value, "{name}: {void}");
    }
    let origin = void["origin"].as_str().unwrap();
    assert!(origin.ends_with("server.conf:4:33"), "{origin}");
    assert!(void["because"].as_str().unwrap().ends_with(&format!("\"orders.void\" ({origin})")), "{void}");
    assert!(void["address"].as_str().unwrap().starts_with("127.0.0.1:") && void["id"].is_u64(), "{void}");
    assert_eq!(void["server_id"].as_str().unwrap().len(), 56);

    let billing = find(&lines, "subject", "billing");
    assert_eq!((&billing["because"], &billing["rule"]), (&"no allow entry speaks of it".into(), &Value::Null));
    let queue = find(&lines, "queue", "others");
    assert_eq!((&queue["action"], &queue["rule"]), (&"subscribe".into(), &"orders.> workers".into()));

    let login = find(&lines, "action", "login");
    assert_eq!(
        (&login["user"], &login["account"], &login["client"]),
        (&"clerk".into(), &Value::Null, &"till \"1\"\n".into())
    );
    let message = format!("authentication error - {}", login["because"].as_str().unwrap());
    assert_eq!(login["message"], message.as_str());
    assert!(lines.iter().any(|line| line["reason"] == "Client Closed" && line["user"] == "clerk"), "{lines:#?}");
}

#[test]
fn a_log_of_text_has_the_same_lines_as_ever() {
    let (texts, lines) = (lines("text"), fields(&lines("json")));
    // Ports differ, and who is closed first.
    let bare = |text: &str| text.split_once(" - cid:").map(|(_, rest)| format!("cid:{rest}")).unwrap_or_default();
    let mut texts: Vec<String> = texts.iter().map(|line| bare(line)).collect();
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    let client = |line: &Value| match text(&line["client"]).as_str() {
        "" => String::new(),
        name => format!(" - {}", subject::Quoted(format!("v2:rs:{name}").as_bytes())),
    };
    // A refused user is a field of the line, not of the connection.
    let member = |line: &Value| match line["account"].as_str() {
        None => String::new(),
        Some(account) => format!(" - \"{account}/user:{}\"", text(&line["user"])),
    };
    let whole =
        |line: &Value| format!("cid:{}{}{} - {}", line["id"], client(line), member(line), text(&line["message"]));
    let mut wholes: Vec<String> = lines.iter().map(whole).collect();
    let place = |line: &mut String| {
        if let Some((before, after)) = line.clone().split_once(" (/") {
            let (_, end) = after.split_once("server.conf").unwrap();
            *line = format!("{before} (server.conf{end}");
        }
    };
    texts.iter_mut().chain(&mut wholes).for_each(place);
    texts.sort();
    wholes.sort();
    assert_eq!(texts, wholes);
    assert!(
        texts
            .iter()
            .any(|line| line.starts_with("cid:") && line.contains("\"v2:rs:till \\\"1\\\"\\n\" - \"SHOP/user:clerk\""))
    );
}
