//! Figures of the byte layer beside rustls with its own buffers: memory of an idle connection, cost of sealing and
//! opening, cost of a handshake.
//!
//! `cargo run --release -p bulwark-tls --example figures`

use std::hint::black_box;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulwark_tls::{CertificateFiles, ClientTls, Established, Handshake, ServerTls, Settings, Step};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection};
use testkit::certificates::{Authority, Files, Identity, Subject};

const CONNECTIONS: usize = 2000;
const BATCH: usize = 1000;

fn main() {
    let bench = Bench::new();
    // Each in a process of its own: memory that one gave back would hide what the next one takes.
    if let Some(kind) = std::env::args().nth(1) {
        return bench.memory(&kind);
    }
    for kind in ["layer", "layer, both certificates", "rustls", "nothing heard", "hello answered"] {
        let me = std::env::current_exe().unwrap();
        std::process::Command::new(me).arg(kind).status().unwrap();
    }
    bench.handshakes();
    for message in [128, 1024, 16_384] {
        bench.sealing(message);
    }
}

struct Bench {
    server: ServerTls,
    mutual: ServerTls,
    client: ClientTls,
    stock_server: Arc<ServerConfig>,
    stock_client: Arc<ClientConfig>,
}

impl Bench {
    fn new() -> Self {
        let authority = Authority::new("Bench CA");
        let files = Files::new();
        let identity = authority.issue(Subject::named("localhost").dns("localhost"));
        files.write_identity("server", &identity);
        files.write("ca.pem", authority.pem.as_str());
        let settings = Settings {
            certificates: vec![CertificateFiles::new("server.pem", "server.key")],
            ca_file: Some("ca.pem".into()),
            ..Settings::default()
        };
        let read = |path: &std::path::Path| files.read(path);
        let mutual = Settings { verify: true, ..settings.clone() };
        Self {
            server: ServerTls::build(&settings, &read).unwrap(),
            mutual: ServerTls::build(&mutual, &read).unwrap(),
            client: ClientTls::build(&settings, &read).unwrap(),
            stock_server: stock_server(&identity),
            stock_client: stock_client(&authority),
        }
    }

    fn pair(&self, server: &ServerTls) -> (Established, Established, Duration) {
        meet(server.accept().unwrap(), self.client.connect("localhost").unwrap())
    }

    /// A stranger said hello and then nothing more.
    fn half_done(&self) -> Handshake {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let _ = self.client.connect("localhost").unwrap().step(&mut up).unwrap();
        let mut server = self.server.accept().unwrap();
        server.feed(&up).unwrap();
        let _ = server.step(&mut down).unwrap();
        server
    }

    fn stock_pair(&self) -> (Connection, Connection) {
        let name = ServerName::try_from("localhost").unwrap();
        let mut server = Connection::from(ServerConnection::new(Arc::clone(&self.stock_server)).unwrap());
        let mut client = Connection::from(ClientConnection::new(Arc::clone(&self.stock_client), name).unwrap());
        while server.is_handshaking() || client.is_handshaking() || server.wants_write() || client.wants_write() {
            pump(&mut client, &mut server);
            pump(&mut server, &mut client);
        }
        (server, client)
    }

    fn memory(&self, kind: &str) {
        drop((self.pair(&self.server), self.pair(&self.mutual), self.stock_pair()));
        let before = resident();
        match kind {
            "layer" => hold(kind, before, || self.pair(&self.server).0.layer),
            "rustls" => hold(kind, before, || self.stock_pair().0),
            "nothing heard" => hold(kind, before, || self.server.accept().unwrap()),
            "hello answered" => hold(kind, before, || self.half_done()),
            _ => hold(kind, before, || self.pair(&self.mutual).0.layer),
        }
    }

    fn handshakes(&self) {
        for (name, server) in [("server certificate", &self.server), ("both certificates", &self.mutual)] {
            let spent: Duration = (0..500).map(|_| self.pair(server).2).sum();
            println!("handshake, accepting side, {name}: {} us", spent.as_micros() / 500);
        }
    }

