//! Files that tell other programs about this process: the pid file and the ports file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Writes the pid, without a line end.
///
/// # Errors
/// If the file cannot be written.
pub fn write_pid(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(std::process::id().to_string().as_bytes())
}

/// What listens where, by kind of link.
#[derive(Default, Debug)]
pub struct Ports {
    /// Client listeners: scheme and address.
    pub nats: Vec<(&'static str, SocketAddr)>,
    /// Monitoring listeners.
    pub monitoring: Vec<(&'static str, SocketAddr)>,
    /// Route listeners.
    pub cluster: Vec<(&'static str, SocketAddr)>,
    /// Leaf node listeners.
    pub leafnodes: Vec<(&'static str, SocketAddr)>,
    /// WebSocket listeners.
    pub websocket: Vec<(&'static str, SocketAddr)>,
}

/// The ports file; removed when this is dropped.
pub struct PortsFile(PathBuf);

impl PortsFile {
    /// Writes `<folder>/<program>_<pid>.ports`. It appears whole: readers never see half of it.
    ///
    /// # Errors
    /// If the folder does not take it.
    pub fn write(folder: &Path, ports: &Ports) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join(format!("{program}_{}.ports", std::process::id()));
        let draft = path.with_extension("ports.new");
        fs::write(&draft, ports.to_json())?;
        fs::rename(&draft, &path)?;
        Ok(Self(path))
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        // Nothing can be done about a file that somebody removed before us.
        let _ = fs::remove_file(&self.0);
    }
}

impl Ports {
    fn to_json(&self) -> String {
        let mut kinds = serde_json::Map::new();
        for (kind, listeners) in [
            ("nats", &self.nats),
            ("monitoring", &self.monitoring),
            ("cluster", &self.cluster),
            ("leafnodes", &self.leafnodes),
            ("websocket", &self.websocket),
        ] {
            let urls: Vec<String> = listeners.iter().flat_map(|(scheme, at)| urls(scheme, *at)).collect();
            if !urls.is_empty() {
                kinds.insert(kind.into(), urls.into());
            }
        }
        serde_json::Value::Object(kinds).to_string()
    }
}

/// A listener on every address is named by the addresses of this host; loopback is always one of them.
fn urls(scheme: &str, at: SocketAddr) -> Vec<String> {
    if !at.ip().is_unspecified() {
        return vec![format!("{scheme}://{at}")];
    }
    let mut hosts = vec!["127.0.0.1".to_owned()];
    hosts.extend(outward_address());
    hosts.dedup();
    hosts.into_iter().map(|host| format!("{scheme}://{host}:{}", at.port())).collect()
}

/// The address this host would send from. Connecting a datagram socket sends nothing.
fn outward_address() -> Option<String> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then(|| ip.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_holds_the_pid_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nats.pid");
        write_pid(&path).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), std::process::id().to_string());
    }

    #[test]
    fn the_ports_file_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports { nats: vec![("nats", "127.0.0.1:4222".parse().unwrap())], ..Ports::default() };
        let file = PortsFile::write(folder.path(), &ports).unwrap();
        let entry = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(fs::read_to_string(entry.path()).unwrap(), "{\"nats\":[\"nats://127.0.0.1:4222\"]}");
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
