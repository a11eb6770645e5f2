//! Hops as spans of OpenTelemetry, in the JSON of OTLP 1.x
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): numbers of traces and spans in hexadecimal digits,
//! numbers of 64 bits as texts, enumerations as numbers.

use broker::{Hop, HopStep, LinkKind, SpanId, StepTo};
use moment::Timestamp;
use serde_json::{Map, Value, json};

use super::Server;
use crate::log::kind;

/// The kinds of spans that are used here.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;

/// The status of a span that failed.
const ERROR: u8 = 2;

/// Spans of one request.
pub(super) struct Batch<'a> {
    server: &'a Server,
    subjects: bool,
    spans: Vec<Value>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(server: &'a Server, subjects: bool) -> Self {
        Self { server, subjects, spans: Vec::new() }
    }

    /// Spans so far.
    pub(super) fn spans(&self) -> u64 {
        self.spans.len() as u64
    }

    /// Adds the spans of a hop: the hop itself, and below it what came one after the other.
    pub(super) fn add(&mut self, hop: &Hop, random: &mut impl FnMut() -> u64) {
        let mut below = |name: &str, from: Timestamp, to: Timestamp, attributes: Value, events: Vec<Value>| {
            let own = (random() | 1).to_be_bytes();
            let ids = Ids { trace: hop.trace, own, parent: Some(hop.span) };
            let mut span = ids.span(name, INTERNAL, from, to);
            span.insert("attributes".to_owned(), attributes);
            span.insert("events".to_owned(), events.into());
            span
        };
        let receive = below("receive", hop.received, hop.begun, json!([]), Vec::new());
        let mut decide = below("decide", hop.begun, hop.decided, json!([]), Vec::new());
        if let Some(refusal) = &hop.refused {
            let because = if self.subjects { refusal.because.as_str() } else { "" };
            decide.insert("attributes".to_owned(), attributes([("nats.because", because.into())]));
            decide.insert("status".to_owned(), json!({"code": ERROR, "message": refusal.what}));
        }
        let mut spans = vec![receive, decide];
        if hop.refused.is_none() {
            let events = hop.steps.iter().filter_map(|step| self.event(step)).collect();
            let left_out = attributes([("nats.steps_left_out", count(hop.steps_left_out))]);
            spans.push(below("deliver", hop.decided, hop.delivered, left_out, events));
        }
        for step in &hop.steps {
            if let StepTo::Service { account, from, to } = &step.to {
                let told = [
                    ("nats.account", account.as_str().into()),
                    ("nats.subject.from", self.subject(from)),
                    ("messaging.destination.name", self.subject(to)),
                ];
                spans.push(below("service import", step.at, hop.delivered, attributes(told), Vec::new()));
            }
        }
        self.spans.push(Value::Object(self.whole(hop)));
        self.spans.extend(spans.into_iter().map(Value::Object));
    }

    fn whole(&self, hop: &Hop) -> Map<String, Value> {
        let ids = Ids { trace: hop.trace, own: hop.span, parent: hop.parent };
        let name = if self.subjects { format!("nats {}", hop.subject) } else { "nats".to_owned() };
        let mut span = ids.span(&name, SERVER, hop.received, hop.delivered);
        let told = [
            ("messaging.system", "nats".into()),
            ("messaging.destination.name", self.subject(&hop.subject)),
            ("messaging.message.envelope.size", int(hop.size_bytes as u64)),
            ("nats.account", hop.account.as_str().into()),
            ("nats.peer.kind", kind(hop.kind).into()),
            ("nats.peer.name", hop.peer.as_str().into()),
            ("nats.peer.id", int(hop.connection)),
        ];
        span.insert("attributes".to_owned(), attributes(told));
        if let Some(refusal) = &hop.refused {
            span.insert("status".to_owned(), json!({"code": ERROR, "message": refusal.what}));
        }
        span
    }

    /// A delivery; a service import is a span of its own.
    fn event(&self, step: &HopStep) -> Option<Value> {
        let (name, told) = match &step.to {
            StepTo::Client { connection, name, account, filter, queue, missed } => {
                let peer = peer(LinkKind::Client, name, *connection);
                let told = [
                    ("nats.account", account.as_str().into()),
                    ("nats.subscription", self.subject(filter)),
                    ("nats.queue", queue.as_deref().filter(|_| self.subjects).unwrap_or_default().into()),
                    ("nats.missed", missed.unwrap_or_default().into()),
                ];
                let name = if missed.is_some() { "not delivered" } else { "delivered" };
                (name, [&peer[..], &told[..]].concat())
            }
            StepTo::Server { kind, connection, name } => ("sent to a server", peer(*kind, name, *connection).to_vec()),
            StepTo::Stream { account, to } => {
                let told =
                    [("nats.account", account.as_str().into()), ("messaging.destination.name", self.subject(to))];
                ("stream import", told.to_vec())
            }
            StepTo::Service { .. } => return None,
        };
        Some(json!({"name": name, "timeUnixNano": nanos(step.at), "attributes": attributes(told)}))
    }

    /// A subject, if subjects are told.
    fn subject(&self, subject: &str) -> Value {
        if self.subjects { subject.into() } else { "".into() }
    }

    /// The body of the request.
    pub(super) fn json(self) -> Value {
        let Server { name, id, version } = self.server;
        let resource = attributes([
            ("service.name", "nats-server".into()),
            ("service.instance.id", id.as_str().into()),
            ("service.version", version.as_str().into()),
            ("nats.server.name", name.as_str().into()),
        ]);
        let scope = json!({"name": "bulwark", "version": version});
        json!({"resourceSpans": [{
            "resource": {"attributes": resource},
            "scopeSpans": [{"scope": scope, "spans": self.spans}],
        }]})
    }
}

