//! TLS on the client port, over real sockets.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::certificates::{Authority, Identity, Subject};
use tls::{CertificateFiles, ClientTls, Handshake, Layer, Settings, Step};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server with its folder of certificates.
struct Server {
    child: Child,
    address: SocketAddr,
    log: Receiver<String>,
    place: Place,
}

/// A folder with an authority and what it issued.
struct Place {
    folder: TempDir,
    authority: Authority,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), authority: Authority::new("Root") };
        place.write("ca.pem", &place.authority.pem);
        place.issue("server", Subject::named("server").dns("localhost"));
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn issue(&self, name: &str, subject: Subject) -> Identity {
        let identity = self.authority.issue(subject);
        self.write(&format!("{name}.pem"), &identity.chain_pem);
        self.write(&format!("{name}.key"), &identity.key_pem);
        identity
    }

    /// The options of every `tls` block here, and some more.
    fn tls(&self, more: &str) -> String {
        let folder = self.folder.path().display();
        format!(
            "tls {{ cert_file: '{folder}/server.pem', key_file: '{folder}/server.key', ca_file: '{folder}/ca.pem'\n{more} }}\n"
        )
    }

    fn client(&self, certificate: Option<&str>) -> ClientTls {
        let own = certificate.map(|name| CertificateFiles::new(format!("{name}.pem"), format!("{name}.key")));
        let settings =
            Settings { certificates: own.into_iter().collect(), ca_file: Some("ca.pem".into()), ..Settings::default() };
        let folder = self.folder.path().to_owned();
        ClientTls::build(&settings, &|path: &Path| std::fs::read(folder.join(path))).unwrap()
    }

    fn start(self, config: &str) -> Server {
        let (child, log) = self.launch(config);
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log, place: self };
        let line = server.logged("Listening for client connections on ");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.logged("Server is ready");
        server
    }

    fn launch(&self, config: &str) -> (Child, Receiver<String>) {
        let file = self.folder.path().join("server.conf");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_nats-server"))
            .args(["-a", "127.0.0.1", "-p", "-1", "-D", "-c"])
            .arg(file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        (child, log)
    }

    /// What a server says that refuses to start with this.
    fn refusal(&self, config: &str) -> String {
        let (mut child, log) = self.launch(config);
        let text: Vec<String> = log.iter().collect();
        assert!(!child.wait().unwrap().success());
        text.join("\n")
    }
}

