//! The report of a trace, in the field order of the reference server.

use moment::Timestamp;

use super::json::{field, key, list, some_object, some_text_field, text, text_field};
use super::request::Request;
use crate::delivery::Missed;
use crate::link::LinkKind;
use crate::links::remote::RemotePeer;
use crate::settings::ClientSettings;
use crate::subscription::{ClientTarget, Subscription};

/// What connections are numbered as.
fn kind_of(kind: LinkKind) -> u8 {
    match kind {
        LinkKind::Client => 0,
        LinkKind::Route => 1,
        LinkKind::Gateway => 2,
        LinkKind::House => 3,
        LinkKind::Leaf => 4,
    }
}

/// What is told about a message that is delivered to a server which will tell nothing.
const UNTRACED: &str =
    "Message delivered but remote does not support message tracing so no trace event generated from there";

/// What is told about a message that is only followed, and must not go to such a server.
const NOT_SENT: &str = "Not delivered because remote does not support message tracing";

/// Where the message came in.
pub(super) struct Ingress {
    pub(super) kind: LinkKind,
    pub(super) connection: u64,
    pub(super) name: String,
    pub(super) account: String,
    pub(super) subject: Box<[u8]>,
    /// Why it went no further.
    pub(super) error: Option<String>,
}

/// What became of a message.
pub(super) struct Report {
    /// `{"header":…,"msgsize":…}`
    request: Vec<u8>,
    pub(super) ingress: Ingress,
    /// By which hop it came; empty where it was published.
    hop: String,
    /// Servers it has gone on to.
    hops: usize,
    /// The events behind the first one, each with a comma before it.
    egresses: Vec<u8>,
    /// Where among them streams tell what became of the message.
    streams: Vec<usize>,
    at: Timestamp,
}

/// What a stream made of a message.
pub(super) struct StreamEvent<'a> {
    pub(super) stream: &'a str,
    pub(super) subject: &'a [u8],
    pub(super) no_interest: bool,
    pub(super) error: Option<&'a str>,
}

impl Report {
    /// The message has come in.
    pub(super) fn open(request: &Request<'_>, size: usize, ingress: Ingress, at: Timestamp) -> Self {
        // Where a message is published it has come by no hop, whatever its publisher says.
        let hop = if ingress.kind == LinkKind::Client { None } else { request.hop() };
        let mut out = b"{".to_vec();
        some_object(&mut out, "header", &request.headers, |out, values| {
            list(out, b'[', values, b']', |out, value| text(out, value));
        });
        field(&mut out, "msgsize", size);
        out.push(b'}');
        let hop = hop.unwrap_or_default().to_owned();
        Self { request: out, ingress, hop, hops: 0, egresses: Vec::new(), streams: Vec::new(), at }
    }

    /// Servers it has gone on to.
    pub(super) fn hops(&self) -> usize {
        self.hops
    }

    /// The message goes on to another server, from this account: the name of the hop. Nothing if it is only followed and
    /// that server would deliver it.
    pub(super) fn crosses(&mut self, peer: &RemotePeer, only: bool) -> Option<String> {
        self.hops += 1;
        let hop = if self.hop.is_empty() { self.hops.to_string() } else { format!("{}.{}", self.hop, self.hops) };
        let follows = peer.traces && peer.headers;
        let error = if follows {
            ""
        } else if only {
            NOT_SENT
        } else {
            UNTRACED
        };
        let out = &mut self.egresses;
        out.push(b',');
        open(out, "eg", self.at);
        field(out, "kind", kind_of(peer.link.kind));
        field(out, "cid", peer.link.key.id);
        some_text_field(out, "name", peer.name.as_bytes());
        text_field(out, "hop", hop.as_bytes());
        let account = peer.account.as_deref().filter(|account| *account != self.ingress.account);
        some_text_field(out, "acc", account.unwrap_or_default().as_bytes());
        some_text_field(out, "error", error.as_bytes());
        out.push(b'}');
        (follows || !only).then_some(hop)
    }

    /// The message has met a client.
    pub(super) fn egress(&mut self, subscription: &Subscription, client: &ClientTarget, missed: Option<Missed>) {
        let peer = &client.peer;
        let out = &mut self.egresses;
        out.push(b',');
        open(out, "eg", self.at);
        field(out, "kind", kind_of(LinkKind::Client));
        field(out, "cid", peer.link.key.id);
        some_text_field(out, "name", peer.name.as_bytes());
        let account = peer.account.settings();
        if account.name.as_str() != self.ingress.account {
            text_field(out, "acc", account.name.as_str().as_bytes());
        }
        text_field(out, "sub", subscription.grant.filter.as_bytes());
        if let Some(queue) = &subscription.grant.queue {
            text_field(out, "queue", queue.as_bytes());
        }
        if let Some(missed) = missed {
            text_field(out, "error", error_text(missed).as_bytes());
        }
        out.push(b'}');
    }

