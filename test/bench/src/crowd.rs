//! Strangers who connect and do not behave: half handshakes, garbage, silence. They stay while something else is measured,
//! and whoever is sent away comes again.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::opts::Addr;

/// Between two looks at who was sent away.
const LOOK: Duration = Duration::from_millis(200);

pub struct Crowd {
    stop: Arc<AtomicBool>,
    came: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Brings so many to the server; returns when all have come.
    pub fn gather(addr: &Addr, size: usize) -> Crowd {
        let (stop, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (addr, s, c) = (addr.clone(), stop.clone(), came.clone());
        let thread = std::thread::spawn(move || {
            let deeds = deeds();
            let mut all: Vec<Option<TcpStream>> = (0..size).map(|_| None).collect();
            while !s.load(Ordering::Relaxed) {
                for (n, place) in all.iter_mut().enumerate() {
                    if place.as_mut().is_none_or(is_gone) {
                        *place = come(&addr, &deeds[n % deeds.len()]);
                        c.fetch_add(1, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
        while came.load(Ordering::Relaxed) < size {
            std::thread::sleep(Duration::from_millis(5));
        }
        Crowd { stop, came, thread: Some(thread) }
    }

    /// How often somebody has come.
    pub fn came(&self) -> usize {
        self.came.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn come(addr: &Addr, deed: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect((addr.0.as_str(), addr.1)).ok()?;
    stream.set_nonblocking(true).ok()?;
    // Whoever is cut off while sending is cut off.
    let _ = stream.write(deed);
    Some(stream)
}

fn is_gone(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4096];
    match stream.read(&mut bytes) {
        Ok(0) => true,
        Ok(_) => false,
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    }
}

/// The head of a hello that promises more than ever comes, with this much of it.
fn half(len: usize) -> Vec<u8> {
    let mut hello = vec![1, 0, 0xff, 0xf0];
    hello.resize(len, 7);
    hello.chunks(16_000).flat_map(|p| [&[0x16, 3, 1, (p.len() >> 8) as u8, p.len() as u8], p].concat()).collect()
}

/// What they do, each in turn.
fn deeds() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0x16, 3, 1, 0x40, 0],
        half(8_000),
        half(60_000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 4096],
        vec![0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff],
        b"\x16\x03\x01\x00\x04\x0e\x00\x00\x00".to_vec(),
    ]
}
