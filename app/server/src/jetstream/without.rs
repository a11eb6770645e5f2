//! What an account without streams hears when it asks for some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::audit::{Class, Outcome, Record};
use account::Account;
use api::Call;
use api::errors::STREAM_DELETE;
use api::refusals::{self, Refusal};
use api::responses::{AccountPurged, answer as answer_with, failure};
use broker::{AccountState, Hub, InternalSubscriber, Message, OwnMessage, Sender, Subscription};
use jetstream_host::Hand;
use subject::Filter;

use super::copies::Copies;
use crate::audit::{Auditor, asked_by};
use crate::log::Log;

/// Answers requests of accounts that have no streams.
pub(super) struct Refusing {
    hub: Arc<Hub>,
    domain: String,
    copies: Arc<Copies>,
    purging: Purging,
    accounts: Mutex<HashMap<String, Refused>>,
}

/// An account, and what listens in it.
type Refused = (Arc<AccountState>, Vec<Arc<Subscription>>);

/// Hears the requests of one account.
struct Deaf {
    hub: Arc<Hub>,
    domain: String,
    is_system: bool,
    copies: Arc<Copies>,
    purging: Purging,
}

/// Has the streams of an account removed, for the operator.
#[derive(Clone)]
pub(super) struct Purging {
    pub(super) hand: Hand,
    pub(super) audit: Arc<Auditor>,
    pub(super) log: Arc<Log>,
}

impl Refusing {
    pub(super) fn new(hub: &Arc<Hub>, domain: &str, copies: &Arc<Copies>, purging: Purging) -> Self {
        let (hub, domain, copies) = (hub.clone(), domain.to_owned(), copies.clone());
        Self { hub, domain, copies, purging, accounts: Mutex::default() }
    }

    /// This account has no streams.
    pub(super) fn refuse(&self, account: &Arc<Account>) {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let name = account.name.as_str();
        if accounts.contains_key(name) {
            return;
        }
        let (hub, copies, purging) = (self.hub.clone(), self.copies.clone(), self.purging.clone());
        let deaf = Deaf { hub, domain: self.domain.clone(), is_system: account.system, copies, purging };
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
        let home = sender.account.settings().name.clone();
        if !self.is_system && sender.may_order() {
            self.copies.request(home.as_str(), message, sender, &mut Vec::new());
        }
        let Some(reply) = message.reply else { return };
        if let Err(denial) = sender.be_answered(reply) {
            return sender.not_answered(&self.hub, denial);
        }
        let mut answer = OwnMessage::new(sender.account.clone(), reply, Vec::new());
        match refusal(message.subject, &self.domain, self.is_system) {
            Refusal::Body(body) => answer.payload = body,
            Refusal::NobodyThere => {
                let subject = String::from_utf8_lossy(message.subject).into_owned();
                answer.headers = jetstream::status("503", &[("Nats-Subject", subject)]);
            }
            Refusal::Silence => return,
            Refusal::Purge(account) => return self.purge(account, answer, sender),
        }
        self.copies.answer(home.as_str(), reply, &answer.headers, &answer.payload);
        self.hub.publish(vec![answer]);
    }
}

impl Deaf {
    /// Answers when it is done, as the reference does: also for an account that stores nothing.
    fn purge(&self, account: String, answer: OwnMessage, sender: &Sender<'_>) {
        let Purging { hand, audit, log } = self.purging.clone();
        let (hub, name) = (self.hub.clone(), account.clone());
        let has_account = hub.directory().account(&account).is_some();
        let by = asked_by(&hub, sender.link.map(AsRef::as_ref), Record::new(Class::Admin, Outcome::Done));
        let in_account = sender.account.settings().name.to_string();
        hand.purge_account(account, move |done| {
            let (outcome, streams, body) = match done {
                Ok(streams) => {
                    (Outcome::Done, streams, answer_with("account_purge", AccountPurged { initiated: true }))
                }
                Err(why) => {
                    log.error(&format!("JetStream could not purge account {name}: {why}"));
                    let error = STREAM_DELETE.with(why);
                    (Outcome::Refused, 0, failure("account_purge", &error, AccountPurged { initiated: false }))
                }
            };
            log.notice(&format!("Purge request for account {name} (streams: {streams}, hasAccount: {has_account})"));
            let what = format!("all streams of account {name} are removed; there were {streams}");
            audit.note(&Record { account: in_account, what, outcome, ..by });
            hub.publish(vec![OwnMessage { payload: body, ..answer }]);
        });
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
