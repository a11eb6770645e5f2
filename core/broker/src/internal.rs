//! Subscribers inside the server: system services, streams, the callout.

use std::cell::Cell;
use std::sync::{Arc, Weak};

use auth::{Denial, LinkRights, Permissions, ReadRule, Reading};
use subject::{Filter, MappedReply, Queue, Subject};

use crate::hub::Hub;
use crate::link::Link;
use crate::observer::{ConnectionLabel, Event};
use crate::orders::{Weight, is_order};
use crate::trace::Follower;

/// A message as it is handed to a part of this server. Borrowed from the read buffer: copy what outlives the call.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it was published to, after mappings.
    pub subject: &'a [u8],
    /// The subject that clients see instead: of a stored message, what it was stored under.
    pub shown: Option<&'a [u8]>,
    /// Where an answer goes.
    pub reply: Option<&'a [u8]>,
    /// The header block, with its final empty line; empty if there is none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// By what rights a message was published.
#[derive(Clone, Copy)]
pub(crate) enum Rights<'a> {
    /// The server's own, or those that came with the message: from another server of the cluster, or by an import.
    Granted,
    /// The server's own, for what others have said where it goes to: it gives no orders and acknowledges nothing.
    Passing,
    /// Of somebody elsewhere whom nothing binds, for an answer: where it goes whoever asked has said, so it gives no orders.
    Answering,
    /// A client's.
    Client(&'a Arc<Permissions>, &'a ConnectionLabel),
    /// A leaf connection's.
    Leaf(&'a Arc<LinkRights>, &'a ConnectionLabel),
    /// Those that came with a request by a service import: the exporter gave them, but not where it is answered.
    Imported(&'a Importer<'a>),
}

/// Whoever asks by a service import, in its own account.
#[derive(Clone, Copy)]
pub(crate) struct Importer<'a> {
    /// A client's or a leaf connection's.
    pub(crate) rights: Rights<'a>,
    /// Where it wants to be answered.
    pub(crate) reply: &'a [u8],
}

/// Whoever has the server publish.
#[derive(Clone)]
enum Publisher {
    Client(Arc<Permissions>),
    Leaf(Arc<LinkRights>),
}

/// Who may not read everything that is stored.
#[derive(Clone)]
pub struct Reader {
    /// What may be read.
    pub reading: Reading,
    publisher: Publisher,
    /// Who waits for messages may be kept for long, and its connection is not kept open for that.
    link: Weak<Link>,
    label: ConnectionLabel,
}

impl Reader {
    /// Something was not to be read: it is written where other denials are, as long as there is the connection.
    pub fn refused(&self, hub: &Hub, denial: &Denial) {
        if let Some(link) = self.link.upgrade() {
            hub.observer.event(&link, &self.label, &Event::Denied { denial, sid: None });
        }
    }

    /// Whether the server may publish to this subject on its behalf.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn publish(&self, subject: Subject<'_>) -> Result<(), Denial> {
        match &self.publisher {
            Publisher::Client(permissions) => permissions.publish(subject).map(drop),
            Publisher::Leaf(rights) => rights.take(subject).map(drop),
        }
    }

    /// Whether the server may send messages there on its behalf, where it listens in this group: see [`Permissions::deliver`].
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn deliver(&self, to: Subject<'_>, queue: Option<&Queue>) -> Result<(), Denial> {
        match &self.publisher {
            Publisher::Client(permissions) => permissions.deliver(to, queue),
            Publisher::Leaf(rights) => rights.deliver(to, queue),
        }
    }

    /// Whether the server may publish to every subject of the filter on its behalf.
    ///
    /// # Errors
    /// A rule that keeps some of them out.
    pub fn publish_all(&self, filter: &Filter) -> Result<(), Denial> {
        match &self.publisher {
            Publisher::Client(permissions) => permissions.publish_all(filter),
            Publisher::Leaf(rights) => rights.take_all(filter),
        }
    }
}

impl<'a> Rights<'a> {
    /// The rights with which a message goes on in another account, of whoever asks to be answered where it comes from.
    pub(crate) fn across(self, importer: Option<&'a Importer<'a>>) -> Self {
        match self {
            Self::Passing | Self::Answering | Self::Imported(_) => self,
            Self::Granted => Self::Granted,
            Self::Client(..) | Self::Leaf(..) => importer.map_or(Self::Granted, Self::Imported),
        }
    }

