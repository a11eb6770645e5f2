//! `nats account tls`: the certificates of the server, and how long they are valid.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use data_encoding::BASE64;
use jiff::{Timestamp, tz::TimeZone};
use tls::ocsp::{Answer, Status};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::global::negatable;
use crate::invocation::Invocation;
use crate::link::{Line, authorities, servers};
use crate::parse::duration;
use crate::show::{go_duration, outln};

negatable! {
    /// Show the certificates themselves
    Pem, "pem", "no-pem", true
}

/// Show the TLS certificates of the server
#[derive(Args, Debug)]
pub(crate) struct Tls {
    /// Warn when a certificate expires this soon; 0 does not
    #[arg(long, default_value = "1w", value_parser = duration, value_name = "DURATION")]
    expire_warn: Duration,
    /// Show what the issuer says of the certificate, if the server shows it
    #[arg(long)]
    ocsp: bool,
    #[command(flatten)]
    pem: Pem,
}

impl Tls {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let settings = invocation.settings()?;
        let server = servers(&settings.url)?.into_iter().next().context("no server to connect to")?;
        let line = Line::peek(&server, &settings, invocation.timeout()).await?;
        let Some(tls) = &line.tls else { bail!("nats: the connection to {} does not use TLS", server.host()) };
        // Looking accepts every certificate; whether they are trusted is said separately.
        let trusted = invocation.line().await;
        let is_trusted = trusted.is_ok();
        outln!("# TLS Version: {} using {}", tls.version, tls.suite);
        outln!("# TLS Verified Chains count: {}", usize::from(is_trusted));
        if let Err(error) = &trusted {
            outln!("# Not verified: {error:#}");
        }
        outln!("\n# chain: 1");
        let mut fault = None;
        for (at, der) in tls.chain.iter().enumerate() {
            fault = fault.or(self.show(at + 1, der, Timestamp::now())?);
        }
        if self.ocsp {
            let issuers = tls.chain.iter().skip(1).cloned().chain(authorities(&settings)?);
            let said = stapled(tls.stapled.get(), tls.chain.first(), issuers, Timestamp::now());
            outln!("\n# {said}");
        }
        match fault {
            Some(text) => Err(anyhow!(text)),
            None if !is_trusted => Err(trusted.err().unwrap_or_else(|| anyhow!("no verified chains found in TLS"))),
            None => Ok(()),
        }
    }

    /// Shows one certificate; gives what is wrong with it.
    fn show(&self, number: usize, der: &[u8], now: Timestamp) -> Result<Option<String>> {
        let (_, certificate) = X509Certificate::from_der(der).context("the server's certificate cannot be read")?;
        let subject = certificate.subject().to_string();
        let until = Timestamp::from_second(certificate.validity().not_after.timestamp())?;
        outln!("# chain=1 cert={number} isCA={} Subject={subject:?}", certificate.is_ca());
        let fault = self.judge(number, &subject, until, now);
        outln!("#   Expiration: {}", utc(until));
        let left = until.as_second() - now.as_second();
        outln!("#   Days left: {}", left.div_euclid(86_400));
        names(&certificate);
        outln!("#   Serial: {}", certificate.tbs_certificate.serial);
        outln!("#   Signed-with: {}", algorithm(&certificate));
        if self.pem.is_on() {
            outln!("{}", pem(der));
        }
        Ok(fault)
    }

    fn judge(&self, number: usize, subject: &str, until: Timestamp, now: Timestamp) -> Option<String> {
        let date = utc(until);
        if until < now {
            outln!("# EXPIRED after {date}");
            return Some(format!("expired cert chain=1 cert={number} expiration={date:?} subject={subject:?}"));
        }
        if !self.expire_warn.is_zero() && until < now + self.expire_warn {
            outln!("# EXPIRING SOON: within {} of {date}", go_duration(self.expire_warn));
            return Some(format!("cert expiring soon chain=1 cert={number} expiration={date:?} subject={subject:?}"));
        }
        None
    }
}

/// What an OCSP answer says, when one of the issuers signed it.
fn stapled(
    answer: Option<&Vec<u8>>,
    certificate: Option<&Vec<u8>>,
    issuers: impl Iterator<Item = Vec<u8>>,
    now: Timestamp,
) -> String {
    let (Some(answer), Some(certificate)) = (answer, certificate) else {
        return "No OCSP Response found in TLS connection".to_owned();
    };
    let mut fault = "the certificate of its issuer is neither in the chain nor in the file of --tlsca".to_owned();
    for issuer in issuers {
        match Answer::read(answer, certificate, &issuer, now.as_second()) {
            Ok(answer) => return told(&answer),
            Err(error) => fault = error.to_string(),
        }
    }
    format!("OCSP response invalid: {fault}")
}

fn told(answer: &Answer) -> String {
    let date = |seconds: i64| Timestamp::from_second(seconds).map(utc).unwrap_or_default();
    let next = answer.next_update.map(date).unwrap_or_default();
    match answer.status {
        Status::Good => format!("OCSP: GOOD thisUpdate=({}) nextUpdate=({next})", date(answer.this_update)),
        Status::Revoked { at, .. } => format!("OCSP: REVOKED RevokedAt=({})", date(at)),
        Status::Unknown => "OCSP: BAD the issuer does not know the certificate".to_owned(),
    }
}

fn names(certificate: &X509Certificate<'_>) {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return };
    let (mut dns, mut addresses, mut uris, mut mails) = (vec![], vec![], vec![], vec![]);
    for name in &names.value.general_names {
        match name {
            GeneralName::DNSName(name) => dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => addresses.push(address(bytes)),
            GeneralName::URI(uri) => uris.push((*uri).to_owned()),
            GeneralName::RFC822Name(mail) => mails.push((*mail).to_owned()),
            _ => {}
        }
    }
    for (label, found) in [("DNS Names", dns), ("IP Addresses", addresses), ("URIs", uris), ("Email Addresses", mails)]
    {
        if !found.is_empty() {
            outln!("#   SAN: {label}: [{}]", found.join(" "));
        }
    }
}

fn address(bytes: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return std::net::Ipv4Addr::from(four).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| "?".to_owned(), |sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}

/// The signature algorithm by the name people know, or its number.
fn algorithm(certificate: &X509Certificate<'_>) -> String {
    let number = certificate.signature_algorithm.algorithm.to_id_string();
    let name = match number.as_str() {
        "1.2.840.113549.1.1.11" => "SHA256-RSA",
        "1.2.840.113549.1.1.12" => "SHA384-RSA",
        "1.2.840.113549.1.1.13" => "SHA512-RSA",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.10045.4.3.2" => "ECDSA-SHA256",
        "1.2.840.10045.4.3.3" => "ECDSA-SHA384",
        "1.2.840.10045.4.3.4" => "ECDSA-SHA512",
        "1.3.101.112" => "Ed25519",
        _ => return number,
    };
    name.to_owned()
}

fn utc(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

fn pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", lines.join("\n"))
}
