//! The login of another server, whatever the kind of its link: judged here if that is cheap, elsewhere if not.

use std::sync::Arc;
use std::time::Duration;

use auth::{Admission, Attempt, Cost, Directory, Verdict};
use session::ConnectOptions;
use wire::CloseReason;

use crate::connection::Connection;
use crate::engine::Engine;
use crate::links::Said;
use crate::login::{LoginJob, LoginOutcome, facts};
use crate::observer::{ConnectionLabel, Event};

/// What a refused server hears, whatever the reason.
const REFUSED: &[u8] = b"-ERR 'Authorization Violation'\r\n";

impl Engine {
    /// Judges the login of a server. Without a verdict, it is judged elsewhere and comes back. The epoch was asked for before
    /// the directory.
    pub(crate) fn judge_server(
        &self,
        connection: &Connection,
        (epoch, directory): (u64, Arc<Directory>),
        attempt: Attempt,
        options: &ConnectOptions,
        patience: Duration,
    ) -> Option<LoginOutcome> {
        if directory.cost(&attempt) == Cost::Cheap {
            let verdict = auth::authenticate(&directory, &attempt, self.wall);
            return Some(LoginOutcome { attempt, verdict, vouched: None, directory, epoch });
        }
        let key = connection.link.key;
        let client = facts(&connection.link, connection.tls.as_deref(), options);
        let job = LoginJob { key, directory, attempt, client, vouched: None, patience, epoch };
        let LoginJob { attempt, directory, .. } = self.hub.logins.submit(job).err()?;
        let verdict = Verdict::Refuse(auth::Refusal::TooManyLogins);
        Some(LoginOutcome { attempt, verdict, vouched: None, directory, epoch })
    }

    /// Who a server was admitted as, and what it had shown.
    ///
    /// # Errors
    /// It was not: it has been told.
    pub(crate) fn admitted_server(
        &mut self,
        connection: &Connection,
        outcome: LoginOutcome,
    ) -> Result<(Admission, Attempt), Said> {
        if outcome.epoch != self.hub.epoch() {
            // The house was reconfigured meanwhile: what let it in may be gone. A server comes back by itself.
            return Err(Said::Close(CloseReason::AuthenticationExpired));
        }
        let address = connection.link.address.ip();
        let refusal = match self.hub.unless_banned(address, outcome.verdict, self.wall) {
            Verdict::Admit(admission) => return Ok((admission, outcome.attempt)),
            Verdict::Refuse(refusal) => refusal,
            Verdict::NeedAccount(account) => auth::Refusal::UnknownAccount(account),
            Verdict::AskCallout(_) => auth::Refusal::NoCredentials,
        };
        self.say(&connection.link, REFUSED);
        self.hub.observer.event(&connection.link, &ConnectionLabel::default(), &Event::LoginRefused(&refusal));
        Err(Said::Close(CloseReason::AuthenticationFailure))
    }
}