    /// Whose word it is, if it is a client's or a leaf connection's.
    fn label(self) -> Option<&'a ConnectionLabel> {
        match self {
            Self::Granted | Self::Passing | Self::Answering => None,
            Self::Client(_, label) | Self::Leaf(_, label) => Some(label),
            Self::Imported(importer) => importer.rights.label(),
        }
    }

    /// Whether nothing restricts what is published by them.
    fn publishes_freely(self) -> bool {
        match self {
            Self::Granted | Self::Passing | Self::Answering | Self::Imported(_) => true,
            Self::Client(permissions, _) => permissions.publishes_freely(),
            Self::Leaf(rights, _) => rights.takes_everything(),
        }
    }

    /// Whether this leads nowhere: an order by whoever gives none, or an acknowledgement that is nobody's own word.
    pub(crate) fn withhold(self, subject: &[u8]) -> bool {
        match self {
            Self::Granted | Self::Client(..) | Self::Leaf(..) | Self::Imported(_) => false,
            Self::Answering => is_order(subject),
            Self::Passing => Weight::of(subject).commands(),
        }
    }
}

/// Who published a message, for subscribers that answer or account for it.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The connection, unless the server itself published.
    pub link: Option<&'a std::sync::Arc<crate::Link>>,
    /// The account in which it was published.
    pub account: &'a std::sync::Arc<crate::AccountState>,
    pub(crate) rights: Rights<'a>,
    /// Why it gets no answer, if it is to be told.
    pub(crate) unanswered: &'a Cell<Option<Denial>>,
}

