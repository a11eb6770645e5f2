//! A pairwise cover of everything that can be combined, against rustls as the client. What happens in each cell stands in
//! `tests/matrix.txt`, so a change of behaviour is a difference one can read. `BULWARK_WRITE_MATRIX=1` writes it anew.

use std::fmt::Write;

use bulwark_tls::{CertificateFiles, PeerFacts, PinnedCerts, Settings, SpkiHash};
use rustls::crypto::aws_lc_rs::{cipher_suite as suites, kx_group as groups};
use rustls::{HandshakeKind, SupportedCipherSuite};
use testkit::certificates::{Authority, Files, Identity, Key, Subject, Usage, Years};

use crate::pair::server_tls;
use crate::stock::{self, Failed, Stock, give_wire, seal};

const AXES: [(&str, &[&str]); 7] = [
    ("version", &["1.2", "1.3"]),
    ("cipher", &["aes128", "aes256", "chacha"]),
    ("curve", &["X25519MLKEM768", "SecP256r1MLKEM768", "X25519", "P256", "P384"]),
    ("server", &["p256", "p384", "ed25519", "rsa"]),
    (
        "client",
        &[
            "none",
            "p256",
            "p384",
            "ed25519",
            "rsa",
            "below",
            "root",
            "self",
            "stranger",
            "expired",
            "future",
            "server-only",
            "revoked",
        ],
    ),
    ("verify", &["off", "verify", "map"]),
    ("pin", &["none", "its", "other"]),
];

type Cell = [usize; AXES.len()];

/// An axis with a value, and another one.
type Pair = (usize, usize, usize, usize);

/// A row for every pair of values, found greedily; the same rows each time.
fn cover() -> Vec<Cell> {
    let values = || (0..AXES.len()).flat_map(|axis| (0..AXES[axis].1.len()).map(move |value| (axis, value)));
    let mut missing: Vec<Pair> = values()
        .flat_map(|(left, a)| values().map(move |(right, b)| (left, a, right, b)))
        .filter(|(left, _, right, _)| left < right)
        .collect();
    let mut state = 1_u64;
    let mut next = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut rows = Vec::new();
    while let Some(&(left, a, right, b)) = missing.first() {
        let covers = |cell: &Cell, pair: &Pair| cell[pair.0] == pair.1 && cell[pair.2] == pair.3;
        let candidates = (0..60).map(|_| {
            let mut cell: Cell = std::array::from_fn(|axis| next(AXES[axis].1.len()));
            (cell[left], cell[right]) = (a, b);
            cell
        });
        let best = candidates.max_by_key(|cell| missing.iter().filter(|pair| covers(cell, pair)).count()).unwrap();
        missing.retain(|pair| !covers(&best, pair));
        rows.push(best);
    }
    rows.sort_unstable();
    rows
}

/// Everybody who takes part, made once.
struct Cast {
    files: Files,
    authority: Authority,
    clients: Vec<Option<Identity>>,
}

impl Cast {
    fn new() -> Self {
        let authority = Authority::new("Server CA");
        let issuer = Authority::new("Client CA");
        let files = Files::new();
        for (name, key) in [("p256", Key::P256), ("p384", Key::P384), ("ed25519", Key::Ed25519), ("rsa", Key::Rsa)] {
            files.write_identity(name, &authority.issue(Subject::named("server").dns("localhost").key(key)));
        }
        let subject = || Subject::named("client").email("client@test").usage(Usage::Client);
        let root = subject().self_signed();
        let revoked = issuer.issue(subject());
        files.write("roots.pem", issuer.pem.clone() + &root.chain_pem);
        files.write("clients.crl", issuer.revocation_list(&[&revoked], Years::Now));
        let clients = AXES[4].1.iter().map(|kind| match *kind {
            "none" => None,
            "p384" => Some(issuer.issue(subject().key(Key::P384))),
            "ed25519" => Some(issuer.issue(subject().key(Key::Ed25519))),
            "rsa" => Some(issuer.issue(subject().key(Key::Rsa))),
            "below" => Some(issuer.intermediate("Below").issue(subject())),
            "root" => Some(root.clone()),
            "self" => Some(subject().self_signed()),
            "stranger" => Some(Authority::new("Stranger CA").issue(subject())),
            "expired" => Some(issuer.issue(subject().years(Years::Past))),
            "future" => Some(issuer.issue(subject().years(Years::Future))),
            "server-only" => Some(issuer.issue(subject().usage(Usage::Server))),
            "revoked" => Some(revoked.clone()),
            _ => Some(issuer.issue(subject())),
        });
        Self { clients: clients.collect(), files, authority }
    }

