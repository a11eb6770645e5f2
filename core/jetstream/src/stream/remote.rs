//! Copying a stream by a consumer of it: because it lies in another account or in another domain, or because the
//! configuration names a consumer that somebody made for it.
//!
//! It is asked for by its API, under the prefix that the configuration names, for a consumer that delivers to a subject of
//! ours; one that is there already is asked to begin anew behind what it was told is stored. What it sends is stored like any other copy, and its questions how far we are are answered once that is durable.
//! Nothing is kept of the conversation: after a restart, a gap or a silence it begins again behind the last message that
//! is here.

use super::Incoming;
use crate::ack::AckSubject;
use crate::log::MAX_FIRST_SEQUENCE;
use crate::outbox::{Effect, Now, Outbox};
use api::errors::{
    MIRROR_CONSUMER_REQUIRES_ACK_FC, MIRROR_CONSUMER_SETUP_FAILED, REQUIRED_API_LEVEL, SOURCE_CONSUMER_REQUIRES_ACK_FC,
    SOURCE_CONSUMER_SETUP_FAILED,
};
use api::stream::StreamSource;
use api::{ApiError, json};
use moment::{Instant, Timestamp};
use serde_json::{Map, Value};
use std::time::Duration;
use subject::{Filter, Subject};
use wire::headers::Headers;

/// Where origins are asked for when the configuration names no prefix.
const API_PREFIX: &str = "$JS.API";
/// Where answers to what a stream asks of its origin come. Nothing else that streams say bears such a reply.
pub const ASKING_INBOX: &str = "$JSC.R.";
/// Where origins ask how far we are.
const FLOW_CONTROL: &[u8] = b"$JS.FC.";
/// How often an origin shows that it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// An origin that was silent for this long is asked again.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// An answer is waited for this long.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// So long for one of a consumer that is there already.
const KNOWN_ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Between two requests there is at least this, and after failures this more for each, up to the most.
const ASK_EVERY: Duration = Duration::from_secs(2);
const BACK_OFF: Duration = Duration::from_secs(10);
const BACK_OFF_MAX: Duration = Duration::from_secs(120);
/// Origins of this level know consumers that are made for copying.
const LEVEL_WANTED: &str = "4";
/// What a name of a consumer and a subject of an answer may have at most.
const NAME_BYTES_MAX: usize = 1024;

/// The conversation with one origin.
#[derive(Debug)]
pub(super) struct Remote {
    phase: Phase,
    failures: u32,
    /// The origin does not know consumers that are made for copying.
    is_old: bool,
    /// Which creation of the origin it is, as it said.
    pub(super) identity: String,
    /// Messages that are there and not here, as the origin said last.
    pub(super) lag: u64,
}

#[derive(Debug)]
enum Phase {
    /// It is asked at this moment.
    Resting(Instant),
    /// It was asked, and answers here; its consumer is to deliver there.
    Asked { inbox: String, deliver: String, until: Instant, is_known: bool },
    /// It sends.
    Flowing(Flow),
}

/// What an origin sends, and how far it is.
#[derive(Debug)]
struct Flow {
    consumer: String,
    deliver: String,
    /// The number of the last delivery.
    seen: u64,
    silent_at: Instant,
}

/// What a stream is and has, as far as an origin is told.
pub(super) struct Asking<'a> {
    pub account: &'a str,
    pub domain: &'a str,
    pub stream: &'a str,
    pub is_mirror: bool,
    /// The first sequence that is wanted; `None` begins where the configuration says.
    pub next: Option<u64>,
    pub config: &'a StreamSource,
}

/// What a message of an origin is.
pub(super) enum News<'a> {
    /// Nothing of this conversation.
    Foreign,
    /// Nothing to be done.
    Nothing,
    /// The consumer is there; it begins behind this sequence.
    Begun { behind: u64 },
    /// It does not work out, for now.
    Failed(ApiError),
    /// Something was lost on the way: it begins again.
    Lost,
    /// The origin asks how far we are.
    HowFar { reply: &'a [u8] },
    /// A message of its stream.
    Message(Delivered<'a>),
}

/// A message of an origin.
pub(super) struct Delivered<'a> {
    pub seq: u64,
    pub number: u64,
    pub time: Timestamp,
    pub pending: u64,
    pub subject: &'a [u8],
}

