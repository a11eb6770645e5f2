//! Accounts that come to have streams, and that have none any more.
//!
//! The thread of the streams may be long in answering. Whoever waits for that holds no lock on what is running; only who logs in to
//! an account that is on its way waits with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use account::Account;
use auth::Directory;
use jetstream::Limits;
use jetstream_host::Asked;
use store::StoreError;

use super::{JetStream, Running};

/// Who waits for an account that somebody else brings waits so long.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// Accounts whose streams are on their way, and how many bring them.
#[derive(Default)]
pub(super) struct Admissions {
    pending: Mutex<BTreeMap<String, usize>>,
    done: Condvar,
}

impl Admissions {
    fn pending(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, account: &str) {
        *self.pending().entry(account.to_owned()).or_default() += 1;
    }

    fn end(&self, account: &str) {
        let mut pending = self.pending();
        if let Some(count) = pending.get_mut(account) {
            *count -= 1;
            if *count == 0 {
                pending.remove(account);
            }
        }
        drop(pending);
        self.done.notify_all();
    }

    fn wait_for(&self, account: &str) {
        let is_pending = |pending: &mut BTreeMap<String, usize>| pending.contains_key(account);
        drop(self.done.wait_timeout_while(self.pending(), ON_ITS_WAY, is_pending));
    }
}

/// An account that was handed to the thread, which is to be waited for by [`JetStream::admitted`].
pub(crate) struct Admitting {
    account: Arc<Account>,
    opened: Asked<Result<(), StoreError>>,
}

impl JetStream {
    /// Accounts become known one by one in operator mode. What is given has its streams once it was waited for.
    pub(crate) fn account_comes(&self, directory: &Directory, name: &str) -> Option<Admitting> {
        let mut state = self.state();
        let (running, account) = (state.as_mut()?, directory.account(name)?);
        match running.permits.account(account, directory) {
            Some((account, limits)) => Some(self.admit(running, &account, limits)),
            None => {
                running.refusing.refuse(account);
                None
            }
        }
    }

    /// Returns when the account has its streams, if it is on its way to them.
    pub fn account_is_there(&self, name: &str) {
        self.admissions.wait_for(name);
    }

    /// Accounts changed or went. Returns when they have their streams, or are not heard any more.
    pub fn accounts_changed(&self) {
        let directory = self.hub.directory();
        let (mut dismissed, mut admitting) = (Vec::new(), Vec::new());
        if let Some(running) = &mut *self.state() {
            let enabled = running.permits.enabled(&directory);
            // They are in the order of their names.
            let is_enabled =
                |name: &String| enabled.binary_search_by(|(account, _)| account.name.as_str().cmp(name)).is_ok();
            let gone: Vec<String> = running.admitted.iter().filter(|name| !is_enabled(name)).cloned().collect();
            dismissed.extend(gone.iter().map(|name| running.dismiss(name)));
            admitting.extend(enabled.into_iter().map(|(account, limits)| self.admit(running, &account, limits)));
        }
        for gone in dismissed {
            let _ = gone.answer();
        }
        admitting.into_iter().for_each(|admitting| self.admitted(admitting));
        // Only now nobody else answers in those that went; others may have come or gone meanwhile.
        if let Some(running) = &*self.state() {
            running.refuse_others(&self.hub.directory());
        }
    }

    fn admit(&self, running: &mut Running, account: &Arc<Account>, limits: Limits) -> Admitting {
        running.refusing.release(account.name.as_str());
        running.admitted.insert(account.name.to_string());
        running.port.introduce(account);
        self.admissions.begin(account.name.as_str());
        let tenant = self.tenant(&running.settings, account, limits);
        let opened = running.host.hand().put(move |desk, now| desk.set_account(tenant, now));
        Admitting { account: account.clone(), opened }
    }

    /// Waits for the thread. Nothing is to be locked meanwhile.
    pub(crate) fn admitted(&self, Admitting { account, opened }: Admitting) {
        let name = account.name.as_str();
        match opened.answer() {
            Some(Ok(())) => {}
            Some(Err(error)) => self.log.error(&format!("JetStream of account {name:?}: {error}")),
            None => self.log.error(&format!("JetStream of account {name:?} does not answer")),
        }
        self.admissions.end(name);
    }
}

impl Running {
    /// Nobody is heard in the account any more once that is answered.
    fn dismiss(&mut self, account: &str) -> Asked<()> {
        self.admitted.remove(account);
        let account = account.to_owned();
        self.host.hand().put(move |desk, now| desk.remove_account(&account, now))
    }
}
