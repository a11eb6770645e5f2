//! Playing a script: each step's text, and under it what came of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;

use crate::claims;
use crate::framed;
use crate::normal::{Run, normal, normal_page};
use crate::operation::{shown, unescaped, without_sid};
use crate::page;
use crate::peer::{Heard, Peer};
use crate::script::{PATIENCE, Script, Step};
use crate::server::Server;

/// How long the log may take to show what a step waits for.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// What a connection says of itself unless a `join` says otherwise.
const USUAL_FIELDS: [(&str, bool); 3] = [("verbose", false), ("pedantic", false), ("headers", true)];

/// Plays a script against a binary. The error says which step could not be played at all.
pub fn play(script: &Script, binary: &Path) -> Result<String, String> {
    let config = filled(script.config("").unwrap_or(""), |template| template_value(template, "", b""))?;
    let server = Server::start(binary, &config, &script.flags).map_err(|error| error.to_string())?;
    let mut stage = Stage { script, server, peers: BTreeMap::new(), run: Run::default(), transcript: String::new() };
    let Some(address) = stage.server.address() else {
        let code = stage.server.ends_within(PATIENCE).and_then(|status| status.code());
        stage.note("server", &format!("(did not start: {code:?})"));
        return Ok(stage.transcript);
    };
    stage.run.port = address.port();
    stage.run.websocket = stage.server.websocket().map(|address| address.port());
    stage.run.monitor = stage.server.monitor().map(|address| address.port());
    for (text, step) in &script.steps {
        stage.transcript.push_str(text);
        stage.transcript.push('\n');
        stage.act(step).map_err(|error| format!("{text}: {error}\n{}", stage.server.log()))?;
    }
    Ok(stage.transcript)
}

/// The answer to PING: the end of a sync, which says nothing and is not shown.
const PONG: &[u8] = b"PONG\r\n";

/// How listening ended.
#[derive(PartialEq)]
enum End {
    Found,
    Closed(Vec<u8>),
    Time,
}

/// In which order one message reaches several subscriptions is nobody's promise, so it is made one here.
fn order_deliveries(heard: &mut [Vec<u8>]) {
    let alike = |one: &Vec<u8>, next: &Vec<u8>| without_sid(one).is_some_and(|one| without_sid(next) == Some(one));
    heard.chunk_by_mut(alike).for_each(<[_]>::sort);
}

struct Stage<'a> {
    script: &'a Script,
    server: Server,
    peers: BTreeMap<String, Peer>,
    run: Run,
    transcript: String,
}

