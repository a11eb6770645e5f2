//! The protocol log.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use auth::settings::Settings;
use broker::{ConnectionLabel, Event, Link, Observer};

use crate::conversation::Conversation;
use crate::fixtures::tenants;

/// Keeps the lines of the protocol log.
#[derive(Default)]
struct Reader {
    lines: Mutex<Vec<String>>,
    system: bool,
}

impl Reader {
    fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

/// Who it is, as the log has it.
fn named(label: &ConnectionLabel) -> ConnectionLabel {
    ConnectionLabel { client: None, ..label.clone() }
}

impl Observer for Reader {
    fn event(&self, link: &Arc<Link>, label: &ConnectionLabel, event: &Event<'_>) {
        let id = link.key.id;
        let line = match event {
            Event::TraceIn(text) => format!("{id}{} <<- {text}", named(label)),
            Event::TraceOut(text) => format!("{id}{} ->> {text}", named(label)),
            Event::TraceWithin(text) => format!("{id}{} <-> {text}", named(label)),
            _ => return,
        };
        self.lines.lock().unwrap().push(line);
    }

    fn traces(&self) -> bool {
        true
    }

    fn traces_system(&self) -> bool {
        self.system
    }
}

fn watched(settings: &Settings, change: impl FnOnce(&mut broker::ClientSettings)) -> (Conversation, Arc<Reader>) {
    let reader = Arc::new(Reader::default());
    (Conversation::watched(settings, change, reader.clone()), reader)
}

#[test]
fn every_line_that_comes_and_goes_is_shown_once() {
    let (mut broker, reader) = watched(&Settings::default(), |_| {});
    let alice = broker.connect();
    broker.says(&alice, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nPING\r\n");
    broker.says(&alice, "SUB foo q 1\r\nsub b 2\r\nUNSUB 2 1\r\nPUB foo re 5\r\nhello\r\nHPUB foo 16 17\r\n");
    broker.says(&alice, "NATS/1.0\r\nA:\r\n\r\nx\r\nPUB b 0\r\n\r\nUNSUB 1\r\nSUB a..b 3\r\nPONG\r\n");
    assert_eq!(
        reader.read(),
        [
            "1 <<- [CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}]",
            "1 <<- [PING]",
            "1 ->> [PONG]",
            "1 <<- [SUB foo q 1]",
            "1 <<- [SUB b 2]",
            "1 <<- [UNSUB 2 1]",
            "1 <<- [PUB foo re 5]",
            "1 <<- MSG_PAYLOAD: [\"hello\"]",
            "1 ->> [MSG foo 1 re 5]",
            "1 ->> MSG_PAYLOAD: [\"hello\"]",
            "1 <<- [HPUB foo 16 17]",
            "1 <<- MSG_PAYLOAD: [\"NATS/1.0\\r\\nA:\\r\\n\\r\\nx\"]",
            "1 ->> [HMSG foo 1 16 17]",
            "1 ->> MSG_PAYLOAD: [\"NATS/1.0\\r\\nA:\\r\\n\\r\\nx\"]",
            "1 <<- [PUB b 0]",
            "1 ->> [MSG b 2 0]",
            "1 <<- [UNSUB 1]",
            "1 <-> [DELSUB 1]",
            "1 <<- [SUB a..b 3]",
            "1 ->> [-ERR Invalid Subject]",
            "1 <<- [PONG]",
            "1 <-> [DELSUB 2]",
        ]
    );
}

#[test]
fn a_message_is_shown_for_each_who_gets_it_under_its_own_name() {
    let (mut broker, reader) = watched(&tenants(), |_| {});
    let (back, clerk) = (broker.login("back"), broker.login("clerk"));
    broker.says(&clerk, "SUB events.> 7\r\n");
    broker.says(&back, "SUB events.* 1\r\n");
    reader.read();
    broker.says(&back, "PUB events.a 1\r\nx\r\n");
    let mut lines = reader.read();
    lines.sort();
    assert_eq!(
        lines,
        [
            "1 - \"SHOP/user:back\" ->> MSG_PAYLOAD: [\"x\"]",
            "1 - \"SHOP/user:back\" ->> [MSG events.a 1 1]",
            "1 - \"SHOP/user:back\" <<- MSG_PAYLOAD: [\"x\"]",
            "1 - \"SHOP/user:back\" <<- [PUB events.a 1]",
            "2 - \"SHOP/user:clerk\" ->> MSG_PAYLOAD: [\"x\"]",
            "2 - \"SHOP/user:clerk\" ->> [MSG events.a 7 1]",
        ]
    );
}

#[test]
fn the_subscriptions_of_a_connection_end_with_it() {
    let (mut broker, reader) = watched(&Settings::default(), |_| {});
    let guest = broker.guest();
    broker.says(&guest, "SUB a 5\r\n");
    reader.read();
    broker.hangs_up(&guest);
    assert_eq!(reader.read().len(), 1);
}

#[test]
fn payloads_are_cut_and_cannot_forge_a_line() {
    let (mut broker, reader) = watched(&Settings::default(), |clients| {
        clients.max_traced_bytes = NonZeroUsize::new(8);
    });
    let guest = broker.guest();
    reader.read();
    broker.says(&guest, b"PUB a 9\r\nab\"\n\x1b[31m\r\nPUB a 8\r\n12345678\r\nSUB \x1b[2J\xc2\x9b 1\r\n");
    let lines = reader.read();
    assert!(lines.iter().any(|line| line.ends_with(r#"<<- MSG_PAYLOAD: ["ab\"\n\x1b[31..."]"#)), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(r#"<<- MSG_PAYLOAD: ["12345678"]"#)), "{lines:?}");
    assert!(!lines.concat().contains(char::is_control), "{lines:?}");
}

#[test]
fn where_only_headers_are_wanted_payloads_are_not_shown() {
    let (mut broker, reader) = watched(&Settings::default(), |clients| clients.trace_headers = true);
    let guest = broker.guest();
    reader.read();
    broker.says(&guest, "PUB a 5\r\nPLAIN\r\nHPUB a 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nPLAIN\r\n");
    let lines = reader.read();
    assert!(lines.iter().any(|line| line.ends_with(r#"MSG_PAYLOAD: ["NATS/1.0\r\nA: b"]"#)), "{lines:?}");
    assert!(!lines.concat().contains("PLAIN"), "{lines:?}");
}

#[test]
fn no_secret_of_a_login_is_ever_shown() {
    let secrets = ["pass", "PASS", "auth_token", "jwt", "sig", "nkey", "proxy_sig", "my_private_key", "Pass"];
    let fields: String = secrets.iter().map(|field| format!(",\"{field}\":\"MARKER\"")).collect();
    for rest in ["}", ",\"tls\":{\"key\":\"MARKER\"}}", ",\"unfinished\":", "} MARKER"] {
        let (mut broker, reader) = watched(&tenants(), |_| {});
        let (stranger, back) = (broker.connect(), broker.login("back"));
        let connect = format!("CONNECT {{\"user\":\"back\"{fields}{rest}\r\nPING\r\n");
        broker.says(&stranger, &connect);
        broker.says(&back, &connect);
        let lines = reader.read();
        assert!(lines.iter().filter(|line| line.contains("<<- [CONNECT")).count() >= 2, "{lines:?}");
        assert!(!lines.concat().contains("MARKER"), "{lines:?}");
    }
}

#[test]
fn the_system_account_is_passed_over_unless_it_is_wanted() {
    for system in [false, true] {
        let mut settings = tenants();
        settings.system_account = Some("BANK".into());
        let reader = Arc::new(Reader { system, ..Reader::default() });
        let mut broker = Conversation::watched(&settings, |_| {}, reader.clone());
        let teller = broker.login("teller");
        reader.read();
        broker.says(&teller, "SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n");
        assert_eq!(reader.read().is_empty(), !system);
    }
}
