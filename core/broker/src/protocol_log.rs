//! The protocol log: lines as they come and go, for whoever looks for trouble (`-V`).
//!
//! It exists only in rounds in which the observer wants it. What a CONNECT says is shown with its secrets covered;
//! what else peers send is shown so that it cannot forge a line.

use std::fmt::Write;
use std::sync::Arc;

use session::ConnectOptions;
use subject::Quoted;
use wire::client::{Op, Publish};

use crate::connection::{Connection, Phase};
use crate::engine::Engine;
use crate::hub::Hub;
use crate::link::Link;
use crate::observer::Event;
use crate::stage::Laid;
use crate::subscription::ClientTarget;

/// The protocol log of one round.
pub(crate) struct ProtocolLog {
    hub: Arc<Hub>,
    max_bytes: usize,
    headers_only: bool,
    system: bool,
}

impl ProtocolLog {
    /// The log, if somebody wants it now.
    pub(crate) fn open(hub: &Arc<Hub>) -> Option<Arc<Self>> {
        hub.observer.traces().then(|| Self::new(hub.clone()))
    }

    #[cold]
    fn new(hub: Arc<Hub>) -> Arc<Self> {
        let settings = hub.settings();
        let max_bytes = settings.max_traced_bytes.map_or(usize::MAX, std::num::NonZeroUsize::get);
        let (headers_only, system) = (settings.trace_headers, hub.observer.traces_system());
        Arc::new(Self { hub, max_bytes, headers_only, system })
    }

    /// A line goes out. The greeting is passed over: it says the same to everybody.
    #[cold]
    pub(crate) fn line_out(&self, link: &Arc<Link>, bytes: &[u8]) {
        let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
        let mut text = String::from("[");
        match line {
            [b'I', b'N', b'F', b'O', ..] => return,
            b"+OK" => text.push_str("OK"),
            [b'-', b'E', b'R', b'R', b' ', b'\'', error @ .., b'\''] => {
                text.push_str("-ERR ");
                show(&mut text, error);
            }
            _ => show(&mut text, line),
        }
        text.push(']');
        self.tell(link, &Event::TraceOut(&text));
    }

    /// A message goes out.
    pub(crate) fn message_out(&self, link: &Arc<Link>, head: &[u8], laid: &Laid<'_>, header_len: usize) {
        let mut text = String::from("[");
        show(&mut text, head);
        show(&mut text, laid.tail.trim_ascii_end());
        text.push(']');
        let body = laid.body.strip_suffix(b"\r\n").unwrap_or(laid.body);
        let payload = self.payload(body, header_len);
        self.tell(link, &Event::TraceOut(&text));
        if let Some(payload) = payload {
            self.tell(link, &Event::TraceOut(&payload));
        }
    }

    /// `MSG_PAYLOAD: ["…"]`, as much of it as is to be shown; `None` if there is nothing to show.
    fn payload(&self, body: &[u8], header_len: usize) -> Option<String> {
        let shown = match self.headers_only {
            true => body.get(..header_len)?.trim_ascii_end(),
            false => body,
        };
        match shown.get(..self.max_bytes) {
            _ if shown.is_empty() => None,
            Some(start) if start.len() < shown.len() => {
                let quoted = Quoted(start).to_string();
                Some(format!("MSG_PAYLOAD: [{}...\"]", quoted.strip_suffix('"').unwrap_or(&quoted)))
            }
            _ => Some(format!("MSG_PAYLOAD: [{}]", Quoted(shown))),
        }
    }

    /// Tells the observer under the name the link has in the log.
    fn tell(&self, link: &Arc<Link>, event: &Event<'_>) {
        let registered = self.hub.connection(link.key.id);
        let account = registered.as_ref().and_then(|registered| registered.account.as_ref());
        if !self.system && account.is_some_and(|account| account.settings().system) {
            return;
        }
        let label = registered.map(|registered| registered.label).unwrap_or_default();
        self.hub.observer.event(link, &label, event);
    }
}

impl Engine {
    /// An operation has come in and is about to be taken.
    #[cold]
    pub(crate) fn log_operation(&self, connection: &Connection, op: &Op<'_>, bytes: &[u8]) {
        let Some(log) = &self.stages.log else { return };
        match (&connection.phase, op) {
            (Phase::Active(_), _) | (Phase::Opening(_), Op::Connect(_)) => {}
            // It will come again, or the login is refused without it.
            _ => return,
        }
        let Some(text) = said(op) else { return };
        log.tell(&connection.link, &Event::TraceIn(&text));
        if let Op::Publish(Publish { body, header_len, .. }) = op
            && let Some(payload) = log.payload(bytes.get(body.clone()).unwrap_or_default(), *header_len)
        {
            log.tell(&connection.link, &Event::TraceIn(&payload));
        }
    }

    /// A subscription ends.
    pub(crate) fn log_end(&self, client: &ClientTarget) {
        if let Some(log) = &self.stages.log {
            let mut text = String::from("[DELSUB ");
            show(&mut text, &client.sid);
            text.push(']');
            log.tell(&client.peer.link, &Event::TraceWithin(&text));
        }
    }
}

/// What an operation looks like in the log; `None` for what clients have no business to say.
fn said(op: &Op<'_>) -> Option<String> {
    let line = match op {
        Op::Connect(json) => format!("[CONNECT {}]", ConnectOptions::shown(json)),
        Op::Publish(publish) => published(publish),
        Op::Subscribe { subject, queue, sid } => line("SUB", [Some(subject), *queue, Some(sid)]),
        Op::Unsubscribe { sid, max: None } => line("UNSUB", [Some(sid)]),
        Op::Unsubscribe { sid, max: Some(max) } => line("UNSUB", [Some(sid), Some(max.to_string().as_bytes())]),
        Op::Ping => "[PING]".to_owned(),
        Op::Pong => "[PONG]".to_owned(),
        Op::Info(_) | Op::Ok | Op::Err(_) => return None,
    };
    Some(line)
}

fn published(publish: &Publish<'_>) -> String {
    let Publish { subject, reply, header_len, ref body } = *publish;
    let (headers, size) = (header_len.to_string(), body.len().to_string());
    let headers = (header_len > 0).then_some(headers.as_bytes());
    let verb = if headers.is_some() { "HPUB" } else { "PUB" };
    line(verb, [Some(subject), reply, headers, Some(size.as_bytes())])
}

fn line<const WORDS: usize>(verb: &str, words: [Option<&[u8]>; WORDS]) -> String {
    let mut text = format!("[{verb}");
    for word in words.into_iter().flatten() {
        text.push(' ');
        show(&mut text, word);
    }
    text.push(']');
    text
}

/// Bytes as they are, but for control characters.
fn show(text: &mut String, bytes: &[u8]) {
    for character in String::from_utf8_lossy(bytes).chars() {
        match character.is_control() {
            true => write!(text, "{}", character.escape_default()).unwrap_or_default(),
            false => text.push(character),
        }
    }
}