impl Server {
    /// Waits for a line of the log.
    fn logged(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(rest).unwrap_or_else(|_| panic!("the log never said {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn socket(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn plain(&self) -> Peer {
        Peer { stream: self.socket(), layer: None, read: Vec::new() }
    }

    /// INFO in the clear, then TLS.
    fn secured(&self, certificate: Option<&str>) -> Result<Peer, String> {
        let mut peer = self.plain();
        assert!(peer.line().starts_with("INFO "), "the server speaks first");
        peer.secure(self.place.client(certificate).connect("localhost").unwrap())?;
        Ok(peer)
    }

    /// TLS at once; INFO comes inside.
    fn secured_first(&self, certificate: Option<&str>) -> Result<Peer, String> {
        let mut peer = self.plain();
        peer.secure(self.place.client(certificate).connect("localhost").unwrap())?;
        Ok(peer)
    }

    /// Somebody is served.
    fn serves(&self) {
        assert_eq!(self.secured(None).unwrap().greet(""), "PONG");
    }

    fn reload(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
        self.logged("Reloaded server configuration");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client.
struct Peer {
    stream: TcpStream,
    layer: Option<Layer>,
    read: Vec<u8>,
}

impl Peer {
    fn secure(&mut self, mut handshake: Handshake) -> Result<(), String> {
        loop {
            let mut out = Vec::new();
            let step = handshake.step(&mut out);
            let sent = self.stream.write_all(&out);
            match step.map_err(|fault| fault.to_string())? {
                Step::Done(established) => {
                    self.layer = Some(established.layer);
                    return self.receive(&[]);
                }
                Step::Wait => sent.map_err(|error| error.to_string())?,
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err("closed".into()),
                Ok(read) => handshake.feed(&bytes[..read]).map_err(|fault| fault.to_string())?,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some(layer) = &mut self.layer else {
            self.read.extend_from_slice(bytes);
            return Ok(());
        };
        let mut answer = Vec::new();
        layer.open(bytes, &mut self.read, &mut answer).map_err(|fault| fault.to_string())?;
        self.stream.write_all(&answer).map_err(|error| error.to_string())
    }

    fn send(&mut self, bytes: &[u8]) {
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
    fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 65536];
        match self.stream.read(&mut bytes) {
            Ok(0) => None,
            Ok(read) => self.receive(&bytes[..read]).ok(),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => None,
            Err(error) => panic!("neither bytes nor an end: {error}"),
        }
    }

    fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.read.len() < len {
            self.more().expect("the connection ended");
        }
        self.read.drain(..len).collect()
    }

    fn line(&mut self) -> String {
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
    fn greet(&mut self, fields: &str) -> String {
        self.send(format!("CONNECT {{{fields}\"verbose\":false}}\r\nPING\r\n").as_bytes());
        self.answer()
    }

    fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.starts_with("INFO ") {
                return line;
            }
        }
    }

    /// All that still comes before the end.
    fn rest(mut self) -> String {
        while self.more().is_some() {}
        String::from_utf8_lossy(&self.read).into_owned()
    }
}

#[test]
fn info_comes_in_the_clear_and_everything_else_inside() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut peer = server.plain();
    assert!(peer.line().contains("\"tls_required\":true"));
    peer.secure(server.place.client(None).connect("localhost").unwrap()).unwrap();
    assert_eq!(peer.greet(""), "PONG");
}

#[test]
fn a_password_and_large_messages_pass_inside() {
    let place = Place::new();
    let config = place.tls("") + "authorization { user: joe, password: secret }\n";
    let server = place.start(&config);
    let mut peer = server.secured(None).unwrap();
    assert_eq!(peer.greet(r#""user":"joe","pass":"secret","#), "PONG");
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut wire = b"SUB big 1\r\nPUB big 1000000\r\n".to_vec();
    wire.extend_from_slice(&body);
    wire.extend_from_slice(b"\r\nPING\r\n");
    peer.send(&wire);
    assert_eq!(peer.line(), "MSG big 1 1000000");
    assert!(peer.exactly(body.len()) == body, "the body comes back as it was sent");
    assert_eq!((peer.line(), peer.line()), (String::new(), "PONG".into()));
    let mut stranger = server.secured(None).unwrap();
    assert_eq!(stranger.greet(r#""user":"joe","pass":"wrong","#), "-ERR 'Authorization Violation'");
}

#[test]
fn plain_bytes_on_a_tls_port_end_without_a_word() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut peer = server.plain();
    peer.line();
    peer.send(b"CONNECT {}\r\nPING\r\n");
    assert_eq!(peer.rest(), "");
    server.logged("TLS handshake error");
    server.serves();
}

#[test]
fn who_shows_no_certificate_where_one_is_wanted_is_not_served() {
    let place = Place::new();
    place.issue("client", Subject::named("client"));
    let config = place.tls("verify: true");
    let server = place.start(&config);
    // In TLS 1.3 the client is done before it is judged.
    let refused = server.secured(None).map(Peer::rest);
    assert!(refused.is_err() || refused == Ok(String::new()));
    server.logged("TLS handshake error: tls: client didn't provide a certificate");
    assert_eq!(server.secured(Some("client")).unwrap().greet(""), "PONG");
}

#[test]
fn a_certificate_of_a_stranger_is_refused() {
    let place = Place::new();
    let stranger = Authority::new("Stranger").issue(Subject::named("client"));
    place.write("client.pem", &stranger.chain_pem);
    place.write("client.key", &stranger.key_pem);
    let config = place.tls("verify: true");
    let server = place.start(&config);
    let refused = server.secured(Some("client")).map(Peer::rest);
    assert!(refused.is_err() || refused == Ok(String::new()));
    server.logged("TLS handshake error: tls: failed to verify certificate");
}

#[test]
fn certificates_name_users_by_email_by_host_and_by_distinguished_name() {
    let place = Place::new();
    place.issue("email", Subject::named("a").email("joe@example.com"));
    place.issue("host", Subject::named("b").dns("app.example.com"));
    place.issue("dn", Subject::named("carol").organisation("Acme"));
    place.issue("nobody", Subject::named("nobody"));
    let users = "authorization { users: [
        { user: 'joe@example.com', permissions: { publish: { deny: 'x' } } }
        { user: 'app.example.com', permissions: { publish: { deny: 'y' } } }
        { user: 'CN=carol,O=Acme', permissions: { publish: { deny: 'z' } } }
    ] }\n";
    let config = place.tls("verify_and_map: true") + users;
    let server = place.start(&config);
    for (name, denied) in [("email", "x"), ("host", "y"), ("dn", "z")] {
        let mut peer = server.secured(Some(name)).unwrap();
        assert_eq!(peer.greet(""), "PONG", "{name}");
        peer.send(format!("PUB {denied} 0\r\n\r\n").as_bytes());
        assert_eq!(peer.answer(), format!("-ERR 'Permissions Violation for Publish to \"{denied}\"'"));
    }
    assert_eq!(server.secured(Some("nobody")).unwrap().greet(""), "-ERR 'Authorization Violation'");
}

#[test]
fn only_pinned_keys_are_served() {
    let place = Place::new();
    let pinned = place.issue("pinned", Subject::named("client"));
    place.issue("other", Subject::named("client"));
    let pin = tls::PeerFacts::read(&pinned.der).unwrap().spki_sha256;
    let pin: String = pin.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let config = place.tls(&format!("verify: true, pinned_certs: ['{pin}']"));
    let server = place.start(&config);
    let refused = server.secured(Some("other")).map(Peer::rest);
    assert!(refused.is_err() || refused == Ok(String::new()));
    server.logged("TLS handshake error: certificate not pinned");
    assert_eq!(server.secured(Some("pinned")).unwrap().greet(""), "PONG");
}

#[test]
fn with_the_handshake_first_nothing_is_said_in_the_clear() {
    let place = Place::new();
    let config = place.tls("handshake_first: true, timeout: 0.5");
    let server = place.start(&config);
    assert_eq!(server.secured_first(None).unwrap().greet(""), "PONG");
    assert_eq!(server.plain().rest(), "", "who waits for INFO waits in vain");
}

#[test]
fn an_automatic_first_handshake_serves_both_kinds() {
    let place = Place::new();
    // Long enough that a busy machine does not make the first kind late.
    let config = place.tls("handshake_first: '1s', timeout: 10");
    let server = place.start(&config);
    assert_eq!(server.secured_first(None).unwrap().greet(""), "PONG");
    server.serves();
}

#[test]
fn where_tls_is_a_choice_both_kinds_are_served() {
    let place = Place::new();
    let config = place.tls("timeout: 0.3") + "allow_non_tls: true\n";
    let server = place.start(&config);
    let mut peer = server.plain();
    assert!(peer.line().contains("\"tls_available\":true"));
    assert_eq!(peer.greet(""), "PONG");
    server.serves();
    // One that is slow to speak is not taken for a broken handshake.
    let mut slow = server.plain();
    slow.line();
    slow.stream.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    assert!(slow.stream.read(&mut [0; 16]).is_err(), "the connection stays open and quiet");
    slow.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(slow.greet(""), "PONG");
}

#[test]
fn half_a_handshake_ends_in_time_and_delays_nobody() {
    let place = Place::new();
    let config = place.tls("timeout: 0.5");
    let server = place.start(&config);
    let halves: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = server.plain();
            peer.line();
            // The head of a record whose body never comes.
            peer.send(&[0x16, 3, 1, 2, 0]);
            peer
        })
        .collect();
    server.serves();
    for half in halves {
        assert_eq!(half.rest(), "");
    }
    server.logged("TLS handshake error: timeout");
}

#[test]
fn a_replaced_certificate_is_shown_after_a_reload_and_old_connections_stay() {
    let place = Place::new();
    let config = place.tls("");
    let server = place.start(&config);
    let mut old = server.secured(None).unwrap();
    assert_eq!(old.greet(""), "PONG");
    let next = Authority::new("Next");
    let identity = next.issue(Subject::named("server").dns("localhost"));
    let before = server.place.client(None);
    server.place.write("server.pem", &identity.chain_pem);
    server.place.write("server.key", &identity.key_pem);
    server.place.write("ca.pem", &next.pem);
    server.reload();
    server.serves();
    let mut peer = server.plain();
    peer.line();
    assert!(peer.secure(before.connect("localhost").unwrap()).is_err(), "the old certificate is gone");
    old.send(b"PING\r\n");
    assert_eq!(old.answer(), "PONG");
}

#[test]
fn too_many_handshakes_in_a_second_are_turned_away() {
    let place = Place::new();
    let config = place.tls("connection_rate_limit: 1");
    let server = place.start(&config);
    let refused = (0..20).filter(|_| server.secured(None).is_err()).count();
    assert!(refused > 0, "twenty handshakes take less than twenty seconds");
    let until = Instant::now() + PATIENCE;
    while server.secured(None).is_err() {
        assert!(Instant::now() < until, "the next second begins anew");
    }
}

#[test]
fn what_cannot_be_done_yet_is_refused_where_it_stands() {
    let place = Place::new();
    let config = place.tls("verify: true\nocsp_peer: true");
    let text = place.refusal(&config);
    assert!(text.contains("server.conf:3") && text.contains("\"ocsp_peer\" is not supported yet"), "{text}");
}
