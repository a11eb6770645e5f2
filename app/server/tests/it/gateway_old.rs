//! A gateway of the time before servers told what they want: it gets everything that it has not refused. A scene plays its
//! part, line by line, as servers before 2.9 do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::fleet::{Make, PATIENCE, Server};

const ACCOUNTS: &str = r#"accounts {
    A { users: [{user: a, password: a}] }
    B { users: [{user: b, password: b}] }
}"#;

/// The old server's end of a connection.
struct Old {
    reader: BufReader<TcpStream>,
    info: String,
}

impl Old {
    fn new(stream: TcpStream, address: SocketAddr) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let info = format!(
            "INFO {{\"server_id\":\"NOLD\",\"server_name\":\"OLD\",\"version\":\"2.8.4\",\"proto\":1,\"host\":\"127.0.0.1\",\
             \"port\":{},\"headers\":true,\"max_payload\":1048576,\"gateway\":\"OLD\",\"gateway_urls\":[\"{address}\"],\
             \"gateway_nrp\":true}}\r\n",
            address.port()
        );
        Self { reader: BufReader::new(stream), info }
    }

    /// Where messages go to the old server. The server under test makes the connection.
    fn outbound(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut old = Self::new(stream, listener.local_addr().unwrap());
        let info = old.info.clone();
        old.say(&info);
        assert!(old.line().starts_with("CONNECT "));
        assert!(old.line().starts_with("INFO "));
        old
    }

    /// Where messages come from the old server.
    fn inbound(server: &Server, listener: &TcpListener) -> Self {
        let mut old = Self::new(TcpStream::connect(server.gateway.unwrap()).unwrap(), listener.local_addr().unwrap());
        assert!(old.line().starts_with("INFO "));
        old.say("CONNECT {\"echo\":false,\"verbose\":false,\"name\":\"NOLD\",\"gateway\":\"OLD\"}\r\n");
        let info = old.info.clone();
        old.say(&info);
        old
    }

    fn say(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the server hung up");
            match line.trim_end() {
                "PING" => self.say("PONG\r\n"),
                "PONG" => {}
                line => return line.to_owned(),
            }
        }
    }

    /// Everything said so far has been taken.
    fn settle(&mut self) {
        self.say("PING\r\n");
        let mut line = String::new();
        while line.trim_end() != "PONG" {
            line.clear();
            self.reader.read_line(&mut line).unwrap();
            if line.trim_end() == "PING" {
                self.say("PONG\r\n");
            }
        }
    }

    /// The next message of a tenant: its head up to the size, and the payload.
    fn message(&mut self) -> (String, String) {
        loop {
            let (head, payload) = self.any_message();
            if !head.starts_with("RMSG $SYS ") {
                return (head, payload);
            }
        }
    }

    fn any_message(&mut self) -> (String, String) {
        let head = self.line();
        let (head, size) = head.rsplit_once(' ').unwrap();
        let mut payload = vec![0; size.parse::<usize>().unwrap() + 2];
        self.reader.read_exact(&mut payload).unwrap();
        (head.to_owned(), String::from_utf8(payload).unwrap().trim_end().to_owned())
    }
}

/// A server that goes to the old one.
fn server(listener: &TcpListener) -> Server {
    let remote = format!("gateways: [{{ name: OLD, url: \"nats://{}\" }}]", listener.local_addr().unwrap());
    let gateway = format!("gateway {{ name: NEW, listen: \"127.0.0.1:-1\", {remote} }}");
    Server::start(Make::Ours, &format!("server_name: NEW\n{ACCOUNTS}\n{gateway}"))
}

/// A command about an account, as INFO carries it.
fn command(number: u8, account: &str) -> String {
    let account = data_encoding::BASE64.encode(account.as_bytes());
    format!("INFO {{\"gateway\":\"OLD\",\"gateway_cmd\":{number},\"gateway_cmd_payload\":\"{account}\"}}\r\n")
}

#[test]
fn an_old_gateway_gets_everything_but_what_it_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut server = server(&listener);
    let mut old = Old::outbound(&listener);
    server.logged("Outbound gateway connection to \"OLD\"");
    let (mut a, mut b) = (server.log_in("a"), server.log_in("b"));
    // What comes next to the old server after these were published.
    let mut hears = |old: &mut Old, subjects: &[&str], expected: &[&str]| {
        for subject in subjects {
            a.publish(subject, "x");
        }
        a.publish("end", "x");
        for subject in expected.iter().chain(&["end"]) {
            assert_eq!(old.message(), (format!("RMSG A {subject}"), "x".to_owned()));
        }
    };
    hears(&mut old, &["foo", "bar"], &["foo", "bar"]);
    old.say("RS- A foo\r\n");
    old.settle();
    hears(&mut old, &["foo", "bar"], &["bar"]);
    old.say("RS+ A foo\r\n");
    old.settle();
    hears(&mut old, &["foo"], &["foo"]);
    // Queue groups say what they want; they get it beside what is sent anyway.
    old.say("RS+ A jobs workers 1\r\n");
    old.settle();
    hears(&mut old, &["jobs"], &["jobs | workers"]);
    b.publish("foo", "of B");
    b.flush();
    assert_eq!(old.message(), ("RMSG B foo".to_owned(), "of B".to_owned()));
    old.say("A- B\r\n");
    old.settle();
    b.publish("foo", "of B");
    b.flush();
    hears(&mut old, &["foo"], &["foo"]);
    old.say("A+ B\r\n");
    old.settle();
    b.publish("foo", "again");
    b.flush();
    assert_eq!(old.message(), ("RMSG B foo".to_owned(), "again".to_owned()));
    // After a thousand refusals it changes its mind: it tells all it wants, and gets nothing else.
    let refusals: String = (0..=1000).map(|number| format!("RS- A no.{number}\r\n")).collect();
    old.say(&refusals);
    old.settle();
    hears(&mut old, &["no.0", "no.1000", "yes"], &["yes"]);
    old.say(&format!("{}RS+ A wanted.*\r\nRS+ A end\r\n{}", command(2, "A"), command(3, "A")));
    old.settle();
    hears(&mut old, &["foo", "no.1", "wanted.x"], &["wanted.x"]);
    old.say("RS- A wanted.*\r\n");
    old.settle();
    hears(&mut old, &["wanted.x", "foo"], &[]);
}

#[test]
fn an_old_gateway_is_told_what_is_wanted_and_which_accounts_do_not_exist() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = server(&listener);
    let mut wants = server.log_in("a");
    wants.subscribe("wanted", "1");
    let mut old = Old::inbound(&server, &listener);
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line == "RS+ A wanted") {
        told.push(old.line());
    }
    assert!(told.iter().any(|line| line.contains("\"gateway_cmd\":2")), "all interest is told: {told:?}");
    // Nobody wants that here, and of an account that is not here, nobody ever will.
    old.say("RMSG A unwanted 1\r\nx\r\nRMSG NOBODY foo 1\r\nx\r\nRMSG NOBODY bar 1\r\nx\r\nRMSG A wanted 1\r\nx\r\n");
    assert_eq!(wants.next().subject, "wanted");
    wants.send("UNSUB 1\r\n");
    wants.flush();
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line == "RS- A wanted") {
        told.push(old.line());
    }
    assert_eq!(told.iter().filter(|line| *line == "A- NOBODY").count(), 1, "once: {told:?}");
}
