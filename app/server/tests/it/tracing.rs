//! Messages of a distributed trace, at a collector: which spans come, below which, and what they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::{Value, json};

use crate::fleet::{Client, Make, Server, mixtures, until, until_linked};
use crate::running::{PATIENCE, Running};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PUBLISHER: &str = "00f067aa0ba902b7";

const ACCOUNTS: &str = r#"accounts {
    A { users: [
            {user: a, password: a}
            {user: d, password: d, permissions: {publish: {deny: "secret.>"}}}
        ], imports: [{service: {account: B, subject: "svc"}}] }
    B { users: [{user: b, password: b}], exports: [{service: "svc", allow_trace: true}] }
    SYS { users: [{user: s, password: s}] }
}
system_account: SYS"#;

/// Takes what is posted, and answers with a status.
struct Collector {
    address: SocketAddr,
    requests: Receiver<(String, Value)>,
    spans: Vec<Value>,
    heads: Vec<String>,
}

impl Collector {
    fn start(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, taken) = channel();
        std::thread::spawn(move || {
            listener.incoming().flatten().try_for_each(|stream| serve(stream, status, &requests))
        });
        Self { address, requests: taken, spans: Vec::new(), heads: Vec::new() }
    }

    fn config(&self, more: &str) -> String {
        format!("tracing {{ endpoint: \"http://{}\", interval: 50ms, {more} }}", self.address)
    }

    /// Waits until so many hops have come.
    fn hops(&mut self, how_many: usize) -> Vec<&Value> {
        let begun = Instant::now();
        while self.spans.iter().filter(|span| span["kind"] == 2).count() < how_many {
            let rest = PATIENCE.saturating_sub(begun.elapsed());
            let (head, body) = self.requests.recv_timeout(rest).unwrap_or_else(|_| panic!("{:#?}", self.spans));
            let resource = &body["resourceSpans"][0];
            let server = attribute(&resource["resource"], "nats.server.name");
            for span in resource["scopeSpans"][0]["spans"].as_array().unwrap() {
                let mut span = span.clone();
                span["server"] = server.clone().into();
                self.spans.push(span);
            }
            self.heads.push(head);
        }
        self.spans.iter().filter(|span| span["kind"] == 2).collect()
    }

    /// The one span of this name at this server.
    fn span(&self, server: &str, name: &str) -> &Value {
        let mut found = self.spans.iter().filter(|span| span["server"] == server && span["name"] == name);
        let span = found.next().unwrap_or_else(|| panic!("no {name} of {server}: {:#?}", self.spans));
        assert_eq!(found.next(), None, "more than one {name} of {server}");
        span
    }
}

fn serve(mut stream: TcpStream, status: &str, requests: &Sender<(String, Value)>) -> Result<(), ()> {
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut size) = (String::new(), 0);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).map_err(|_| ())?;
        if let Some(text) = line.strip_prefix("Content-Length: ") {
            size = text.trim().parse().unwrap();
        }
        if line == "\r\n" || line.is_empty() {
            break;
        }
        head += &line;
    }
    let mut body = vec![0; size];
    lines.read_exact(&mut body).map_err(|_| ())?;
    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes());
    requests.send((head, serde_json::from_slice(&body).unwrap())).map_err(|_| ())
}

/// A text or number among the attributes.
fn attribute(of: &Value, key: &str) -> String {
    let all = of["attributes"].as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|attribute| attribute["key"] == key).map(|attribute| attribute["value"].clone());
    let value = found.unwrap_or_default();
    value["stringValue"].as_str().or(value["intValue"].as_str()).unwrap_or_default().to_owned()
}

