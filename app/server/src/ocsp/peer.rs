//! Certificates of peers (`ocsp_peer`): asking their issuers, and remembering what they said (`ocsp_cache`).

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use api::monitoring::OcspCacheVarz;
use api::system::events::CertificateInfo;
use broker::LinkKind;
use config::OcspCache;
use data_encoding::BASE64;
use moment::Timestamp;
use net::PeerCheck;
use serde_json::{Value, json};
use tls::ocsp::{
    Answer, Cache, Counts, Finding, Judgement, Link, MAX_CACHED, OcspError, PeerAsking, advisory_reason, fingerprint,
    judge, links, request,
};
use tls::{OcspPeer, PeerFacts};

use super::staple::write_whole;
use super::{fetch, now};
use crate::log::Log;
use crate::system_account::{CertificateRefused, NewsDesk, Refused};

/// The file in the folder of the cache.
const FILE: &str = "cache.json";

/// The largest file that is read.
const MAX_FILE: u64 = 256 << 20;

/// What issuers said about peers.
pub(crate) struct PeerAnswers {
    log: Arc<Log>,
    /// Told of peers that are refused, if there is a system account.
    news: OnceLock<NewsDesk>,
    state: Mutex<State>,
}

struct State {
    settings: OcspCache,
    answers: Cache,
    /// The responses behind the answers, to be written into the file.
    responses: HashMap<String, Response>,
    /// Responses from the file: nobody has checked yet who signed them.
    unread: HashMap<String, Response>,
    unsaved: bool,
    save_at: i64,
    hits: u64,
    misses: u64,
}

#[derive(Clone)]
struct Response {
    bytes: Vec<u8>,
    subject: String,
    cached_at: i64,
}

impl PeerAnswers {
    /// With what an earlier run remembered.
    pub(crate) fn new(settings: OcspCache, log: Arc<Log>) -> Self {
        let answers = Cache::new(settings.preserve_revoked);
        let unread = if settings.is_local { load(&settings, &log) } else { HashMap::new() };
        let responses = HashMap::new();
        let state = State { settings, answers, responses, unread, unsaved: false, save_at: 0, hits: 0, misses: 0 };
        Self { log, news: OnceLock::new(), state: Mutex::new(state) }
    }

    /// From now on refusals are told here.
    pub(crate) fn tell(&self, news: NewsDesk) {
        let _ = self.news.set(news);
    }

    /// Goes on by other settings. What is known stays known, unless nothing is to be remembered.
    pub(crate) fn reconfigure(&self, settings: OcspCache) {
        let mut state = self.state();
        if state.settings != settings {
            *state = State {
                answers: Cache::new(settings.preserve_revoked),
                unread: if settings.is_local { load(&settings, &self.log) } else { HashMap::new() },
                responses: HashMap::new(),
                settings,
                unsaved: false,
                save_at: 0,
                hits: state.hits,
                misses: state.misses,
            };
        }
    }

    /// Writes the file, if there is news and it is time; `at_once` does not wait.
    pub(crate) fn save(&self, at_once: bool) {
        let mut state = self.state();
        if !state.unsaved || !state.settings.is_local || !at_once && now() < state.save_at {
            return;
        }
        state.unsaved = false;
        state.save_at = now().saturating_add(seconds(state.settings.save_interval));
        let (folder, text) = (state.settings.folder.clone(), state.text());
        drop(state);
        let written = fs::create_dir_all(&folder).and_then(|()| write_whole(&folder.join(FILE), text.as_bytes()));
        if let Err(error) = written {
            self.log.error(&format!("Unable to save OCSP peer cache: {error}"));
        }
    }

    /// How often what was remembered was enough, and what is remembered; nothing where nothing is. What came from a file counts
    /// once its signature was checked.
    pub(crate) fn counts(&self) -> Option<OcspCacheVarz> {
        let state = self.state();
        let Counts { good, revoked, unknown } = state.answers.counts();
        state.settings.is_local.then_some(OcspCacheVarz {
            cache_type: "local",
            cache_hits: state.hits,
            cache_misses: state.misses,
            cached_responses: good + revoked + unknown,
            cached_revoked_responses: revoked,
            cached_good_responses: good,
            cached_unknown_responses: unknown,
        })
    }

