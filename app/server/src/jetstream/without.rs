//! What an account without streams hears when it asks for some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use account::Account;
use api::Call;
use api::refusals::{self, Refusal};
use broker::{AccountState, Hub, InternalSubscriber, Message, OwnMessage, Sender, Subscription};
use subject::Filter;

/// Answers requests of accounts that have no streams.
pub(super) struct Refusing {
    hub: Arc<Hub>,
    domain: String,
    accounts: Mutex<HashMap<String, Refused>>,
}

/// An account, and what listens in it.
type Refused = (Arc<AccountState>, Vec<Arc<Subscription>>);

/// Hears the requests of one account.
struct Deaf {
    hub: Arc<Hub>,
    domain: String,
    is_system: bool,
}

impl Refusing {
    pub(super) fn new(hub: &Arc<Hub>, domain: &str) -> Self {
        Self { hub: hub.clone(), domain: domain.to_owned(), accounts: Mutex::default() }
    }

    /// This account has no streams.
    pub(super) fn refuse(&self, account: &Arc<Account>) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let name = account.name.as_str();
        if accounts.contains_key(name) {
            return;
        }
        let deaf = Deaf { hub: self.hub.clone(), domain: self.domain.clone(), is_system: account.system };
        let (state, deaf) = (self.hub.account(account), Arc::new(deaf));
        let mut filters = vec!["$JS.API.>".to_owned()];
        if !self.domain.is_empty() {
            filters.push(format!("$JS.{}.API.>", self.domain));
        }
        let filters = filters.iter().filter_map(|text| Filter::parse(text.as_bytes()).ok());
        let ears = filters.map(|filter| self.hub.listen(&state, filter, None, deaf.clone())).collect();
        accounts.insert(name.to_owned(), (state, ears));
    }

    /// This account has streams, or is gone.
    pub(super) fn release(&self, name: &str) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((state, ears)) = accounts.remove(name) {
            ears.iter().for_each(|ear| self.hub.unlisten(&state, ear));
        }
    }

    /// Nobody is answered any more.
    pub(super) fn release_all(&self) {
        let names: Vec<String> = self.accounts.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        names.iter().for_each(|name| self.release(name));
    }
}

impl InternalSubscriber for Deaf {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        let Some(reply) = message.reply else { return };
        let mut answer = OwnMessage::new(sender.account.clone(), reply, Vec::new());
        match refusal(message.subject, &self.domain, self.is_system) {
            Refusal::Body(body) => answer.payload = body,
            Refusal::NobodyThere => {
                let subject = String::from_utf8_lossy(message.subject).into_owned();
                answer.headers = jetstream::status("503", &[("Nats-Subject", subject)]);
            }
            Refusal::Silence => return,
        }
        self.hub.publish(vec![answer]);
    }
}

fn refusal(subject: &[u8], domain: &str, is_system: bool) -> Refusal {
    let text = std::str::from_utf8(subject).unwrap_or_default();
    let in_domain = || text.strip_prefix("$JS.")?.strip_prefix(domain)?.strip_prefix(".API.");
    let Some(tail) = text.strip_prefix("$JS.API.").or_else(in_domain) else { return Refusal::Silence };
    let plain = format!("$JS.API.{tail}");
    match Call::parse(&plain) {
        call if is_system => refusals::in_system_account(call.as_ref()),
        Some(call) => refusals::without_streams(&call),
        None => Refusal::Silence,
    }
}