fn events(span: &Value) -> Vec<String> {
    let said = |event: &Value| {
        let words = ["nats.peer.name", "nats.account", "nats.subscription", "nats.queue", "nats.missed"];
        let words = words.iter().map(|key| attribute(event, key)).filter(|text| !text.is_empty());
        [event["name"].as_str().unwrap().to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    };
    span["events"].as_array().unwrap().iter().map(said).collect()
}

fn parent(span: &str, flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{span}-{flags}")
}

/// The parent that a message names, and whether the rest of the header is as it was.
fn parent_in(headers: &str) -> String {
    let value =
        headers.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap_or_else(|| panic!("{headers}"));
    let parts: Vec<&str> = value.split('-').collect();
    assert_eq!((parts[0], parts[1], parts[3], parts.len()), ("00", TRACE, "01", 4), "{headers}");
    parts[2].to_owned()
}

fn pair(collector: &Collector, mix: [Make; 2]) -> [Server; 2] {
    let listen = "listen: \"127.0.0.1:-1\"";
    let of = |make: Make, name: &str, cluster: &str| {
        let tracing = if make == Make::Ours { collector.config("") } else { String::new() };
        Server::start(
            make,
            &format!("server_name: {name}\n{ACCOUNTS}\ncluster {{ name: C, {listen}, {cluster} }}\n{tracing}"),
        )
    };
    let near = of(mix[0], "NEAR", "");
    let far = of(mix[1], "FAR", &format!("routes: [\"{}\"]", near.route_url("")));
    [near, far]
}

#[test]
fn hops_stand_below_each_other_from_server_to_server_and_into_another_account() {
    let mut collector = Collector::start("200 OK");
    let [near, far] = pair(&collector, [Make::Ours; 2]);
    let (mut asks, mut answers) = (near.log_in("a"), far.log_in("b"));
    answers.subscribe("svc", "1");
    until_linked(&mut asks, &mut answers, "svc");
    asks.publish_with_headers("svc", &format!("X: y\r\n{}", parent(PUBLISHER, "01")), "hello");
    let got = answers.next();
    collector.hops(2);
    let (here, there) = (collector.span("NEAR", "nats svc"), collector.span("FAR", "nats svc"));
    assert_eq!((&here["traceId"], &here["parentSpanId"]), (&TRACE.into(), &PUBLISHER.into()));
    assert_eq!((&there["traceId"], &there["parentSpanId"]), (&TRACE.into(), &here["spanId"]));
    assert_eq!(
        parent_in(&got.headers),
        there["spanId"].as_str().unwrap(),
        "who receives it stands below the last server"
    );
    assert!(got.headers.contains("X: y\r\n") && got.payload == "hello", "{got:?}");

    for (server, whole) in [("NEAR", here), ("FAR", there)] {
        for part in ["receive", "decide", "deliver"] {
            assert_eq!(collector.span(server, part)["parentSpanId"], whole["spanId"], "{server} {part}");
        }
    }
    let import = collector.span("NEAR", "service import");
    assert_eq!((&import["parentSpanId"], attribute(import, "nats.account")), (&here["spanId"], "B".to_owned()));
    assert_eq!(events(collector.span("NEAR", "deliver")), ["sent to a server FAR"]);
    assert_eq!(events(collector.span("FAR", "deliver")), ["delivered B svc"]);
    assert_eq!((attribute(here, "nats.account"), attribute(there, "nats.account")), ("A".to_owned(), "B".to_owned()));
    assert_eq!(attribute(here, "nats.peer.kind"), "client");
    assert_eq!(
        (attribute(there, "nats.peer.kind"), attribute(there, "nats.peer.name")),
        ("route".into(), "NEAR".into())
    );
    let head = &collector.heads[0];
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n") && head.contains("Content-Type: application/json\r\n"));
}

#[test]
fn message_traces_tell_the_same_ids_and_so_does_the_reference() {
    for mix in mixtures::<2>() {
        let mut collector = Collector::start("200 OK");
        let [near, far] = pair(&collector, mix);
        let (mut publisher, mut tracer) = (near.log_in("a"), far.log_in("a"));
        tracer.subscribe("trace.here", "1");
        tracer.subscribe("far", "2");
        until_linked(&mut publisher, &mut tracer, "far");
        until_linked(&mut publisher, &mut tracer, "trace.here");
        let headers = format!("{}\r\nNats-Trace-Dest: trace.here", parent(PUBLISHER, "01"));
        publisher.publish_with_headers("far", &headers, "");
        let mut came = Vec::new();
        until("both reports and the message have come", || {
            came.extend(tracer.drain());
            came.len() == 3
        });
        let ours = mix.iter().filter(|make| **make == Make::Ours).count();
        collector.hops(ours);
        let span = |server: &str| collector.span(server, "nats far")["spanId"].as_str().unwrap().to_owned();
        // Each server tells what it got: what the one before named as the parent.
        let reports = came.iter().filter(|message| message.subject == "trace.here");
        let reports: Vec<Value> = reports.map(|message| serde_json::from_str(&message.payload).unwrap()).collect();
        let told = |server: &str| {
            let report = reports.iter().find(|report| report["server"]["name"] == server).unwrap();
            let header = &report["request"]["header"]["traceparent"][0];
            parent_in(&format!("traceparent: {}", header.as_str().unwrap()))
        };
        assert_eq!(told("NEAR"), PUBLISHER, "{mix:?}");
        let behind_near = if mix[0] == Make::Ours { span("NEAR") } else { PUBLISHER.to_owned() };
        assert_eq!(told("FAR"), behind_near, "{mix:?}");
        if mix[1] == Make::Ours {
            assert_eq!(collector.span("FAR", "nats far")["parentSpanId"], behind_near.as_str(), "{mix:?}");
        }
        let message = came.iter().find(|message| message.subject == "far").unwrap();
        let last = if mix[1] == Make::Ours { span("FAR") } else { behind_near };
        assert_eq!(parent_in(&message.headers), last, "{mix:?}");
    }
}

fn alone(config: &str) -> Server {
    Server::start(Make::Ours, &format!("server_name: ONE\n{ACCOUNTS}\n{config}"))
}

fn listener(server: &Server) -> Client {
    let mut listener = server.log_in("a");
    listener.subscribe(">", "1");
    listener
}

#[test]
fn what_is_not_sampled_goes_on_as_it_came_and_leaves_no_span() {
    let mut collector = Collector::start("200 OK");
    let on = alone(&collector.config(""));
    let off = alone("");
    let sampled = parent(PUBLISHER, "01");
    for (server, headers) in
        [(&on, parent(PUBLISHER, "00")), (&on, "traceparent: 00-1-2-01".to_owned()), (&off, sampled.clone())]
    {
        let (mut publisher, mut listener) = (server.log_in("a"), listener(server));
        publisher.publish_with_headers("x", &headers, "!");
        assert_eq!(listener.next().headers, format!("NATS/1.0\r\n{headers}\r\n\r\n"));
    }
    // What comes behind them is the first that is told.
    let mut publisher = on.log_in("a");
    publisher.publish_with_headers("last", &sampled, "!");
    let hops = collector.hops(1);
    assert_eq!((hops.len(), &hops[0]["name"]), (1, &"nats last".into()));
}

#[test]
fn a_message_trace_without_a_parent_begins_a_trace_that_its_receivers_go_on_with() {
    let mut collector = Collector::start("200 OK");
    let server = alone(&collector.config(""));
    let (mut publisher, mut listener) = (server.log_in("a"), server.log_in("a"));
    listener.subscribe("x", "1");
    publisher.publish_with_headers("x", "Nats-Trace-Dest: trace.here", "!");
    let got = listener.next().headers;
    let hop = collector.hops(1)[0];
    let value = format!("traceparent: 00-{}-{}-01", hop["traceId"].as_str().unwrap(), hop["spanId"].as_str().unwrap());
    assert!(got.contains(&value), "{got} {value}");
    assert_eq!(hop["parentSpanId"], Value::Null);
}

#[test]
fn a_refusal_is_an_error_with_its_rule_and_without_subjects_names_none() {
    for subjects in [true, false] {
        let mut collector = Collector::start("202 Accepted");
        let server =
            alone(&collector.config(&format!("subjects: {subjects}, headers {{ Authorization: \"Bearer PLANTED\" }}")));
        let mut denied = server.log_in("d");
        denied.publish_with_headers("secret.plan", &parent(PUBLISHER, "01"), "!");
        denied.flush();
        assert!(denied.errors[0].contains("secret.plan"));
        let hop = collector.hops(1)[0].clone();
        assert_eq!((&hop["status"]["code"], &hop["status"]["message"]), (&2.into(), &"publish denied".into()));
        assert_eq!(attribute(&hop, "nats.account"), "A");
        let because = attribute(collector.span("ONE", "decide"), "nats.because");
        assert_eq!(because.starts_with("deny \"secret.>\" ("), subjects, "{because}");
        let all = Value::from(collector.spans.clone()).to_string();
        assert_eq!(all.contains("secret"), subjects, "{all}");
        assert!(collector.heads[0].contains("Authorization: Bearer PLANTED\r\n") && !all.contains("PLANTED"));
    }
}

fn metric(at: &str, name: &str) -> u64 {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn monitored(config: &str) -> (Server, String) {
    let mut server = alone(&format!("http: \"127.0.0.1:-1\"\n{config}"));
    let line = server.logged("Starting http monitor on ");
    (server, line.rsplit(' ').next().unwrap().to_owned())
}

const DROPPED: &str = "bulwark_trace_messages_dropped_total";

#[test]
fn what_comes_faster_than_it_may_is_delivered_and_counted() {
    let mut collector = Collector::start("200 OK");
    let (server, monitor) = monitored(&collector.config("max_per_second: 1"));
    let (mut publisher, mut listener) = (server.log_in("a"), listener(&server));
    for _ in 0..200 {
        publisher.publish_with_headers("x", &parent(PUBLISHER, "01"), "!");
    }
    for _ in 0..200 {
        listener.next();
    }
    let dropped = usize::try_from(metric(&monitor, DROPPED)).unwrap();
    assert!(dropped > 0 && dropped < 200, "{dropped}");
    assert_eq!(collector.hops(200 - dropped).len(), 200 - dropped, "whatever was not dropped is told");
}

#[test]
fn a_collector_that_takes_nothing_is_said_and_counted_and_nobody_waits_for_it() {
    for status in ["503 Service Unavailable", ""] {
        let collector = Collector::start(status);
        let (mut server, monitor) = monitored(&collector.config("timeout: 1s"));
        let (mut publisher, mut listener) = (server.log_in("a"), listener(&server));
        publisher.publish_with_headers("x", &parent(PUBLISHER, "01"), "!");
        listener.next();
        server.logged("Traces could not be sent to http://");
        // The hop, and its three parts.
        assert_eq!(metric(&monitor, "bulwark_trace_spans_failed_total"), 4, "{status:?}");
        assert_eq!(metric(&monitor, "bulwark_trace_spans_exported_total"), 0, "{status:?}");
    }
}

#[test]
fn a_reload_turns_it_on_and_off_and_one_that_cannot_be_used_changes_nothing() {
    let mut collector = Collector::start("200 OK");
    let config = |tracing: &str| format!("{ACCOUNTS}\n{tracing}");
    let server = Running::start(&config(""));
    let mut peer = server.admitted(&json!({"user": "a", "pass": "a", "headers": true}));
    peer.subscribe("x", "1");
    let block = format!("NATS/1.0\r\n{}\r\n\r\n", parent(PUBLISHER, "01"));
    let mut is_followed = || {
        peer.say(&format!("HPUB x {0} {0}\r\n{block}\r\n", block.len()));
        peer.message().headers != block
    };
    assert!(!is_followed());
    server.reload(&config(&collector.config("")));
    assert!(is_followed());
    let unusable = "tracing { endpoint: \"https://127.0.0.1:1\", ca_file: \"/nowhere/ca.pem\" }";
    server.fail_to_reload(&config(unusable), "/nowhere/ca.pem");
    assert!(is_followed());
    server.reload(&config(""));
    assert!(!is_followed());
    assert_eq!(collector.hops(2).len(), 2);
}

#[test]
fn a_start_without_the_roots_it_names_fails_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.conf");
    let tracing =
        "listen: \"127.0.0.1:-1\", tracing { endpoint: \"https://127.0.0.1:1\", ca_file: \"/nowhere/ca.pem\" }";
    std::fs::write(&path, tracing).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_nats-server")).arg("-c").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("tracing: https://127.0.0.1:1: ") && said.contains("/nowhere/ca.pem"),
        "{said}"
    );
}
