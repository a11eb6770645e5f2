//! Messages of other servers that ask for a trace: this server tells what became of them here.
//!
//! The right to the destination was asked where the message was published; of a leaf connection it is asked again.

use std::rc::Rc;

use wire::client::Publish;

use super::hop::OpenHop;
use super::{Answer, Asker, Trace, disabled_message, refused};
use crate::engine::Engine;
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
