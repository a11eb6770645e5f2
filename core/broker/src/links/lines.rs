//! Taking lines from a link, in the dialect of its kind.

use wire::CloseReason;
use wire::ProtocolError;
use wire::client::Limits;
use wire::server::Parsed;

use crate::buffers::BufferId;
use crate::connection::{Connection, Phase};
use crate::engine::{Engine, Flow};
use crate::links::{Said, ServerLink};
use crate::publish::Source;

/// How servers of one kind talk.
pub(crate) trait Dialect {
    /// An operation.
    type Op<'a>;

    /// Takes one operation from the front of the bytes.
    fn parse<'a>(server: &ServerLink, bytes: &'a [u8], limits: &Limits) -> Result<Parsed<Self::Op<'a>>, ProtocolError>;

    /// Something came.
    fn heard(server: &mut ServerLink, engine: &Engine);

    /// Takes a message of a registered link. `None` if it is something else.
    fn message(engine: &mut Engine, connection: &mut Connection, op: &Self::Op<'_>, source: Source<'_>)
    -> Option<Said>;

    /// Takes everything else. The link is out of its connection meanwhile.
    fn other(engine: &mut Engine, connection: &mut Connection, server: &mut ServerLink, op: &Self::Op<'_>) -> Said;
}

impl Engine {
    /// Takes operations until the bytes end or something else is to be done first.
    pub(crate) fn run_lines<D: Dialect>(&mut self, connection: &mut Connection, id: BufferId, bytes: &[u8]) -> Flow {
        let mut at = 0;
        if let Phase::Server(server) = &mut connection.phase {
            D::heard(server, self);
        }
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Phase::Server(server) = &connection.phase else { return Flow::Close(CloseReason::Unknown) };
            let parsed = D::parse(server, rest, &connection.limits);
            let (op, consumed) = match &parsed {
                Ok(Parsed::Op { op, consumed }) => (op, *consumed),
                Ok(Parsed::Incomplete { need }) => return Flow::Taken { bytes: at, need: *need },
                Err(error) => return Flow::Close(self.protocol_error(connection, error)),
            };
            let source = Source { lender: Some((id, at)), bytes: rest };
            at += consumed;
            let said = match D::message(self, connection, op, source) {
                Some(Said::Done) => continue,
                Some(said) => said,
                None => {
                    self.with_link(connection, |engine, connection, server| D::other(engine, connection, server, op))
                }
            };
            match said {
                Said::Done if connection.takes_layer() => return Flow::Layered { bytes: at },
                Said::Done => {}
                Said::Wait => return Flow::Wait { bytes: at },
                Said::StartTls => return Flow::StartTls,
                Said::Close(reason) => return Flow::Close(reason),
            }
        }
        Flow::Taken { bytes: at, need: 0 }
    }
}