    fn server(&self, cell: &Cell) -> Settings {
        let value = |axis: usize| AXES[axis].1[cell[axis]];
        let key = value(3);
        let own = self.clients[cell[4]].as_ref().map(|client| PeerFacts::read(&client.der).unwrap().spki_sha256);
        let pinned = match value(6) {
            "none" => None,
            "its" => Some(own.unwrap_or(SpkiHash([1; 32]))),
            _ => Some(SpkiHash([2; 32])),
        };
        Settings {
            certificates: vec![CertificateFiles::new(format!("{key}.pem"), format!("{key}.key"))],
            ca_file: Some("roots.pem".into()),
            crl_files: vec!["clients.crl".into()],
            verify: value(5) == "verify",
            verify_and_map: value(5) == "map",
            pinned_certs: PinnedCerts::from_iter(pinned),
            ..Settings::default()
        }
    }

    fn client(&self, cell: &Cell) -> Stock {
        let mut stock = Stock::trusting(&[&self.authority.der]).suite(suite(cell)).group(group(cell));
        stock.versions = vec![if cell[0] == 0 { &rustls::version::TLS12 } else { &rustls::version::TLS13 }];
        stock.identity = self.clients[cell[4]].clone();
        stock
    }

    fn outcome(&self, cell: &Cell) -> String {
        let config = self.client(cell).client_config();
        let ours = server_tls(&self.server(cell), &self.files).accept().unwrap();
        let (mut ours, mut theirs) = match stock::shake(ours, Stock::client_of(config)) {
            Err(Failed::Ours(fault)) => return format!("refused: {fault}"),
            Err(Failed::Theirs(error)) => return format!("the client gave up: {error}"),
            Ok(pair) => pair,
        };
        let mut read = Vec::new();
        ours.layer.open(&seal(&mut theirs, b"up"), &mut read, &mut Vec::new()).unwrap();
        let mut wire = Vec::new();
        ours.layer.seal(b"down", &mut wire);
        ours.layer.finish(&mut wire);
        assert_eq!((read.as_slice(), give_wire(&mut theirs, &wire).unwrap().as_slice()), (&b"up"[..], &b"down"[..]));
        assert_ne!(theirs.handshake_kind(), Some(HandshakeKind::Resumed));
        let session = &ours.session;
        let who = ours.peer.and_then(|peer| peer.emails.first().cloned()).unwrap_or_else(|| "nobody".into());
        let curve = session.curve.map_or("?", bulwark_tls::Curve::name);
        format!("{} with {} {} {curve}", who, session.version.name(), session.suite.name())
    }
}

fn suite(cell: &Cell) -> SupportedCipherSuite {
    let is_rsa = AXES[3].1[cell[3]] == "rsa";
    match (cell[0], cell[1], is_rsa) {
        (0, 0, false) => suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        (0, 1, false) => suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        (0, _, false) => suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        (0, 0, true) => suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        (0, 1, true) => suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        (0, _, true) => suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        (_, 0, _) => suites::TLS13_AES_128_GCM_SHA256,
        (_, 1, _) => suites::TLS13_AES_256_GCM_SHA384,
        _ => suites::TLS13_CHACHA20_POLY1305_SHA256,
    }
}

fn group(cell: &Cell) -> &'static dyn rustls::crypto::SupportedKxGroup {
    match cell[2] {
        0 => groups::X25519MLKEM768,
        1 => groups::SECP256R1MLKEM768,
        2 => groups::X25519,
        3 => groups::SECP256R1,
        _ => groups::SECP384R1,
    }
}

#[test]
fn every_pair_of_values_leads_where_the_matrix_says() {
    let cast = Cast::new();
    let mut table = String::new();
    let names: Vec<&str> = AXES.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(table, "{} | outcome", names.join(" "));
    for cell in cover() {
        let values: Vec<&str> = cell.iter().zip(AXES).map(|(value, (_, values))| values[*value]).collect();
        let outcome = cast.outcome(&cell);
        rule_agrees(&values, &outcome);
        let _ = writeln!(table, "{} | {outcome}", values.join(" "));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix.txt");
    if std::env::var_os("BULWARK_WRITE_MATRIX").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap();
    for (at, (row, expected)) in table.lines().zip(expected.lines()).enumerate() {
        assert_eq!(row, expected, "row {at}");
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}

/// Who gets in, said once more and independently of the table.
fn rule_agrees(values: &[&str], outcome: &str) {
    let &[version, _, curve, _, client, verify, pin] = values else { panic!("seven axes") };
    let speaks = version == "1.3" || !curve.contains("MLKEM");
    let trusted = matches!(client, "p256" | "p384" | "ed25519" | "rsa" | "below" | "root");
    let identified = verify != "off" && client != "none";
    let admitted = speaks
        && (verify == "off" || trusted)
        && match pin {
            "none" => true,
            "its" => identified,
            _ => false,
        };
    assert_eq!(outcome.contains(" with "), admitted, "{values:?}: {outcome}");
    assert_eq!(outcome.starts_with("client@test"), admitted && identified, "{values:?}: {outcome}");
}
