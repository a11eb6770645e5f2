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
    seen: Mutex<Vec<u8>>,
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
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), own.clone());
                    std::thread::spawn(move || shared.pass_on(number, from, to));
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

    /// Whether this went over it, either way.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        self.shared.seen.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Whatever passes takes so long from now on.
    pub(crate) fn delay(&self, by: Duration) {
        self.shared.delay_millis.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Shared {
    /// Takes what comes from one end, and has it delivered when its time has come.
    fn pass_on(self: &Arc<Self>, number: usize, mut from: TcpStream, to: TcpStream) {
        let (pieces, due) = channel();
        let shared = self.clone();
        std::thread::spawn(move || shared.deliver(number, &due, to));
        let mut bytes = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            self.seen.lock().unwrap().extend_from_slice(&bytes[..read]);
            let delay = Duration::from_millis(self.delay_millis.load(Ordering::SeqCst));
            if pieces.send((Instant::now() + delay, bytes[..read].to_vec())).is_err() {
                break;
            }
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
