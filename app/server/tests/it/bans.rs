//! Who is kept out for a time, by request in the system account.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use data_encoding::BASE64;

use crate::house::{PATIENCE, Server};

const CONFIG: &str = r#"
accounts {
  SYS { users [ { user: sys, password: s3cret-sys } ] }
  APP { users [ { user: app, password: s3cret-app }, { user: ann, password: s3cret-ann } ] }
  BANK { users [ { user: bob, password: s3cret-bob } ] }
}
system_account: SYS
"#;

const BAN: &str = "$SYS.REQ.SERVER.PING.BAN";
const UNBAN: &str = "$SYS.REQ.SERVER.PING.UNBAN";
const BANS: &str = "$SYS.REQ.SERVER.PING.BANS";

#[test]
fn a_banned_user_is_closed_and_kept_out_until_it_is_let_in_again_and_the_trail_tells() {
    let folder = tempfile::TempDir::new().unwrap();
    let trail = folder.path().join("audit.jsonl");
    let server = Server::start(&format!("{CONFIG}\naudit {{ file: {:?} }}", trail.display().to_string()));
    let mut sys = server.client("sys", "s3cret-sys");
    let mut app = server.client("app", "s3cret-app");
    let answer = sys.asks(BAN, r#"{"user":"app","account":"APP","seconds":3600,"reason":"stolen"}"#);
    assert_eq!(answer["data"]["closed"], 1, "{answer}");
    assert!(app.is_closed());
    assert!(server.is_refused("app", "s3cret-app"));
    assert!(server.is_refused("app", "wrong"), "whether the password is right is not told");
    server.client("ann", "s3cret-ann");

    let listed = sys.asks(BANS, "");
    let ban = &listed["data"]["bans"][0];
    assert_eq!((&ban["user"], &ban["account"], &ban["reason"]), (&"app".into(), &"APP".into(), &"stolen".into()));
    assert_eq!(ban["refused"], 1, "with the right password; a wrong one is refused anyway");

    let answer = sys.asks(UNBAN, r#"{"user":"app","account":"APP"}"#);
    assert_eq!(answer["data"]["bans"], serde_json::json!([]), "{answer}");
    server.client("app", "s3cret-app");
    let again = sys.asks(UNBAN, r#"{"user":"app","account":"APP"}"#);
    assert_eq!(again["error"]["description"], "user \"app\" of account \"APP\" is not banned");

    drop(server);
    let trail = std::fs::read_to_string(trail).unwrap();
    for told in [
        r#"ban seconds 3600 account \"APP\" user \"app\" reason \"stolen\""#,
        r#"user \"app\" of account \"APP\" is banned until "#,
        r#"unban account \"APP\" user \"app\""#,
    ] {
        assert!(trail.contains(told), "{told}: {trail}");
    }
    let asked = trail.lines().find(|line| line.contains("ban seconds")).unwrap();
    assert!(asked.contains(r#""class":"admin""#) && asked.contains(r#""user":"sys""#), "{asked}");
}

#[test]
fn a_ban_ends_by_itself() {
    let server = Server::start(CONFIG);
    let mut sys = server.client("sys", "s3cret-sys");
    sys.asks(BAN, r#"{"account":"APP","seconds":1}"#);
    assert!(server.is_refused("ann", "s3cret-ann"));
    server.client("bob", "s3cret-bob");
    std::thread::sleep(Duration::from_millis(1_100));
    server.client("ann", "s3cret-ann");
    assert_eq!(sys.asks(BANS, "")["data"]["bans"], serde_json::json!([]));
}

#[test]
fn nobody_from_a_banned_address_is_read() {
    let server = Server::start(CONFIG);
    let mut sys = server.client("sys", "s3cret-sys");
    // Also whoever asks comes from there: it hears the answer before it is closed, or not.
    let body = r#"{"address":"127.0.0.0/8","seconds":2}"#;
    sys.say(&format!("PUB {BAN} _INBOX.x {}\r\n{body}\r\n", body.len()));
    assert!(sys.is_closed());
    let mut stranger = TcpStream::connect(server.address()).unwrap();
    stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(stranger.read(&mut [0; 64]).unwrap_or(0), 0, "not even a greeting");
    std::thread::sleep(Duration::from_millis(2_100));
    server.client("sys", "s3cret-sys");
}

#[test]
fn what_makes_no_sense_is_said_and_changes_nothing() {
    let server = Server::start(CONFIG);
    let mut sys = server.client("sys", "s3cret-sys");
    for (body, said) in [
        (r#"{"user":"app"}"#, "\"seconds\" says how long"),
        (r#"{"seconds":5}"#, "a ban is about one"),
        (r#"{"address":"10.0.0.1","user":"app","seconds":5}"#, "a ban is about one"),
        (r#"{"address":"here","seconds":5}"#, "\"here\" is no address and no network"),
        (r#"{"account":"SYS","seconds":5}"#, "the system account is not banned"),
        (r#"{"user":5,"seconds":5}"#, "cannot unmarshal number"),
    ] {
        let answer = sys.asks(BAN, body);
        assert!(answer["error"]["description"].as_str().is_some_and(|text| text.contains(said)), "{body}: {answer}");
    }
    assert_eq!(sys.asks(BANS, "")["data"]["bans"], serde_json::json!([]));
    let mut app = server.client("app", "s3cret-app");
    assert!(app.is_alone_with(BAN), "only the system account bans");
}

/// Where the log says that something listens.
fn listens(server: &mut Server, what: &str) -> SocketAddr {
    let said = server.said.iter().find(|line| line.contains(what)).cloned();
    said.unwrap_or_else(|| server.logged(what)).rsplit(' ').next().unwrap().parse().unwrap()
}

/// A leaf node that spoke this user.
fn leaf_node(at: SocketAddr, user: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let connect = format!(
        "CONNECT {{\"user\":\"{user}\",\"pass\":\"s3cret-{user}\",\"name\":\"L\",\"server_id\":\"NL{user}\",\"cluster\":\"L{user}\",\"headers\":true,\"protocol\":3}}\r\nPING\r\n"
    );
    stream.write_all(connect.as_bytes()).unwrap();
    stream
}

/// All that a peer hears until the server ends it, which it must.
fn rest(mut stream: TcpStream) -> String {
    let (mut heard, mut room) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut room) {
        heard.extend_from_slice(&room[..read]);
    }
    assert!(stream.take_error().unwrap().is_none());
    String::from_utf8_lossy(&heard).into_owned()
}

/// Reads until this was said.
fn hears(stream: &mut TcpStream, word: &str) {
    let (mut heard, mut room) = (String::new(), [0; 4096]);
    while !heard.contains(word) {
        let read = stream.read(&mut room).unwrap();
        assert!(read > 0, "it was closed: {heard}");
        heard += &String::from_utf8_lossy(&room[..read]);
    }
}

#[test]
fn a_leaf_node_is_closed_by_a_ban_of_its_user_its_account_or_its_address_and_kept_out() {
    let mut server = Server::start(&format!("{CONFIG}\nleafnodes {{ listen: \"127.0.0.1:-1\" }}"));
    let at = listens(&mut server, "Listening for leafnode connections on ");
    let mut sys = server.client("sys", "s3cret-sys");
    for who in [r#""user":"app""#, r#""user":"app","account":"APP""#, r#""account":"APP""#] {
        let (mut app, mut bob) = (leaf_node(at, "app"), leaf_node(at, "bob"));
        hears(&mut app, "PONG");
        hears(&mut bob, "PONG");
        let answer = sys.asks(BAN, &format!("{{{who},\"seconds\":3600}}"));
        assert_eq!(answer["data"]["closed"], 1, "{who}: {answer}");
        rest(app);
        assert!(rest(leaf_node(at, "app")).contains("-ERR 'Authorization Violation'"), "{who}");
        bob.write_all(b"PING\r\n").unwrap();
        hears(&mut bob, "PONG");
        let answer = sys.asks(UNBAN, &format!("{{{who}}}"));
        assert_eq!(answer["data"]["bans"], serde_json::json!([]), "{answer}");
    }
    let mut app = leaf_node(at, "app");
    hears(&mut app, "PONG");
    let body = r#"{"address":"127.0.0.1","seconds":2}"#;
    sys.say(&format!("PUB {BAN} _INBOX.x {}\r\n{body}\r\n", body.len()));
    rest(app);
}

#[test]
fn a_banned_address_behind_a_proxy_is_not_read_and_the_proxy_is() {
    let server = Server::start(&format!("{CONFIG}\nproxy_protocol: true"));
    let mut sys = server.client("sys", "s3cret-sys");
    sys.asks(BAN, r#"{"address":"192.0.2.0/24","seconds":3600}"#);
    let through = |source: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let login = r#"CONNECT {"user":"app","pass":"s3cret-app","verbose":false}"#;
        let hello = format!("PROXY TCP4 {source} 198.51.100.1 40000 4222\r\n{login}\r\nPING\r\n");
        stream.write_all(hello.as_bytes()).unwrap();
        stream
    };
    hears(&mut through("198.51.100.9"), "PONG");
    assert!(!rest(through("192.0.2.7")).contains("-ERR 'Authorization"), "no credentials are looked at");
    let bans = sys.asks(BANS, "");
    assert_eq!(bans["data"]["bans"][0]["refused"], 1, "{bans}");
}

#[test]
fn a_visitor_of_the_monitor_is_kept_out_by_name_and_by_address() {
    let more = "http: \"127.0.0.1:-1\"\nhttp_login: true";
    let mut server = Server::start(&format!("{CONFIG}\n{more}"));
    let at = listens(&mut server, "Starting http monitor on ");
    let visit = || {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let login = BASE64.encode(b"sys:s3cret-sys");
        let ask = format!("GET /varz HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).unwrap();
        rest(stream)
    };
    assert!(visit().starts_with("HTTP/1.1 200"));
    let mut sys = server.client("sys", "s3cret-sys");
    sys.asks(BAN, r#"{"address":"0.0.0.0","seconds":3600}"#);
    assert!(visit().starts_with("HTTP/1.1 200"), "nobody comes from there");
    let body = r#"{"address":"127.0.0.1","seconds":2}"#;
    sys.say(&format!("PUB {BAN} _INBOX.x {}\r\n{body}\r\n", body.len()));
    assert!(sys.is_closed());
    assert!(visit().starts_with("HTTP/1.1 401"), "the banned address is that of the visitor");
}
