//! Messages of other servers that ask for a trace: this server tells what became of them here.
//!
//! The right to the destination was asked where the message was published; of a leaf connection it is asked again.

use std::rc::Rc;
use std::sync::Arc;

use auth::Denial;
use wire::client::Publish;
use wire::server::Message;

use super::hop::OpenHop;
use super::request::is_asked;
use super::{Answer, Asker, Trace, disabled_message, refused};
use crate::account_state::AccountState;
use crate::engine::Engine;
use crate::link::{Link, LinkKind};
use crate::links::wants::Incoming;
use crate::plan::Plan;
use crate::publish::{Sending, Source};
use crate::sharing::doors::Journey;

impl Engine {
    /// Takes a message of another server whose headers seem to ask for a trace.
    #[cold]
    pub(crate) fn link_message_asking(&mut self, sending: &Sending<'_>, plan: &Rc<Plan>, incoming: &Incoming<'_>) {
        let publish = sending.publish;
        let Some(body) = sending.source.bytes.get(publish.body.clone()) else { return };
        let Some((block, payload)) = body.split_at_checked(publish.header_len) else { return };
        let asker =
            Asker { link: sending.link, account: sending.account, name: incoming.server, rights: sending.rights };
        let journey = Journey::of(incoming.requester);
        let answer = self.answer(&asker, publish.subject, block, body.len(), None);
        match self.open_hop(&asker, publish.subject, block, payload, body.len()) {
            None => self.link_message_answered(&asker, sending, plan, &journey, (answer, None)),
            Some((hop, carried)) => {
                let (publish, source) = carried.of(publish);
                let sending = Sending { publish: &publish, source, ..*sending };
                self.link_message_answered(&asker, &sending, plan, &journey, (answer, Some(hop)));
            }
        }
    }

    /// Tells of a message that a leaf node may not publish, where its headers ask for that: it came in and went no further.
    #[cold]
    pub(crate) fn tell_denied(
        &mut self,
        link: &Arc<Link>,
        account: &Arc<AccountState>,
        incoming: &Incoming<'_>,
        message: &Message<'_>,
        source: Source<'_>,
        denial: &Denial,
    ) {
        let body = source.bytes.get(message.body.clone()).unwrap_or_default();
        let Some((block, payload)) = body.split_at_checked(message.header_len) else { return };
        if link.kind != LinkKind::Leaf || !is_asked(block) {
            return;
        }
        let asker = Asker { link, account, name: incoming.server, rights: incoming.rights };
        if let Some((mut hop, _)) = self.open_hop(&asker, message.subject, block, payload, body.len()) {
            hop.denied(denial);
        }
        if let Answer::Traced(told) = self.answer(&asker, message.subject, block, body.len(), None) {
            self.report(&asker, *told);
        }
    }

    /// Delivers the message as its headers lead to.
    fn link_message_answered(
        &mut self,
        asker: &Asker<'_>,
        sending: &Sending<'_>,
        plan: &Rc<Plan>,
        journey: &Journey<'_>,
        (answer, hop): (Answer, Option<OpenHop>),
    ) {
        let publish = sending.publish;
        let (told, is_marked) = match answer {
            Answer::Refused => return refused(hop),
            Answer::Plain => (None, false),
            Answer::Marked => (None, true),
            Answer::Traced(told) => (Some(*told), false),
        };
        let mut trace = Trace { told, hop };
        trace.decided();
        if is_marked {
            let body = sending.source.bytes.get(publish.body.clone()).unwrap_or_default();
            let Some((block, payload)) = body.split_at_checked(publish.header_len) else { return };
            let (bytes, header_len) = disabled_message(block, payload);
            let marked = Publish { header_len, body: 0..bytes.len() - 2, ..*publish };
            let source = Source { lender: None, bytes: &bytes };
            self.send_far(&Sending { publish: &marked, source, ..*sending }, plan, journey, trace.followed());
            return;
        }
        self.send_far(sending, plan, journey, trace.followed());
        trace.withheld(sending.account, plan.routed(publish.subject));
        if let Some(told) = trace.told.take() {
            self.report(asker, told);
        }
    }
}
