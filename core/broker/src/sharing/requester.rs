//! What the exporter of a service learns of who asks, in the words of the reference server.
//!
//! Without consent it is the account and how far away the client is. With `share` it is the rest as well, but never the
//! user's claims: whoever reads them there could come with them here.

use std::sync::Arc;

use account::AccountName;

use crate::connection::Active;
use crate::hub::Hub;
use crate::link::Link;
use crate::trace::json::{field, key, list, some_text_field, text, text_field};

/// The header in which it stands. Whatever stands there already is a forgery.
pub(crate) const HEADER: &str = "Nats-Request-Info";

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) enum Requester<'a> {
    /// A client.
    Client(&'a Arc<Link>, &'a Active),
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

impl Requester<'_> {
    /// Round trip time to the requester, in nanoseconds.
    pub(crate) fn rtt(self) -> u64 {
        match self {
            Self::Client(_, active) => active.session.rtt().map_or(0, |rtt| u64::try_from(rtt.as_nanos()).unwrap_or(0)),
            Self::Leaf(link, _) => link.stats.numbers().rtt,
            Self::Server(_) => 0,
        }
    }

    /// Writes what is told.
    pub(crate) fn write(self, out: &mut Vec<u8>, told: Told<'_>, hub: &Hub) {
        out.push(b'{');
        match self {
            Self::Client(link, active) => {
                if told.all {
                    let started = hub.ledger().time_of(link.started);
                    text_field(out, "start", started.to_string().as_bytes());
                    text_field(out, "host", link.address.ip().to_canonical().to_string().as_bytes());
                    field(out, "id", link.key.id);
                }
                text_field(out, "acc", active.account.settings().name.as_str().as_bytes());
                service(out, told);
                if told.all {
                    some_text_field(out, "user", active.admission.user.name().as_bytes());
                    some_text_field(out, "name", active.options.name.as_bytes());
                    some_text_field(out, "lang", active.options.lang.as_bytes());
                    some_text_field(out, "ver", active.options.version.as_bytes());
                }
                rtt(out, self.rtt());
            }
            Self::Leaf(_, account) | Self::Server(account) => {
                text_field(out, "acc", account.as_str().as_bytes());
                service(out, told);
                rtt(out, self.rtt());
            }
        }
        if told.all || told.server {
            let settings = hub.settings();
            some_text_field(out, "server", settings.greeting.server_name.as_bytes());
            some_text_field(out, "cluster", settings.greeting.cluster.as_deref().unwrap_or_default().as_bytes());
        }
        if let (true, Self::Client(link, active)) = (told.all, self) {
            claims(out, active);
            text_field(out, "kind", b"Client");
            text_field(out, "client_type", link.carrier.word().as_bytes());
        }
        out.push(b'}');
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
fn claims(out: &mut Vec<u8>, active: &Active) {
    let Some(claims) = &active.admission.claims else { return };
    text_field(out, "issuer_key", claims.issuer.to_string().as_bytes());
    some_text_field(out, "name_tag", claims.name.as_bytes());
    if !claims.tags.is_empty() {
        key(out, "tags");
        list(out, b'[', claims.tags.iter(), b']', |out, tag| text(out, tag.as_bytes()));
    }
}