impl Remote {
    pub(super) fn new() -> Remote {
        let phase = Phase::Resting(Instant::from_nanos(0));
        Remote { phase, failures: 0, is_old: false, identity: String::new(), lag: 0 }
    }

    /// When to look after it.
    pub(super) fn deadline(&self) -> Instant {
        match &self.phase {
            Phase::Resting(at) | Phase::Asked { until: at, .. } => *at,
            Phase::Flowing(flow) => flow.silent_at,
        }
    }

    /// The subject that is listened to.
    pub(super) fn heard(&self) -> Option<Filter> {
        let text = match &self.phase {
            Phase::Resting(_) => return None,
            Phase::Asked { inbox, .. } => inbox,
            Phase::Flowing(flow) => &flow.deliver,
        };
        Filter::parse(text.as_bytes()).ok()
    }

    /// It is listened to no longer, and asked again after a while.
    pub(super) fn rest(&mut self, has_failed: bool, now: Now, out: &mut Outbox) {
        out.extend(self.heard().map(Effect::Deafen));
        self.failures = if has_failed { self.failures.saturating_add(1) } else { 0 };
        let more = BACK_OFF.saturating_mul(self.failures).min(BACK_OFF_MAX);
        self.phase = Phase::Resting(now.tick + ASK_EVERY + more);
    }

    /// Does what is due: asks, or gives up waiting. `word` is eight letters that nobody guesses.
    pub(super) fn tend(&mut self, asking: &Asking<'_>, word: &str, now: Now, out: &mut Outbox) {
        if self.deadline() > now.tick {
            return;
        }
        match &self.phase {
            Phase::Resting(_) => self.ask(asking, word, now, out),
            Phase::Asked { .. } => self.rest(true, now, out),
            Phase::Flowing(_) => self.rest(false, now, out),
        }
    }

    fn ask(&mut self, asking: &Asking<'_>, word: &str, now: Now, out: &mut Outbox) {
        let inbox = format!("{ASKING_INBOX}{word}");
        let Ok(filter) = Filter::parse(inbox.as_bytes()) else { return };
        out.push(Effect::Hear(filter));
        let known = asking.config.consumer.as_ref();
        let deliver = known.map_or_else(|| deliver_subject(asking, word), |known| known.deliver_subject.clone());
        let (subject, body) = match known {
            Some(known) => (reset_subject(asking.config, &known.name), Vec::new()),
            None => request(asking, word, &deliver, self.is_old),
        };
        let mut headers = Vec::new();
        if known.is_some() {
            headers = crate::outbox::block(&[("Nats-Stream-Identity", &self.identity)]);
        } else if !self.is_old {
            headers = crate::outbox::block(&[("Nats-Required-Api-Level", LEVEL_WANTED)]);
        }
        let (to, reply) = (subject.as_bytes(), Some(inbox.as_bytes()));
        let (headers, payload) = (headers.as_slice(), body.as_slice());
        out.send(&crate::outbox::Outgoing { to, reply, headers, payload, ..Default::default() });
        let within = if known.is_some() { KNOWN_ANSWERS_WITHIN } else { ANSWER_WITHIN };
        self.phase = Phase::Asked { inbox, deliver, until: now.tick + within, is_known: known.is_some() };
    }

