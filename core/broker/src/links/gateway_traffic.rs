//! What crosses a registered gateway: interest one way, messages the other.

use std::sync::Arc;

use subject::Filter;
use topology::{LinkError, Peer as Place};
use wire::ProtocolError;
use wire::client::Limits;
use wire::gateway::{Op, parse};
use wire::server::{Disinterest, Interest, Message, Parsed};

use crate::connection::{Connection, Phase};
use crate::engine::Engine;
use crate::internal::Rights;
use crate::link::Link;
use crate::links::gateway::{Gateway, Inbound, Outbound, Stage};
use crate::links::heard_rights::FarPublisher;
use crate::links::lines::Dialect;
use crate::links::replies::Answer;
use crate::links::wants::{INTEREST_MAX, Incoming};
use crate::links::{Said, ServerLink};
use crate::publish::Source;

/// Accounts that one old server is told not to exist here. What it sends to further ones is thrown away.
const REFUSED_MAX: usize = 1024;

/// Servers of different clusters.
pub(crate) struct GatewayDialect;

impl Dialect for GatewayDialect {
    type Op<'a> = Op<'a>;

    fn parse<'a>(_: &ServerLink, bytes: &'a [u8], limits: &Limits) -> Result<Parsed<Op<'a>>, ProtocolError> {
        parse(bytes, limits)
    }

    fn heard(server: &mut ServerLink, engine: &Engine) {
        if let ServerLink::Gateway(gateway) = server
            && let Some(alive) = gateway.alive()
        {
            alive.session.heard(engine.now);
        }
    }

    fn message(engine: &mut Engine, connection: &mut Connection, op: &Op<'_>, source: Source<'_>) -> Option<Said> {
        let Op::Message { account, message } = op else { return None };
        let Phase::Server(server) = &mut connection.phase else { return None };
        let ServerLink::Gateway(Gateway { stage: Stage::Inbound(inbound), .. }) = &mut **server else { return None };
        engine.gateway_message(&connection.link, inbound, account, message, source);
        Some(Said::Done)
    }

    fn other(engine: &mut Engine, connection: &mut Connection, server: &mut ServerLink, op: &Op<'_>) -> Said {
        let ServerLink::Gateway(gateway) = server else { return Said::Done };
        match &mut gateway.stage {
            Stage::Outbound(outbound) => engine.outbound_operation(connection, outbound, op),
            Stage::Inbound(inbound) => engine.inbound_operation(connection, inbound, op),
            Stage::Silent | Stage::Greeting(_) | Stage::Judging(_) | Stage::Over => {
                engine.gateway_greeting(connection, gateway, op)
            }
        }
    }
}

impl Engine {
    fn outbound_operation(&mut self, connection: &Connection, outbound: &mut Outbound, op: &Op<'_>) -> Said {
        let hub = self.hub.clone();
        match op {
            Op::Subscribe { account, interest } => {
                if !self.is_interest(connection, account, interest) {
                    return Said::Done;
                }
                match outbound.wants.of(account, &hub) {
                    Some(wants) => {
                        // What is too much is not remembered.
                        let far = (&outbound.peer, &outbound.rights);
                        let _ = self.link_wants(wants, far, None, interest, INTEREST_MAX);
                    }
                    None => outbound.wants.want_early(account, None, interest),
                }
            }
            Op::Unsubscribe { account, disinterest } => {
                if !self.is_end_of_interest(connection, account, disinterest) {
                    return Said::Done;
                }
                match outbound.wants.of(account, &hub) {
                    Some(wants) => self.link_wants_no_more(wants, None, disinterest),
                    None => outbound.wants.want_early_no_more(account, None, disinterest),
                }
            }
            Op::AccountInterest(account) => {
                let account = String::from_utf8_lossy(account);
                self.told_by_optimist(connection, &account, |known| known.account_wants(&account));
            }
            Op::AccountDisinterest(account) => {
                let account = String::from_utf8_lossy(account);
                self.told_by_optimist(connection, &account, |known| known.account_wants_nothing(&account));
            }
            Op::Ping => self.say(&connection.link, wire::encode::PONG),
            Op::Pong => outbound.alive.session.on_pong(self.now),
            Op::Info(json) => return self.gateway_told(connection, &outbound.peer.cluster, json),
            Op::Err(text) => return self.gateway_error(connection, text),
            Op::Ok => {}
            Op::Connect(_) | Op::Rights(_) | Op::Message { .. } => {
                return self.refuse_link(connection, &LinkError::OutOfTurn);
            }
        }
        Said::Done
    }

