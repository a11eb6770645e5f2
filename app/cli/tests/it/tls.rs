//! TLS: whom we trust, what we show.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testkit::certificates::{Authority, Subject};
use testkit::responder::Responder;

use crate::scene::Scene;

/// An authority, a server certificate and a client certificate, in a directory.
fn certificates(folder: &std::path::Path) {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    std::fs::write(folder.join("ca.pem"), authority.pem()).expect("written");
    for (name, names) in
        [("server", vec!["localhost".to_owned(), "127.0.0.1".to_owned()]), ("client", vec!["client".to_owned()])]
    {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &authority).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
    }
}

fn scene(tls: &str) -> Scene {
    let home = tempfile::TempDir::new().expect("a temporary directory");
    certificates(home.path());
    let base = home.path().display().to_string();
    let config = format!(
        "tls {{ cert_file: \"{base}/server.pem\", key_file: \"{base}/server.key\", ca_file: \"{base}/ca.pem\" {tls} }}"
    );
    Scene::in_home(home, &[], &config)
}

#[test]
fn a_private_authority_is_named_with_tlsca() {
    let scene = scene("");
    let unknown = scene.nats(&["pub", "a", "x"]).failed(1);
    assert!(unknown.stderr.contains("name its file with --tlsca"), "{}", unknown.stderr);
    for command in [&["pub", "a", "x"][..], &["req", "nobody", "x"], &["rtt", "1"]] {
        let args: Vec<_> = command.iter().copied().chain(["--tlsca", "ca.pem"]).collect();
        scene.nats(&args).fine();
    }
}

#[test]
fn a_client_certificate_is_shown_when_wanted() {
    let scene = scene(", verify: true");
    let without = scene.nats(&["pub", "a", "x", "--tlsca", "ca.pem"]).failed(1);
    assert!(without.stderr.contains("--tlscert and --tlskey"), "{}", without.stderr);
    let certificate = ["--tlsca", "ca.pem", "--tlscert", "client.pem", "--tlskey", "client.key"];
    for command in [["pub", "a", "x"], ["req", "nobody", "x"]] {
        let args: Vec<_> = command.iter().copied().chain(certificate).collect();
        scene.nats(&args).fine();
    }
    let half = scene.nats(&["pub", "a", "x", "--tlscert", "client.pem"]).failed(1);
    assert!(half.stderr.contains("give both --tlscert and --tlskey"), "{}", half.stderr);
}

#[test]
fn tls_may_come_first() {
    let scene = scene(", handshake_first: true");
    for command in [["pub", "a", "x"], ["req", "nobody", "x"]] {
        let args: Vec<_> = command.iter().copied().chain(["--tlsca", "ca.pem", "--tlsfirst"]).collect();
        scene.nats(&args).fine();
    }
}

#[test]
fn a_wrong_name_is_explained() {
    let scene = scene("");
    let url = format!("nats://127.0.0.2:{}", scene.port());
    let done = scene.nats(&["pub", "a", "x", "--tlsca", "ca.pem", "-s", &url]).failed(1);
    assert!(done.stderr.contains("hint: "), "{}", done.stderr);
}

#[test]
fn certificates_are_shown_with_their_days() {
    let scene = scene("");
    let done = scene.nats(&["account", "tls", "--tlsca", "ca.pem", "--expire-warn", "0"]).fine();
    for part in [
        "# TLS Version: 1.3 using ",
        "# TLS Verified Chains count: 1",
        "# chain=1 cert=1 isCA=false",
        "#   Days left: ",
        "SAN: DNS Names: [localhost]",
        "SAN: IP Addresses: [127.0.0.1]",
        "-----BEGIN CERTIFICATE-----",
    ] {
        assert!(done.stdout.contains(part), "{part} in {}", done.stdout);
    }
    let untrusted = scene.nats(&["account", "tls", "--no-pem"]).failed(1);
    assert!(
        untrusted.stdout.contains("# TLS Verified Chains count: 0") && !untrusted.stdout.contains("BEGIN"),
        "{}",
        untrusted.stdout
    );
    let soon = scene.nats(&["account", "tls", "--tlsca", "ca.pem", "--expire-warn", "5000y"]).failed(1);
    assert!(soon.stdout.contains("# EXPIRING SOON"), "{}", soon.stdout);
    let plain = Scene::open().nats(&["account", "tls"]).failed(1);
    assert!(plain.stderr.contains("does not use TLS"), "{}", plain.stderr);
}

#[test]
fn what_the_issuer_says_is_shown() {
    let (authority, responder) = (Authority::new("Root"), Responder::start());
    responder.speaks_for(&authority);
    let server = authority.issue(Subject::named("server").dns("localhost").ocsp(&responder.url()));
    let scene = |mode: &str| {
        let home = tempfile::TempDir::new().expect("a temporary directory");
        for (name, text) in
            [("ca.pem", &authority.pem), ("server.pem", &server.chain_pem), ("server.key", &server.key_pem)]
        {
            std::fs::write(home.path().join(name), text).expect("written");
        }
        let base = home.path().display().to_string();
        let tls = format!("cert_file: '{base}/server.pem', key_file: '{base}/server.key', ca_file: '{base}/ca.pem'");
        Scene::in_home(home, &[], &format!("tls {{ {tls} }}\nocsp {{ mode: {mode} }}\n"))
    };
    let shown = |scene: &Scene| {
        let url = format!("nats://localhost:{}", scene.port());
        let args = ["account", "tls", "--ocsp", "--no-pem", "--expire-warn", "0", "--tlsca", "ca.pem", "-s", &url];
        scene.nats(&args).fine().stdout
    };
    let stapling = shown(&scene("always"));
    assert!(stapling.contains("# OCSP: GOOD thisUpdate=(20"), "{stapling}");
    let silent = shown(&scene("never"));
    assert!(silent.contains("# No OCSP Response found in TLS connection"), "{silent}");
}
