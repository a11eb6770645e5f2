//! An OCSP responder on the loopback: says about a certificate what the test told it to say.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificates::{Authority, Identity};

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The issuer stands by the certificate.
    Good,
    /// It does not any more.
    Revoked,
    /// It knows nothing of it.
    Unknown,
    /// Nothing: the connection stays open and quiet.
    Silence,
}

/// A running responder. It speaks for one authority, until it is dropped.
pub struct Responder {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    words: Mutex<HashMap<u64, Word>>,
    otherwise: Mutex<Word>,
    asked: AtomicUsize,
    stopping: AtomicBool,
    signer: Mutex<Option<Signer>>,
}

struct Signer {
    name: Vec<u8>,
    key: EcdsaKeyPair,
}

impl Responder {
    /// Begins to listen. Certificates can name [`Responder::url`] before anybody is there to sign.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            words: Mutex::default(),
            otherwise: Mutex::new(Word::Good),
            asked: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            signer: Mutex::default(),
        });
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopping.load(Ordering::Relaxed) {
                    return;
                }
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        Self { address, shared }
    }

    /// Answers are signed by this authority.
    pub fn speaks_for(&self, authority: &Authority) {
        let (_, certificate) = X509Certificate::from_der(&authority.der).expect("an authority has a certificate");
        let name = certificate.subject().as_raw().to_vec();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &authority.key_der);
        let signer = Signer { name, key: key.expect("an authority has such a key") };
        *self.shared.signer.lock().expect("no test panics while telling") = Some(signer);
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on says this about a certificate.
    pub fn say(&self, about: &Identity, word: Word) {
        self.shared.words.lock().expect("no test panics while telling").insert(about.serial, word);
    }

    /// From now on says this about everybody else.
    pub fn say_otherwise(&self, word: Word) {
        *self.shared.otherwise.lock().expect("no test panics while telling") = word;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let Some(question) = read_post(&mut stream) else {
            let _ = stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n");
            return;
        };
        self.asked.fetch_add(1, Ordering::Relaxed);
        // The id of the certificate stands behind four sequences and ends with the serial number.
        let id = question.get(8..).unwrap_or_default();
        let words = self.words.lock().expect("no test panics while telling");
        let word = words.get(&serial_of(id)).copied();
        drop(words);
        let word = word.unwrap_or(*self.otherwise.lock().expect("no test panics while telling"));
        let response = self.signer.lock().expect("no test panics while telling").as_ref().map(|s| s.answer(id, word));
        match response {
            Some(_) if word == Word::Silence => {
                // Until the other side has enough.
                let _ = stream.read(&mut [0; 16]);
            }
            Some(response) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", response.len());
                let _ = stream.write_all(&[head.as_bytes(), &response].concat());
            }
            None => {
                let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
            }
        }
    }
}

fn read_post(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 2048];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            if !head.starts_with("POST ") {
                return None;
            }
            let len =
                head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.trim().parse::<usize>().ok()?;
            if bytes.len() >= end + 4 + len {
                return Some(bytes[end + 4..end + 4 + len].to_vec());
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
        }
    }
}

/// The serial number in an id: behind the algorithm and the hashes of the issuer's name and key. None of them is longer than
/// a length of one byte says.
fn serial_of(id: &[u8]) -> u64 {
    let next = |rest: &[u8]| rest.get(1).and_then(|len| rest.get(2 + usize::from(*len)..)).unwrap_or_default().to_vec();
    let inside = id.get(2..).unwrap_or_default().to_vec();
    let serial = (0..3).fold(inside, |rest, _| next(&rest));
    serial.get(2..).unwrap_or_default().iter().fold(0, |serial, &byte| serial << 8 | u64::from(byte))
}

impl Signer {
    fn answer(&self, id: &[u8], word: Word) -> Vec<u8> {
        let status = match word {
            Word::Good | Word::Silence => vec![0x80, 0],
            Word::Revoked => der(0xa1, &[&der(0x18, &[b"20250101000000Z"])]),
            Word::Unknown => vec![0x82, 0],
        };
        let until = der(0xa0, &[&der(0x18, &[b"20891201000000Z"])]);
        let single = der(0x30, &[id, &status, &der(0x18, &[b"20201124000000Z"]), &until]);
        let data = der(0x30, &[&der(0xa1, &[&self.name]), &der(0x18, &[b"20261124000000Z"]), &der(0x30, &[&single])]);
        let signature = self.key.sign(&SystemRandom::new(), &data).expect("a key can sign");
        let algorithm = der(0x30, &[&[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]]);
        let basic = der(0x30, &[&data, &algorithm, &der(3, &[&[0], signature.as_ref()])]);
        let bytes = der(0x30, &[&[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1], &der(4, &[&basic])]);
        der(0x30, &[&[0x0a, 1, 0], &der(0xa0, &[&bytes])])
    }
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        len @ 0..=127 => out.push(len as u8),
        len @ 128..=255 => out.extend([0x81, len as u8]),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serial_number_is_read_as_it_is() {
        for serial in [1_u64, 0x7f, 0x80, 0xff, 0x100, 0x1ff, 0x201, 0x0201_01ff, u64::MAX] {
            let bytes: Vec<u8> = std::iter::once(0).chain(serial.to_be_bytes()).collect();
            let first = bytes.iter().position(|&byte| byte != 0).expect("it is not zero");
            let from = if bytes[first] >= 0x80 { first - 1 } else { first };
            let hash = der(4, &[&[2; 20]]);
            let id = der(0x30, &[&der(0x30, &[&[6, 1, 1]]), &hash, &hash, &der(2, &[&bytes[from..]])]);
            assert_eq!(serial_of(&id), serial, "{serial:x}");
        }
    }
}