    /// Takes what came by a subject.
    pub(super) fn take<'a>(&mut self, message: &Incoming<'a>, is_mirror: bool, now: Now, out: &mut Outbox) -> News<'a> {
        let Incoming { subject, reply, headers, payload } = *message;
        match &mut self.phase {
            Phase::Asked { inbox, .. } if inbox.as_bytes() == subject => {
                self.answered(headers, payload, is_mirror, now, out)
            }
            Phase::Flowing(flow) if flow.deliver.as_bytes() == subject => {
                flow.silent_at = now.tick + SILENT_FOR;
                flow.take(reply, headers, out)
            }
            _ => News::Foreign,
        }
    }

    fn answered<'a>(
        &mut self,
        headers: &[u8],
        payload: &[u8],
        is_mirror: bool,
        now: Now,
        out: &mut Outbox,
    ) -> News<'a> {
        let setup = if is_mirror { MIRROR_CONSUMER_SETUP_FAILED } else { SOURCE_CONSUMER_SETUP_FAILED };
        let answer = json::parse(payload).ok();
        let told = answer.as_ref().and_then(|answer| answer.get("error")).and_then(read_error);
        if let Some(error) = told {
            // Who does not know consumers made for copying is asked for another one next.
            self.is_old |= error.err_code == REQUIRED_API_LEVEL.err_code;
            self.rest(true, now, out);
            return News::Failed(error);
        }
        let Phase::Asked { deliver: wanted, is_known, .. } = &self.phase else { return News::Foreign };
        let begun = answer.as_ref().and_then(Begun::read);
        if *is_known && begun.as_ref().is_some_and(|begun| !begun.acknowledges_by_flow) {
            self.rest(true, now, out);
            let kind = if is_mirror { MIRROR_CONSUMER_REQUIRES_ACK_FC } else { SOURCE_CONSUMER_REQUIRES_ACK_FC };
            return News::Failed(kind.into());
        }
        // Nothing is listened to but what was asked for. A consumer that is known may deliver elsewhere and reach us by an import.
        let begun = match *is_known {
            true => begun.map(|begun| Begun { deliver: wanted.clone(), ..begun }),
            false => begun.filter(|begun| begun.deliver == *wanted),
        };
        let Some(begun) = begun else {
            self.rest(true, now, out);
            return News::Failed(setup.with("invalid consumer create response"));
        };
        let Ok(filter) = Filter::parse(begun.deliver.as_bytes()) else {
            self.rest(true, now, out);
            return News::Failed(setup.with("invalid consumer create response"));
        };
        out.extend(self.heard().map(Effect::Deafen));
        out.push(Effect::Hear(filter));
        self.failures = 0;
        self.lag = begun.pending;
        let identity = Headers::new(headers).get("Nats-Stream-Identity").unwrap_or_default();
        self.identity =
            String::from_utf8_lossy(identity).chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let Begun { consumer, deliver, behind, .. } = begun;
        self.phase = Phase::Flowing(Flow { consumer, deliver, seen: 0, silent_at: now.tick + SILENT_FOR });
        News::Begun { behind }
    }

    /// A delivery was stored, or was here before.
    pub(super) fn stored(&mut self, number: u64, pending: u64) {
        self.lag = pending;
        if let Phase::Flowing(flow) = &mut self.phase {
            flow.seen = number;
        }
    }

    /// How far we are, as the origin is told.
    pub(super) fn how_far(&self, last: u64) -> Vec<u8> {
        let seen = match &self.phase {
            Phase::Flowing(flow) => flow.seen,
            _ => 0,
        };
        crate::outbox::block(&[("Nats-Last-Consumer", &seen.to_string()), ("Nats-Last-Stream", &last.to_string())])
    }
}

