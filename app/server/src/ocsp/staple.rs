//! Our own certificates: fetching what their issuers say, and showing it to whoever connects.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use config::StapleMode;
use moment::GoDuration;
use tls::ocsp::{Answer, Status, refresh_at, request};
use tls::{CertificateInfo, ServerTls};

use super::{fetch, now};
use crate::log::Log;

/// How long a responder may take for our own certificate.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder beside the streams.
const FOLDER: &str = "ocsp";

/// What the configuration says about stapling.
#[derive(Clone, Debug)]
pub(crate) struct Stapling {
    mode: StapleMode,
    /// Instead of the responders that the certificate names.
    urls: Vec<String>,
    folder: Option<PathBuf>,
}

/// A certificate that is shown with an answer.
#[derive(Clone, Debug)]
pub(crate) struct Stapled {
    index: usize,
    renew_at: i64,
}

/// The certificates of a listener that are shown with an answer: those in use, and those that are about to be.
#[derive(Default)]
pub(crate) struct Staples(Mutex<Vec<StapledOf>>);

/// The same of one set of certificates.
struct StapledOf {
    tls: Weak<ServerTls>,
    stapling: Stapling,
    stapled: Vec<Stapled>,
}

/// Our certificate does not hold any more, and the server is not to run with it.
#[derive(Debug)]
pub(crate) struct Revoked;

impl Stapling {
    pub(crate) fn of(settings: &config::Settings) -> Self {
        let folder = settings.jetstream.store_dir.as_ref().map(|folder| folder.join(FOLDER));
        match &settings.ocsp {
            Some(staple) => Self { mode: staple.mode, urls: staple.urls.clone(), folder },
            None => Self { mode: StapleMode::Auto, urls: Vec::new(), folder },
        }
    }

    fn wants(&self, certificate: &CertificateInfo) -> bool {
        match self.mode {
            StapleMode::Never => false,
            StapleMode::Always => true,
            StapleMode::Auto | StapleMode::Must => certificate.must_staple,
        }
    }

    fn stops_when_revoked(&self) -> bool {
        matches!(self.mode, StapleMode::Always | StapleMode::Must)
    }

    /// Has an answer for every certificate that wants one, stored or fetched.
    ///
    /// # Errors
    /// With the text for the user, if one cannot be had.
    pub(crate) fn begin(&self, tls: &ServerTls, log: &Log) -> Result<Vec<Stapled>, String> {
        let mut stapled = Vec::new();
        for (index, certificate) in tls.certificates().iter().enumerate() {
            let file = certificate.file.display();
            if self.mode == StapleMode::Never && certificate.must_staple {
                log.warn(&format!("Certificate at '{file}' has MustStaple but OCSP is disabled"));
            }
            if !self.wants(certificate) {
                continue;
            }
            let bad = |why: String| format!("bad OCSP status update for certificate at '{file}': {why}");
            let answer = match self.stored(tls, index) {
                Some(answer) => answer,
                None => self.fetch(tls, index).map_err(bad)?,
            };
            let status = answer.status.name();
            if answer.status != Status::Good {
                let text = format!("found existing OCSP status for certificate at '{file}': {status}");
                if self.stops_when_revoked() {
                    return Err(text);
                }
                log.error(&text);
            }
            let renew_at = refresh_at(&answer, now());
            let again = again_in(renew_at);
            log.notice(&format!(
                "Found OCSP status for Client certificate at '{file}': {status}, checking again in {again}"
            ));
            stapled.push(Stapled { index, renew_at });
        }
        if !stapled.is_empty() {
            log.notice("OCSP Stapling enabled for Client connections");
        }
        Ok(stapled)
    }

