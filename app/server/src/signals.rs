//! Signals: what arrives, and what `--signal` sends.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// What a signal asks of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Stop now.
    Stop,
    /// Stop now, unless a lame duck is on its way out already.
    Terminate,
    /// Read the configuration again.
    Reload,
    /// Open the log file again.
    ReopenLog,
    /// Stop politely.
    LameDuck,
}

/// The name a signal has in the log.
pub fn name_of(request: Request) -> &'static str {
    match request {
        Request::Stop => "interrupt",
        Request::Terminate => "terminated",
        Request::Reload => "hangup",
        Request::ReopenLog => "user defined signal 1",
        Request::LameDuck => "user defined signal 2",
    }
}

/// Hands every request to `take`, on a thread of its own, for as long as the process lives.
///
/// # Errors
/// If the system refuses the handlers or the thread.
pub fn listen(mut take: impl FnMut(Request) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    let serve = move || {
        for signal in signals.forever() {
            take(match signal {
                SIGINT => Request::Stop,
                SIGTERM => Request::Terminate,
                SIGHUP => Request::Reload,
                SIGUSR1 => Request::ReopenLog,
                _ => Request::LameDuck,
            });
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(serve).map(drop)
}

/// Carries out `--signal command=target`: finds the process and sends it the signal.
///
/// # Errors
/// With the text for the user.
pub fn send(command: &str, target: &str) -> Result<(), String> {
    let signal = match command {
        "stop" => Signal::KILL,
        "quit" => Signal::INT,
        "term" => Signal::TERM,
        "reopen" => Signal::USR1,
        "reload" => Signal::HUP,
        "ldm" => Signal::USR2,
        other => return Err(format!("unknown signal {other:?}")),
    };
    let mut failures = Vec::new();
    for pid in find(target)? {
        let Some(process) = Pid::from_raw(pid) else { return Err(format!("invalid pid: {pid}")) };
        if let Err(error) = kill_process(process, signal) {
            failures.push(format!("signal {command:?} {pid}: {error}"));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The processes a target means: a pid, a pid file, `prefix*` for several, or nothing for the only one there is.
fn find(target: &str) -> Result<Vec<i32>, String> {
    let (target, several) = match target.strip_suffix('*') {
        Some(prefix) => (prefix, true),
        None => (target, false),
    };
    if target.is_empty() || several && !Path::new(target).exists() {
        return running(target, several);
    }
    pid_of(target).map(|pid| vec![pid])
}

fn pid_of(target: &str) -> Result<i32, String> {
    let text = if target.bytes().all(|byte| byte.is_ascii_digit()) {
        target.to_owned()
    } else {
        fs::read_to_string(target).map_err(|error| format!("{target}: {error}"))?
    };
    text.trim().parse().ok().filter(|pid| *pid > 0).ok_or_else(|| format!("invalid pid: {}", text.trim()))
}

/// Running servers beside this process.
fn running(prefix: &str, several: bool) -> Result<Vec<i32>, String> {
    let own = std::process::id() as i32;
    let entries = fs::read_dir("/proc").map_err(|_| "unable to resolve pid, try providing one".to_owned())?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if pid != own && name.trim() == "nats-server" && pid.to_string().starts_with(prefix) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    match found.len() {
        0 => Err("no nats-server processes running".into()),
        1 => Ok(found),
        _ if several => Ok(found),
        _ => {
            let list: Vec<_> = found.iter().map(i32::to_string).collect();
            Err(format!("multiple nats-server processes running:\n{}", list.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_command_is_named() {
        assert_eq!(send("dance", ""), Err("unknown signal \"dance\"".into()));
    }

    #[test]
    fn a_pid_file_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "123\n").unwrap();
        assert_eq!(find(&file.path().to_string_lossy()), Ok(vec![123]));
    }

    #[test]
    fn nonsense_in_a_pid_file_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "-4x").unwrap();
        assert_eq!(find(&file.path().to_string_lossy()), Err("invalid pid: -4x".into()));
    }
}
