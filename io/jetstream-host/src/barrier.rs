//! What keeps a fault in the work for one account away from the others.
//!
//! Work that panics left the streams of its account in a state that nobody knows. The account is taken away as a whole and
//! named; what lies on the disk stays there and comes back with the account: at a start, or when its settings are set again.

use crate::Report;
use crate::desk::{Desk, refuse_held};
use jetstream::Tenant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Does some work; an error is what a panic in it said.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Whatever the work left half done is taken away by whoever hears of the error.
    catch_unwind(AssertUnwindSafe(work)).map_err(|said| match said.downcast::<String>() {
        Ok(text) => *text,
        Err(said) => said.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    })
}

impl Desk {
    /// Takes an account away whose work panicked: nobody is heard in it any more, nothing of it is written any more.
    pub(crate) fn quarantine(&mut self, account: &Arc<str>, why: &str) {
        let text = format!("JetStream of account {account} is out of service until the next start or reload: {why}");
        self.port.report(Report::Finding(text));
        self.unlisten(account);
        let streams = self.tenants.get(account).into_iter().flat_map(Tenant::streams);
        self.unrecovered.extend(streams.map(|stream| (account.to_string(), stream.name.to_string())));
        if let Some(mut tenant) = self.tenants.remove(account) {
            refuse_held(&*self.port, account, &mut tenant);
        }
        self.accounts.remove(account);
    }
}