    /// Renews the answers whose time has come.
    ///
    /// # Errors
    /// If the issuer does not stand by a certificate of ours any more, and the server is to stop then.
    pub(crate) fn renew(&self, tls: &ServerTls, stapled: &mut [Stapled], log: &Log) -> Result<(), Revoked> {
        for own in stapled.iter_mut().filter(|own| own.renew_at <= now()) {
            let file =
                tls.certificates().get(own.index).map(|info| info.file.display().to_string()).unwrap_or_default();
            match self.fetch(tls, own.index) {
                Ok(answer) if answer.status == Status::Good => {
                    own.renew_at = refresh_at(&answer, now());
                    let again = again_in(own.renew_at);
                    log.notice(&format!(
                        "Received OCSP status for Client certificate '{file}': good, checking again in {again}"
                    ));
                }
                Ok(answer) => {
                    own.renew_at = refresh_at(&answer, now());
                    // An older answer that still says good would be a lie.
                    tls.staple(own.index, None);
                    let status = answer.status.name();
                    log.error(&format!("Received OCSP status for Client certificate '{file}': {status}"));
                    if self.stops_when_revoked() {
                        return Err(Revoked);
                    }
                }
                Err(why) => {
                    own.renew_at = now() + RETRY_AFTER;
                    let again = again_in(own.renew_at);
                    log.error(&format!(
                        "Bad OCSP status update for certificate '{file}': {why}, trying again in {again}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn fetch(&self, tls: &ServerTls, index: usize) -> Result<Answer, String> {
        let missing =
            || "no issuer of the certificate is known: put it behind the certificate, or into ca_file".to_owned();
        let (certificate, issuer) = tls.with_issuer(index).ok_or_else(missing)?;
        let question = request(certificate, issuer).map_err(|error| error.to_string())?;
        let info = tls.certificates().get(index).ok_or_else(missing)?;
        let responders = if self.urls.is_empty() { &info.ocsp_urls } else { &self.urls };
        let mut last = "no available ocsp servers".to_owned();
        for responder in responders {
            let answer = fetch::ask(responder, &question, PATIENCE).and_then(|response| {
                let answer = tls.staple_answer(index, response.clone(), now()).map_err(|error| error.to_string())?;
                if !answer.is_current(now(), 0, UNSET_TTL) {
                    return Err("the response is not current".to_owned());
                }
                Ok((answer, response))
            });
            match answer {
                Ok((answer, response)) => {
                    self.store(certificate, &response)?;
                    return Ok(answer);
                }
                Err(why) => last = format!("exhausted ocsp servers: {why}"),
            }
        }
        Err(last)
    }

    fn stored(&self, tls: &ServerTls, index: usize) -> Option<Answer> {
        let (certificate, _) = tls.with_issuer(index)?;
        let response = fs::read(self.file(certificate)?).ok()?;
        let answer = tls.staple_answer(index, response, now()).ok()?;
        answer.is_current(now(), 0, UNSET_TTL).then_some(answer)
    }

    fn store(&self, certificate: &[u8], response: &[u8]) -> Result<(), String> {
        let (Some(folder), Some(file)) = (&self.folder, self.file(certificate)) else { return Ok(()) };
        let written = fs::create_dir_all(folder).and_then(|()| write_whole(&file, response));
        written.map_err(|error| format!("failed to write ocsp status: {error}"))
    }

    fn file(&self, certificate: &[u8]) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        let digest = tls::PeerFacts::read(certificate).ok()?.certificate_sha256;
        let name = digest.iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        Some(folder.join(name))
    }
}

impl Staples {
    /// Has an answer for every certificate that wants one, before these come into use.
    ///
    /// # Errors
    /// With the text for the user, if one cannot be had.
    pub(crate) fn begin(&self, stapling: Stapling, tls: &Arc<ServerTls>, log: &Log) -> Result<(), String> {
        let stapled = stapling.begin(tls, log)?;
        let mut all = self.all();
        all.retain(|known| known.tls.strong_count() > 0);
        all.push(StapledOf { tls: Arc::downgrade(tls), stapling, stapled });
        Ok(())
    }

    /// Renews the answers of those that are in use, where their time has come. Nobody waits for a responder meanwhile.
    ///
    /// # Errors
    /// If the issuer does not stand by a certificate of ours any more, and the server is to stop then.
    pub(crate) fn renew(&self, tls: &Arc<ServerTls>, log: &Log) -> Result<(), Revoked> {
        let mut all = self.all();
        let Some(at) = all.iter().position(|known| known.tls.as_ptr() == Arc::as_ptr(tls)) else { return Ok(()) };
        let mut known = all.swap_remove(at);
        drop(all);
        let outcome = known.stapling.renew(tls, &mut known.stapled, log);
        self.all().push(known);
        outcome
    }

    fn all(&self) -> MutexGuard<'_, Vec<StapledOf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an answer without an end is shown.
const UNSET_TTL: i64 = 86_400;

/// When to ask again after a responder could not be asked.
const RETRY_AFTER: i64 = 120;

fn again_in(at: i64) -> GoDuration {
    GoDuration(at.saturating_sub(now()).saturating_mul(1_000_000_000))
}

/// Writes a file so that there is the old one or the new one, never half of one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}