/// Whose span it is.
struct Ids {
    trace: broker::TraceId,
    own: SpanId,
    parent: Option<SpanId>,
}

impl Ids {
    fn span(&self, name: &str, kind: u8, from: Timestamp, to: Timestamp) -> Map<String, Value> {
        let mut span = Map::new();
        let mut add = |key: &str, value: Value| drop(span.insert(key.to_owned(), value));
        add("traceId", hex(&self.trace).into());
        add("spanId", hex(&self.own).into());
        if let Some(parent) = &self.parent {
            add("parentSpanId", hex(parent).into());
        }
        add("name", name.into());
        add("kind", kind.into());
        add("startTimeUnixNano", nanos(from).into());
        add("endTimeUnixNano", nanos(to.max(from)).into());
        span
    }
}

fn peer(link: LinkKind, name: &str, connection: u64) -> [(&'static str, Value); 3] {
    [("nats.peer.kind", kind(link).into()), ("nats.peer.name", name.into()), ("nats.peer.id", int(connection))]
}

/// Attributes; what is empty is left out.
fn attributes(told: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let one = |(key, value): (&str, Value)| match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(json!({"key": key, "value": {"stringValue": text}})),
        Value::Null => None,
        number => Some(json!({"key": key, "value": number})),
    };
    told.into_iter().filter_map(one).collect()
}

fn int(number: u64) -> Value {
    json!({"intValue": number.to_string()})
}

/// A number that is told only if there is something to count.
fn count(number: usize) -> Value {
    if number == 0 { Value::Null } else { int(number as u64) }
}

fn nanos(at: Timestamp) -> String {
    at.as_nanos().to_string()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
mod tests {
    use broker::HopRefusal;

    use super::*;

    fn hop() -> Hop {
        let at = Timestamp::from_nanos;
        let client = StepTo::Client {
            connection: 9,
            name: "till".into(),
            account: "SHOP".into(),
            filter: "orders.>".into(),
            queue: Some("workers".into()),
            missed: None,
        };
        let service = StepTo::Service { account: "BANK".into(), from: "orders.pay".into(), to: "pay.card".into() };
        Hop {
            trace: [0x4b; 16],
            parent: Some([0xb7; 8]),
            span: [0x5a; 8],
            received: at(1_000),
            begun: at(2_000),
            decided: at(3_000),
            delivered: at(4_000),
            kind: LinkKind::Client,
            connection: 7,
            peer: "desk".into(),
            account: "SHOP".into(),
            subject: "orders.pay".into(),
            size_bytes: 120,
            refused: None,
            steps: vec![HopStep { at: at(3_100), to: client }, HopStep { at: at(3_200), to: service }],
            steps_left_out: 0,
        }
    }

    fn spans(hop: &Hop, subjects: bool) -> Vec<Value> {
        let server = Server { name: "harbour".into(), id: "NID".into(), version: "1".into() };
        let mut batch = Batch::new(&server, subjects);
        batch.add(hop, &mut || 0x1112_1314_1516_1718);
        batch.json()["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    }

    #[test]
    fn a_hop_is_a_span_with_its_parts_below() {
        let spans = spans(&hop(), true);
        let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["nats orders.pay", "receive", "decide", "deliver", "service import"]);
        let whole = &spans[0];
        assert_eq!(whole["traceId"], "4b".repeat(16));
        assert_eq!((&whole["spanId"], &whole["parentSpanId"]), (&"5a".repeat(8).into(), &"b7".repeat(8).into()));
        assert_eq!((&whole["startTimeUnixNano"], &whole["endTimeUnixNano"]), (&"1000".into(), &"4000".into()));
        assert!(
            spans[1..].iter().all(|span| span["parentSpanId"] == "5a".repeat(8) && span["traceId"] == whole["traceId"])
        );
        let delivered = &spans[3]["events"][0];
        assert_eq!((&delivered["name"], &delivered["timeUnixNano"]), (&"delivered".into(), &"3100".into()));
        assert!(delivered.to_string().contains(r#"{"key":"nats.queue","value":{"stringValue":"workers"}}"#));
        assert!(whole.to_string().contains(r#"{"key":"messaging.message.envelope.size","value":{"intValue":"120"}}"#));
    }

    #[test]
    fn without_subjects_no_word_of_them_is_said() {
        let refused = HopRefusal { what: "publish denied", because: "deny \"orders.pay\" (x.conf:1:1)".into() };
        for hop in [hop(), Hop { refused: Some(refused), ..hop() }] {
            let text = Value::from(spans(&hop, false)).to_string();
            assert!(!["orders", "pay", "workers"].iter().any(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_refusal_is_an_error_that_names_its_rule() {
        let refused = HopRefusal { what: "publish denied", because: "deny \"orders.pay\" (x.conf:1:1)".into() };
        let spans = spans(&Hop { refused: Some(refused), steps: Vec::new(), ..hop() }, true);
        let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["nats orders.pay", "receive", "decide"]);
        assert_eq!(spans[0]["status"], json!({"code": 2, "message": "publish denied"}));
        assert!(spans[2].to_string().contains("deny \\\"orders.pay\\\" (x.conf:1:1)"), "{}", spans[2]);
    }
}
