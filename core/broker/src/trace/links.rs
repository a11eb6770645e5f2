//! Messages of other servers that ask for a trace: this server tells what became of them here.
//!
//! The right to the destination was asked where the message was published; of a leaf connection it is asked again.

use std::rc::Rc;

use wire::client::Publish;

use super::{Answer, Asker, disabled_message};
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
        match self.answer(&asker, publish.subject, block, body.len(), None) {
            Answer::Plain => drop(self.send_far(sending, plan, &journey, None)),
            Answer::Marked => {
                let (bytes, header_len) = disabled_message(block, payload);
                let marked = Publish { header_len, body: 0..bytes.len() - 2, ..*publish };
                let source = Source { lender: None, bytes: &bytes };
                self.send_far(&Sending { publish: &marked, source, ..*sending }, plan, &journey, None);
            }
            Answer::Refused => {}
            Answer::Traced(mut trace) => {
                self.send_far(sending, plan, &journey, Some(&mut trace));
                trace.withheld(sending.account, plan.routed(publish.subject));
                self.report(&asker, &trace);
            }
        }
    }
}
