//! How long services take: measured between the request and the first answer, told on a subject of the exporter.

use account::{Latency, LatencySampling};
use moment::{Instant, Timestamp};
use wire::headers::Headers;

use crate::account_state::AccountState;
use crate::chance::Chance;
use crate::house::OwnMessage;
use crate::hub::Hub;
use crate::trace::json::{field, key, list, text, text_field};

use std::sync::Arc;

/// What the message says it is.
const KIND: &str = "io.nats.server.metric.v1.service_latency";

/// A request whose latency is told.
pub(crate) struct Measured {
    /// When it came, on both clocks.
    pub(crate) at: Instant,
    pub(crate) wall: Timestamp,
    /// Who asked, as JSON, and how far away it is in nanoseconds.
    pub(crate) requester: Vec<u8>,
    pub(crate) rtt: u64,
    /// The headers that asked for it, as JSON; empty if chance did.
    pub(crate) headers: Vec<u8>,
}

/// What became of the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It has no reply to answer to.
    NoReply,
    /// The requester no longer waits.
    Lost,
    /// Nobody was there to answer.
    Nobody,
    /// Nobody answered in time.
    TooLate,
}

impl Outcome {
    const fn words(self) -> (u16, &'static str) {
        match self {
            Self::NoReply => (400, "Bad Request"),
            Self::Lost => (408, "Request Timeout"),
            Self::Nobody => (503, "Service Unavailable"),
            Self::TooLate => (504, "Service Timeout"),
        }
    }
}

/// Whether a request is measured: by chance, or because its headers ask. With the headers that do, as JSON.
pub(crate) fn sampled(latency: &Latency, block: &[u8], chance: &mut Chance) -> Option<Vec<u8>> {
    match latency.sampling {
        LatencySampling::Percent(percent) if chance.below(100) < usize::from(percent) => Some(Vec::new()),
        _ => by_headers(Headers::new(block)),
    }
}

/// The headers of several tracers, in the order in which they are looked for. The first one found decides.
fn by_headers(headers: Headers<'_>) -> Option<Vec<u8>> {
    let text = |name| headers.get_any_case(name).and_then(|value| std::str::from_utf8(value).ok());
    if let Some(id) = text("Uber-Trace-Id") {
        let flags = id.split(':').collect::<Vec<_>>();
        let [_, _, _, flags] = flags[..] else { return None };
        let asks = matches!(flags.len(), 1 | 2) && u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        return asks.then(|| copied(headers, &["Uber-Trace-Id"], "Uberctx-"));
    }
    const B3: [&str; 4] = ["X-B3-Sampled", "X-B3-TraceId", "X-B3-ParentSpanId", "X-B3-SpanId"];
    match (text("X-B3-Sampled"), text("X-B3-TraceId")) {
        (Some("1"), _) => return Some(copied(headers, &B3, "")),
        (Some("0"), _) => return None,
        (_, Some(_)) => return Some(copied(headers, &B3, "")),
        _ => {}
    }
    if let Some(b3) = text("B3") {
        let mut parts = b3.split('-');
        let (first, third) = (parts.next(), parts.nth(1));
        let denied = third == Some("0") || !b3.contains('-') && first == Some("0");
        return (!denied).then(|| copied(headers, &["B3"], ""));
    }
    let parent = text("Traceparent")?;
    let flags = parent.split('-').collect::<Vec<_>>();
    let [_, _, _, flags] = flags[..] else { return None };
    let asks = flags.len() == 2 && i8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
    asks.then(|| copied(headers, &["Traceparent", "Tracestate"], ""))
}

/// These headers, as JSON in the order of their names.
fn copied(headers: Headers<'_>, names: &[&str], prefix: &str) -> Vec<u8> {
    let is_wanted = |name: &[u8]| {
        let begins = name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix.as_bytes()));
        names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_bytes())) || !prefix.is_empty() && begins
    };
    let mut found: Vec<(&[u8], &[u8])> = headers.iter().filter(|(name, _)| is_wanted(name)).collect();
    found.sort();
    let mut out = b"{".to_vec();
    for same in found.chunk_by(|a, b| a.0.eq_ignore_ascii_case(b.0)) {
        if let Some((name, _)) = same.first() {
            key(&mut out, &canonical(name));
            list(&mut out, b'[', same, b']', |out, (_, value)| text(out, value));
        }
    }
    out.push(b'}');
    out
}

/// A header's name as the reference server writes it: capitals at the beginning and behind each dash.
fn canonical(name: &[u8]) -> String {
    let mut first = true;
    let letters = name.iter().map(|&byte| {
        let letter = if first { byte.to_ascii_uppercase() } else { byte.to_ascii_lowercase() };
        first = byte == b'-';
        char::from(letter)
    });
    letters.filter(|letter| !matches!(letter, '"' | '\\') && !letter.is_control()).collect()
}

/// Tells the exporter what became of a request that was not answered.
pub(crate) fn tell_failure(
    hub: &Hub,
    exporter: &Arc<AccountState>,
    latency: &Latency,
    measured: &Measured,
    outcome: Outcome,
    now: Timestamp,
) {
    let (status, words) = outcome.words();
    let mut out = begun(hub, now, status);
    text_field(&mut out, "description", words.as_bytes());
    requester(&mut out, measured);
    durations(&mut out, measured, [0, 0, 0]);
    tell(hub, exporter, latency, out);
}

/// What is known of an answer. Durations are in nanoseconds.
pub(crate) struct Answered<'a> {
    /// Who gave it, as JSON.
    pub(crate) responder: &'a [u8],
    /// How long the responder took.
    pub(crate) service: u64,
    /// How long the way between the servers took.
    pub(crate) system: u64,
    /// How long the requester waited.
    pub(crate) total: u64,
}

/// Tells the exporter how long an answer took.
pub(crate) fn tell_answer(
    hub: &Hub,
    exporter: &Arc<AccountState>,
    latency: &Latency,
    measured: &Measured,
    answered: &Answered<'_>,
    wall: Timestamp,
) {
    let mut out = begun(hub, wall, 200);
    requester(&mut out, measured);
    key(&mut out, "responder");
    out.extend_from_slice(answered.responder);
    durations(&mut out, measured, [answered.service, answered.system, answered.total]);
    tell(hub, exporter, latency, out);
}

fn begun(hub: &Hub, now: Timestamp, status: u16) -> Vec<u8> {
    let mut out = b"{".to_vec();
    text_field(&mut out, "type", KIND.as_bytes());
    text_field(&mut out, "id", crate::nonce::nonce(&*hub.secure).as_bytes());
    text_field(&mut out, "timestamp", now.to_string().as_bytes());
    field(&mut out, "status", status);
    out
}

fn requester(out: &mut Vec<u8>, measured: &Measured) {
    key(out, "requestor");
    out.extend_from_slice(&measured.requester);
}

/// Service, system and total.
fn durations(out: &mut Vec<u8>, measured: &Measured, [service, system, total]: [u64; 3]) {
    if !measured.headers.is_empty() {
        key(out, "header");
        out.extend_from_slice(&measured.headers);
    }
    let start = measured.wall.as_nanos().saturating_sub(i64::try_from(measured.rtt).unwrap_or(0));
    text_field(out, "start", Timestamp::from_nanos(start).to_string().as_bytes());
    field(out, "service", service);
    field(out, "system", system);
    field(out, "total", total);
    out.push(b'}');
}

fn tell(hub: &Hub, exporter: &Arc<AccountState>, latency: &Latency, payload: Vec<u8>) {
    hub.publish(vec![OwnMessage::new(exporter.clone(), latency.subject.as_bytes(), payload)]);
}
