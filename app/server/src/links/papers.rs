//! Certificates of links over time: their files are watched, and whoever is connected is judged again by what is new.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::{ConnectionKey, ConnectionLabel, Hub, Link, Note};
use config::Settings;
use net::{CameBy, Peers};
use tls::{Fault, FileWatch, Stamp};
use wire::CloseReason;

use crate::log::{About, Log, Matter};

/// What is known about the files of links.
pub struct Papers {
    log: Arc<Log>,
    peers: Arc<Peers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watch: Option<FileWatch>,
    /// The last failure of a renewal, so that it is said once.
    failure: Option<String>,
}

/// The files of a configuration as they were before they were read.
pub struct PreparedPapers(FileWatch);

impl Papers {
    pub fn new(log: Arc<Log>, peers: Arc<Peers>) -> Self {
        Self { log, peers, state: Mutex::default() }
    }

    /// Looks at the files of a configuration. They are read afterwards: what changes meanwhile is seen at the next look.
    pub fn prepare(settings: &Settings) -> PreparedPapers {
        PreparedPapers(FileWatch::new(files(settings), Stamp::of))
    }

    /// These are the files from now on.
    pub fn install(&self, prepared: PreparedPapers) {
        *self.state() = State { watch: Some(prepared.0), failure: None };
    }

    /// Whether a file is not as it was at the last look.
    pub fn have_changed(&self) -> bool {
        self.state().watch.as_mut().is_some_and(|watch| !watch.changed(Stamp::of).is_empty())
    }

    /// What came of reading them again.
    pub fn renewed(&self, outcome: Result<(), String>) {
        let mut state = self.state();
        match outcome {
            Ok(()) => {
                state.failure = None;
                self.log.notice("Certificate files of links have changed: the new ones are in use");
            }
            Err(error) if state.failure.as_ref() != Some(&error) => {
                self.log.error(&format!("Certificate files of links have changed and are not used: {error}"));
                state.failure = Some(error);
            }
            Err(_) => {}
        }
    }

    /// Closes the links whose far end would not be let in, or gone to, now.
    pub fn judge(&self, hub: &Hub, judge: impl Fn(&CameBy, &[Vec<u8>]) -> Option<Result<(), Fault>>) {
        for (key, fault) in self.peers.judge(judge) {
            let text = format!("TLS connection closed by reload: {fault}");
            match link_of(hub, key) {
                Some(link) => {
                    self.log.of(&About::new(&link, &ConnectionLabel::default(), Matter::Connection)).error(&text);
                }
                // It is on its way in, or out.
                None => self.log.error(&text),
            }
            hub.tell(key, Note::Close(key, CloseReason::TlsHandshakeFailure));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, be it a client's or another server's.
fn link_of(hub: &Hub, key: ConnectionKey) -> Option<Arc<Link>> {
    let server = || hub.links().into_iter().map(|known| known.link).find(|link| link.key == key);
    hub.connection(key.id).map(|known| known.link).or_else(server)
}

/// Every file that a block of links names.
fn files(settings: &Settings) -> Vec<PathBuf> {
    let leafs = settings.leafnodes.iter().flat_map(|block| {
        let remotes = block.remotes.iter().filter(|remote| !remote.disabled).filter_map(|remote| remote.tls.as_ref());
        block.tls.iter().chain(remotes)
    });
    let gateways = settings.gateway.iter().flat_map(|block| {
        let remotes = block.remotes.iter().filter_map(|remote| remote.tls.as_ref());
        block.tls.iter().chain(remotes)
    });
    let websocket = settings.websocket.iter().filter_map(|block| block.tls.as_ref());
    leafs.chain(gateways).chain(&settings.cluster.tls).chain(websocket).flat_map(tls::Settings::files).collect()
}
