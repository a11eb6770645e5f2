//! `tls` blocks of every listener and remote.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use conf::{Map, Node, Place, Value};
use moment::GoDuration;
use tls::{
    CertificateFiles, CipherSuite, ClientTls, Curve, HandshakeFirst, NameError, Passphrase, PinnedCerts, ServerTls,
    Settings, Version,
};

use crate::go_text::quoted;
use crate::ocsp;
use crate::report::Report;
use crate::support::Feature;

/// On which kind of link the block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Context {
    /// A listener for strangers.
    Listener,
    /// A connection we make to a leaf node or a resolver.
    Remote,
    /// Routes and gateways: both sides are servers, both show certificates.
    Peer,
}

/// The keys of the block.
pub(crate) const KEYS: &[&str] = &[
    "cert_file",
    "key_file",
    "ca_file",
    "certs",
    "certificates",
    "crl_file",
    "crl_files",
    "key_passphrase",
    "key_passphrase_file",
    "insecure",
    "verify",
    "verify_and_map",
    "verify_cert_and_check_known_urls",
    "allow_insecure_cipher_suites",
    "cipher_suites",
    "curve_preferences",
    "timeout",
    "connection_rate_limit",
    "pinned_certs",
    "handshake_first",
    "first",
    "immediate",
    "ocsp_peer",
    "min_version",
    "cert_store",
    "cert_match_by",
    "cert_match",
    "cert_match_skip_invalid",
    "ca_certs_match",
];

/// What is put together only when the whole block has been read.
#[derive(Default)]
struct Draft<'n> {
    settings: Settings,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    passphrase: Option<Passphrase>,
    suites: Option<&'n Node>,
    allow_insecure: bool,
    pairs: Option<&'n Node>,
    ocsp_peer: Option<&'n Node>,
}

/// Reads a block; `None` when it has mistakes.
pub(crate) fn read(node: &Node, context: Context, report: &mut Report<'_>) -> Option<Settings> {
    let map = report.map(node)?;
    let before = report.errors.len();
    let mut draft = Draft::default();
    for (key, value) in map.iter() {
        draft.read(key, value, context, report);
    }
    draft.finish(node, context, report);
    if report.errors.len() == before {
        open(&draft.settings, &node.place, context, report);
    }
    (report.errors.len() == before).then_some(draft.settings)
}

/// Builds what the block says and throws it away: the server does it again when it starts.
pub(crate) fn open(settings: &Settings, place: &Place, context: Context, report: &mut Report<'_>) {
    if !report.opens_certificates {
        return;
    }
    let read_file = report.world.read_file;
    let read = |path: &Path| {
        let content = read_file(&path.to_string_lossy());
        content.map(|content| content.expose().clone()).map_err(std::io::Error::other)
    };
    let accepts = || ServerTls::build(settings, &read).map(drop);
    let connects = || ClientTls::build(settings, &read).map(drop);
    let built = match context {
        Context::Listener => accepts(),
        Context::Remote => connects(),
        Context::Peer => accepts().and_then(|()| connects()),
    };
    if let Err(error) = built {
        report.error(place, error.to_string());
    }
}

impl<'n> Draft<'n> {
    fn read(&mut self, key: &str, node: &'n Node, context: Context, report: &mut Report<'_>) {
        let settings = &mut self.settings;
        match key.to_ascii_lowercase().as_str() {
            "cert_file" => set_file("cert_file", node, &mut self.cert_file, report),
            "key_file" => set_file("key_file", node, &mut self.key_file, report),
            "ca_file" => set_file("ca_file", node, &mut settings.ca_file, report),
            "certs" | "certificates" => self.pairs = Some(node),
            "crl_file" | "crl_files" => {
                let files = report.strings("crl_files", node).unwrap_or_default();
                settings.crl_files.extend(files.into_iter().map(PathBuf::from));
            }
            "key_passphrase" => {
                let mut secret = None;
                report.set_secret(node, &mut secret);
                self.passphrase = secret.map(Passphrase::Value);
            }
            "key_passphrase_file" => {
                let mut path = None;
                set_file("key_passphrase_file", node, &mut path, report);
                self.passphrase = path.map(Passphrase::File);
            }
            "insecure" => set_flag("insecure", node, &mut settings.insecure, report),
            "verify" => set_flag("verify", node, &mut settings.verify, report),
            "verify_and_map" => set_flag("verify_and_map", node, &mut settings.verify_and_map, report),
            "verify_cert_and_check_known_urls" => self.known_urls(node, context, report),
            "allow_insecure_cipher_suites" => {
                set_flag("allow_insecure_cipher_suites", node, &mut self.allow_insecure, report);
            }
            "cipher_suites" => self.suites = Some(node),
            "curve_preferences" => self.curves(node, report),
            "timeout" => {
                if let Some(timeout) = report.seconds("tls", node).filter(|timeout| !timeout.is_zero()) {
                    settings.timeout = timeout;
                }
            }
            "connection_rate_limit" => match node.as_integer() {
                Some(limit) => {
                    settings.connection_rate_limit = u32::try_from(limit).ok().and_then(NonZeroU32::new);
                }
                None => report.error(&node.place, "error parsing tls config, 'connection_rate_limit' wrong type"),
            },
            "pinned_certs" => self.pins(node, report),
            "handshake_first" | "first" | "immediate" => self.handshake_first(key, node, report),
            "ocsp_peer" => self.ocsp_peer = Some(node),
            "min_version" => self.min_version(node, report),
            "cert_store" | "cert_match_by" | "cert_match" | "cert_match_skip_invalid" | "ca_certs_match" => report
                .error_with(
                    &node.place,
                    format!("{key:?} is not supported on this system"),
                    "it names the certificate store of Windows; use cert_file and key_file",
                ),
            _ => report.unknown_as(key, node, KEYS, format!("error parsing tls config, unknown field {}", quoted(key))),
        }
    }

