//! A server in a folder with certificates, and clients of it on real sockets.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::certificates::{Authority, Identity, Subject};
use tls::{CertificateFiles, ClientTls, Handshake, Layer, Settings, Step};

/// Nothing here takes longer unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server with its folder of certificates.
pub(crate) struct Server {
    pub(crate) child: Process,
    pub(crate) address: SocketAddr,
    pub(crate) log: Mutex<Receiver<String>>,
    pub(crate) place: Place,
}

/// A process that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with an authority and what it issued.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new("Root") };
        place.write("ca.pem", &place.authority.pem);
        place.issue("server", Subject::named("server").dns("localhost"));
        place
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn issue(&self, name: &str, subject: Subject) -> Identity {
        let identity = self.authority.issue(subject);
        self.write(&format!("{name}.pem"), &identity.chain_pem);
        self.write(&format!("{name}.key"), &identity.key_pem);
        identity
    }

    /// The options of every `tls` block here, and some more.
    pub(crate) fn tls(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "tls {{ cert_file: '{folder}/server.pem', key_file: '{folder}/server.key', ca_file: '{folder}/ca.pem'\n{more} }}\n"
        )
    }

    pub(crate) fn client(&self, certificate: Option<&str>) -> ClientTls {
        let own = certificate.map(|name| CertificateFiles::new(format!("{name}.pem"), format!("{name}.key")));
        self.client_by(Settings { certificates: own.into_iter().collect(), ..Settings::default() })
    }

    pub(crate) fn client_by(&self, settings: Settings) -> ClientTls {
        let settings = Settings { ca_file: Some("ca.pem".into()), ..settings };
        let folder = self.folder.path().to_owned();
        ClientTls::build(&settings, &|path: &Path| std::fs::read(folder.join(path))).unwrap()
    }

    pub(crate) fn start(self, config: &str) -> Server {
        self.start_with(config, &[])
    }

    pub(crate) fn start_with(self, config: &str, flags: &[&str]) -> Server {
        self.started(config, flags, &[])
    }

    fn started(self, config: &str, flags: &[&str], environment: &[(&str, &str)]) -> Server {
        let (child, log) = self.launch_with(config, flags, environment);
        Server::awaited(self, child, log)
    }

    pub(crate) fn launch(&self, config: &str) -> (Process, Receiver<String>) {
        self.launch_with(config, &[], &[])
    }

    /// The same in an environment with one more variable.
    pub(crate) fn start_where(self, config: &str, name: &str, value: &str) -> Server {
        self.started(config, &[], &[(name, value)])
    }

    fn launch_with(&self, config: &str, flags: &[&str], environment: &[(&str, &str)]) -> (Process, Receiver<String>) {
        self.launch_program(env!("CARGO_BIN_EXE_nats-server").as_ref(), config, flags, environment)
    }

    fn launch_program(
        &self,
        program: &std::ffi::OsStr,
        config: &str,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> (Process, Receiver<String>) {
        let file = self.folder.path().join("server.conf");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "-D", "-c"])
            .arg(file)
            .args(flags)
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        (Process(child), log)
    }

    /// What a server says that refuses to start with this.
    pub(crate) fn refusal(&self, config: &str) -> String {
        let (mut child, log) = self.launch(config);
        let text: Vec<String> = log.iter().collect();
        assert!(!child.0.wait().unwrap().success());
        text.join("\n")
    }
}

impl Server {
    /// The same place with another server, after this one has ended.
    pub(crate) fn again(self, config: &str) -> Self {
        let Self { child, place, .. } = self;
        drop(child);
        place.start(config)
    }

    /// The same place with another program's server, after this one has ended.
    pub(crate) fn instead(self, program: &std::ffi::OsStr, config: &str) -> Self {
        let Self { child, place, .. } = self;
        drop(child);
        let (child, log) = place.launch_program(program, config, &[], &[]);
        Self::awaited(place, child, log)
    }