    fn sealing(&self, message: usize) {
        let message = vec![b'x'; message];
        let count = BATCH.min((4 << 20) / message.len());
        let total = message.len() * count;
        let (mut ours, mut peer, _) = self.pair(&self.server);
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        let (mut seal, mut open) = (Duration::MAX, Duration::MAX);
        for _ in 0..50 {
            wire.clear();
            plain.clear();
            let start = Instant::now();
            (0..count).for_each(|_| ours.layer.seal(&message, &mut wire));
            ours.layer.finish(&mut wire);
            seal = seal.min(start.elapsed());
            let start = Instant::now();
            wire.chunks(128 << 10).for_each(|chunk| {
                plain.clear();
                peer.layer.open(chunk, &mut plain, &mut Vec::new()).unwrap();
            });
            open = open.min(start.elapsed());
            black_box(&plain);
        }
        show("layer ", message.len(), count, total, seal, open);

        let (mut server, mut client) = self.stock_pair();
        server.set_buffer_limit(None);
        let (mut seal, mut open) = (Duration::MAX, Duration::MAX);
        for _ in 0..50 {
            wire.clear();
            let start = Instant::now();
            let slices: Vec<_> = (0..count).map(|_| std::io::IoSlice::new(&message)).collect();
            let written = server.writer().write_vectored(&slices).unwrap();
            assert_eq!(written, total);
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            seal = seal.min(start.elapsed());
            let start = Instant::now();
            for mut chunk in wire.chunks(128 << 10) {
                plain.clear();
                while !chunk.is_empty() {
                    client.read_tls(&mut chunk).unwrap();
                    let state = client.process_new_packets().unwrap();
                    let at = plain.len();
                    plain.resize(at + state.plaintext_bytes_to_read(), 0);
                    client.reader().read_exact(&mut plain[at..]).unwrap();
                }
            }
            open = open.min(start.elapsed());
            black_box(&plain);
        }
        show("rustls", message.len(), count, total, seal, open);
    }
}

fn show(who: &str, len: usize, count: usize, total: usize, seal: Duration, open: Duration) {
    let rate = |spent: Duration| total as f64 / spent.as_nanos() as f64;
    println!(
        "{who} {count} x {len}: seal {:.2} GB/s ({:.0} ns a message), open {:.2} GB/s",
        rate(seal),
        seal.as_nanos() as f64 / count as f64,
        rate(open)
    );
}

/// Both ends in memory; the time is what the accepting side spent.
fn meet(mut server: Handshake, mut client: Handshake) -> (Established, Established, Duration) {
    let (mut spent, mut done_server, mut done_client) = (Duration::ZERO, None, None);
    let mut up = Vec::new();
    let mut down = Vec::new();
    while done_server.is_none() || done_client.is_none() {
        if done_client.is_none() {
            client.feed(&std::mem::take(&mut down)).unwrap();
            if let Step::Done(established) = client.step(&mut up).unwrap() {
                done_client = Some(established);
            }
        }
        let start = Instant::now();
        server.feed(&std::mem::take(&mut up)).unwrap();
        if let Step::Done(established) = server.step(&mut down).unwrap() {
            done_server = Some(established);
        }
        spent += start.elapsed();
    }
    let mut client = done_client.unwrap();
    client.layer.open(&down, &mut Vec::new(), &mut Vec::new()).unwrap();
    (done_server.unwrap(), client, spent)
}

fn pump(from: &mut Connection, to: &mut Connection) {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire).unwrap();
        to.process_new_packets().unwrap();
    }
}

fn stock_server(identity: &Identity) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.ignore_client_order = true;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Arc::new(config)
}

fn stock_client(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).unwrap();
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn hold<T>(kind: &str, before: usize, make: impl Fn() -> T) {
    let held: Vec<T> = (0..CONNECTIONS).map(|_| make()).collect();
    println!("idle connection, {kind}: {} bytes", (resident() - before) / held.len());
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
