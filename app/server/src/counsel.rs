//! What logins need beside the directory: accounts, and the word of services.

use std::sync::Arc;

use auth::{Admission, CalloutServer, Refusal, Vouched};
use moment::Timestamp;
use net::{Counsel, Inquiry, Question, Sought};
use nkeys::PublicKey;

use crate::accounts::Accounts;
use crate::callout::Callouts;

/// Answers the login pool.
pub struct House {
    /// Where accounts come from.
    pub accounts: Arc<Accounts>,
    /// Where services are asked.
    pub callouts: Arc<Callouts>,
}

impl Counsel for House {
    fn account(&self, account: &PublicKey, now: Timestamp) -> Sought {
        self.accounts.seek(account, now)
    }

    fn callout(&self, inquiry: &Inquiry<'_>) -> Result<Question, Refusal> {
        self.callouts.ask(inquiry)
    }

    fn recalled(&self, inquiry: &Inquiry<'_>) -> Option<Arc<Vouched>> {
        self.callouts.recalled(inquiry)
    }

    fn admitted(&self, admission: &Admission, then: Box<dyn FnOnce() + Send>) {
        self.accounts.bring_to_life(&admission.account, then);
    }

    fn said(&self, inquiry: &Inquiry<'_>, vouched: &Arc<Vouched>) {
        self.callouts.said(inquiry, vouched);
    }

    fn callout_server(&self) -> Option<Arc<CalloutServer>> {
        Some(self.callouts.server())
    }
}
