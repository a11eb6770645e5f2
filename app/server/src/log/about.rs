//! What a line is about: a connection, and what became of a wish of its peer. In text it is how the line begins; in JSON it is
//! fields.

use std::fmt;
use std::net::SocketAddr;

use auth::{Action, Because, Denial, Refusal, Rule};
use broker::{Carrier, ConnectionLabel, Link, LinkKind};
use serde_json::{Map, Value};
use wire::CloseReason;

/// What a line is about. Borrowed; nothing is made of it before the line is written.
#[derive(Clone, Copy)]
pub struct About<'a> {
    link: &'a Link,
    label: &'a ConnectionLabel,
    matter: Matter<'a>,
}

/// What became of a wish of the peer.
#[derive(Clone, Copy)]
pub enum Matter<'a> {
    /// It is about the connection only.
    Connection,
    /// A login was refused.
    Refused(&'a Refusal),
    /// A certificate was refused, for this reason.
    CertificateRefused(&'a str),
    /// A publish, a reply or a subscription was denied.
    Denied(&'a Denial),
    /// The connection is over.
    Closed(CloseReason),
}

impl<'a> About<'a> {
    /// A line about this connection.
    pub fn new(link: &'a Link, label: &'a ConnectionLabel, matter: Matter<'a>) -> Self {
        Self { link, label, matter }
    }

    /// Adds the fields to those of a line.
    pub(super) fn write(&self, fields: &mut Map<String, Value>) {
        fields.insert("kind".to_owned(), kind(self.link.kind).into());
        fields.insert("id".to_owned(), self.link.key.id.into());
        let mut add = |name: &str, value: &str| {
            if !value.is_empty() {
                fields.insert(name.to_owned(), value.into());
            }
        };
        add("address", &address(self.link).to_string());
        if let Some(client) = self.label.client.as_deref() {
            add("client", &client.name);
            add("lang", &client.lang);
            add("version", &client.version);
        }
        if let Some(member) = self.label.member.as_deref() {
            add("account", &member.account);
            add("user", member.user());
        }
        self.matter.write(&mut add);
    }
}

/// `host:port - cid:N`, and behind it client details and user once they are known.
impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, label, .. } = self;
        write!(f, "{} - {}:{}{label}", address(link), tag(link.kind, link.carrier), link.key.id)
    }
}

impl Matter<'_> {
    fn write(&self, add: &mut impl FnMut(&str, &str)) {
        match *self {
            Self::Connection => {}
            Self::Refused(refusal) => {
                add("action", "login");
                add("user", &refusal.user());
                add("because", &refusal.to_string());
            }
            Self::CertificateRefused(why) => {
                add("action", "login");
                add("because", why);
            }
            Self::Denied(denial) => {
                write_action(&denial.action, add);
                add("because", &denial.because.to_string());
                if let Some(rule) = rule(&denial.because) {
                    add("rule", &rule.text);
                    add("origin", &rule.origin.to_string());
                }
            }
            Self::Closed(reason) => add("reason", &reason.to_string()),
        }
    }
}

fn write_action(action: &Action, add: &mut impl FnMut(&str, &str)) {
    let (word, subject, queue) = match action {
        Action::Publish(subject) => ("publish", &**subject, None),
        Action::Reply(reply) => ("reply", &**reply, None),
        Action::Subscribe { filter, queue } => ("subscribe", filter.as_bytes(), queue.as_ref()),
    };
    add("action", word);
    add("subject", &String::from_utf8_lossy(subject));
    if let Some(queue) = queue {
        add("queue", &String::from_utf8_lossy(queue.as_bytes()));
    }
}

/// The entry that decided, if one did.
fn rule(because: &Because) -> Option<&Rule> {
    match because {
        Because::NotAllowed(rule) => rule.as_ref(),
        Because::OtherQueue(rule) | Because::Denied(rule) => Some(rule),
        Because::ReservedSubject(_)
        | Because::ReservedReply(_)
        | Because::ReservedQueue
        | Because::TooManyTokens(_) => None,
    }
}

fn address(link: &Link) -> SocketAddr {
    SocketAddr::new(link.address.ip().to_canonical(), link.address.port())
}

/// The kind of a connection in the words of fields and of the trail.
pub const fn kind(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Client => "client",
        LinkKind::Route => "route",
        LinkKind::Gateway => "gateway",
        LinkKind::Leaf => "leaf node",
        LinkKind::House => "server",
    }
}

/// The short name of a kind of link in the log.
const fn tag(kind: LinkKind, carrier: Carrier) -> &'static str {
    match kind {
        LinkKind::Client => match carrier {
            Carrier::Stream => "cid",
            Carrier::WebSocket => "wid",
        },
        LinkKind::Route => "rid",
        LinkKind::Gateway => "gid",
        LinkKind::Leaf => match carrier {
            Carrier::Stream => "lid",
            Carrier::WebSocket => "lid_ws",
        },
        LinkKind::House => "sid",
    }
}
