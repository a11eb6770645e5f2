//! The `nats-server` binary: reads the configuration, puts the rooms together, and serves until told to stop.

#![allow(unreachable_pub, reason = "`pub` says what a module offers to the others; a binary has no outside")]

mod accounts;
mod chronicle;
mod compose;
mod gate;
mod identity;
mod log;
mod monitoring;
mod process_files;
mod serve;
mod signals;
mod system;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use config::{Action, Diagnostics, Loaded, World};

use crate::log::Log;
use crate::serve::Server;
use crate::signals::Request;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats-server: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads flags and file.
fn load(arguments: &[String]) -> Result<Loaded, Diagnostics> {
    config::load(arguments, World { environment: &config::environment, read_file: &config::read_file })
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
        Action::Help => print!("{}", usage::USAGE),
        Action::HelpTls => print!("{}", usage::TLS),
        Action::Test(text) => eprintln!("{}", text.trim_end()),
        Action::Signal { command, target } => signals::send(command, target)?,
        Action::Run => serve(arguments, &loaded)?,
    }
    Ok(())
}

fn serve(arguments: &[String], loaded: &Loaded) -> Result<(), String> {
    for warning in &loaded.warnings {
        eprintln!("{}", warning.to_string().trim_end());
    }
    let log = Log::open(compose::log_settings(&loaded.settings)).map_err(|error| error.to_string())?;
    let log = Arc::new(log);
    let (sender, requests) = channel();
    listen_for_signals(sender, log.clone()).map_err(|error| format!("cannot listen for signals: {error}"))?;
    let server = Server::start(loaded, log.clone()).inspect_err(|error| log.fatal(error))?;
    obey(&server, arguments, &requests);
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
fn obey(server: &Arc<Server>, arguments: &[String], requests: &Receiver<Request>) {
    let (gone, left) = channel::<()>();
    let mut gone = Some(gone);
    loop {
        match requests.recv_timeout(std::time::Duration::from_millis(200)) {
            Ok(Request::Stop) => break,
            Ok(Request::Terminate) if server.is_lame_duck() => {}
            Ok(Request::Terminate) => break,
            Ok(Request::Reload) => match load(arguments) {
                Ok(loaded) => server.reload(&loaded),
                Err(error) => server.reload_failed(error.to_string().trim_end()),
            },
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
