//! What the exporter of a service learns of who asks, in the words of the reference server.
//!
//! Without consent it is the account and how far away the client is. With `share` it is the rest as well, but never the
//! user's claims: whoever reads them there could come with them here.

use std::sync::Arc;

use account::{Account, AccountName};
use auth::UserFacts;
use wire::headers;

use crate::connection::Active;
use crate::hub::{Hub, Registered};
use crate::internal::Sender;
use crate::link::{Link, LinkKind};
use crate::trace::json::{field, key, list, some_text_field, text, text_field};

/// The header in which it stands. Whatever stands there already is a forgery.
pub(crate) const HEADER: &str = "Nats-Request-Info";

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Requester<'a> {
    /// A client.
    Client(&'a Arc<Link>, &'a Active),
    /// A client, as everybody here knows it.
    Known(&'a Registered),
    /// A leaf node of this account: what it says of who asked there is its own word.
    Leaf(&'a Link, &'a AccountName),
    /// The server itself, in this account.
    Server(&'a AccountName),
}

/// How much is told.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Told<'a> {
    /// The importer agreed to tell everything.
    pub(crate) all: bool,
    /// The server and its cluster, at least.
    pub(crate) server: bool,
    /// The account whose service asks, if the request went through one already.
    pub(crate) service: Option<&'a AccountName>,
}

/// What is told of a client.
struct Person<'a> {
    link: &'a Link,
    home: arc_swap::Guard<Arc<Account>>,
    user: &'a str,
    name: &'a str,
    lang: &'a str,
    version: &'a str,
    claims: Option<&'a UserFacts>,
}

impl<'a> Requester<'a> {
    /// Round trip time to the requester, in nanoseconds.
    pub(crate) fn rtt(self) -> u64 {
        match self {
            Self::Client(_, active) => active.session.rtt().map_or(0, |rtt| u64::try_from(rtt.as_nanos()).unwrap_or(0)),
            Self::Known(known) => known.link.stats.numbers().rtt,
            Self::Leaf(link, _) => link.stats.numbers().rtt,
            Self::Server(_) => 0,
        }
    }

    /// The client that asks, if it is one.
    fn person(self) -> Option<Person<'a>> {
        match self {
            Self::Client(link, active) => Some(Person {
                link,
                home: active.account.settings(),
                user: active.admission.user.name(),
                name: &active.options.name,
                lang: &active.options.lang,
                version: &active.options.version,
                claims: active.admission.claims.as_deref(),
            }),
            Self::Known(known) => Some(Person {
                link: &known.link,
                home: known.account.as_ref()?.settings(),
                user: &known.facts.user,
                name: &known.facts.name,
                lang: &known.facts.lang,
                version: &known.facts.version,
                claims: known.facts.claims.as_deref(),
            }),
            Self::Leaf(..) | Self::Server(_) => None,
        }
    }

    /// Writes what is told.
    pub(crate) fn write(self, out: &mut Vec<u8>, told: Told<'_>, hub: &Hub) {
        out.push(b'{');
        let person = self.person();
        if let Some(person) = &person {
            if told.all {
                let started = hub.ledger().time_of(person.link.started);
                text_field(out, "start", started.to_string().as_bytes());
                text_field(out, "host", person.link.address.ip().to_canonical().to_string().as_bytes());
                field(out, "id", person.link.key.id);
            }
            text_field(out, "acc", person.home.name.as_str().as_bytes());
        } else if let Self::Leaf(_, account) | Self::Server(account) = self {
            text_field(out, "acc", account.as_str().as_bytes());
        }
        service(out, told);
        let person = person.filter(|_| told.all);
        if let Some(Person { user, name, lang, version, .. }) = &person {
            some_text_field(out, "user", user.as_bytes());
            some_text_field(out, "name", name.as_bytes());
            some_text_field(out, "lang", lang.as_bytes());
            some_text_field(out, "ver", version.as_bytes());
        }
        rtt(out, self.rtt());
        if told.all || told.server {
            let settings = hub.settings();
            some_text_field(out, "server", settings.greeting.server_name.as_bytes());
            some_text_field(out, "cluster", settings.greeting.cluster.as_deref().unwrap_or_default().as_bytes());
        }
        if let Some(Person { link, claims: facts, .. }) = &person {
            facts.iter().for_each(|facts| claims(out, facts));
            text_field(out, "kind", b"Client");
            text_field(out, "client_type", link.carrier.word().as_bytes());
        }
        out.push(b'}');
    }
}

impl Hub {
    /// The headers of a request with who asks, and everything that is known of it. What they said of that before is gone.
    pub fn signed(&self, block: &[u8], sender: &Sender<'_>) -> Vec<u8> {
        let client = sender.link.filter(|link| link.kind == LinkKind::Client);
        let known = client.and_then(|link| self.connection(link.key.id));
        let settings = sender.account.settings();
        let (requester, all) = match (&known, sender.link) {
            (Some(known), _) => (Requester::Known(known), true),
            (None, Some(link)) if link.kind == LinkKind::Leaf => (Requester::Leaf(link, &settings.name), true),
            // It was asked at another server.
            (None, Some(link)) => (Requester::Server(&settings.name), link.kind == LinkKind::House),
            (None, None) => (Requester::Server(&settings.name), true),
        };
        let (mut info, mut signed) = (Vec::with_capacity(192), Vec::new());
        requester.write(&mut info, Told { all, ..Told::default() }, self);
        let written = match block {
            [] => headers::append(&mut signed, block, HEADER, &info),
            _ => headers::set(&mut signed, block, HEADER, &info),
        };
        written.expect("the key is a word");
        signed
    }
}

fn rtt(out: &mut Vec<u8>, nanos: u64) {
    if nanos > 0 {
        field(out, "rtt", nanos);
    }
}

fn service(out: &mut Vec<u8>, told: Told<'_>) {
    if let Some(service) = told.service {
        text_field(out, "svc", service.as_str().as_bytes());
    }
}

/// What user claims say that is no secret.
fn claims(out: &mut Vec<u8>, claims: &UserFacts) {
    text_field(out, "issuer_key", claims.issuer.to_string().as_bytes());
    some_text_field(out, "name_tag", claims.name.as_bytes());
    if !claims.tags.is_empty() {
        key(out, "tags");
        list(out, b'[', claims.tags.iter(), b']', |out, tag| text(out, tag.as_bytes()));
    }
}
