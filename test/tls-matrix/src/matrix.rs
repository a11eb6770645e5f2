//! Running the cells, and the table of what came out.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::axes::{AXES, Cell};
use crate::cast::Cast;
use crate::client::{self, Met, Tools};
use crate::decisions;
use crate::house::{self, Binary, House};
use crate::outcome::Outcome;

/// Cells at once: most of them wait.
const AT_ONCE: usize = 4;

/// A handshake that may come before INFO within some milliseconds, or after it, is a race on a busy machine. A cell that
/// should work is tried so often.
const TRIES: usize = 8;

/// Configurations that one server or both cannot have, beside what is wrong with each.
const CONFIGURATIONS: [(&str, &str); 18] = [
    ("a suite with CBC", "tls { PAIR, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA] }"),
    (
        "the same, allowed",
        "tls { PAIR, allow_insecure_cipher_suites: true, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA] }",
    ),
    ("a suite without forward secrecy", "tls { PAIR, cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256] }"),
    ("an unknown suite", "tls { PAIR, cipher_suites: [TLS_NONE] }"),
    ("no suite", "tls { PAIR, cipher_suites: [] }"),
    ("curve CurveP521", "tls { PAIR, curve_preferences: [CurveP521] }"),
    ("curve SecP256r1MLKEM768", "tls { PAIR, curve_preferences: [SecP256r1MLKEM768] }"),
    ("curve SecP384r1MLKEM1024", "tls { PAIR, curve_preferences: [SecP384r1MLKEM1024] }"),
    ("an unknown curve", "tls { PAIR, curve_preferences: [CurveP1] }"),
    ("TLS 1.1", "tls { PAIR, min_version: \"1.1\" }"),
    ("a pin that is none", "tls { PAIR, pinned_certs: [\"abc\"] }"),
    ("known URLs of clients", "tls { PAIR, verify_cert_and_check_known_urls: true }"),
    ("a certificate without its key", "tls { cert_file: 'FOLDER/server.pem' }"),
    ("a key without its certificate", "tls { key_file: 'FOLDER/server.key' }"),
    ("another's key", "tls { cert_file: 'FOLDER/server.pem', key_file: 'FOLDER/p256.key' }"),
    ("roots that are none", "tls { PAIR, ca_file: 'FOLDER/server.key', verify: true }"),
    ("a file that is not there", "tls { cert_file: 'FOLDER/nowhere.pem', key_file: 'FOLDER/server.key' }"),
    ("questions to issuers without a certificate to ask about", "tls { PAIR, ocsp_peer: true }"),
];

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// The cell, or the configuration.
    pub what: String,
    /// What it led to here.
    pub ours: Outcome,
    /// Why, as our log says it; empty where a client was served.
    pub reason: String,
    /// What it led to at the reference, if it was asked.
    pub theirs: Option<Outcome>,
}

impl Row {
    /// Why the servers part: `Ok` with the decision, or with nothing where they agree.
    ///
    /// # Errors
    /// With the row, if nothing was decided.
    pub fn decision(&self) -> Result<Option<&'static str>, String> {
        let Some(theirs) = self.theirs.as_ref().filter(|theirs| !agree(&self.ours, theirs)) else { return Ok(None) };
        let found = decisions::find(&self.what, &self.ours, theirs);
        found.map(Some).ok_or_else(|| format!("{}: {} here, {theirs} at the reference", self.what, self.ours))
    }

    /// Whether a client was served.
    pub fn is_served(&self) -> bool {
        matches!(self.ours, Outcome::Served { .. })
    }

    /// The line without the reference.
    pub fn line(&self) -> String {
        format!("{} | {}", self.what, self.ours)
    }
}

/// A configuration that both refuse is refused alike, whatever the words.
fn agree(ours: &Outcome, theirs: &Outcome) -> bool {
    matches!((ours, theirs), (Outcome::Unusable(_), Outcome::Unusable(_))) || ours == theirs
}

