//! Starts servers for the test suite of async-nats, which is published without its own launcher.
//!
//! The program is `NATS_SERVER`, or else the `nats-server` that is found first. Each server has a free port, a store and a log of
//! its own, and ends when its handle is dropped. There are no clusters with streams here, so what asks for one is left out
//! (`test/suites/async-nats.list`).

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs.
pub struct Server {
    config: String,
    port: Option<String>,
    folder: PathBuf,
    child: Child,
}

/// Servers that know each other.
pub struct Cluster {
    /// They themselves.
    pub servers: Vec<Server>,
}

/// A server with this configuration file, or with none.
pub fn run_server(config: &str) -> Server {
    run_server_with_port(config, None)
}

/// A server without a configuration file.
pub fn run_basic_server() -> Server {
    run_server("")
}

/// A server at a port of one's choice.
pub fn run_server_with_port(config: &str, port: Option<&str>) -> Server {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("suite-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    let child = launch(config, port, &folder);
    Server { config: config.to_owned(), port: port.map(str::to_owned), folder, child }
}

/// Servers with streams that know each other.
pub fn run_cluster(_config: &str) -> Cluster {
    panic!("no clusters with streams here")
}

/// Tells a server to say goodbye to its clients.
pub fn set_lame_duck_mode(server: &Server) {
    let done = Command::new(program()).arg("--signal").arg(format!("ldm={}", server.client_pid())).status();
    assert!(done.expect("the server's program").success());
}

fn program() -> std::ffi::OsString {
    std::env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into())
}

fn launch(config: &str, port: Option<&str>, folder: &Path) -> Child {
    let mut command = Command::new(program());
    command.args(["-p", port.unwrap_or("-1")]);
    command.arg("--store_dir").arg(folder.join("store")).arg("-l").arg(folder.join("log"));
    command.arg("-P").arg(folder.join("pid"));
    if !config.is_empty() {
        command.args(["-c", config]);
    }
    command.spawn().expect("the server's program starts")
}

impl Server {
    /// Ends it and starts it again where it was.
    pub fn restart(&mut self) {
        let port = self.port.clone().expect("whoever starts again has a port of its own");
        self.end();
        std::fs::remove_file(self.folder.join("log")).ok();
        self.child = launch(&self.config, Some(&port), &self.folder);
    }

    /// Where clients find it.
    pub fn client_url(&self) -> String {
        let info = self.info();
        let scheme = if info["tls_required"].as_bool() == Some(true) { "tls" } else { "nats" };
        format!("{scheme}://localhost:{}", info["port"])
    }

    /// The port for clients.
    pub fn client_port(&self) -> u16 {
        self.info()["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port")
    }

    /// The same for a user.
    pub fn client_url_with(&self, user: &str, password: &str) -> String {
        self.client_url().replacen("://", &format!("://{user}:{password}@"), 1)
    }

    /// The same with a token.
    pub fn client_url_with_token(&self, token: &str) -> String {
        self.client_url().replacen("://", &format!("://{token}@"), 1)
    }

    /// Its process.
    pub fn client_pid(&self) -> usize {
        self.child.id() as usize
    }

    fn info(&self) -> serde_json::Value {
        let mut line = String::new();
        let stream = TcpStream::connect(self.address()).expect("it listens");
        BufReader::new(stream).read_line(&mut line).expect("it greets");
        serde_json::from_str(line.trim_start_matches("INFO")).expect("it greets with INFO")
    }

    /// Where it says that it listens for clients.
    fn address(&self) -> String {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let said = log.split_once("client connections on ").map(|(_, rest)| rest);
            if let Some(address) = said.and_then(|rest| rest.split_whitespace().next()) {
                return address.replace("0.0.0.0", "127.0.0.1");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no server: {}", std::fs::read_to_string(self.folder.join("log")).unwrap_or_default());
    }

    fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Cluster {
    /// Where clients find the first of them.
    pub fn client_url(&self) -> String {
        self.servers.first().expect("it has servers").client_url()
    }
}