    fn awaited(place: Place, child: Process, log: Receiver<String>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address, log: Mutex::new(log), place };
        let line = server.logged("Listening for client connections on ");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.logged("Server is ready");
        server
    }

    /// Waits for a line of the log.
    pub(crate) fn logged(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let line = self
                .log
                .lock()
                .unwrap()
                .recv_timeout(rest)
                .unwrap_or_else(|_| panic!("the log never said {part:?}: {said:?}"));
            said.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    pub(crate) fn socket(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn plain(&self) -> Peer {
        Peer { stream: self.socket(), layer: None, read: Vec::new() }
    }

    /// INFO in the clear, then TLS.
    pub(crate) fn secured(&self, certificate: Option<&str>) -> Result<Peer, String> {
        self.secured_by(&self.place.client(certificate))
    }

    pub(crate) fn secured_by(&self, tls: &ClientTls) -> Result<Peer, String> {
        let mut peer = self.plain();
        assert!(peer.line().starts_with("INFO "), "the server speaks first");
        peer.secure(tls.connect("localhost").unwrap())?;
        Ok(peer)
    }

    /// Whether somebody with this certificate is served.
    pub(crate) fn admits(&self, certificate: &str) -> bool {
        let connected = self.secured(Some(certificate));
        connected.is_ok_and(|mut peer| {
            peer.send(b"CONNECT {\"verbose\":false}\r\nPING\r\n");
            while !peer.read.ends_with(b"PONG\r\n") {
                if peer.more().is_none() {
                    return false;
                }
            }
            true
        })
    }

    /// TLS at once; INFO comes inside.
    pub(crate) fn secured_first(&self, certificate: Option<&str>) -> Result<Peer, String> {
        let mut peer = self.plain();
        peer.secure(self.place.client(certificate).connect("localhost").unwrap())?;
        Ok(peer)
    }

    /// Somebody is served.
    pub(crate) fn serves(&self) {
        assert_eq!(self.secured(None).unwrap().greet(""), "PONG");
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn reload(&self) {
        self.signal("-HUP");
        self.logged("Reloaded server configuration");
    }

    /// A reload that says this on its way.
    pub(crate) fn reload_says(&self, part: &str) {
        self.signal("-HUP");
        self.logged(part);
        self.logged("Reloaded server configuration");
    }
}

/// A client.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) layer: Option<Layer>,
    pub(crate) read: Vec<u8>,
}

impl Peer {
    pub(crate) fn secure(&mut self, handshake: Handshake) -> Result<(), String> {
        self.secure_and_say(handshake, b"")
    }

    /// The same; the last bytes of the handshake and the first words travel together.
    pub(crate) fn secure_and_say(&mut self, mut handshake: Handshake, words: &[u8]) -> Result<(), String> {
        loop {
            let mut out = Vec::new();
            match handshake.step(&mut out) {
                Ok(Step::Done(mut established)) => {
                    established.layer.seal(words, &mut out);
                    established.layer.finish(&mut out);
                    // Whoever was closed meanwhile finds out by reading.
                    let _ = self.stream.write_all(&out);
                    self.layer = Some(established.layer);
                    return self.receive(&[]);
                }
                Ok(Step::Wait) => self.stream.write_all(&out).map_err(|error| error.to_string())?,
                Err(fault) => {
                    let _ = self.stream.write_all(&out);
                    return Err(fault.to_string());
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err("closed".into()),
                Ok(read) => handshake.feed(&bytes[..read]).map_err(|fault| fault.to_string())?,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some(layer) = &mut self.layer else {
            self.read.extend_from_slice(bytes);
            return Ok(());
        };
        let mut answer = Vec::new();
        layer.open(bytes, &mut self.read, &mut answer).map_err(|fault| fault.to_string())?;
        self.stream.write_all(&answer).map_err(|error| error.to_string())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut wire = Vec::new();
        match &mut self.layer {
            None => wire.extend_from_slice(bytes),
            Some(layer) => {
                layer.seal(bytes, &mut wire);
                layer.finish(&mut wire);
            }
        }
        // Whoever was closed meanwhile finds out by reading.
        let _ = self.stream.write_all(&wire);
    }

    /// One more piece; `None` at the end, an alert included.
    pub(crate) fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => None,
            Ok(read) => self.receive(&bytes[..read]).ok(),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => None,
            Err(error) => panic!("neither bytes nor an end: {error}"),
        }
    }

    pub(crate) fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            self.more().expect("the connection ended");
        }
        self.read.drain(..len).collect()
    }

    pub(crate) fn line(&mut self) -> String {
        let end = loop {
            match self.read.windows(2).position(|two| two == b"\r\n") {
                Some(end) => break end,
                None => self.more().expect("the connection ended"),
            }
        };
        let line = self.exactly(end + 2);
        String::from_utf8(line[..end].to_vec()).unwrap()
    }

    /// CONNECT with these fields and PING; the first line that comes back and is not INFO.
    pub(crate) fn greet(&mut self, fields: &str) -> String {
        self.send(format!("CONNECT {{{fields}\"verbose\":false}}\r\nPING\r\n").as_bytes());
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.starts_with("INFO ") {
                return line;
            }
        }
    }

    /// Waits for the end, whatever comes before.
    pub(crate) fn ends(mut self) {
        while self.more().is_some() {}
    }

    /// All that still comes before the end.
    pub(crate) fn rest(mut self) -> String {
        while self.more().is_some() {}
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
