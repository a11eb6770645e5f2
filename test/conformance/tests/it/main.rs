//! Every script of the repository as a test: our server must give the transcript that is expected of it.
//!
//! The binary under test is `NATS_SERVER`, else the `nats-server` beside this test in the target folder, built by cargo
//! when this run is the only one (nextest starts one process per scene, so there it must exist).

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, thread};

use bulwark_conformance::difference::difference;
use bulwark_conformance::{library, play};

/// Scenes at once: they mostly wait.
const AT_ONCE: usize = 6;

fn main() -> ExitCode {
    let request = Request::from_arguments(env::args().skip(1));
    let names = request.chosen(library::names().expect("the scripts are in the repository"));
    if request.list {
        names.iter().for_each(|name| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    if names.is_empty() {
        return ExitCode::SUCCESS;
    }
    match server_under_test() {
        Ok(binary) => run(&binary, &names, request.threads),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What the test runner asks for: the part of the usual test arguments that cargo and nextest use.
#[derive(Default)]
struct Request {
    list: bool,
    ignored: bool,
    exact: bool,
    threads: Option<usize>,
    words: Vec<String>,
    skipped: Vec<String>,
}

impl Request {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut request = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => request.list = true,
                "--ignored" => request.ignored = true,
                "--exact" => request.exact = true,
                "--test-threads" => request.threads = arguments.next().and_then(|count| count.parse().ok()),
                "--skip" => request.skipped.extend(arguments.next()),
                "--format" | "--color" | "-Z" => drop(arguments.next()),
                other if other.starts_with('-') => {}
                word => request.words.push(word.to_owned()),
            }
        }
        request
    }

    fn chosen(&self, names: Vec<String>) -> Vec<String> {
        let fits = |name: &String, word: &String| if self.exact { name == word } else { name.contains(word) };
        let wanted = |name: &String| self.words.is_empty() || self.words.iter().any(|word| fits(name, word));
        let skipped = |name: &String| self.ignored || self.skipped.iter().any(|word| fits(name, word));
        names.into_iter().filter(|name| wanted(name) && !skipped(name)).collect()
    }
}

fn run(binary: &Path, names: &[String], threads: Option<usize>) -> ExitCode {
    println!("\nrunning {} scenes against {}", names.len(), binary.display());
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(AT_ONCE).min(names.len()) {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match scene(binary, name) {
                        Ok(()) => println!("test {name} ... ok"),
                        Err(error) => {
                            println!("test {name} ... FAILED\n{error}");
                            failures.lock().expect("no scene panics with the lock").push(name.clone());
                        }
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("all threads have ended");
    failures.sort();
    failures.iter().for_each(|name| println!("    {name}"));
    let outcome = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {outcome}. {} passed; {} failed; 0 ignored", names.len() - failures.len(), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn scene(binary: &Path, name: &str) -> Result<(), String> {
    let expected = library::expected(name)?;
    let found = play(&library::script(name)?, binary)?;
    match difference(&expected, &found) {
        None => Ok(()),
        Some(lines) => Err(format!("- expected, + found\n{lines}")),
    }
}

fn server_under_test() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("NATS_SERVER") {
        return Ok(path.into());
    }
    let sibling = sibling().ok_or("this test does not lie in a target folder")?;
    if env::var_os("NEXTEST").is_none() || !sibling.exists() {
        build()?;
    }
    if sibling.exists() { Ok(sibling) } else { Err(format!("{} was not built", sibling.display())) }
}

/// `target/PROFILE/nats-server`, seen from `target/PROFILE/deps/it-HASH`.
fn sibling() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    Some(own.parent()?.parent()?.join("nats-server"))
}

fn build() -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "bulwark-server", "--bin", "nats-server"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err("our server does not build".to_owned()) }
}