impl Flow {
    fn take<'a>(&mut self, reply: Option<&'a [u8]>, headers: &[u8], out: &mut Outbox) -> News<'a> {
        if headers.starts_with(b"NATS/1.0 100") {
            return self.control(reply, headers, out);
        }
        let Some((ack, shown)) = reply.and_then(split_reply) else { return News::Nothing };
        let Some(delivery) = std::str::from_utf8(ack).ok().and_then(AckSubject::parse) else { return News::Nothing };
        // An earlier consumer may still send.
        if delivery.consumer != self.consumer || delivery.deliveries > 1 || delivery.consumer_seq <= self.seen {
            return News::Nothing;
        }
        let is_possible = |number: u64| (1..=MAX_FIRST_SEQUENCE).contains(&number);
        if !is_possible(delivery.stream_seq) || !is_possible(delivery.consumer_seq) {
            return News::Lost;
        }
        if delivery.consumer_seq != self.seen + 1 {
            return News::Lost;
        }
        let (Some((time, pending)), Ok(_)) = (time_and_pending(ack), Subject::parse(shown)) else { return News::Lost };
        let (seq, number) = (delivery.stream_seq, delivery.consumer_seq);
        News::Message(Delivered { seq, number, time, pending, subject: shown })
    }

    /// Whether a question of this consumer is answered there. It is answered as the server, so nowhere else.
    fn asks_how_far(&self, to: &[u8]) -> bool {
        let Some(rest) = to.strip_prefix(FLOW_CONTROL) else { return false };
        let is_literal = to.len() <= NAME_BYTES_MAX && Subject::parse(to).is_ok_and(Subject::is_literal);
        is_literal && rest.split(|byte| *byte == b'.').any(|token| token == self.consumer.as_bytes())
    }

    fn control<'a>(&mut self, reply: Option<&'a [u8]>, headers: &[u8], out: &mut Outbox) -> News<'a> {
        if let Some(reply) = reply {
            return if self.asks_how_far(reply) { News::HowFar { reply } } else { News::Nothing };
        }
        let headers = Headers::new(headers);
        let last = headers.get("Nats-Last-Consumer").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        if last.is_some_and(|last: u64| last > 0 && last != self.seen) {
            return News::Lost;
        }
        if let Some(stalled) = headers.get("Nats-Consumer-Stalled").filter(|to| self.asks_how_far(to)) {
            out.say(stalled, Vec::new(), Vec::new());
        }
        News::Nothing
    }
}

/// The consumer that an origin made.
struct Begun {
    consumer: String,
    deliver: String,
    behind: u64,
    pending: u64,
    /// What it delivered is acknowledged by the answers how far we are.
    acknowledges_by_flow: bool,
}

impl Begun {
    fn read(answer: &Value) -> Option<Begun> {
        let text =
            |value: Option<&Value>| Some(value?.as_str().filter(|text| text.len() <= NAME_BYTES_MAX)?.to_owned());
        let deliver = text(answer.get("config")?.get("deliver_subject"))?;
        let is_literal = Subject::parse(deliver.as_bytes()).is_ok_and(Subject::is_literal);
        is_literal.then_some(())?;
        let behind = answer.get("delivered").and_then(|delivered| delivered.get("stream_seq")?.as_u64()).unwrap_or(0);
        (behind <= MAX_FIRST_SEQUENCE).then_some(())?;
        let pending = answer.get("num_pending").and_then(Value::as_u64).unwrap_or(0);
        let policy = answer.get("config")?.get("ack_policy").and_then(Value::as_str);
        let acknowledges_by_flow = policy == Some("flow_control");
        Some(Begun { consumer: text(answer.get("name"))?, deliver, behind, pending, acknowledges_by_flow })
    }
}

fn read_error(error: &Value) -> Option<ApiError> {
    let number = |name: &str| error.get(name).and_then(Value::as_u64);
    let description = error.get("description").and_then(Value::as_str).unwrap_or_default();
    Some(ApiError {
        code: u16::try_from(number("code")?).ok()?,
        err_code: u16::try_from(number("err_code")?).ok()?,
        description: description.chars().take(NAME_BYTES_MAX).collect(),
    })
}

/// Where the subject stands in the reply of a message that came from far: behind the first `@` after the tokens of an
/// acknowledgement.
fn split_reply(reply: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut dots = 0;
    let at = reply.iter().position(|byte| {
        dots += usize::from(*byte == b'.');
        dots >= 8 && *byte == b'@'
    })?;
    Some((reply.get(..at)?, reply.get(at + 1..)?))
}

fn time_and_pending(ack: &[u8]) -> Option<(Timestamp, u64)> {
    let text = std::str::from_utf8(ack).ok()?;
    let mut tokens = text.rsplit('.');
    let (pending, time) = (tokens.next()?.parse().ok()?, tokens.next()?.parse().ok()?);
    Some((Timestamp::from_nanos(time), pending))
}

/// Where the consumer is to deliver.
fn deliver_subject(asking: &Asking<'_>, word: &str) -> String {
    let letter = if asking.is_mirror { "M" } else { "S" };
    let external = asking.config.external.as_ref();
    let prefix = external.map(|external| external.deliver.as_str()).filter(|prefix| !prefix.is_empty());
    format!("{}.{letter}.{word}", prefix.unwrap_or("$JS").trim_end_matches('.'))
}

