//! A server, a home directory, and commands typed by a person.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use tempfile::TempDir;

/// Nothing here takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A person at a machine with a server.
pub(crate) struct Scene {
    pub(crate) home: TempDir,
    /// Ends with the scene.
    _server: Option<Running>,
    pub(crate) url: String,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that goes on.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

/// The server under test.
pub(crate) fn server_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return PathBuf::from(path);
    }
    let own = Path::new(env!("CARGO_BIN_EXE_nats")).with_file_name("nats-server");
    assert!(own.is_file(), "{} is not built: cargo build -p bulwark-server, or set NATS_SERVER", own.display());
    own
}

/// The reference server, where it is installed.
pub(crate) fn reference_binary() -> Option<PathBuf> {
    const VERSION: &str = "nats-server: v2.15.1";
    let scripts =
        Command::new("python3").args(["-c", "import sysconfig; print(sysconfig.get_path('scripts'))"]).output();
    let scripts = scripts.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let named = std::env::var_os("REFERENCE_NATS_SERVER").map(PathBuf::from);
    let candidates = named.into_iter().chain([Path::new(&scripts).join("nats-server"), PathBuf::from("nats-server")]);
    candidates.into_iter().find(|path| {
        let version = Command::new(path).arg("--version").output();
        version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == VERSION)
    })
}

impl Scene {
    /// A server without configuration.
    pub(crate) fn open() -> Self {
        Self::with(&[], "")
    }

    /// A server with a configuration.
    pub(crate) fn configured(config: &str) -> Self {
        Self::with(&[], config)
    }

    /// A server with JetStream, in a directory of its own.
    pub(crate) fn jetstream() -> Self {
        Self::with(&["-js"], "")
    }

    /// Nobody listens anywhere.
    pub(crate) fn alone() -> Self {
        Self {
            home: TempDir::new().expect("a temporary directory"),
            _server: None,
            url: "nats://127.0.0.1:1".to_owned(),
        }
    }

    pub(crate) fn with(flags: &[&str], config: &str) -> Self {
        Self::in_home(TempDir::new().expect("a temporary directory"), flags, config)
    }

    pub(crate) fn in_home(home: TempDir, flags: &[&str], config: &str) -> Self {
        Self::of(&server_binary(), home, flags, config)
    }

    /// A server of this program, in a directory that is there already.
    pub(crate) fn of(binary: &Path, home: TempDir, flags: &[&str], config: &str) -> Self {
        let mut command = Command::new(binary);
        command.args(["-a", "127.0.0.1", "-p", "-1"]).args(flags).current_dir(home.path());
        if flags.contains(&"-js") {
            command.arg("-sd").arg(home.path().join("store"));
        }
        if !config.is_empty() {
            let path = home.path().join("server.conf");
            std::fs::write(&path, config).expect("the configuration is written");
            command.arg("-c").arg(path);
        }
        let mut server = Running::start(&mut command, Watched::Stderr);
        let line = server.wait_for("Listening for client connections on ");
        let address = line.rsplit(' ').next().expect("an address ends the line").trim().to_owned();
        server.wait_for("Server is ready");
        Self { home, _server: Some(server), url: format!("nats://{address}") }
    }

    /// Ends the server and keeps the home.
    pub(crate) fn into_home(self) -> TempDir {
        let Self { home, _server: server, .. } = self;
        drop(server);
        home
    }

    /// The port of the server.
    pub(crate) fn port(&self) -> &str {
        self.url.rsplit(':').next().expect("an url has a port")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command on this machine, with nothing inherited that could change it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nats"));
        command.args(args);
        self.at_home(command)
    }

    /// The same for any program.
    pub(crate) fn at_home(&self, mut command: Command) -> Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("NATS_") {
                command.env_remove(name);
            }
        }
        command
            .env("XDG_CONFIG_HOME", self.home.path().join("config"))
            .env("XDG_DATA_HOME", self.home.path().join("data"))
            .env("HOME", self.home.path())
            .env("NATS_URL", &self.url)
            .env("TZ", "UTC")
            .current_dir(self.home.path());
        command
    }

    /// Types a command and waits for its end.
    pub(crate) fn nats(&self, args: &[&str]) -> Done {
        self.nats_with_input(args, None)
    }

    /// Types a command with something on its stdin.
    pub(crate) fn nats_with_input(&self, args: &[&str], input: Option<&str>) -> Done {
        finish(&mut self.command(args), input)
    }

    /// Types a command that goes on, and watches its stdout and stderr.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(&mut self.command(args), Watched::Both)
    }
}

pub(crate) fn finish(command: &mut Command, input: Option<&str>) -> Done {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nats starts");
    if let Some(input) = input {
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(input.as_bytes()).expect("nats reads its input");
    }
    let output = child.wait_with_output().expect("nats ends");
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Done {
    /// Asserts that the command went well.
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the command failed with this code.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The lines of the log, without the time before them.
    pub(crate) fn log(&self) -> Vec<&str> {
        self.stderr.lines().map(without_clock).collect()
    }
}

/// A log line without the `HH:MM:SS ` before it.
pub(crate) fn without_clock(line: &str) -> &str {
    let is_clock =
        |text: &str| text.bytes().enumerate().all(|(at, b)| if at % 3 == 2 { b == b':' } else { b.is_ascii_digit() });
    match line.split_at_checked(9) {
        Some((clock, rest)) if clock.ends_with(' ') && is_clock(&clock[..8]) => rest,
        _ => line,
    }
}

enum Watched {
    Stderr,
    Both,
}

impl Running {
    fn start(command: &mut Command, watched: Watched) -> Self {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command.stdout(if matches!(watched, Watched::Both) { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().expect("the program starts");
        let (tell, lines) = channel();
        let streams: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|err| Box::new(err) as _)];
        for stream in streams.into_iter().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if tell.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits until a line with this text comes, and gives it without its time.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(without_clock(&line).to_owned());
                    if line.contains(text) {
                        return without_clock(&line).to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line with {text:?} in time; seen: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {text:?}; seen: {:#?}", self.seen),
            }
        }
    }

    /// Waits for the end of the program; gives its code and all it said.
    #[track_caller]
    pub(crate) fn end(mut self) -> (i32, Vec<String>) {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(without_clock(&line).to_owned()),
                Err(RecvTimeoutError::Timeout) => panic!("did not end in time; seen: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let code = self.child.wait().expect("the program ends").code().unwrap_or(-1);
        (code, std::mem::take(&mut self.seen))
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
