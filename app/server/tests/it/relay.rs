//! A wire between two servers. It remembers what went over it; a scene can make it slow, or dead without either end
//! hearing of it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Passes bytes on.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    made: AtomicUsize,
    /// Connections up to this number pass nothing on any more.
    dead: AtomicUsize,
    delay_millis: AtomicU64,
    /// Between two pieces that are taken from either end.
    pause_millis: AtomicU64,
    said: [Mutex<Vec<u8>>; 2],
}

/// Which end of a wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The one that made the connection.
    Dials,
    /// The one to which it was made.
    Accepts,
}

impl Relay {
    /// To a server.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<Shared> = Arc::default();
        let own = shared.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let number = own.made.fetch_add(1, Ordering::SeqCst) + 1;
                let Ok(far) = TcpStream::connect(server) else { continue };
                for (end, from, to) in [(End::Dials, &near, &far), (End::Accepts, &far, &near)] {
                    let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), own.clone());
                    std::thread::spawn(move || shared.pass_on(number, end, from, to));
                }
            }
        });
        Self { address, shared }
    }

    /// Connections so far.
    pub(crate) fn made(&self) -> usize {
        self.shared.made.load(Ordering::SeqCst)
    }

    /// Those that are there go silent: nothing comes through, and nobody is told. Later ones work.
    pub(crate) fn cut_silently(&self) {
        self.shared.dead.store(self.made(), Ordering::SeqCst);
    }

    /// Whether one end has said this.
    pub(crate) fn has_said(&self, end: End, text: &str) -> bool {
        self.shared.said[end as usize].lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// So much time passes between two pieces of sixteen kilobytes from now on: whoever sends much has to wait.
    pub(crate) fn pause(&self, between: Duration) {
        self.shared.pause_millis.store(u64::try_from(between.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Whatever passes takes so long from now on.
    pub(crate) fn delay(&self, by: Duration) {
        self.shared.delay_millis.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Shared {
    /// Takes what comes from one end, and has it delivered when its time has come.
    fn pass_on(self: &Arc<Self>, number: usize, end: End, mut from: TcpStream, to: TcpStream) {
        let (pieces, due) = channel();
        let shared = self.clone();
        std::thread::spawn(move || shared.deliver(number, &due, to));
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            self.said[end as usize].lock().unwrap().extend_from_slice(&bytes[..read]);
            let delay = Duration::from_millis(self.delay_millis.load(Ordering::SeqCst));
            if pieces.send((Instant::now() + delay, bytes[..read].to_vec())).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(self.pause_millis.load(Ordering::SeqCst)));
        }
        if !self.is_dead(number) {
            let _ = from.shutdown(Shutdown::Read);
        }
    }

    fn deliver(&self, number: usize, due: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
        for (at, bytes) in due {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if !self.is_dead(number) && to.write_all(&bytes).is_err() {
                break;
            }
        }
        if !self.is_dead(number) {
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    fn is_dead(&self, number: usize) -> bool {
        number <= self.dead.load(Ordering::SeqCst)
    }
}
