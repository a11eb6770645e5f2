//! Links that live on tokio.

use std::time::Duration;

use bulwark_tls::{CertificateFiles, Fault, PinnedCerts, Settings};
use testkit::certificates::{Authority, Files, Subject};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::pair::{client_tls, meet, server_tls};

const PIPE_BYTES: usize = 4096;

fn files() -> Files {
    let (files, authority) = (Files::new(), Authority::new("Root"));
    files.write("ca.pem", authority.pem.as_str());
    for name in ["server", "client"] {
        files.write_identity(name, &authority.issue(Subject::named(name).dns("localhost")));
    }
    files
}

fn block(name: &str) -> Settings {
    Settings {
        certificates: vec![CertificateFiles::new(format!("{name}.pem"), format!("{name}.key"))],
        ca_file: Some("ca.pem".into()),
        ..Settings::default()
    }
}

#[tokio::test]
async fn both_sides_of_a_stream_know_each_other_and_talk() {
    let files = files();
    let server = server_tls(&Settings { verify: true, ..block("server") }, &files);
    let client = client_tls(&block("client"), &files);
    let (near, far) = duplex(PIPE_BYTES);
    let (server, client) = tokio::join!(server.accept_stream(near), client.connect_stream(far, "localhost"));
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    assert_eq!(server.peer().unwrap().subject, "CN=client");
    assert_eq!(client.peer().unwrap().subject, "CN=server");
    client.write_all(b"question").await.unwrap();
    client.flush().await.unwrap();
    let mut heard = [0; 8];
    server.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"question");
}

#[tokio::test]
async fn a_key_that_is_not_pinned_and_a_name_that_is_not_meant_are_refused() {
    let files = files();
    let pinned = PinnedCerts::from_hex(["0".repeat(64).as_str()]).unwrap();
    let server = server_tls(&Settings { verify: true, pinned_certs: pinned, ..block("server") }, &files);
    let client = client_tls(&block("client"), &files);
    let (near, far) = duplex(PIPE_BYTES);
    let (refused, _) = tokio::join!(server.accept_stream(near), client.connect_stream(far, "localhost"));
    assert_eq!(refused.err(), Some(Fault::NotPinned));
    let (near, far) = duplex(PIPE_BYTES);
    let (_, refused) = tokio::join!(server.accept_stream(near), client.connect_stream(far, "elsewhere"));
    assert!(matches!(refused.err(), Some(Fault::CertificateRefused(_))));
}

#[tokio::test]
async fn a_peer_that_never_speaks_is_not_waited_for() {
    let files = files();
    let server = server_tls(&Settings { timeout: Duration::from_millis(1), ..block("server") }, &files);
    let (near, _far) = duplex(PIPE_BYTES);
    assert_eq!(server.accept_stream(near).await.err(), Some(Fault::TimedOut));
}

#[test]
fn a_server_that_a_remote_knows_is_judged_again_by_its_new_block() {
    let files = files();
    let chain = meet(&block("server"), &block("client"), &files).unwrap().client.peer_chain;
    let now = 1_800_000_000;
    let before = client_tls(&block("client"), &files);
    assert_eq!(before.recheck(&chain, "localhost", now), Ok(()));
    assert!(before.recheck(&chain, "elsewhere", now).is_err());
    files.write("ca.pem", Authority::new("Another").pem);
    assert!(client_tls(&block("client"), &files).recheck(&chain, "localhost", now).is_err());
    let pinned = PinnedCerts::from_hex(["0".repeat(64).as_str()]).unwrap();
    let pinned = client_tls(&Settings { pinned_certs: pinned, ..block("client") }, &files);
    assert_eq!(pinned.recheck(&chain, "localhost", now), Err(Fault::NotPinned));
}