    fn known_urls(&mut self, node: &Node, context: Context, report: &mut Report<'_>) {
        let mut wanted = false;
        set_flag("verify_cert_and_check_known_urls", node, &mut wanted, report);
        if wanted && context != Context::Peer {
            report.error(&node.place, "verify_cert_and_check_known_urls not supported in this context");
        }
        self.settings.verify_cert_and_check_known_urls = wanted;
    }

    fn curves(&mut self, node: &Node, report: &mut Report<'_>) {
        let Some(names) = checked_names(node, report, |name| Curve::from_names([name]).map(drop)) else {
            return;
        };
        match Curve::from_names(names.iter().map(String::as_str)) {
            Ok(curves) => self.settings.curve_preferences = curves,
            Err(error) => report.error(&node.place, error.to_string()),
        }
    }

    fn pins(&mut self, node: &Node, report: &mut Report<'_>) {
        if node.as_array().is_none() {
            let text = "error parsing tls config, expected 'pinned_certs' to be a list of hex-encoded sha256 of DER \
                        encoded SubjectPublicKeyInfo";
            return report.error(&node.place, text);
        }
        let Some(pins) = checked_names(node, report, |pin| PinnedCerts::from_hex([pin]).map(drop)) else {
            return;
        };
        match PinnedCerts::from_hex(pins.iter().map(String::as_str)) {
            Ok(pins) => self.settings.pinned_certs = pins,
            Err(error) => report.error(&node.place, error.to_string()),
        }
    }

    fn handshake_first(&mut self, key: &str, node: &Node, report: &mut Report<'_>) {
        let first = match &node.value {
            Value::Bool(true) => HandshakeFirst::On,
            Value::Bool(false) => HandshakeFirst::Off,
            Value::String(text) => {
                let word = text.as_str();
                let duration = || word.parse::<GoDuration>().ok()?.to_std().map(HandshakeFirst::WithFallback);
                match HandshakeFirst::from_word(word).or_else(duration) {
                    Some(first) => first,
                    None => {
                        let text = format!("field {key:?}'s value {} is invalid", quoted(word));
                        return report.error(&node.place, text);
                    }
                }
            }
            _ => {
                let kind = node.kind().go_type();
                let text = format!("field {key:?} should be a boolean or a string, got {kind}");
                return report.error(&node.place, text);
            }
        };
        self.settings.handshake_first = first;
    }

    fn min_version(&mut self, node: &Node, report: &mut Report<'_>) {
        let Some(name) = node.as_str() else {
            let shown = crate::go_text::Shown(node);
            let text = format!("error parsing tls config: 'min_version' wrong type: {shown}");
            return report.error_with(&node.place, text, "write \"1.2\" or \"1.3\" in quotes");
        };
        match Version::from_name(name) {
            Ok(version) => self.settings.min_version = version,
            Err(error) => report.error(&node.place, format!("error parsing tls config: {error}")),
        }
    }

    fn finish(&mut self, block: &Node, context: Context, report: &mut Report<'_>) {
        self.settings.verify |=
            self.settings.verify_and_map || self.settings.verify_cert_and_check_known_urls || context == Context::Peer;
        self.finish_suites(report);
        self.finish_certificates(block, report);
        if context == Context::Listener && !self.settings.verify && !self.settings.crl_files.is_empty() {
            let text = "revocation lists have no effect where no certificate is asked for";
            report.error_with(&block.place, text, "set verify: true, or leave crl_files out");
        }
        if let Some(node) = self.ocsp_peer {
            self.settings.ocsp_peer = ocsp::read_peer(node, report);
            if self.settings.ocsp_peer.is_some() {
                report.needs(Feature::OcspPeer, &node.place);
            }
            if self.settings.ocsp_peer.is_some() && context == Context::Listener && !self.settings.verify {
                let text = "OCSP peer verification for client connections requires TLS verify (mTLS) to be enabled";
                report.error(&node.place, text);
            }
        }
    }