/// The request for a consumer: its subject and its body.
fn request(asking: &Asking<'_>, word: &str, deliver: &str, is_old: bool) -> (String, Vec<u8>) {
    let consumer = consumer_name(asking.is_mirror, word);
    let filters = filters_of(asking.config);
    let config = config(asking, &consumer, deliver, &filters, is_old);
    let body = serde_json::json!({ "stream_name": asking.config.name, "config": config });
    (request_subject(asking.config, &consumer), json::to_vec(&body))
}

fn consumer_name(is_mirror: bool, word: &str) -> String {
    format!("JS_{}_{word}", if is_mirror { "MIRROR" } else { "SRC" })
}

fn filters_of(config: &StreamSource) -> Vec<&str> {
    let transforms = config.subject_transforms.iter().map(|transform| transform.src.as_str());
    std::iter::once(config.filter_subject.as_str()).chain(transforms).filter(|filter| !filter.is_empty()).collect()
}

/// A subject that an origin elsewhere is asked by; the name of the consumer is another one each time.
pub(crate) fn asked_by(config: &StreamSource, is_mirror: bool) -> String {
    match &config.consumer {
        Some(known) => reset_subject(config, &known.name),
        None => request_subject(config, &consumer_name(is_mirror, "00000000")),
    }
}

/// Where a consumer that is there is asked to begin anew.
fn reset_subject(config: &StreamSource, consumer: &str) -> String {
    format!("{}.CONSUMER.RESET.{}.{consumer}", api_prefix(config), config.name)
}

fn api_prefix(config: &StreamSource) -> &str {
    let api = config.external.as_ref().map(|external| external.api.as_str()).filter(|api| !api.is_empty());
    api.unwrap_or(API_PREFIX).trim_end_matches('.')
}

fn request_subject(config: &StreamSource, consumer: &str) -> String {
    let (origin, api) = (&config.name, api_prefix(config));
    match filters_of(config)[..] {
        [filter] => format!("{api}.CONSUMER.CREATE.{origin}.{consumer}.{filter}"),
        _ => format!("{api}.CONSUMER.CREATE.{origin}"),
    }
}

