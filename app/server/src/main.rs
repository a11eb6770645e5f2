//! The `nats-server` binary: reads the configuration, puts the rooms together, and serves until told to stop.

mod chronicle;
mod log;
mod process_files;
mod signals;
mod system;

use std::sync::Arc;

use broker::{ClientSettings, Hub};
use net::{Listener, LoginPool, LoginPoolLimits, Workers};

struct OpenGate(std::sync::OnceLock<Arc<Hub>>);

impl net::AcceptGate for OpenGate {
    fn admit(&self, _: std::net::SocketAddr) -> Result<(), Option<net::Refused>> {
        match self.0.get() {
            Some(hub) if hub.admit_client() => Ok(()),
            _ => Err(Some(net::Refused { error: "maximum connections exceeded", info_first: true })),
        }
    }
}

fn main() {
    let port: u16 = std::env::args().nth(2).and_then(|p| p.parse().ok()).unwrap_or(4222);
    let log = Arc::new(log::Log::open(log::LogSettings { time: true, ..Default::default() }).unwrap());
    let workers = Workers::prepare(system::cores(), std::time::Instant::now()).unwrap();
    let directory = auth::Directory::build(&auth::settings::Settings::default(), &mut account::AccountIds::default()).unwrap();
    let logins = Arc::new(LoginPool::start(LoginPoolLimits::default(), workers.mailboxes()).unwrap());
    let hub = Hub::new(
        workers.mailboxes(),
        directory,
        ClientSettings::default(),
        Arc::new(chronicle::Chronicle(log.clone())),
        logins,
        Arc::new(system::SystemRandom),
        system::random_u64(),
    );
    let gate = Arc::new(OpenGate(std::sync::OnceLock::new()));
    let _ = gate.0.set(hub.clone());
    let listener = Listener::bind("127.0.0.1", port, gate).unwrap();
    let _running = workers.start(&hub, Some(listener), system::random_u64()).unwrap();
    log.notice("Server is ready");
    loop {
        std::thread::park();
    }
}
