//! Certificates for tests: made in memory, valid for a lifetime or on purpose not, never stored.
//!
//! ```
//! use bulwark_testkit::certificates::{Authority, Subject, Usage};
//!
//! let authority = Authority::new("Test CA");
//! let server = authority.issue(Subject::named("server").dns("localhost").usage(Usage::Server));
//! assert!(server.chain_pem.contains("BEGIN CERTIFICATE"));
//! ```

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

/// What kind of key a certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256: quick to make.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA with 2048 bits. Slow to make: share one.
    Rsa,
}

impl Key {
    fn generate(self) -> KeyPair {
        let algorithm = match self {
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
            Self::P384 => &PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &PKCS_ED25519,
            Self::Rsa => &PKCS_RSA_SHA256,
        };
        KeyPair::generate_for(algorithm).expect("every algorithm can make keys")
    }
}

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// Says nothing, so anything.
    #[default]
    Any,
    /// `serverAuth`.
    Server,
    /// `clientAuth`.
    Client,
    /// Both of them.
    Both,
    /// `OCSPSigning`.
    OcspSigning,
}

/// In which years a certificate holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Years {
    /// 2020 to 2090.
    #[default]
    Now,
    /// 2020.
    Past,
    /// 2089.
    Future,
}

/// What a certificate says about its holder.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    names: Vec<(DnType, String)>,
    alternatives: Vec<SanType>,
    usage: Usage,
    years: Years,
    key: Key,
    key_usages: Vec<KeyUsagePurpose>,
    must_staple: bool,
    is_authority: bool,
    ocsp_url: Option<String>,
}

impl Subject {
    /// With this common name.
    pub fn named(common_name: &str) -> Self {
        Self::default().attribute(DnType::CommonName, common_name)
    }

    /// With no subject at all.
    pub fn nameless() -> Self {
        Self::default()
    }

    /// Adds an organisation.
    pub fn organisation(self, value: &str) -> Self {
        self.attribute(DnType::OrganizationName, value)
    }

    /// Adds an organisational unit.
    pub fn unit(self, value: &str) -> Self {
        self.attribute(DnType::OrganizationalUnitName, value)
    }

    /// Adds a domain component. A subject made here holds at most one.
    pub fn domain_component(self, value: &str) -> Self {
        self.attribute(DnType::from_oid(&[0, 9, 2342, 19_200_300, 100, 1, 25]), value)
    }

    fn attribute(mut self, kind: DnType, value: &str) -> Self {
        self.names.push((kind, value.to_owned()));
        self
    }

    /// Adds a DNS name.
    pub fn dns(mut self, name: &str) -> Self {
        self.alternatives.push(SanType::DnsName(name.try_into().expect("an ASCII name")));
        self
    }

    /// Adds an address.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.alternatives.push(SanType::IpAddress(address));
        self
    }

    /// Adds a mail address.
    pub fn email(mut self, email: &str) -> Self {
        self.alternatives.push(SanType::Rfc822Name(email.try_into().expect("an ASCII address")));
        self
    }

    /// Adds a URI.
    pub fn uri(mut self, uri: &str) -> Self {
        self.alternatives.push(SanType::URI(uri.try_into().expect("an ASCII URI")));
        self
    }

    /// Limits what it is good for.
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Sets when it holds.
    pub fn years(mut self, years: Years) -> Self {
        self.years = years;
        self
    }

    /// Sets the kind of key.
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    /// Allows the key to encipher keys, and nothing else: it may not sign a handshake.
    pub fn may_not_sign(mut self) -> Self {
        self.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
        self
    }

    /// Promises a stapled OCSP answer.
    pub fn must_staple(mut self) -> Self {
        self.must_staple = true;
        self
    }

    /// Marks it as an authority, as a self-signed certificate made with common tools is.
    pub fn authority(mut self) -> Self {
        self.is_authority = true;
        self
    }

    /// Names an OCSP responder.
    pub fn ocsp(mut self, url: &str) -> Self {
        self.ocsp_url = Some(url.to_owned());
        self
    }

    /// Signed by its own key.
    pub fn self_signed(self) -> Identity {
        let key = self.key.generate();
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let certificate = self.params(serial).self_signed(&key).expect("the parameters are complete");
        Identity::new(certificate.der().to_vec(), &[certificate.pem()], &key, serial)
    }

    fn params(self, serial: u64) -> CertificateParams {
        let (from, until) = match self.years {
            Years::Now => (2020, 2090),
            Years::Past => (2020, 2021),
            Years::Future => (2089, 2090),
        };
        let mut name = DistinguishedName::new();
        self.names.into_iter().for_each(|(kind, value)| name.push(kind, value));
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.serial_number = Some(SerialNumber::from(serial));
        params.distinguished_name = name;
        params.subject_alt_names = self.alternatives;
        params.key_usages = self.key_usages;
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = purposes(self.usage);
        if self.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        if self.must_staple {
            params.custom_extensions.push(must_staple());
        }
        if let Some(url) = self.ocsp_url {
            params.custom_extensions.push(authority_information(&url));
        }
        params
    }
}