impl Stage<'_> {
    fn act(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Open { who, greeted } => self.open(who, *greeted)?,
            Step::Ask { who, request, greeted } => self.ask(who, request, *greeted)?,
            Step::Knock(who) => self.knock(who)?,
            Step::Frame { who, first, text } => {
                let body = self.bytes_of(who, text)?;
                self.peer(who)?.send_raw(&framed::frame(*first, &body));
            }
            Step::Bytes { who, text } => {
                let bytes = self.bytes_of(who, text)?;
                self.peer(who)?.send_raw(&bytes);
            }
            Step::Join { who, fields } => {
                self.open(who, true)?;
                self.send(who, &format!("CONNECT {{{}}}\\r\\n", joined(fields)))?;
            }
            Step::Send { who, text } => self.send(who, text)?,
            Step::Publish { who, subjects, payload } => self.publish(who, subjects, payload)?,
            Step::Sync(who) => self.sync(who)?,
            Step::Read(who, count) => self.read(who, *count)?,
            Step::Quiet(who, time) => drop(self.hear(who, Instant::now() + *time, |_| false)?),
            Step::Closed(who, window) => self.closed(who, window)?,
            Step::Ends(who) => self.ends(who)?,
            Step::ShowPings(who) => self.peer(who)?.shows_pings = true,
            Step::HangUp(who) => drop(self.peers.remove(who)),
            Step::Wait(time) => std::thread::sleep(*time),
            Step::Reload(name) => self.reload(name)?,
            Step::Signal(name) => self.server.signal(name)?,
            Step::Page(path) => self.page(path)?,
            Step::Exits(code) => self.exits(*code),
            Step::Log(text) => {
                if !self.server.log_gets(&[text], 0, LOG_PATIENCE) {
                    self.note("log", "(no such line)");
                }
            }
            Step::LogLacks(text) => {
                if self.server.log().contains(text) {
                    self.note("log", "(has it)");
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, who: &str, greeted: bool) -> Result<(), String> {
        let address = self.server.address().ok_or("the server has no address")?;
        let Ok(peer) = Peer::connect(address) else {
            self.note(who, "(connection refused)");
            return Ok(());
        };
        self.peers.insert(who.to_owned(), peer);
        if greeted {
            self.swallow_info(who)?;
        }
        self.learn(who);
        Ok(())
    }

    fn peer(&mut self, who: &str) -> Result<&mut Peer, String> {
        self.peers.get_mut(who).ok_or_else(|| format!("{who} is not connected"))
    }

    fn send(&mut self, who: &str, text: &str) -> Result<(), String> {
        let bytes = self.bytes_of(who, text)?;
        self.peer(who)?.send(&bytes);
        Ok(())
    }

    fn bytes_of(&self, who: &str, text: &str) -> Result<Vec<u8>, String> {
        let text = filled(text, |template| self.value(Some(who), template))?;
        unescaped(&text).ok_or_else(|| "a bad escape".to_owned())
    }

    /// Connects to the WebSocket port.
    fn knock(&mut self, who: &str) -> Result<(), String> {
        let address = self.server.websocket().ok_or("the server has no WebSocket port")?;
        let peer = Peer::connect(address).map_err(|error| format!("{who} cannot connect: {error}"))?;
        self.peers.insert(who.to_owned(), peer);
        self.learn(who);
        Ok(())
    }

    fn ask(&mut self, who: &str, request: &str, greeted: bool) -> Result<(), String> {
        self.knock(who)?;
        let request = filled(request, |template| self.value(Some(who), template))?;
        let answer = self.peer(who)?.ask(&framed::request(&request), Instant::now() + PATIENCE);
        if greeted && self.peer(who)?.is_framed() {
            self.swallow_info(who)?;
        } else {
            answer.iter().for_each(|line| self.note(who, line));
        }
        Ok(())
    }

    fn swallow_info(&mut self, who: &str) -> Result<(), String> {
        match self.peer(who)?.hear(Instant::now() + PATIENCE) {
            Heard::Operation(operation) if operation.starts_with(b"INFO ") => {}
            other => self.note(who, &format!("(no INFO but {other:?})")),
        }
        self.learn(who);
        Ok(())
    }

    fn publish(&mut self, who: &str, subjects: &str, payload: &str) -> Result<(), String> {
        let payload = filled(payload, |template| self.value(Some(who), template))?;
        let size = unescaped(&payload).ok_or("a bad escape")?.len();
        self.send(who, &format!("PUB {subjects} {size}\\r\\n{payload}\\r\\n"))
    }

    /// What a template stands for; `who` is whose text it is in.
    fn value(&self, who: Option<&str>, template: &str) -> Result<String, String> {
        if let Some(other) = template.strip_prefix("cid:") {
            return Ok(self.peers.get(other).ok_or_else(|| format!("{other} is not connected"))?.client_id.clone());
        }
        let whose = who.and_then(|who| self.peers.get(who)).or_else(|| self.peers.values().next());
        let peer = whose.ok_or("nobody is connected")?;
        match template {
            "nonce" => Ok(peer.nonce.clone()),
            "server" => Ok(peer.server_id.clone()),
            "reply" if !peer.reply.is_empty() => Ok(peer.reply.clone()),
            "reply" => Err("no message wanted an answer".to_owned()),
            _ => template_value(template, &peer.nonce, &peer.message),
        }
    }

    fn page(&mut self, path: &str) -> Result<(), String> {
        let address = self.server.monitor().ok_or("the server has no monitoring port")?;
        let path = filled(path, |template| self.value(None, template))?;
        let page = page::ask(address, &path).map_err(|error| error.to_string())?;
        self.note("page", &page.status);
        page.headers.iter().for_each(|header| self.note("page", header));
        let body = normal_page(&page.body, &self.run);
        body.split('\n').for_each(|line| self.note("page", &shown(line.as_bytes())));
        Ok(())
    }

    /// Shows operations up to and with the wanted one, in the time there is.
    fn hear(&mut self, who: &str, deadline: Instant, wanted: impl Fn(&[u8]) -> bool) -> Result<End, String> {
        let mut heard = Vec::new();
        let end = loop {
            match self.peer(who)?.hear(deadline) {
                Heard::Operation(operation) => {
                    let found = wanted(&operation);
                    heard.push(operation);
                    if found {
                        break End::Found;
                    }
                }
                Heard::End(rest) => break End::Closed(rest),
                Heard::Nothing => break End::Time,
            }
        };
        self.learn(who);
        order_deliveries(&mut heard);
        if end == End::Found && heard.last().is_some_and(|last| wanted(last) && last == PONG) {
            heard.pop();
        }
        heard.iter().for_each(|operation| self.show(who, operation));
        if let End::Closed(rest) = &end {
            self.show_end(who, rest);
        }
        Ok(end)
    }

    fn sync(&mut self, who: &str) -> Result<(), String> {
        self.peer(who)?.send(b"PING\r\n");
        if self.hear(who, Instant::now() + PATIENCE, |operation| operation == PONG)? == End::Time {
            self.note(who, "(no PONG)");
        }
        Ok(())
    }

    fn read(&mut self, who: &str, count: usize) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while heard.len() < count {
            match self.peer(who)?.hear(deadline) {
                Heard::Operation(operation) => heard.push(operation),
                Heard::End(rest) => {
                    heard.iter().for_each(|operation| self.show(who, operation));
                    self.show_end(who, &rest);
                    return Ok(());
                }
                Heard::Nothing => break,
            }
        }
        order_deliveries(&mut heard);
        heard.iter().for_each(|operation| self.show(who, operation));
        if heard.len() < count {
            self.note(who, "(nothing)");
        }
        Ok(())
    }

    fn closed(&mut self, who: &str, window: &Range<Duration>) -> Result<(), String> {
        let begin = Instant::now();
        let end = self.hear(who, begin + window.end + PATIENCE, |_| false)?;
        if end == End::Time {
            self.note(who, "(still open)");
        } else if !window.contains(&begin.elapsed()) {
            self.note(who, &format!("(after {:?}, not within {window:?})", begin.elapsed()));
        }
        Ok(())
    }

    fn ends(&mut self, who: &str) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.peer(who)?.hear(deadline) {
                Heard::Operation(_) => {}
                Heard::End(_) => break self.note(who, "(closed)"),
                Heard::Nothing => break self.note(who, "(still open)"),
            }
        }
        Ok(())
    }

    fn reload(&mut self, name: &str) -> Result<(), String> {
        const OUTCOMES: [&str; 2] = ["Reloaded server configuration", "Failed to reload server configuration"];
        let config = &filled(self.script.config(name).ok_or("no such configuration")?, |template| {
            template_value(template, "", b"")
        })?;
        let seen = self.server.log_count(&OUTCOMES);
        let failed = self.server.log_count(&OUTCOMES[1..]);
        self.server.rewrite(config).map_err(|error| error.to_string())?;
        self.server.signal("HUP")?;
        if !self.server.log_gets(&OUTCOMES, seen, PATIENCE) {
            self.note("server", "(no reload reported)");
        } else if self.server.log_count(&OUTCOMES[1..]) > failed {
            self.note("server", "(reload refused)");
        }
        Ok(())
    }

    fn exits(&mut self, code: i32) {
        match self.server.ends_within(PATIENCE).map(|status| status.code()) {
            Some(Some(found)) if found == code => {}
            Some(found) => self.note("server", &format!("(ended with {found:?})")),
            None => self.note("server", "(still running)"),
        }
    }

    /// Notes the client id of the last INFO.
    fn learn(&mut self, who: &str) {
        let Some(peer) = self.peers.get(who) else { return };
        self.run.ports.insert(peer.port, who.to_owned());
        let pair = (peer.client_id.clone(), who.to_owned());
        if !pair.0.is_empty() && !self.run.clients.contains(&pair) {
            self.run.clients.push(pair);
        }
    }

    fn show(&mut self, who: &str, operation: &[u8]) {
        self.learn(who);
        let text = shown(&normal(operation, &self.run));
        let text = text.strip_suffix("\\r\\n").unwrap_or(&text).to_owned();
        self.note(who, &text);
    }

    fn show_end(&mut self, who: &str, rest: &[u8]) {
        if !rest.is_empty() {
            let text = shown(&normal(rest, &self.run));
            self.note(who, &format!("{text} (cut off)"));
        }
        self.note(who, "(closed)");
    }

    fn note(&mut self, who: &str, text: &str) {
        self.transcript.push_str(&format!("  {who}< {text}\n"));
    }
}