    /// A panic elsewhere must not keep every peer out.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered about a link, if it still counts.
    fn remembered(&self, link: &Link, policy: &OcspPeer) -> Option<Answer> {
        let key = fingerprint(&link.certificate);
        let mut state = self.state();
        if let Some(response) = state.unread.remove(&key)
            && let Ok(answer) = Answer::read(&response.bytes, &link.certificate, &link.issuer, now())
        {
            state.remember(key.clone(), answer, response, policy);
        }
        let (skew, ttl) = (seconds(policy.allowed_clockskew), seconds(policy.cache_ttl_when_next_update_unset));
        state.answers.current(&key, now(), skew, ttl).cloned()
    }

    fn was_revoked(&self, link: &Link) -> bool {
        self.state().answers.was_revoked(&fingerprint(&link.certificate))
    }

    fn fetch(&self, link: &Link, policy: &OcspPeer) -> Finding {
        let subject = subject(link);
        let question = match request(&link.certificate, &link.issuer) {
            Ok(question) => question,
            Err(error) => return Finding::Unusable(error),
        };
        let mut why = String::new();
        for responder in &link.responders {
            match fetch::ask(responder, &question, policy.ca_timeout) {
                Ok(response) => return self.read(link, response, &subject, policy),
                Err(error) => why = error,
            }
        }
        let text = format!("Attempt to obtain OCSP response from CA responder for [{subject}] failed: {why}");
        self.log.warn(&text);
        Finding::Unreachable { was_revoked: self.was_revoked(link) }
    }

    fn read(&self, link: &Link, bytes: Vec<u8>, subject: &str, policy: &OcspPeer) -> Finding {
        let answer = match Answer::read(&bytes, &link.certificate, &link.issuer, now()) {
            Ok(answer) => answer,
            Err(error) => {
                self.log.warn(&format!("Could not parse OCSP CA response for [{subject}]: {error}"));
                return Finding::Unusable(error);
            }
        };
        let response = Response { bytes, subject: subject.to_owned(), cached_at: now() };
        self.state().remember(fingerprint(&link.certificate), answer.clone(), response, policy);
        Finding::Answered(answer)
    }

    fn verdict(&self, peer: &[u8], link: &Link, finding: &Finding, policy: &OcspPeer) -> Result<(), String> {
        match judge(finding, policy, now()) {
            Judgement::Valid => Ok(()),
            Judgement::Tolerated(why) => {
                self.log
                    .warn(&format!("OCSP verify fail for [{}], allowed by the configuration: {why}", subject(link)));
                Ok(())
            }
            Judgement::Invalid(why) => {
                if let Some(news) = self.news.get() {
                    let (link, reason) = (described(&link.certificate), advisory_reason(finding, policy, now()));
                    news.certificate(CertificateRefused { peer: described(peer), why: Refused::Link { link, reason } });
                }
                Err(format!("{why} for [{}]", subject(link)))
            }
        }
    }

    /// The links of a chain, or what it means that they cannot be had.
    fn links(asking: &PeerAsking, chain: &[Vec<u8>]) -> Result<Vec<Link>, Result<(), String>> {
        links(chain, asking.roots()).map_err(
            |error: OcspError| {
                if asking.policy().warn_only { Ok(()) } else { Err(error.to_string()) }
            },
        )
    }
}

impl PeerCheck for PeerAnswers {
    fn known(&self, asking: &PeerAsking, chain: &[Vec<u8>]) -> Option<Result<(), String>> {
        let policy = asking.policy();
        let links = match Self::links(asking, chain) {
            Ok(links) => links,
            Err(verdict) => return Some(verdict),
        };
        for link in &links {
            let finding = Finding::Answered(self.remembered(link, policy)?);
            if let Err(why) = self.verdict(leaf(chain), link, &finding, policy) {
                self.state().hits += 1;
                return Some(Err(why));
            }
        }
        // Where something is missing, whoever asks counts.
        self.state().hits += links.len() as u64;
        Some(Ok(()))
    }

    fn refused(&self, kind: LinkKind, came: bool, chain: &[Vec<u8>]) {
        self.told_refused(kind, came, chain);
    }