/// Runs cells against our server, and against the reference if there is one.
///
/// # Errors
/// If something beside the servers is broken: a program that is not there, a file that cannot be written.
pub fn run(cells: &[Cell], ours: &Binary, reference: Option<&Binary>, tools: &Tools) -> Result<Vec<Row>, String> {
    let cast = Cast::new()?;
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cells.len()) {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = row(cell, ours, reference, &cast, tools);
                    rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((*cell, row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    rows.sort_by_key(|(cell, _)| cells.iter().position(|known| known == cell));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(cell: &Cell, ours: &Binary, reference: Option<&Binary>, cast: &Cast, tools: &Tools) -> Result<Row, String> {
    let (outcome, reason) = played(cell, ours, cast, tools)?;
    let theirs = reference.map(|binary| played(cell, binary, cast, tools)).transpose()?;
    Ok(Row { what: cell.to_string(), ours: outcome, reason, theirs: theirs.map(|(outcome, _)| outcome) })
}

fn played(cell: &Cell, binary: &Binary, cast: &Cast, tools: &Tools) -> Result<(Outcome, String), String> {
    let tries = if cell.should_work() { TRIES } else { 1 };
    let mut last = once(cell, binary, cast, tools)?;
    for _ in 1..tries {
        if matches!(last.0, Outcome::Served { .. }) {
            break;
        }
        last = once(cell, binary, cast, tools)?;
    }
    Ok(last)
}

fn once(cell: &Cell, binary: &Binary, cast: &Cast, tools: &Tools) -> Result<(Outcome, String), String> {
    let house = match House::start(binary, cell, cast) {
        Ok(house) => house,
        Err(why) => return Err(format!("{} does not start with {cell}: {why}", binary.name)),
    };
    match client::connect(cell, house.clients, cast, tools)? {
        Met::Service(client) => {
            let (by, user) = house.connected().map_err(|error| format!("{cell}: {error}"))?;
            drop(client);
            let user = if cell.get("identity").starts_with("map") { user } else { String::new() };
            Ok((Outcome::Served { by, user }, String::new()))
        }
        Met::LoginRefused => Ok((Outcome::LoginRefused, house.reason())),
        Met::HandshakeRefused => Ok((Outcome::HandshakeRefused, house.reason())),
    }
}

/// Asks both servers about the configurations that one of them cannot have.
///
/// # Errors
/// If something beside the servers is broken.
pub fn configurations(ours: &Binary, reference: Option<&Binary>) -> Result<Vec<Row>, String> {
    let cast = Cast::new()?;
    let ask = |binary: &Binary, block: &str| {
        let block = block.replace("PAIR", "cert_file: 'FOLDER/server.pem', key_file: 'FOLDER/server.key'");
        house::check(binary, &cast, &block).map_or_else(Outcome::Unusable, |()| Outcome::Usable)
    };
    let row = |(what, block): &(&str, &str)| Row {
        what: (*what).to_owned(),
        ours: ask(ours, block),
        reason: String::new(),
        theirs: reference.map(|binary| ask(binary, block)),
    };
    Ok(CONFIGURATIONS.iter().map(row).collect())
}

/// The whole table.
///
/// # Errors
/// With every row in which the servers part without a decision, and every one that should work and does not.
pub fn table(cover: &[Row], refusals: &[Row], configurations: &[Row]) -> Result<String, String> {
    let mut text = String::from("# Every pair of options that should work together\n\n");
    let names: Vec<&str> = AXES.iter().map(|(name, _)| *name).collect();
    let _ = writeln!(text, "{} | outcome\n", names.join(" "));
    let unserved = cover.iter().filter(|row| !row.is_served());
    let mut undecided: Vec<String> = unserved.map(|row| format!("{}: should work, {}", row.what, row.ours)).collect();
    let mut write = |text: &mut String, rows: &[Row]| {
        for row in rows {
            text.push_str(&row.line());
            if !row.reason.is_empty() {
                let _ = write!(text, " | {}", row.reason);
            }
            match (row.decision(), &row.theirs) {
                (Ok(None), _) | (_, None) => {}
                (Ok(Some(why)), Some(theirs)) => {
                    let _ = write!(text, " | the reference: {theirs} | decided: {why}");
                }
                (Err(error), _) => undecided.push(error),
            }
            text.push('\n');
        }
    };
    write(&mut text, cover);
    text.push_str("\n# Every refusal alone\n\n");
    write(&mut text, refusals);
    text.push_str("\n# Configurations that cannot be had\n\n");
    write(&mut text, configurations);
    if undecided.is_empty() { Ok(text) } else { Err(undecided.join("\n")) }
}
