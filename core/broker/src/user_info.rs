//! `$SYS.REQ.USER.INFO`: a client asks who it is and what it may do.
//!
//! The answer is made on the worker that reads the question and published to the reply in the client's own account, as
//! the server, if the client may be answered there. The question itself needs a publish permission like any other.

use std::sync::Arc;

use auth::{Lists, Permissions};
use moment::Timestamp;
use subject::Subject;
use wire::client::Publish;

use crate::connection::Active;
use crate::delivery::Nobody;
use crate::engine::Engine;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::crossing::Whence;
use crate::publish::{Sending, Source};
use crate::trace::event;
use crate::trace::json::{field, key, list, text, text_field};

/// Where the question goes.
pub(crate) const QUESTION: &[u8] = b"$SYS.REQ.USER.INFO";

impl Engine {
    /// Answers the question.
    #[cold]
    pub(crate) fn tell_who(&mut self, link: &Arc<Link>, active: &Active, reply: &[u8]) {
        let judged = Subject::parse(reply).map_or(Ok(()), |to| active.permissions.deliver(to, None));
        if let Err(denial) = judged {
            return self.deny_publish(link, active, &denial.of_reply(reply));
        }
        let server = Permissions::everything();
        let Some(proof) = Subject::parse(reply).ok().and_then(|reply| server.publish(reply).ok()) else { return };
        let plan = self.plans.once(&active.account, Whence::SERVER, &proof.kept());
        if Rights::Passing.withhold(plan.routed(reply)) {
            return;
        }
        let mut bytes = b"{".to_vec();
        key(&mut bytes, "server");
        event::server(&mut bytes, &self.hub.settings(), self.hub.next_event(), self.wall);
        key(&mut bytes, "data");
        write(&mut bytes, active, self.wall);
        bytes.push(b'}');
        let body = 0..bytes.len();
        bytes.extend_from_slice(b"\r\n");
        let publish = Publish { subject: reply, reply: None, header_len: 0, body };
        let source = Source { lender: None, bytes: &bytes };
        let sending = Sending {
            link,
            account: &active.account,
            no_echo: false,
            shown: None,
            arrived: None,
            publish: &publish,
            source,
            rights: Rights::Passing,
        };
        self.send(&sending, &plan, &mut Nobody);
    }
}

fn write(out: &mut Vec<u8>, active: &Active, now: Timestamp) {
    let account = active.account.settings().name.to_string();
    // Claims have names for people beside the keys.
    let claims = active.admission.claims.as_deref();
    let account_name = claims.map_or(account.as_str(), |claims| &claims.account_name);
    out.push(b'{');
    text_field(out, "user", active.admission.user.name().as_bytes());
    text_field(out, "account", account.as_bytes());
    text_field(out, "account_name", account_name.as_bytes());
    if let Some(claims) = claims.filter(|claims| !claims.name.is_empty()) {
        text_field(out, "user_name", claims.name.as_bytes());
    }
    write_permissions(out, &active.permissions.lists());
    if let Some(expires) = active.admission.expires {
        field(out, "expires", expires.since(now).as_nanos());
    }
    out.push(b'}');
}

/// What was not restricted is not mentioned.
fn write_permissions(out: &mut Vec<u8>, lists: &Lists<'_>) {
    let free = |allow: &Option<Vec<&str>>, deny: &[&str]| allow.is_none() && deny.is_empty();
    let publish = !free(&lists.publish_allow, &lists.publish_deny);
    let subscribe = !free(&lists.subscribe_allow, &lists.subscribe_deny);
    if !publish && !subscribe && lists.responses.is_none() {
        return;
    }
    key(out, "permissions");
    out.push(b'{');
    if publish {
        write_side(out, "publish", &lists.publish_allow, &lists.publish_deny);
    }
    if subscribe {
        write_side(out, "subscribe", &lists.subscribe_allow, &lists.subscribe_deny);
    }
    if let Some(responses) = lists.responses {
        key(out, "responses");
        out.push(b'{');
        field(out, "max", responses.max.map_or(-1, i64::from));
        field(out, "ttl", i64::try_from(responses.expires.as_nanos()).unwrap_or(-1));
        out.push(b'}');
    }
    out.push(b'}');
}

fn write_side(out: &mut Vec<u8>, name: &str, allow: &Option<Vec<&str>>, deny: &[&str]) {
    key(out, name);
    out.push(b'{');
    for (name, texts) in [("allow", allow.as_deref().unwrap_or_default()), ("deny", deny)] {
        if !texts.is_empty() {
            key(out, name);
            list(out, b'[', texts, b']', |out, entry| text(out, entry.as_bytes()));
        }
    }
    out.push(b'}');
}