    fn ask(&self, asking: &PeerAsking, chain: &[Vec<u8>]) -> Result<(), String> {
        let policy = asking.policy();
        let links = match Self::links(asking, chain) {
            Ok(links) => links,
            Err(verdict) => return verdict,
        };
        links.iter().try_for_each(|link| {
            let finding = match self.remembered(link, policy) {
                Some(answer) => {
                    self.state().hits += 1;
                    Finding::Answered(answer)
                }
                None => {
                    self.state().misses += 1;
                    self.fetch(link, policy)
                }
            };
            self.verdict(leaf(chain), link, &finding, policy)
        })
    }
}

impl PeerAnswers {
    fn told_refused(&self, kind: LinkKind, came: bool, chain: &[Vec<u8>]) {
        let Some(news) = self.news.get() else { return };
        let kind = match kind {
            LinkKind::Client | LinkKind::House => "Client",
            LinkKind::Route => "Router",
            LinkKind::Gateway => "Gateway",
            LinkKind::Leaf => "Leafnode",
        };
        let reason = if came { "client not OCSP valid" } else { "server not OCSP valid" };
        news.certificate(CertificateRefused { peer: described(leaf(chain)), why: Refused::Peer { kind, reason } });
    }
}

/// The peer's own certificate: the first of its chain.
fn leaf(chain: &[Vec<u8>]) -> &[u8] {
    chain.first().map(Vec::as_slice).unwrap_or_default()
}

/// A certificate, as advisories tell of it.
fn described(certificate: &[u8]) -> CertificateInfo {
    let facts = PeerFacts::read(certificate).ok();
    CertificateInfo {
        subject: facts.as_ref().map(|facts| facts.subject.clone()).unwrap_or_default(),
        issuer: facts.map(|facts| facts.issuer).unwrap_or_default(),
        fingerprint: fingerprint(certificate),
        raw: BASE64.encode(certificate),
    }
}

impl State {
    fn remember(&mut self, key: String, answer: Answer, response: Response, policy: &OcspPeer) {
        if !self.settings.is_local {
            return;
        }
        let ttl = seconds(policy.cache_ttl_when_next_update_unset);
        self.answers.remember(key.clone(), answer, now(), ttl);
        self.responses.insert(key, response);
        if self.responses.len() > MAX_CACHED {
            self.responses.retain(|key, _| self.answers.get(key).is_some());
        }
        self.unsaved = true;
    }

    /// The file: by fingerprint, as the reference names the fields; a response as it came.
    fn text(&self) -> String {
        let mut entries = BTreeMap::new();
        for (key, response) in &self.responses {
            let Some(answer) = self.answers.get(key) else { continue };
            entries.insert(
                key,
                json!({
                    "subject": response.subject,
                    "cached_at": time(response.cached_at),
                    "resp_status": answer.status.name(),
                    "resp_expires": answer.next_update.map(time),
                    "resp": BASE64.encode(&response.bytes),
                }),
            );
        }
        for (key, response) in &self.unread {
            entries.insert(
                key,
                json!({
                    "subject": response.subject,
                    "cached_at": time(response.cached_at),
                    "resp": BASE64.encode(&response.bytes),
                }),
            );
        }
        serde_json::to_string(&entries).unwrap_or_default()
    }
}

fn load(settings: &OcspCache, log: &Log) -> HashMap<String, Response> {
    let path = settings.folder.join(FILE);
    let read = || -> Result<HashMap<String, Response>, String> {
        let len = fs::metadata(&path).map_err(|error| error.to_string())?.len();
        if len > MAX_FILE {
            return Err("the file is too large".to_owned());
        }
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let entries: HashMap<String, Value> = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        let response = |(key, entry): (String, Value)| {
            let bytes = BASE64.decode(entry["resp"].as_str()?.as_bytes()).ok()?;
            let subject = entry["subject"].as_str().unwrap_or_default().to_owned();
            Some((key, Response { bytes, subject, cached_at: now() }))
        };
        Ok(entries.into_iter().filter_map(response).take(MAX_CACHED).collect())
    };
    if !path.exists() {
        return HashMap::new();
    }
    read().unwrap_or_else(|why| {
        log.warn(&format!("Unable to load OCSP peer cache: {}: {why}", path.display()));
        HashMap::new()
    })
}

fn subject(link: &Link) -> String {
    PeerFacts::read(&link.certificate).map(|facts| facts.subject).unwrap_or_default()
}

fn time(seconds: i64) -> String {
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000)).to_string()
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
