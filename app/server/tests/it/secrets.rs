//! Planted secrets: what could be used to log in appears in no log, event, answer or page, however much is asked for.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::house::{Client, Server};

/// Every secret has this in it.
const MARKER: &str = "MARKER";

const CONFIG: &str = r#"
server_name: one
http: "127.0.0.1:-1"
http_login: true
accounts {
  SYS { users [ { user: sys, password: MARKER-sys } ] }
  APP { users [ { user: app, password: MARKER-app }, { user: old, password: MARKER-old } ] }
}
system_account: SYS
"#;

const PAGES: [&str; 12] = [
    "/",
    "/varz",
    "/connz?auth=1&subs=detail&state=any",
    "/subsz?subs=1",
    "/accountz?acc=APP",
    "/accstatz?unused=1",
    "/routez?subs=1",
    "/gatewayz?accs=1",
    "/leafz?subs=1",
    "/jsz?config=1",
    "/healthz?details=1",
    "/metrics",
];

/// A page, with its head.
fn visit(at: &str, path: &str, login: Option<&str>) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    let login = login.map(|login| format!("Authorization: Basic {login}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{login}\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn basic(user: &str, password: &str) -> String {
    data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes())
}

/// Asks the system account for all it has, and gives back what it said.
fn everything(sys: &mut Client) -> String {
    let mut said = String::new();
    for token in [
        "VARZ", "SUBSZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "JSZ", "HEALTHZ", "STATSZ", "IDZ", "EXPVARZ", "PROFILEZ",
        "RAFTZ",
    ] {
        said += &sys.request(&format!("$SYS.REQ.SERVER.PING.{token}"), r#"{"subscriptions":true}"#).text();
    }
    said += &sys.request("$SYS.REQ.SERVER.PING.CONNZ", r#"{"state":2,"auth":true,"subscriptions_detail":true}"#).text();
    said += &sys.request("$SYS.REQ.SERVER.PING.ACCOUNTZ", r#"{"account":"APP"}"#).text();
    said += &sys.request("$SYS.REQ.ACCOUNT.APP.INFO", "").text();
    said += &sys.request("$SYS.REQ.USER.INFO", "").text();
    said
}

#[test]
fn nothing_that_lets_anybody_in_is_ever_told() {
    let server = Server::start_with(CONFIG, &["-DV", "--ports_file_dir", "."]);
    let monitor =
        server.said.iter().find_map(|line| line.split("Starting http monitor on ").nth(1)).unwrap().to_owned();
    let mut sys = server.client("sys", "MARKER-sys");
    let mut listener = server.client("sys", "MARKER-sys");
    listener.subscribe_amid("$SYS.SERVER.>");
    listener.subscribe_amid("$SYS.ACCOUNT.>");

    // Logins that succeed and fail, with every kind of secret.
    let mut app = server.client("app", "MARKER-app");
    let mut old = server.client("old", "MARKER-old");
    for connect in [
        r#"{"user":"app","pass":"MARKER-wrong"}"#,
        r#"{"auth_token":"MARKER-token"}"#,
        r#"{"jwt":"MARKER.jwt.x","sig":"MARKER-sig","nkey":"SUMARKER"}"#,
        r#"{"user":"app","pass":"MARKER-app","proxy_sig":"MARKER-proxy","account":"SYS"}"#,
    ] {
        let mut eve = server.stranger();
        eve.introduce(connect);
        assert!(eve.is_closed());
    }
    app.subscribe("a.>");
    app.say("PUB a.b 2\r\nhi\r\n");
    app.message();

    let mut said = everything(&mut sys);
    let login = basic("sys", "MARKER-sys");
    for page in PAGES {
        let shown = visit(&monitor, page, Some(&login));
        assert!(shown.starts_with("HTTP/1.1 200 OK"), "{page}: {shown}");
        said += &shown;
        for wrong in [None, Some(basic("sys", "MARKER-no")), Some(basic("app", "MARKER-app"))] {
            let refused = visit(&monitor, page, wrong.as_deref());
            assert!(refused.starts_with("HTTP/1.1 401 Unauthorized"), "{page}: {refused}");
            assert!(refused.to_ascii_lowercase().contains("www-authenticate: basic") && !refused.contains("server_id"));
            said += &refused;
        }
    }

    // A reload that changes secrets, and one that fails over one.
    let reload = format!("$SYS.REQ.SERVER.{}.RELOAD", sys.server_id());
    server.rewrite(&CONFIG.replace("MARKER-old", "MARKER-new"));
    said += &sys.request(&reload, "").text();
    assert!(old.is_closed());
    server.rewrite(&CONFIG.replace("server_name: one", "server_name: one\nMARKER: { MARKER-key: [MARKER-value"));
    let failed = sys.request(&reload, "").text();
    assert!(failed.contains("\"error\""), "{failed}");
    said += &everything(&mut sys);

    server.signal("TERM");
    while let Some(line) = listener.line() {
        said += &line;
        said.push('\n');
    }
    assert!(said.contains("CLIENT.AUTH.ERR") && said.contains("client_disconnect") && said.contains("config_reload"));
    let log = server.end().join("\n");
    assert!(log.contains("authentication error") && log.contains("[TRC]") && log.contains("<<- [CONNECT {"), "{log}");
    for (what, text) in [("told", &said), ("logged", &log)] {
        let told = text.lines().find(|line| line.contains(MARKER));
        assert_eq!(told, None, "{what}");
    }
}
