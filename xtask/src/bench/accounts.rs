//! `bench accounts`: a directory with a hundred thousand accounts: what the start takes, what the first login of an account
//! takes, and one of an account that nobody knows.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::natsload;
use super::start::{self, Start, median};
use crate::Failure;
use crate::shell;

/// Accounts in the directory.
const ACCOUNTS: usize = 100_000;
/// Accounts that somebody logs in to.
const USED: usize = 10_000;
/// Accounts that are not there.
const UNKNOWN: usize = 2_000;

/// One server, measured once.
struct Measured {
    start: Start,
    first: Value,
    again: Value,
    unknown: Value,
}

/// Measures the servers in turn and tells the medians.
pub(super) fn run(rivals: &[(String, PathBuf)], repeat: usize) -> Result<String, Failure> {
    shell::cargo(&["build", "--release", "--locked", "--package", "bulwark-bench"])?;
    let folder = std::env::temp_dir().join(format!("bulwark-accounts-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let outcome = compare(rivals, repeat, &folder);
    // What is left there is in nobody's way.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn compare(rivals: &[(String, PathBuf)], repeat: usize, folder: &Path) -> Result<String, Failure> {
    let count = ACCOUNTS.to_string();
    shell::read(Command::new(natsload()).args(["accounts", "mint"]).arg(folder).arg(&count))?;
    let mut all: Vec<Vec<Measured>> = rivals.iter().map(|_| Vec::new()).collect();
    for _ in 0..repeat {
        for ((name, binary), measured) in rivals.iter().zip(&mut all) {
            let once = once(binary, folder)?;
            println!("{name:10} {}; first {}, unknown {}", once.start.line(), once.first, once.unknown);
            measured.push(once);
        }
    }
    let mut table = format!(
        "{ACCOUNTS} accounts in a directory; {USED} of them used, {UNKNOWN} that are not there; median of {repeat} in turn\n"
    );
    for ((name, _), measured) in rivals.iter().zip(&all) {
        let starts: Vec<Start> = measured.iter().map(|measured| measured.start).collect();
        let of = |which: fn(&Measured) -> &Value, field: &str| {
            median(measured, |measured| which(measured)[field].as_f64().unwrap_or(f64::NAN))
        };
        let _ = writeln!(table, "{name:10} {}", Start::median(&starts).line());
        for (what, which) in [
            ("first login of an account", (|measured| &measured.first) as fn(&Measured) -> &Value),
            ("login of an account in use", |measured| &measured.again),
            ("login of an unknown account", |measured| &measured.unknown),
        ] {
            let _ = writeln!(
                table,
                "{name:10} {what}: CPU {:.0} µs, {:.2} ms, memory {:.0} B",
                of(which, "cpu_us_each"),
                of(which, "ms_each"),
                of(which, "rss_bytes_each"),
            );
        }
    }
    Ok(table)
}

fn once(binary: &Path, folder: &Path) -> Result<Measured, Failure> {
    let (server, start) = start::start(binary, folder, "accounts.conf")?;
    let login = |first: usize, count: usize, field: &str| -> Result<Value, Failure> {
        let (first, wanted) = (first.to_string(), count.to_string());
        let process = server.id().to_string();
        let words = ["accounts", "login", &server.address, &process, &first, &wanted];
        let line = shell::read(Command::new(natsload()).args(words))?;
        let values: Value = serde_json::from_str(line.trim()).map_err(|error| format!("{error}: {line}"))?;
        match values[field] == count {
            true => Ok(values),
            false => Err(format!("{}: not all were {field}: {values}", binary.display())),
        }
    };
    Ok(Measured {
        first: login(1, USED, "admitted")?,
        again: login(1, USED, "admitted")?,
        unknown: login(ACCOUNTS, UNKNOWN, "refused")?,
        start,
    })
}