    fn finish_suites(&mut self, report: &mut Report<'_>) {
        let Some(node) = self.suites else {
            return;
        };
        let allow = self.allow_insecure;
        // Insecure names are told together, and those that cannot be had only when they are allowed.
        let is_one = |name: &str| match CipherSuite::from_names([name], allow) {
            Err(NameError::InsecureSuites { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let Some(names) = checked_names(node, report, is_one) else {
            return;
        };
        match CipherSuite::from_names(names.iter().map(String::as_str), allow) {
            Ok(suites) => self.settings.cipher_suites = suites,
            Err(error) => report.error(&node.place, error.to_string()),
        }
    }

    fn finish_certificates(&mut self, block: &Node, report: &mut Report<'_>) {
        if let Some(node) = self.pairs {
            if self.cert_file.is_some() {
                let text = "error parsing tls config, cannot combine 'cert_file' option with 'certs' option";
                return report.error(&node.place, text);
            }
            self.settings.certificates = read_pairs(node, self.passphrase.as_ref(), report);
            return;
        }
        match (self.cert_file.take(), self.key_file.take()) {
            (Some(cert_file), Some(key_file)) => {
                let passphrase = self.passphrase.take();
                self.settings.certificates.push(CertificateFiles { cert_file, key_file, passphrase });
            }
            (Some(_), None) => report.error(&block.place, "missing 'key_file' in TLS configuration"),
            (None, Some(_)) => report.error(&block.place, "missing 'cert_file' in TLS configuration"),
            (None, None) => {}
        }
    }
}

/// An array of names; each wrong one is told where it stands.
fn checked_names(
    node: &Node,
    report: &mut Report<'_>,
    check: impl Fn(&str) -> Result<(), NameError>,
) -> Option<Vec<String>> {
    let before = report.errors.len();
    let mut names = Vec::new();
    for element in report.array(node)? {
        let Some(name) = report.text(element) else {
            continue;
        };
        match check(name) {
            Ok(()) => names.push(name.to_owned()),
            Err(error) => report.error(&element.place, error.to_string()),
        }
    }
    (report.errors.len() == before).then_some(names)
}

fn read_pairs(node: &Node, passphrase: Option<&Passphrase>, report: &mut Report<'_>) -> Vec<CertificateFiles> {
    let unsupported = "error parsing certificates config: unsupported type";
    let Some(elements) = node.as_array() else {
        report.error(&node.place, format!("{unsupported} {}", node.kind().go_type()));
        return Vec::new();
    };
    let mut pairs = Vec::with_capacity(elements.len());
    for element in elements {
        match element.as_map() {
            Some(map) => pairs.extend(read_pair(element, map, passphrase, report)),
            None => report.error(&element.place, format!("{unsupported} {}", element.kind().go_type())),
        }
    }
    pairs
}

fn read_pair(
    node: &Node,
    map: &Map,
    passphrase: Option<&Passphrase>,
    report: &mut Report<'_>,
) -> Option<CertificateFiles> {
    let before = report.errors.len();
    let (mut cert_file, mut key_file) = (PathBuf::new(), PathBuf::new());
    for (key, value) in map.iter() {
        let Some(path) = value.as_str() else {
            let kind = value.kind().go_type();
            report.error(&value.place, format!("error parsing certificates config: unsupported type {kind}"));
            return None;
        };
        match key {
            "cert_file" => cert_file = path.into(),
            "key_file" => key_file = path.into(),
            _ => {
                let text = format!("error parsing tls certs config, unknown field {}", quoted(key));
                report.unknown_as(key, value, &["cert_file", "key_file"], text);
            }
        }
    }
    if cert_file.as_os_str().is_empty() || key_file.as_os_str().is_empty() {
        let text = "error parsing certificates config: both 'cert_file' and 'cert_key' options are required";
        let place = map.iter().last().map_or(&node.place, |(_, last)| &last.place);
        if report.errors.len() == before {
            report.error_with(place, text, "the key's option is called key_file");
        }
        return None;
    }
    Some(CertificateFiles { cert_file, key_file, passphrase: passphrase.cloned() })
}

fn set_file(field: &str, node: &Node, target: &mut Option<PathBuf>, report: &mut Report<'_>) {
    match node.as_str() {
        Some(path) => *target = Some(path.into()).filter(|_| !path.is_empty()),
        None => report.error(&node.place, format!("error parsing tls config, expected '{field}' to be filename")),
    }
}

fn set_flag(field: &str, node: &Node, target: &mut bool, report: &mut Report<'_>) {
    match node.as_bool() {
        Some(truth) => *target = truth,
        None => report.error(&node.place, format!("error parsing tls config, expected '{field}' to be a boolean")),
    }
}

/// The block that `--tls` and its companions stand for.
pub(crate) fn from_flags(cert_file: PathBuf, key_file: PathBuf, ca_file: Option<PathBuf>, verify: bool) -> Settings {
    Settings {
        certificates: vec![CertificateFiles { cert_file, key_file, passphrase: None }],
        ca_file,
        verify,
        ..Settings::default()
    }
}