fn config(asking: &Asking<'_>, consumer: &str, deliver: &str, filters: &[&str], is_old: bool) -> Map<String, Value> {
    let nanos = |duration: Duration| Value::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let mut config = Map::new();
    let mut set = |name: &str, value: Value| drop(config.insert(name.to_owned(), value));
    set("name", consumer.into());
    set("deliver_subject", deliver.into());
    set("ack_policy", "none".into());
    set("replay_policy", "instant".into());
    set("max_deliver", 1.into());
    set("num_replicas", 0.into());
    set("idle_heartbeat", nanos(HEARTBEAT));
    set("inactive_threshold", nanos(SILENT_FOR));
    set("flow_control", true.into());
    set("direct", true.into());
    if !is_old {
        set("sourcing", true.into());
    }
    match filters {
        [] => {}
        [filter] => set("filter_subject", (*filter).into()),
        filters => set("filter_subjects", filters.to_vec().into()),
    }
    match (asking.next, asking.config.opt_start_time) {
        (Some(next @ 2..), _) => {
            set("deliver_policy", "by_start_sequence".into());
            set("opt_start_seq", next.into());
        }
        (None, Some(time)) => {
            set("deliver_policy", "by_start_time".into());
            set("opt_start_time", time.to_string().into());
        }
        _ => set("deliver_policy", "all".into()),
    }
    let kind = if asking.is_mirror { "mirror" } else { "src" };
    let mut metadata = Map::new();
    metadata.insert(format!("_nats.{kind}.stream"), asking.stream.into());
    metadata.insert(format!("_nats.{kind}.acc"), asking.account.into());
    if !asking.domain.is_empty() {
        metadata.insert(format!("_nats.{kind}.domain"), asking.domain.into());
    }
    config.insert("metadata".to_owned(), metadata.into());
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::stream::External;

    fn came<'a>(subject: &'a str, reply: Option<&'a [u8]>, headers: &'a str, payload: &'a [u8]) -> Incoming<'a> {
        Incoming { subject: subject.as_bytes(), reply, headers: headers.as_bytes(), payload }
    }

    fn now(seconds: u64) -> Now {
        Now { wall: Timestamp::from_secs(1), tick: Instant::from_nanos(seconds * 1_000_000_000) }
    }

    fn source() -> StreamSource {
        let external = External { api: "$JS.hub.API".into(), deliver: "to.us".into() };
        StreamSource { name: "O".into(), external: Some(external), ..StreamSource::default() }
    }

    fn asking(config: &StreamSource) -> Asking<'_> {
        Asking { account: "A", domain: "", stream: "M", is_mirror: true, next: Some(5), config }
    }

    /// An origin that was asked and has answered.
    fn flowing(out: &mut Outbox) -> Remote {
        let mut remote = Remote::new();
        remote.tend(&asking(&source()), "12345678", now(0), out);
        let answer = br#"{"name":"c","config":{"deliver_subject":"to.us.M.12345678"},"delivered":{"stream_seq":4}}"#;
        let news = remote.take(&came("$JSC.R.12345678", None, "", answer), true, now(0), out);
        assert!(matches!(news, News::Begun { behind: 4 }));
        remote
    }

    #[test]
    fn an_origin_is_asked_under_its_prefix_and_listened_to_where_it_says() {
        let mut out = Outbox::default();
        let mut remote = Remote::new();
        remote.tend(&asking(&source()), "12345678", now(0), &mut out);
        let sent = out.messages(|_| true).next().map(|sent| (sent.to.to_vec(), sent.payload.to_vec()));
        let (to, body) = sent.expect("a request");
        assert_eq!(to, b"$JS.hub.API.CONSUMER.CREATE.O");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["config"]["deliver_subject"], "to.us.M.12345678");
        assert_eq!(body["config"]["opt_start_seq"], 5);
        let effects = out.take_effects();
        assert_eq!(effects, [Effect::Hear(Filter::parse(b"$JSC.R.12345678").expect("a filter"))]);
        let flowing = flowing(&mut Outbox::default());
        assert_eq!(flowing.heard(), Filter::parse(b"to.us.M.12345678").ok());
    }

    #[test]
    fn what_comes_in_order_is_taken_and_a_gap_begins_again() {
        let mut out = Outbox::default();
        let mut remote = flowing(&mut out);
        let mut take = |remote: &mut Remote, reply: &'static str| {
            remote.take(&came("to.us.M.12345678", Some(reply.as_bytes()), "", b"x"), true, now(1), &mut out)
        };
        match take(&mut remote, "$JS.ACK.O.c.1.7.1.1000.3@o.a@b") {
            News::Message(message) => {
                assert_eq!((message.seq, message.number, message.pending), (7, 1, 3));
                assert_eq!((message.subject, message.time.as_nanos()), (&b"o.a@b"[..], 1000));
            }
            _ => panic!("a message"),
        }
        remote.stored(1, 3);
        assert!(matches!(take(&mut remote, "$JS.ACK.O.c.1.7.1.1000.3@o.a"), News::Nothing), "it was here");
        assert!(matches!(take(&mut remote, "$JS.ACK.O.other.1.8.2.1000.3@o.a"), News::Nothing), "an earlier one");
        assert!(matches!(take(&mut remote, "$JS.ACK.O.c.1.9.3.1000.3@o.a"), News::Lost), "one is missing");
        assert!(matches!(take(&mut remote, "$JS.ACK.O.c.1.8.2.1000.3"), News::Nothing), "nobody knows its subject");
    }

    #[test]
    fn signs_of_life_tell_of_gaps_and_questions_are_passed_on() {
        let mut out = Outbox::default();
        let mut remote = flowing(&mut out);
        remote.stored(2, 0);
        let mut control = |remote: &mut Remote, reply, headers: &'static str| {
            remote.take(&came("to.us.M.12345678", reply, headers, b""), true, now(1), &mut out)
        };
        let beat = "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\n\r\n";
        assert!(matches!(control(&mut remote, None, beat), News::Nothing));
        let ahead = "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\n\r\n";
        assert!(matches!(control(&mut remote, None, ahead), News::Lost));
        let question = "NATS/1.0 100 FlowControl Request\r\n\r\n";
        let asked = control(&mut remote, Some(b"$JS.FC.O.c.abcd"), question);
        assert!(matches!(asked, News::HowFar { reply: b"$JS.FC.O.c.abcd" }));
        let told = String::from_utf8(remote.how_far(9)).expect("text");
        assert_eq!(told, "NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 9\r\n\r\n");
    }

    #[test]
    fn an_origin_can_not_have_the_server_speak_anywhere_else() {
        let mut out = Outbox::default();
        let mut remote = flowing(&mut out);
        let _ = out.messages(|_| true).count();
        out.clear();
        for (to, is_answered) in [
            ("$JS.API.STREAM.DELETE.ORDERS", false),
            ("$JS.FC.O.other.abcd", false),
            ("$JS.FC.O.c.>", false),
            ("orders", false),
            ("$JS.FC.O.c.abcd", true),
        ] {
            let headers = format!("NATS/1.0 100 x\r\nNats-Consumer-Stalled: {to}\r\n\r\n");
            let _ = remote.take(&came("to.us.M.12345678", None, &headers, b""), true, now(1), &mut out);
            let sent: Vec<Vec<u8>> = out.messages(|_| true).map(|sent| sent.to.to_vec()).collect();
            assert_eq!(sent, Vec::from_iter(is_answered.then(|| to.as_bytes().to_vec())), "{to}");
            out.clear();
            let asked = remote.take(
                &came("to.us.M.12345678", Some(to.as_bytes()), "NATS/1.0 100 x\r\n\r\n", b""),
                true,
                now(1),
                &mut out,
            );
            assert_eq!(matches!(asked, News::HowFar { .. }), is_answered, "{to}");
        }
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_refused() {
        for answer in [
            format!(
                r#"{{"name":"c","config":{{"deliver_subject":"to.us.M.12345678"}},"delivered":{{"stream_seq":{}}}}}"#,
                u64::MAX
            ),
            r#"{"name":"c","config":{"deliver_subject":"orders.new"},"delivered":{"stream_seq":4}}"#.to_owned(),
        ] {
            let (mut out, mut remote) = (Outbox::default(), Remote::new());
            remote.tend(&asking(&source()), "12345678", now(0), &mut out);
            let news = remote.take(&came("$JSC.R.12345678", None, "", answer.as_bytes()), true, now(0), &mut out);
            assert!(matches!(news, News::Failed(_)), "{answer}");
            assert_eq!(remote.heard(), None);
        }
    }

    #[test]
    fn a_delivery_of_a_sequence_that_can_not_be_begins_again() {
        for seq in [0, u64::MAX] {
            let mut out = Outbox::default();
            let mut remote = flowing(&mut out);
            let reply = format!("$JS.ACK.O.c.1.{seq}.1.1000.3@o.a");
            let news = remote.take(&came("to.us.M.12345678", Some(reply.as_bytes()), "", b"x"), true, now(1), &mut out);
            assert!(matches!(news, News::Lost), "{seq}");
        }
    }

    #[test]
    fn silence_and_refusals_are_answered_with_patience() {
        let (mut out, config) = (Outbox::default(), source());
        let mut remote = flowing(&mut out);
        assert_eq!(remote.deadline(), now(10).tick);
        remote.tend(&asking(&config), "w", now(11), &mut out);
        assert_eq!(remote.deadline(), now(13).tick, "silence is no failure");
        remote.tend(&asking(&config), "22222222", now(13), &mut out);
        let refusal = br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        let news = remote.take(&came("$JSC.R.22222222", None, "", refusal), true, now(13), &mut out);
        assert!(matches!(news, News::Failed(error) if error.err_code == 10059));
        assert_eq!(remote.deadline(), now(25).tick);
        remote.tend(&asking(&config), "33333333", now(25), &mut out);
        remote.tend(&asking(&config), "w", now(56), &mut out);
        assert_eq!(remote.deadline(), now(78).tick, "nobody answered, the second time in a row");
        let news = remote.take(&came("$JSC.R.33333333", None, "", b"{}"), true, now(57), &mut out);
        assert!(matches!(news, News::Foreign), "too late");
    }
}
