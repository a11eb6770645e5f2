//! Connections of accounts at other servers, as those tell of them. They count towards the limits of the account; where
//! there are too many in all, the youngest of ours go.

use std::sync::Arc;

use broker::{AccountState, Hub, InternalSubscriber, LinkKind, Message, OwnMessage, Sender};
use monitor::Observatory;
use serde_json::Value;
use subject::Filter;

use crate::accounts::close_youngest;

/// What a server tells at most. More is not read.
const TOLD_BYTES_MAX: usize = 16 * 1024;

/// Hears what other servers tell.
struct Ear {
    hub: Arc<Hub>,
    observatory: Arc<Observatory>,
    own: String,
}

/// The server that a subject `$SYS.SERVER.<id>.` with this word names.
fn server_of<'a>(subject: &'a [u8], word: &str) -> Option<&'a str> {
    let subject = std::str::from_utf8(subject).ok()?;
    subject.strip_prefix("$SYS.SERVER.")?.strip_suffix(word)?.strip_suffix('.')
}

/// Listens from now on.
pub(super) fn listen(hub: &Arc<Hub>, observatory: &Arc<Observatory>, home: &AccountState) {
    let own = hub.settings().greeting.server_id.clone();
    let answers = answers_of(&own);
    let ear: Arc<dyn InternalSubscriber> = Arc::new(Ear { hub: hub.clone(), observatory: observatory.clone(), own });
    for subject in ["$SYS.ACCOUNT.*.SERVER.CONNS", "$SYS.SERVER.*.SHUTDOWN", "$SYS.SERVER.*.STATSZ", &answers] {
        let filter = Filter::parse(subject.as_bytes()).expect("it is one");
        hub.listen(home, filter, None, ear.clone());
    }
}

/// Where others answer how many connections they have.
fn answers_of(own: &str) -> String {
    format!("$SYS._INBOX_.{own}")
}

/// Asks all servers how many connections an account has there.
pub(super) fn question(hub: &Hub, home: &Arc<AccountState>, account: &str) -> OwnMessage {
    let reply = answers_of(&hub.settings().greeting.server_id).into_bytes();
    let subject = format!("$SYS.REQ.ACCOUNT.{account}.CONNS");
    OwnMessage { reply: Some(reply), ..OwnMessage::new(home.clone(), subject, Vec::new()) }
}

impl InternalSubscriber for Ear {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        // Users of the system account may read this, but it is servers who say it.
        let is_server = sender.link.is_some_and(|link| matches!(link.kind, LinkKind::Route | LinkKind::Gateway));
        if !is_server {
            return;
        }
        if let Some(server) = server_of(message.subject, "STATSZ") {
            if server != self.own {
                self.observatory.hear_of(server);
            }
            return;
        }
        if message.payload.len() > TOLD_BYTES_MAX {
            return;
        }
        let Ok(told) = serde_json::from_slice::<Value>(message.payload) else { return };
        if message.subject.ends_with(b".SHUTDOWN") {
            if let Some(server) = told["id"].as_str() {
                self.observatory.server_gone(server);
                self.hub.accounts().iter().for_each(|account| account.note_elsewhere(server, 0, 0));
            }
            return;
        }
        let (Some(name), Some(server)) = (told["acc"].as_str(), told["server"]["id"].as_str()) else { return };
        if server == self.own {
            return;
        }
        let Some(account) = self.hub.living_account(name) else { return };
        let number = |key: &str| told[key].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        account.note_elsewhere(server, number("conns"), number("leafnodes"));
        let surplus = account.surplus();
        if surplus > 0 {
            close_youngest(&self.hub, &account, surplus);
        }
    }
}
