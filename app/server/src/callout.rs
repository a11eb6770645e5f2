//! Asking the services that decide about logins.
//!
//! A question is published in the service's account; the answer comes to a reply subject that names the login. This room
//! keeps no question: the login pool knows who waits, for how long, and what an answer has to fit.

mod memory;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};

use account::AccountName;
use auth::{CALLOUT_SUBJECT, CALLOUT_XKEY_HEADER, CalloutServer, Chance, Refusal, Vouched};
use broker::{AccountState, Hub, InternalSubscriber, Message, OwnMessage, Secure, Sender, Subscription};
use config::Settings;
use jwt::callout::ServerIdentity;
use net::{Inquiry, LoginPool, Question, Ticket};
use nkeys::{BOX_NONCE_BYTES, RAW_SEED_BYTES};
use resolver::SystemZones;
use secret::Secret;
use session::Greeting;
use subject::Filter;

use crate::identity::ServerKeys;
use crate::system::SystemRandom;
use memory::Memory;

/// Characters of the server's key in the reply subjects, so that servers keep apart.
const NODE_CHARACTERS: usize = 8;

/// Asks services about logins.
pub struct Callouts {
    server: RwLock<Arc<CalloutServer>>,
    inbox: String,
    /// The accounts in whose services we asked something, with the place where answers come.
    listening: Mutex<HashMap<AccountName, Arc<Subscription>>>,
    house: OnceLock<(Weak<Hub>, Weak<LoginPool>)>,
    /// What services decided a moment ago, where the configuration wants that.
    memory: Mutex<Memory>,
}

impl Callouts {
    /// Nobody can be asked before the house stands.
    pub fn new(keys: &ServerKeys, greeting: &Greeting, settings: &Settings) -> Self {
        let id = keys.id.public().to_string();
        let node: String = id.chars().rev().take(NODE_CHARACTERS).collect();
        Self {
            server: RwLock::new(Arc::new(CalloutServer {
                key: keys.id.clone(),
                xkey: keys.seal.clone(),
                identity: identity(greeting, settings),
                zones: Arc::new(SystemZones),
            })),
            inbox: format!("$SYS._INBOX.{node}"),
            listening: Mutex::default(),
            house: OnceLock::new(),
            memory: Mutex::new(Memory::of(settings, 0)),
        }
    }

    /// The house stands.
    pub fn join(&self, hub: &Arc<Hub>, pool: &Arc<LoginPool>) {
        let _ = self.house.set((Arc::downgrade(hub), Arc::downgrade(pool)));
    }

    /// The configuration is about to change. What was decided before is forgotten, and nothing is kept until
    /// [`Callouts::remember`].
    pub fn reloaded(&self, greeting: &Greeting, settings: &Settings) {
        *self.memory() = Memory::none();
        let mut server = self.server.write().unwrap_or_else(PoisonError::into_inner);
        *server = Arc::new(CalloutServer {
            key: server.key.clone(),
            xkey: server.xkey.clone(),
            identity: identity(greeting, settings),
            zones: server.zones.clone(),
        });
    }

    /// The configuration is in force since this epoch: what is decided by it may be kept.
    pub fn remember(&self, settings: &Settings, since: u64) {
        *self.memory() = Memory::of(settings, since);
    }

    /// This server, as services know it.
    pub fn server(&self) -> Arc<CalloutServer> {
        self.server.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a question. It leaves when the login is ready to wait for the answer.
    pub fn ask(&self, inquiry: &Inquiry<'_>) -> Result<Question, Refusal> {
        let Inquiry { question, attempt, client, ticket, patience, now, .. } = *inquiry;
        let (hub, pool) = self.house.get().ok_or(Refusal::NoCredentials)?;
        let hub = hub.upgrade().ok_or(Refusal::NoCredentials)?;
        let server = self.server();
        let request = question.ask(attempt, &server, client, chance(), now, patience);
        let request = request.map_err(|_| Refusal::NoCredentials)?;
        let account = hub.account(&question.account);
        self.listen(&hub, &account, pool);
        let headers = request.xkey_header.map(|xkey| format!("NATS/1.0\r\n{CALLOUT_XKEY_HEADER}: {xkey}\r\n\r\n"));
        let message = OwnMessage {
            reply: Some(self.reply(ticket).into_bytes()),
            headers: headers.unwrap_or_default().into_bytes(),
            ..OwnMessage::new(account, CALLOUT_SUBJECT, request.payload)
        };
        Ok(Question { asked: request.asked, send: Box::new(move || hub.publish(vec![message])) })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a service said to the same question a moment ago.
    pub fn recalled(&self, inquiry: &Inquiry<'_>) -> Option<Arc<Vouched>> {
        self.memory().recalled(inquiry)
    }

    /// A service has spoken.
    pub fn said(&self, inquiry: &Inquiry<'_>, vouched: &Arc<Vouched>) {
        self.memory().keep(inquiry, vouched);
    }

    fn reply(&self, ticket: Ticket) -> String {
        format!("{}.{:016X}", self.inbox, ticket.0)
    }

    /// Answers come to one place in each account.
    fn listen(&self, hub: &Hub, account: &AccountState, pool: &Weak<LoginPool>) {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        let name = account.settings().name.clone();
        listening.entry(name).or_insert_with(|| {
            let filter: Filter = format!("{}.*", self.inbox).parse().expect("keys and words are tokens");
            hub.listen(account, filter, None, Arc::new(Answers(pool.clone())))
        });
    }
}

/// Hands answers to the logins that wait for them.
struct Answers(Weak<LoginPool>);

impl InternalSubscriber for Answers {
    fn deliver(&self, message: &Message<'_>, _: &Sender<'_>) {
        if let (Some(pool), Some(ticket)) = (self.0.upgrade(), ticket(message.subject)) {
            pool.answered(ticket, message.payload);
        }
    }
}

/// The login that a reply subject names.
fn ticket(subject: &[u8]) -> Option<Ticket> {
    let name = std::str::from_utf8(subject).ok()?.rsplit('.').next()?;
    u64::from_str_radix(name, 16).ok().map(Ticket)
}

fn chance() -> Chance {
    let (mut user, mut nonce) = ([0; RAW_SEED_BYTES], [0; BOX_NONCE_BYTES]);
    SystemRandom.fill(&mut user);
    SystemRandom.fill(&mut nonce);
    Chance { user: Secret::new(user), nonce }
}

fn identity(greeting: &Greeting, settings: &Settings) -> ServerIdentity {
    ServerIdentity {
        name: greeting.server_name.clone(),
        host: settings.clients.host.clone(),
        version: greeting.version.clone(),
        tags: settings.identity.tags.clone(),
        ..ServerIdentity::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_subject_names_its_login() {
        assert_eq!(ticket(b"$SYS._INBOX.ABCDEFGH.00000000000000FF"), Some(Ticket(255)));
        for odd in ["$SYS._INBOX.ABCDEFGH.", "$SYS._INBOX.ABCDEFGH.xyz", "", "a.123456789ABCDEF01"] {
            assert_eq!(ticket(odd.as_bytes()), None, "{odd}");
        }
    }
}