/// The given fields, after those usual ones that are not given.
fn joined(fields: &str) -> String {
    let own = fields.trim();
    let own = own.strip_prefix('{').and_then(|own| own.strip_suffix('}')).unwrap_or(own);
    let usual = USUAL_FIELDS.iter().filter(|(name, _)| !own.contains(&format!("\"{name}\":")));
    let mut all: Vec<String> = usual.map(|(name, value)| format!("\"{name}\":{value}")).collect();
    if !own.is_empty() {
        all.push(own.to_owned());
    }
    all.join(",")
}

/// Templates replaced by what they stand for, the innermost first.
fn filled(text: &str, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut out = text.to_owned();
    while let Some(start) = out.rfind("${") {
        let end = start + out[start..].find('}').ok_or("a template without end")?;
        let value = value(&out[start + 2..end])?;
        out.replace_range(start..=end, &value);
    }
    Ok(out)
}

fn template_value(template: &str, nonce: &str, heard: &[u8]) -> Result<String, String> {
    match template.split_once(':') {
        Some(("repeat", run)) => {
            let (text, count) = run.rsplit_once(':').ok_or("a run without count")?;
            count.parse().map(|count| text.repeat(count)).map_err(|_| "a bad count".to_owned())
        }
        Some(("sig", seed)) => {
            let key = KeyPair::from_seed(seed).map_err(|error| error.to_string())?;
            Ok(BASE64URL_NOPAD.encode(&key.sign(nonce.as_bytes())))
        }
        parts => {
            let (name, words) = parts.unwrap_or((template, ""));
            claims::value(name, words, nonce, heard).unwrap_or_else(|| Err(format!("no template {template}")))
        }
    }
}