    /// The message goes on in the account of a service.
    pub(super) fn entered(&mut self, account: &str, from: &[u8], to: &[u8]) {
        let out = &mut self.egresses;
        out.push(b',');
        open(out, "si", self.at);
        text_field(out, "acc", account.as_bytes());
        text_field(out, "from", from);
        text_field(out, "to", to);
        out.push(b'}');
    }

    /// The message is carried into an account that imports the stream.
    pub(super) fn carried(&mut self, account: &str, to: &[u8]) {
        let out = &mut self.egresses;
        out.push(b',');
        open(out, "se", self.at);
        text_field(out, "acc", account.as_bytes());
        text_field(out, "to", to);
        out.push(b'}');
    }

    /// A stream will tell what became of the message.
    pub(super) fn awaits_stream(&mut self) {
        self.streams.push(self.egresses.len());
    }

    /// Writes the report, with what streams told.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        settings: &ClientSettings,
        sequence: u64,
        streams: &[Option<Vec<u8>>],
    ) {
        out.extend_from_slice(b"{\"server\":");
        server(out, settings, sequence, self.at);
        out.extend_from_slice(b",\"request\":");
        out.extend_from_slice(&self.request);
        if self.hops > 0 {
            field(out, "hops", self.hops);
        }
        out.extend_from_slice(b",\"events\":[");
        self.ingress(out);
        self.rest(out, streams);
        out.extend_from_slice(b"]}");
    }

    /// The events behind the first one.
    fn rest(&self, out: &mut Vec<u8>, streams: &[Option<Vec<u8>>]) {
        let mut from = 0;
        for (&at, told) in self.streams.iter().zip(streams) {
            out.extend_from_slice(self.egresses.get(from..at).unwrap_or_default());
            out.extend_from_slice(told.as_deref().unwrap_or_default());
            from = at;
        }
        out.extend_from_slice(self.egresses.get(from..).unwrap_or_default());
    }

    fn ingress(&self, out: &mut Vec<u8>) {
        let Ingress { kind, connection, name, account, subject, error } = &self.ingress;
        open(out, "in", self.at);
        field(out, "kind", kind_of(*kind));
        field(out, "cid", connection);
        some_text_field(out, "name", name.as_bytes());
        text_field(out, "acc", account.as_bytes());
        text_field(out, "subj", subject);
        some_text_field(out, "error", error.as_deref().unwrap_or_default().as_bytes());
        out.push(b'}');
    }
}

/// What a stream made of the message, with a comma before it.
pub(super) fn stream(out: &mut Vec<u8>, event: &StreamEvent<'_>, at: Timestamp) {
    let StreamEvent { stream, subject, no_interest, error } = *event;
    out.push(b',');
    open(out, "js", at);
    text_field(out, "stream", stream.as_bytes());
    some_text_field(out, "subject", subject);
    if no_interest {
        field(out, "nointerest", no_interest);
    }
    some_text_field(out, "error", error.unwrap_or_default().as_bytes());
    out.push(b'}');
}

/// What every event begins with.
fn open(out: &mut Vec<u8>, kind: &str, at: Timestamp) {
    out.push(b'{');
    text_field(out, "type", kind.as_bytes());
    text_field(out, "ts", at.to_string().as_bytes());
}

/// What the server says of itself.
pub(crate) fn server(out: &mut Vec<u8>, settings: &ClientSettings, sequence: u64, at: Timestamp) {
    let (greeting, about) = (&settings.greeting, &settings.about);
    out.push(b'{');
    text_field(out, "name", greeting.server_name.as_bytes());
    text_field(out, "host", greeting.host.as_bytes());
    text_field(out, "id", greeting.server_id.as_bytes());
    some_text_field(out, "cluster", greeting.cluster.as_deref().unwrap_or_default().as_bytes());
    some_text_field(out, "domain", greeting.domain.as_deref().unwrap_or_default().as_bytes());
    text_field(out, "ver", greeting.version.as_bytes());
    if !about.tags.is_empty() {
        key(out, "tags");
        list(out, b'[', &about.tags, b']', |out, tag| text(out, tag.as_bytes()));
    }
    some_object(out, "metadata", &about.metadata, |out, value| text(out, value.as_bytes()));
    some_object(out, "feature_flags", &about.feature_flags, |out, on| {
        out.extend_from_slice(if *on { b"true" } else { b"false" });
    });
    field(out, "jetstream", greeting.jetstream);
    field(out, "flags", about.capabilities);
    field(out, "seq", sequence);
    text_field(out, "time", at.to_string().as_bytes());
    out.push(b'}');
}

/// Why a client did not get the message, in the words that tools compare.
pub(super) fn error_text(missed: Missed) -> &'static str {
    match missed {
        Missed::Echo => "Not delivered because of no echo",
        Missed::Withheld => "Not delivered because subscription denies this subject",
        Missed::Over => "Not delivered because auto-unsubscribe exceeded",
        Missed::Behind => "Not delivered because fast producer not stalled and consumer is slow",
        Missed::Closed => "Not delivered because client is closed",
    }
}