fn purposes(usage: Usage) -> Vec<ExtendedKeyUsagePurpose> {
    match usage {
        Usage::Any => vec![],
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Usage::OcspSigning => vec![ExtendedKeyUsagePurpose::OcspSigning],
    }
}

/// RFC 7633: a sequence with the number of `status_request`.
fn must_staple() -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, 5])
}

/// RFC 5280 section 4.2.2.1 with one OCSP responder.
fn authority_information(url: &str) -> CustomExtension {
    const OCSP: [u8; 10] = [6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    let wrap = |tag: u8, content: &[u8]| {
        let mut out = vec![tag, u8::try_from(content.len()).expect("short enough for one byte")];
        out.extend_from_slice(content);
        out
    };
    let location = wrap(0x86, url.as_bytes());
    let description = wrap(0x30, &[&OCSP[..], &location].concat());
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], wrap(0x30, &description))
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate and its issuers up to, but without, the root.
    pub chain_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
    /// The certificate alone.
    pub der: Vec<u8>,
    /// The private key alone.
    pub key_der: Vec<u8>,
    /// Its serial number.
    pub serial: u64,
}

impl Identity {
    fn new(der: Vec<u8>, chain: &[String], key: &KeyPair, serial: u64) -> Self {
        Self { chain_pem: chain.concat(), key_pem: key.serialize_pem(), der, key_der: key.serialize_der(), serial }
    }
}

/// Somebody who issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
    /// The same in DER.
    pub der: Vec<u8>,
    /// Its private key, PKCS#8.
    pub key_der: Vec<u8>,
    /// Itself and those above it, without the root.
    above: Vec<String>,
}

impl Authority {
    /// A root.
    pub fn new(name: &str) -> Self {
        let params = Self::params(name);
        let key = Key::P256.generate();
        let key_der = key.serialize_der();
        let certificate = params.self_signed(&key).expect("the parameters are complete");
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_der,
            above: Vec::new(),
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let params = Self::params(name);
        let key = Key::P256.generate();
        let key_der = key.serialize_der();
        let certificate = params.signed_by(&key, &self.issuer).expect("the parameters are complete");
        let above = std::iter::once(certificate.pem()).chain(self.above.iter().cloned()).collect();
        Self {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            key_der,
            above,
            issuer: Issuer::new(params, key),
        }
    }

    fn params(name: &str) -> CertificateParams {
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut params = Subject::named(name).authority().params(serial);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        params
    }

    /// Issues a certificate.
    pub fn issue(&self, subject: Subject) -> Identity {
        let key = subject.key.generate();
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let certificate = subject.params(serial).signed_by(&key, &self.issuer).expect("the parameters are complete");
        let chain: Vec<String> = std::iter::once(certificate.pem()).chain(self.above.iter().cloned()).collect();
        Identity::new(certificate.der().to_vec(), &chain, &key, serial)
    }

    /// A list of revoked certificates, PEM. It holds in the same years as a certificate would.
    pub fn revocation_list(&self, revoked: &[&Identity], years: Years) -> String {
        let (from, until) = match years {
            Years::Now => (2020, 2090),
            Years::Past => (2020, 2021),
            Years::Future => (2089, 2090),
        };
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: SerialNumber::from(identity.serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(from, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(NEXT_SERIAL.fetch_add(1, Ordering::Relaxed)),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("the parameters are complete").pem().expect("a list has a text form")
    }
}

/// Files that are only in memory, for code that reads through a function.
#[derive(Default)]
pub struct Files(Mutex<HashMap<PathBuf, Vec<u8>>>);

impl Files {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a file, or writes it anew.
    pub fn write(&self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) {
        self.0.lock().expect("no test panics while writing").insert(path.into(), content.into());
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write_identity(&self, name: &str, identity: &Identity) {
        self.write(format!("{name}.pem"), identity.chain_pem.as_str());
        self.write(format!("{name}.key"), identity.key_pem.as_str());
    }

    /// Takes a file away.
    pub fn remove(&self, path: impl AsRef<Path>) {
        self.0.lock().expect("no test panics while writing").remove(path.as_ref());
    }

    /// The content of a file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let files = self.0.lock().expect("no test panics while writing");
        files.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file or directory"))
    }
}