    /// `RS+`: whether the far end wants this. One that gets everything takes back that it does not.
    fn is_interest(&self, connection: &Connection, account: &[u8], interest: &Interest<'_>) -> bool {
        let Ok(filter) = Filter::parse(interest.subject) else { return false };
        let account = String::from_utf8_lossy(account);
        interest.queue.is_some()
            || self.told_by_optimist(connection, &account, |known| known.subscribes(&account, &filter)).unwrap_or(true)
    }

    /// `RS-`: whether the far end wanted this. One that gets everything says what it does not want.
    fn is_end_of_interest(&self, connection: &Connection, account: &[u8], gone: &Disinterest<'_>) -> bool {
        let account = String::from_utf8_lossy(account);
        gone.queue.is_some()
            || self
                .told_by_optimist(connection, &account, |known| known.unsubscribes(&account, gone.subject))
                .unwrap_or(true)
    }

    fn inbound_operation(&mut self, connection: &Connection, inbound: &mut Inbound, op: &Op<'_>) -> Said {
        match op {
            Op::Ping => self.say(&connection.link, wire::encode::PONG),
            Op::Pong => inbound.alive.session.on_pong(self.now),
            Op::Err(text) => return self.gateway_error(connection, text),
            Op::Subscribe { .. } | Op::Unsubscribe { .. } | Op::AccountInterest(_) | Op::AccountDisinterest(_) => {
                return self.refuse_link(connection, &LinkError::WrongDirection);
            }
            Op::Rights(json) if !inbound.heard.heard(json) => {
                return self.refuse_link(connection, &LinkError::OutOfTurn);
            }
            Op::Rights(_) => {}
            // A second login changes nothing, and who the far end is was said.
            Op::Info(_) | Op::Connect(_) | Op::Ok | Op::Message { .. } => {}
        }
        Said::Done
    }

    /// One message of another cluster.
    fn gateway_message(
        &mut self,
        link: &Arc<Link>,
        inbound: &mut Inbound,
        account: &[u8],
        message: &Message<'_>,
        source: Source<'_>,
    ) {
        inbound.alive.count(message.body.len());
        let hub = self.hub.clone();
        let Inbound { accounts, rights, server, heard, refused, .. } = inbound;
        let Some(wants) = accounts.of(account, &hub) else {
            if let Some(refused) = refused
                && refused.len() < REFUSED_MAX
                && refused.insert(account.into())
            {
                self.say(link, &[b"A- ", account, b"\r\n"].concat());
            }
            heard.forget();
            return;
        };
        let publisher = heard.publisher(&wants.state);
        let publisher = publisher.as_deref();
        self.tally.came(&wants.state, link.kind, message.body.len());
        let rights_of_answer = publisher.map_or(Rights::Answering, FarPublisher::rights_of_answer);
        let answer = Answer { link, wants, place: Place::Gateway, message, source, rights: rights_of_answer };
        if self.take_returned(&answer) {
            return;
        }
        let settings = wants.state.settings();
        let incoming = Incoming::from_server(Place::Gateway, link, b"", &settings.name, server).by(publisher);
        // Everything may be taken in; bytes that are no subject reach nobody.
        let _ = self.link_message(link, wants, rights, &incoming, message, source);
    }
}
