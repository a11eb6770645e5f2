//! The `nats-server` binary: reads the configuration, puts the rooms together, and serves until told to stop.

#![allow(unreachable_pub, reason = "`pub` says what a module offers to the others; a binary has no outside")]

mod accounts;
mod audit;
mod callout;
mod certificates;
mod chronicle;
mod claims_facts;
mod compose;
mod counsel;
mod explain;
mod gate;
mod http;
mod identity;
mod jetstream;
mod link_facts;
mod links;
mod log;
mod monitoring;
mod ocsp;
mod process_files;
mod queue;
mod serve;
mod signals;
mod system;
mod system_account;
mod tools;
mod tracing;
mod trust;
mod usage;
mod websocket;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use config::{Action, Diagnostics, Loaded, World};

use crate::log::Log;
use crate::serve::Server;
use crate::signals::Request;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match tools::run(&arguments).unwrap_or_else(|| run(&arguments).map(|()| ExitCode::SUCCESS)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("nats-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The stack of the thread that reads the configuration: that of a main thread.
const READING_STACK_BYTES: usize = 8 << 20;

/// What is made of a text takes so many times its memory, if it is a text of very many users.
const MADE_OF_TEXT: usize = 10;

/// Reads a file, and has memory ready for what is made of it.
fn read_file(path: &str) -> Result<secret::Secret<Vec<u8>>, String> {
    let text = config::read_file(path)?;
    memory::make_ready(text.expose().len().saturating_mul(MADE_OF_TEXT));
    Ok(text)
}

/// Reads flags and file, on a thread of its own: the system's allocator gives each thread memory of its own, so that what a large
/// configuration takes does not lie among what is made of it, and can go back to the system as a whole.
fn load(arguments: &[String]) -> Result<Loaded, Diagnostics> {
    let read = || config::load(arguments, World { environment: &config::environment, read_file: &read_file });
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("config".into()).stack_size(READING_STACK_BYTES);
        match reader.spawn_scoped(scope, read) {
            Ok(reading) => reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // Without a thread it is read here.
            Err(_) => read(),
        }
    })
}

fn run(arguments: &[String]) -> Result<(), String> {
    let loaded = match load(arguments) {
        Ok(loaded) => loaded,
        // Whoever mistyped a flag is helped, not failed.
        Err(diagnostics) if diagnostics.is_usage => {
            eprint!("{diagnostics}{}", usage::USAGE);
            return Ok(());
        }
        Err(diagnostics) => return Err(diagnostics.to_string().trim_end().to_owned()),
    };
    match &loaded.action {
        Action::Version => {
            println!("nats-server: v{}", identity::REFERENCE_VERSION);
            println!("bulwark: v{}", identity::OWN_VERSION);
        }
        Action::Help => print!("{}\n{}", usage::USAGE, tools::USAGE),
        Action::HelpTls => print!("{}", usage::TLS),
        Action::Test(text) => eprintln!("{}", text.trim_end()),
        Action::Signal { command, target } => signals::send(command, target)?,
        Action::Run => return serve(arguments, loaded),
    }
    Ok(())
}

fn serve(arguments: &[String], loaded: Loaded) -> Result<(), String> {
    for warning in &loaded.warnings {
        eprintln!("{}", warning.to_string().trim_end());
    }
    let log = Log::open(compose::log_settings(&loaded.settings)).map_err(|error| error.to_string())?;
    let log = Arc::new(log);
    let (sender, requests) = channel();
    listen_for_signals(sender.clone(), log.clone()).map_err(|error| format!("cannot listen for signals: {error}"))?;
    let again = arguments.to_vec();
    let reader = Box::new(move || load(&again).map_err(|error| error.to_string().trim_end().to_owned()));
    let server = Server::start(loaded, log.clone(), reader).inspect_err(|error| log.fatal(error))?;
    let revoked = move || {
        // The receiver lives as long as the process.
        let _ = sender.send(Request::Stop);
    };
    server.keep_certificates(revoked).map_err(|error| format!("cannot look after the certificates: {error}"))?;
    obey(&server, &requests);
    Ok(())
}

fn listen_for_signals(sender: Sender<Request>, log: Arc<Log>) -> std::io::Result<()> {
    signals::listen(move |request| {
        log.debug(&format!("Trapped {:?} signal", signals::name_of(request)));
        // The receiver lives as long as the process.
        let _ = sender.send(request);
    })
}

/// Does what signals ask for, until one asks to stop.
fn obey(server: &Arc<Server>, requests: &Receiver<Request>) {
    let (gone, left) = channel::<()>();
    let mut gone = Some(gone);
    loop {
        match requests.recv_timeout(std::time::Duration::from_millis(200)) {
            Ok(Request::Stop) => break,
            Ok(Request::Terminate) if server.is_lame_duck() => {}
            Ok(Request::Terminate) => break,
            // What went wrong is in the log.
            Ok(Request::Reload) => drop(server.reload()),
            Ok(Request::ReopenLog) => server.reopen_log(),
            Ok(Request::LameDuck) => {
                if let Some(gone) = gone.take() {
                    let server = server.clone();
                    std::thread::spawn(move || {
                        server.lame_duck();
                        drop(gone);
                    });
                }
            }
            Err(_) => {}
        }
        if gone.is_none() && left.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
            break;
        }
    }
    server.stop();
}
