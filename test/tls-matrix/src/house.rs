//! A server of either make, with the configuration of a cell.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::axes::Cell;
use crate::cast::Cast;

/// The longest a server may take to start.
const START_TIME: Duration = Duration::from_secs(60);

/// Between two looks at a file.
const LOOK: Duration = Duration::from_millis(5);

/// How long a handshake may take where it should come to an end, on a busy machine.
const PATIENT_SECONDS: u32 = 20;

/// The same where it will not: a client that waits for the wrong thing is closed then.
const HANDSHAKE_SECONDS: u32 = 3;

/// The binary of a server, and what it is called in the table.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A running server.
pub(crate) struct House {
    child: Child,
    folder: TempDir,
    pub(crate) clients: SocketAddr,
    monitor: SocketAddr,
}

impl House {
    /// Starts a server with the configuration of a cell.
    pub(crate) fn start(binary: &Binary, cell: &Cell, cast: &Cast) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join("server.conf");
        let log = folder.path().join("server.log");
        fs::write(&path, configuration(cell, cast)).map_err(|error| error.to_string())?;
        let out = File::create(&log).map_err(|error| error.to_string())?;
        let mut child = Command::new(&binary.path)
            .arg("-c")
            .arg(&path)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.path.display()))?;
        let until = Instant::now() + START_TIME;
        loop {
            if let Some((clients, monitor)) = ports(folder.path()) {
                return Ok(Self { child, folder, clients, monitor });
            }
            let has_ended = child.try_wait().is_ok_and(|status| status.is_some());
            if has_ended || Instant::now() > until {
                let _ = child.kill();
                let _ = child.wait();
                return Err(fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// By which version and suite the connected client speaks, and who it is.
    pub(crate) fn connected(&self) -> Result<(String, String), String> {
        let page = get(self.monitor, "/connz?auth=1")?;
        let client = &page["connections"][0];
        let word = |name: &str| client[name].as_str().unwrap_or_default().to_owned();
        if client["tls_version"].is_null() {
            return Err(format!("the monitor shows no client that speaks TLS: {page}"));
        }
        Ok((format!("{} {}", word("tls_version"), word("tls_cipher_suite")), word("authorized_user")))
    }

    /// What the log says of a client that was sent away.
    pub(crate) fn reason(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        let said = log.lines().rev().find_map(|line| {
            line.split_once("TLS handshake error: ")
                .or_else(|| line.split_once("authentication error - "))
                .map(|(_, why)| why)
        });
        said.unwrap_or_default().to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server says of a configuration: nothing, or what is wrong with it.
pub(crate) fn check(binary: &Binary, cast: &Cast, block: &str) -> Result<(), String> {
    let path = cast.path("check.conf");
    let text = block.replace("FOLDER", &cast.folder().display().to_string());
    fs::write(&path, text).map_err(|error| error.to_string())?;
    let output =
        Command::new(&binary.path).arg("-t").arg("-c").arg(&path).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // The folder is another one each time.
    Err(line.replace(&cast.folder().display().to_string(), "FOLDER").trim_start_matches("nats-server: ").to_owned())
}

/// The configuration of a cell.
fn configuration(cell: &Cell, cast: &Cast) -> String {
    let folder = cast.folder().display();
    let seconds = if cell.should_work() { PATIENT_SECONDS } else { HANDSHAKE_SECONDS };
    let mut tls = format!(
        "cert_file: '{folder}/server.pem', key_file: '{folder}/server.key', ca_file: '{folder}/roots.pem', timeout: {seconds}"
    );
    let mut more = |text: String| {
        tls.push_str(", ");
        tls.push_str(&text);
    };
    if cell.get("least") == "1.3" {
        more("min_version: \"1.3\"".into());
    }
    let suites = match cell.get("suite") {
        "aes128" => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256",
        "aes256" => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_AES_256_GCM_SHA384",
        "chacha" => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_CHACHA20_POLY1305_SHA256",
        _ => "",
    };
    if !suites.is_empty() {
        more(format!("cipher_suites: [{suites}]"));
    }
    match cell.get("curve") {
        "default" => {}
        curve => more(format!("curve_preferences: [{curve}]")),
    }
    match cell.get("identity") {
        "off" => {}
        "verify" => more("verify: true".into()),
        _ => more("verify_and_map: true".into()),
    }
    match cell.get("pin") {
        "none" => {}
        "its" => more(format!("pinned_certs: ['{}']", cast.pin(cell.get("certificate")).unwrap_or("1".repeat(64)))),
        _ => more(format!("pinned_certs: ['{}']", "2".repeat(64))),
    }
    match cell.get("first") {
        "off" => {}
        "on" => more("handshake_first: true".into()),
        "auto" => more("handshake_first: auto".into()),
        delay => more(format!("handshake_first: \"{delay}\"")),
    }
    let user = match cell.get("identity") {
        "map-mail" => "client@test",
        "map-dns" => "client.test",
        "map-uri" => "spiffe://test/client",
        "map-dn" => "CN=client,OU=unit,O=org",
        "map-dn-reordered" => "O=org,CN=client,OU=unit",
        "map-dn-short" => "CN=client",
        "map-other" => "other@test",
        _ => "",
    };
    let users =
        if user.is_empty() { String::new() } else { format!("authorization {{ users: [ {{ user: '{user}' }} ] }}\n") };
    format!("http: \"127.0.0.1:-1\"\ntls {{ {tls} }}\n{users}")
}

/// Where the server listens, once its ports file says so.
fn ports(folder: &Path) -> Option<(SocketAddr, SocketAddr)> {
    let entries = fs::read_dir(folder).ok()?;
    let file = entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|kind| kind == "ports"))?;
    let ports: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let address = |kind: &str| ports[kind][0].as_str()?.split_once("://")?.1.parse().ok();
    Some((address("nats")?, address("monitoring")?))
}

/// A page of the monitor.
fn get(monitor: SocketAddr, path: &str) -> Result<Value, String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(monitor)?;
        stream.set_read_timeout(Some(START_TIME))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let body = answer.find('{').map(|begin| &answer[begin..]).unwrap_or_default();
    let body = body.rfind('}').map(|end| &body[..=end]).unwrap_or_default();
    serde_json::from_str(body).map_err(|error| format!("{path}: {error}"))
}
