//! A `nats-server` binary, started on a free port and stopped when dropped.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The longest a server may take to say where it listens.
const START_TIME: Duration = Duration::from_secs(20);
/// How often files and children are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A running server, its folder and its log.
pub struct Server {
    child: Child,
    address: Option<SocketAddr>,
    monitor: Option<SocketAddr>,
    websocket: Option<SocketAddr>,
    folder: TempDir,
}

impl Server {
    /// Starts a binary with a configuration and further flags, and waits until it says where it listens.
    /// A server that ends before that is returned as it is: [`Server::address`] is `None`.
    pub fn start(binary: &Path, config: &str, flags: &[String]) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("conformance-").tempdir()?;
        let path = folder.path().join("server.conf");
        fs::write(&path, config)?;
        let log = File::create(folder.path().join("server.log"))?;
        // The server works in its own folder, where a relative path means something else.
        let binary = fs::canonicalize(binary).unwrap_or_else(|_| binary.to_owned());
        let child = Command::new(binary)
            .arg("-c")
            .arg(&path)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(folder.path())
            .args(flags)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut server = Self { child, address: None, monitor: None, websocket: None, folder };
        server.address = server.wait_until_listening()?;
        server.monitor = server.ports_file().and_then(|path| address_after(&path, "http://"));
        server.websocket = server.ports_file().and_then(|path| address_after(&path, "ws://"));
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> io::Result<Option<SocketAddr>> {
        let deadline = Instant::now() + START_TIME;
        while Instant::now() < deadline {
            if let Some(address) = self.ports_file().and_then(|path| address_after(&path, "nats://")) {
                return Ok(Some(address));
            }
            if self.child.try_wait()?.is_some() {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no ports file; the log says:\n{}", self.log())))
    }

    fn ports_file(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).ok()?;
        entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|kind| kind == "ports"))
    }

    /// Where clients connect; `None` when the server did not start.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where pages are shown; `None` when the configuration opens no such port.
    pub fn monitor(&self) -> Option<SocketAddr> {
        self.monitor
    }

    /// Where WebSockets are made; `None` when the configuration opens no such port.
    pub fn websocket(&self) -> Option<SocketAddr> {
        self.websocket
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log holds more than `seen` lines with one of the texts.
    pub fn log_gets(&self, texts: &[&str], seen: usize, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            if self.log_count(texts) > seen {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// How many lines of the log hold one of the texts.
    pub fn log_count(&self, texts: &[&str]) -> usize {
        self.log().lines().filter(|line| texts.iter().any(|text| line.contains(text))).count()
    }

    /// Replaces the configuration file.
    pub fn rewrite(&self, config: &str) -> io::Result<()> {
        fs::write(self.folder.path().join("server.conf"), config)
    }

    /// Sends a signal by its short name. An unknown name is an error, a server that has gone is not.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let signal = match name {
            "HUP" => Signal::HUP,
            "USR1" => Signal::USR1,
            "USR2" => Signal::USR2,
            "INT" => Signal::INT,
            "TERM" => Signal::TERM,
            _ => return Err(format!("no signal {name}")),
        };
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, signal);
        Ok(())
    }

    /// Waits for the server to end by itself.
    pub fn ends_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(LOOK);
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ports file is JSON; the first address of a kind in it is what follows the first scheme of that kind.
fn address_after(path: &Path, scheme: &str) -> Option<SocketAddr> {
    let text = fs::read_to_string(path).ok()?;
    let after = text.split_once(scheme)?.1;
    after.split_once('"')?.0.parse().ok()
}