impl Sender<'_> {
    /// Whether it may give orders: not what the server says where others have told it to.
    pub fn may_order(&self) -> bool {
        !matches!(self.rights, Rights::Passing | Rights::Answering)
    }

    /// Whether the server says it where others have told it to, so that nobody's rights stand behind it.
    pub fn is_nobody(&self) -> bool {
        matches!(self.rights, Rights::Passing)
    }

    /// Whether what the message says of who asks is somebody's own word: it did not come by an import, which writes that
    /// itself.
    pub fn speaks_for_itself(&self) -> bool {
        matches!(self.rights, Rights::Client(..) | Rights::Leaf(..))
    }

    /// Whether nothing restricts what it publishes.
    pub fn publishes_freely(&self) -> bool {
        self.rights.publishes_freely()
    }

    /// Whether it may publish to every subject of the filter.
    ///
    /// # Errors
    /// A rule that keeps some of them out.
    pub fn publish_all(&self, filter: &Filter) -> Result<(), Denial> {
        match self.rights {
            Rights::Granted | Rights::Passing | Rights::Answering | Rights::Imported(_) => Ok(()),
            Rights::Client(permissions, _) => permissions.publish_all(filter),
            Rights::Leaf(rights, _) => rights.take_all(filter),
        }
    }

    /// By what rights it is answered, and where: whoever asked by an import, in its own account.
    fn answered<'s>(&'s self, reply: &'s [u8]) -> (Rights<'s>, &'s [u8]) {
        match self.rights {
            Rights::Imported(importer) => (importer.rights, importer.reply),
            rights => (rights, reply),
        }
    }

    /// Whether nobody has to ask where it is answered, if all that it is told is that a message was stored: in an inbox, or whom nothing
    /// restricts.
    pub fn is_told_freely(&self, reply: &[u8]) -> bool {
        let (rights, reply) = self.answered(reply);
        auth::is_inbox(reply) || rights.publishes_freely()
    }

    /// Whether it may be answered there, see [`Permissions::deliver`]: somebody else would hear it, or store it.
    ///
    /// # Errors
    /// The rule that refuses it.
    pub fn be_answered(&self, reply: &[u8]) -> Result<(), Denial> {
        let (rights, reply) = self.answered(reply);
        let reply = MappedReply::parse(reply).map_or(reply, |mapped| mapped.reply);
        let Ok(to) = Subject::parse(reply) else { return Ok(()) };
        let judged = match rights {
            Rights::Granted | Rights::Passing | Rights::Answering | Rights::Imported(_) => return Ok(()),
            Rights::Client(permissions, _) => permissions.deliver(to, None),
            Rights::Leaf(rights, _) => rights.deliver(to, None),
        };
        judged.map_err(|denial| denial.of_reply(reply))
    }

    /// It gets no answer where it asked for one: it is told so, and it is written where other denials are.
    pub fn not_answered(&self, hub: &Hub, denial: Denial) {
        self.refused(hub, &denial);
        self.unanswered.set(Some(denial));
    }

    /// What it published was refused for what it would have done: it is written where other denials are.
    pub fn refused(&self, hub: &Hub, denial: &Denial) {
        if let (Some(link), Some(label)) = (self.link, self.rights.label()) {
            hub.observer.event(link, label, &Event::Denied { denial, sid: None });
        }
    }

    /// The sender as somebody who reads what is stored. `None`: everything may be read.
    pub fn reader(&self, rule: ReadRule) -> Option<Reader> {
        let reading = match self.rights {
            Rights::Granted | Rights::Passing | Rights::Answering | Rights::Imported(_) => return None,
            Rights::Client(permissions, _) => permissions.reading(rule)?,
            Rights::Leaf(rights, _) => rights.reading(rule)?,
        };
        self.as_reader(reading)
    }

    /// The sender as somebody who has the server read and publish, even if everything may be read. `None`: whatever is ordered may
    /// be done.
    pub fn orderer(&self, rule: ReadRule) -> Option<Reader> {
        match self.rights {
            Rights::Client(permissions, _) if permissions.binds() && rule != ReadRule::Free => self.remover(rule),
            Rights::Leaf(rights, _) if rights.binds() && rule != ReadRule::Free => self.remover(rule),
            _ => None,
        }
    }

    /// The sender as somebody whose message has messages of others removed, even if everything may be read. `None`: it speaks with
    /// the rights of the server.
    pub fn remover(&self, rule: ReadRule) -> Option<Reader> {
        self.reader(rule).or_else(|| self.as_reader(Reading::everything()))
    }

    fn as_reader(&self, reading: Reading) -> Option<Reader> {
        let (publisher, label) = match self.rights {
            Rights::Granted | Rights::Passing | Rights::Answering | Rights::Imported(_) => return None,
            Rights::Client(permissions, label) => (Publisher::Client(permissions.clone()), label),
            Rights::Leaf(rights, label) => (Publisher::Leaf(rights.clone()), label),
        };
        Some(Reader { reading, publisher, link: Arc::downgrade(self.link?), label: label.clone() })
    }
}

/// A subscriber inside the server. Called on a worker, between parsing and flushing: it must neither block nor take
/// long, so it usually puts the message on a bounded queue of its own, whose thread [`Hub::on_batch_end`] wakes.
pub trait InternalSubscriber: Send + Sync {
    /// Takes a message that matched.
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>);

    /// Whether it tells what it makes of messages that are followed. Only then [`InternalSubscriber::deliver_followed`] is
    /// called, even for those that are delivered to nobody.
    fn tells_traces(&self) -> bool {
        false
    }

    /// Takes a message that is followed: the report waits until the follower is dropped.
    fn deliver_followed(&self, message: &Message<'_>, sender: &Sender<'_>, follower: Follower) {
        if !follower.is_only() {
            self.deliver(message, sender);
        }
    }

    /// Whether other servers are not told of it, because each has its own.
    fn stays_here(&self) -> bool {
        false
    }

    /// Whether those who look at subscriptions see it. What only this server has is not counted among theirs.
    fn is_listed(&self) -> bool {
        true
    }

    /// Whether it answers with what was counted, so that whoever asks has to be counted before.
    fn reads_counts(&self) -> bool {
        false
    }
}

/// A part of the server in the account of a tenant. Every server has it.
pub(crate) struct InEveryAccount(pub(crate) std::sync::Arc<dyn InternalSubscriber>);

impl InternalSubscriber for InEveryAccount {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        self.0.deliver(message, sender);
    }

    fn stays_here(&self) -> bool {
        true
    }

    fn is_listed(&self) -> bool {
        self.0.is_listed()
    }

    fn reads_counts(&self) -> bool {
        self.0.reads_counts()
    }
}
