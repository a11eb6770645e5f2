//! Two ends and the wire between them.

use bulwark_tls::{ClientTls, Established, Fault, Handshake, ServerTls, Settings, Step};
use testkit::certificates::Files;

/// Both ends of a secure connection.
pub(crate) struct Pair {
    pub(crate) server: Established,
    pub(crate) client: Established,
}

/// How a handshake that did not succeed ended at each end.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) server: Option<Fault>,
    pub(crate) client: Option<Fault>,
}

pub(crate) fn server_tls(settings: &Settings, files: &Files) -> ServerTls {
    ServerTls::build(settings, &|path| files.read(path)).expect("the settings are good")
}

pub(crate) fn client_tls(settings: &Settings, files: &Files) -> ClientTls {
    ClientTls::build(settings, &|path| files.read(path)).expect("the settings are good")
}

/// One end under way.
enum End {
    Open(Box<Handshake>),
    Done(Box<Established>),
    Failed(Fault),
}

impl End {
    fn receive(self, wire: &[u8], out: &mut Vec<u8>) -> Self {
        let mut handshake = match self {
            Self::Open(handshake) => handshake,
            // What comes behind its handshake, an alert for instance, is for the layer.
            Self::Done(mut established) => {
                let opened = established.layer.open(wire, &mut Vec::new(), out);
                return match opened {
                    Ok(_) => Self::Done(established),
                    Err(fault) => Self::Failed(fault),
                };
            }
            Self::Failed(fault) => return Self::Failed(fault),
        };
        if let Err(fault) = handshake.feed(wire) {
            return Self::Failed(fault);
        }
        if !handshake.has_work() {
            return Self::Open(handshake);
        }
        match handshake.step(out) {
            Ok(Step::Wait) => Self::Open(handshake),
            Ok(Step::Done(established)) => Self::Done(Box::new(established)),
            Err(fault) => Self::Failed(fault),
        }
    }

    fn fault(self) -> Option<Fault> {
        match self {
            Self::Failed(fault) => Some(fault),
            _ => None,
        }
    }
}

/// Lets both ends talk until they are done or one of them gives up.
pub(crate) fn shake(server: Handshake, client: Handshake) -> Result<Pair, Failed> {
    shake_in_pieces(server, client, usize::MAX)
}

/// The same, with a wire that delivers so many bytes at a time.
pub(crate) fn shake_in_pieces(server: Handshake, client: Handshake, piece: usize) -> Result<Pair, Failed> {
    let (mut server, mut client) = (End::Open(Box::new(server)), End::Open(Box::new(client)));
    let mut to_server = Vec::new();
    client = client.receive(&[], &mut to_server);
    let mut to_client = Vec::new();
    while !to_server.is_empty() || !to_client.is_empty() {
        for bytes in std::mem::take(&mut to_server).chunks(piece) {
            server = server.receive(bytes, &mut to_client);
        }
        for bytes in std::mem::take(&mut to_client).chunks(piece) {
            client = client.receive(bytes, &mut to_server);
        }
    }
    match (server, client) {
        (End::Done(server), End::Done(client)) => Ok(Pair { server: *server, client: *client }),
        (server, client) => Err(Failed { server: server.fault(), client: client.fault() }),
    }
}

/// A handshake between two blocks, the client asking for `localhost`.
pub(crate) fn meet(server: &Settings, client: &Settings, files: &Files) -> Result<Pair, Failed> {
    meet_at("localhost", server, client, files)
}

pub(crate) fn meet_at(host: &str, server: &Settings, client: &Settings, files: &Files) -> Result<Pair, Failed> {
    let server = server_tls(server, files).accept().unwrap();
    let client = client_tls(client, files).connect(host).unwrap();
    shake(server, client)
}

impl Pair {
    /// Sends `plain` from the client and gives back what the server reads.
    pub(crate) fn up(&mut self, plain: &[u8]) -> Vec<u8> {
        carry(&mut self.client, &mut self.server, plain)
    }

    /// Sends `plain` from the server and gives back what the client reads.
    pub(crate) fn down(&mut self, plain: &[u8]) -> Vec<u8> {
        carry(&mut self.server, &mut self.client, plain)
    }
}

fn carry(from: &mut Established, to: &mut Established, plain: &[u8]) -> Vec<u8> {
    let (mut wire, mut read, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    from.layer.seal(plain, &mut wire);
    from.layer.finish(&mut wire);
    to.layer.open(&wire, &mut read, &mut answer).expect("honest records");
    from.layer.open(&answer, &mut Vec::new(), &mut Vec::new()).expect("honest answers");
    read
}
