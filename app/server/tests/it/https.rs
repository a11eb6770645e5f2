//! Monitoring over TLS.

use std::time::{Duration, Instant};

use tls::ClientTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::place::Place;

/// A page over TLS.
async fn visit(tls: &ClientTls, at: &str, path: &str) -> String {
    let stream = TcpStream::connect(at).await.unwrap();
    let mut stream = tls.connect_stream(stream, "localhost").await.unwrap_or_else(|fault| panic!("{fault}"));
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// Where the monitor listens, from the ports file.
fn monitor_of(place: &Place) -> String {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let files = std::fs::read_dir(place.folder.path()).unwrap().flatten();
        let file = files.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "ports"));
        if let Some(file) = file {
            let ports: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
            return ports["monitoring"][0].as_str().unwrap().strip_prefix("https://").unwrap().to_owned();
        }
        assert!(Instant::now() < until, "there is no ports file");
        std::thread::yield_now();
    }
}

#[test]
fn the_monitor_speaks_tls_with_the_certificate_of_clients_and_asks_for_none() {
    let place = Place::new();
    let folder = place.folder.path().display().to_string();
    let config = place.tls("verify: true") + &format!("https_port: -1\nports_file_dir: '{folder}'\n");
    let visitor = place.client(None);
    let server = place.start(&config);
    let at = monitor_of(&server.place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let varz = runtime.block_on(visit(&visitor, &at, "/varz"));
    assert!(varz.starts_with("HTTP/1.1 200 OK"), "{varz}");
    let port = at.rsplit(':').next().unwrap();
    assert!(varz.contains(&format!("\"https_port\": {port}")) && varz.contains("\"http_port\": 0"), "{varz}");
    // Whoever speaks plainly is not answered.
    let plain = runtime.block_on(async {
        let mut stream = TcpStream::connect(&at).await.unwrap();
        stream.write_all(b"GET /varz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut bytes = Vec::new();
        // The server may close with bytes of ours unread.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    });
    assert!(!String::from_utf8_lossy(&plain).contains("HTTP"));
}

#[test]
fn monitoring_tells_what_a_client_agreed_on_and_which_certificate_it_showed() {
    let place = Place::new();
    let shown = place.issue("client", testkit::certificates::Subject::named("client"));
    let folder = place.folder.path().display().to_string();
    let config = place.tls("verify: true") + &format!("https_port: -1\nports_file_dir: '{folder}'\n");
    let visitor = place.client(None);
    let server = place.start(&config);
    let mut peer = server.secured(Some("client")).unwrap();
    assert_eq!(peer.greet(""), "PONG");
    let at = monitor_of(&server.place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let row = |query: &str| {
        let page = runtime.block_on(visit(&visitor, &at, &format!("/connz?{query}")));
        let body: serde_json::Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
        body["connections"][0].clone()
    };
    let connection = row("auth=1");
    assert_eq!(connection["tls_version"], "1.3");
    assert!(connection["tls_cipher_suite"].as_str().unwrap().starts_with("TLS_"), "{connection}");
    let facts = tls::PeerFacts::read(&shown.der).unwrap();
    let certificate = &connection["tls_peer_certs"][0];
    assert_eq!(certificate["subject"], facts.subject);
    assert_eq!(certificate["spki_sha256"], facts.spki_sha256.to_string());
    assert_eq!(certificate["cert_sha256"].as_str().unwrap().len(), 64);
    assert!(row("").get("tls_peer_certs").is_none() && row("").get("tls_first").is_none());
}

#[test]
fn monitoring_tells_who_was_greeted_within_tls() {
    let place = Place::new();
    let folder = place.folder.path().display().to_string();
    let config = place.tls("handshake_first: auto") + &format!("https_port: -1\nports_file_dir: '{folder}'\n");
    let visitor = place.client(None);
    let server = place.start(&config);
    let (mut first, mut later) = (server.secured_first(None).unwrap(), server.secured(None).unwrap());
    assert_eq!((first.greet(""), later.greet("")), ("PONG".to_owned(), "PONG".to_owned()));
    let at = monitor_of(&server.place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = runtime.block_on(visit(&visitor, &at, "/connz"));
    let body: serde_json::Value = serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap();
    let told: Vec<_> = body["connections"].as_array().unwrap().iter().map(|row| row.get("tls_first")).collect();
    assert_eq!(told, [Some(&true.into()), None]);
}
