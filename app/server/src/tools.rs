//! What the binary does besides serving: questions about a configuration that need no running server.
//!
//! The first word chooses the tool; every other command line starts a server.

mod abroad;
mod audit;
mod changes;
mod config_diff;
mod explain;
mod manual;
mod store;
mod streams;
mod verdict;
mod words;

use std::process::ExitCode;

use auth::Directory;
use config::{Loaded, Support, World};

use crate::accounts::Accounts;
use crate::log::Log;
use crate::{compose, system};
use words::Words;

/// How the tools are used.
pub const USAGE: &str = "\
Questions about a configuration:
    nats-server explain -c FILE --user NAME (--publish SUBJECT | --subscribe FILTER [--queue QUEUE]) [--json]
                                     May the user do it, which rule decides, and what would have to change
    nats-server explain -c FILE (--user NAME | --all-users | --creds FILE) --deliver SUBJECT [--queue QUEUE] [--json]
                                     May the server send messages there on the user's word: answers, and what is stored
    nats-server explain -c FILE --all-users (--publish SUBJECT | --subscribe FILTER [--queue QUEUE]) [--json]
                                     The same for every user
    nats-server explain -c FILE --creds FILE (--publish SUBJECT | --subscribe FILTER [--queue QUEUE]) [--json]
                                     The same for a user JWT of an operator's server
    nats-server explain -c FILE --all-users --account NAME (--publish SUBJECT | --subscribe SUBJECT) [--json]
                                     Who may publish to, or read, a subject of an account, over imports, too
    nats-server explain -c FILE --account NAME --read-stream STREAM [--subjects FILTER] [--kept-by FILE] [--json]
                                     Who can read a stream (that keeps these subjects), and by which way; with --kept-by over a
                                     gateway, from the server with that configuration
    nats-server config diff OLD NEW [--json]
                                     Which user gains or loses what

Questions about a trail (the audit block of the configuration):
    nats-server audit verify FILE [--key PUBLIC_KEY] [--json]
                                     Is a record altered, removed, inserted or moved; are the signatures right
    nats-server audit show FILE [--user U] [--account A] [--subject TEXT] [--class C] [--outcome done|refused]
                                [--since TIME] [--until TIME] [--json]
                                     What is in it

Questions about a store of streams, while no server runs (the configuration says where it is and which keys open it):
    nats-server store inspect -c FILE [--dir FOLDER] [--json]
                                     Which streams and blocks there are, and by what they are sealed
    nats-server store verify -c FILE [--dir FOLDER] [--since CHECKPOINT] [--checkpoint NEW] [--json]
                                     Does everything open; what is damaged, and exactly where; did it go back since
    nats-server store rotate-key -c FILE [--dir FOLDER] [--json]
                                     Seal everything by the keys and the cipher of the configuration
    nats-server store destroy-key -c FILE --account NAME [--dir FOLDER] [--force] [--json]
                                     Destroy the key that an account has of its own, and with it all it stores

Papers:
    nats-server man                  The manual page: nats-server man > nats-server.8
    nats-server completion SHELL     A completion script for bash, zsh or fish
";

/// The exit code of an answer that is no.
const NO: u8 = 3;

/// Runs the tool that the words name; `None` if they name none.
pub fn run(arguments: &[String]) -> Option<Result<ExitCode, String>> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["explain", rest @ ..] => explain::run(Words::new(rest)),
        ["config", "diff", rest @ ..] => config_diff::run(Words::new(rest)),
        ["audit", "verify", rest @ ..] => audit::verify(Words::new(rest)),
        ["audit", "show", rest @ ..] => audit::show(Words::new(rest)),
        ["man"] => print(&manual::page()),
        ["completion", shell] => manual::completion(shell).and_then(|script| print(&script)),
        ["completion", ..] => Err("completion wants one word: bash, zsh or fish".to_owned()),
        ["store", "inspect", rest @ ..] => store::inspect(Words::new(rest)),
        ["store", "verify", rest @ ..] => store::verify(Words::new(rest)),
        ["store", "rotate-key", rest @ ..] => store::rotate_key(Words::new(rest)),
        ["store", "destroy-key", rest @ ..] => store::destroy_key(Words::new(rest)),
        ["store", ..] => Err("store knows inspect, verify, rotate-key and destroy-key".to_owned()),
        ["audit", ..] => Err("audit knows two things: audit verify FILE, audit show FILE".to_owned()),
        ["config", ..] => Err("config knows one thing: config diff OLD NEW".to_owned()),
        _ => return None,
    };
    Some(outcome.map(|yes| if yes { ExitCode::SUCCESS } else { ExitCode::from(NO) }))
}

/// Prints a paper whole.
fn print(text: &str) -> Result<bool, String> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).map(|()| true).map_err(|error| error.to_string())
}

/// What a configuration file says.
fn settings(file: &str) -> Result<config::Settings, String> {
    let arguments = ["-c".to_owned(), file.to_owned()];
    let world = World { environment: &config::environment, read_file: &config::read_file };
    let support = Support::everything().without_certificates();
    Ok(config::load_with(&arguments, world, &support).map_err(|errors| errors.to_string())?.settings)
}

/// The users and rules of a configuration file, as a server would have them.
fn directory(file: &str) -> Result<(Loaded, Directory), String> {
    let arguments = ["-c".to_owned(), file.to_owned()];
    let world = World { environment: &config::environment, read_file: &config::read_file };
    let support = Support::everything().without_certificates();
    let loaded = config::load_with(&arguments, world, &support).map_err(|errors| errors.to_string())?;
    let log = Log::open(compose::log_settings(&config::Settings::default())).map_err(|error| error.to_string())?;
    let accounts = Accounts::new(std::sync::Arc::new(log));
    let directory = accounts.prepare(&loaded.settings)?.into_directory();
    Ok((loaded, directory))
}

/// Whether answers may be in colour.
fn is_colourful() -> bool {
    system::is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
