use std::time::Duration;

use serde_json::{Map, Value};

use crate::bounds::{MAX_SUBJECT_BYTES, MAX_TEXT_BYTES};
use crate::common::UnixSeconds;
use crate::issue::Issues;
use crate::read::{self, Fields};
use crate::revocation::Revocations;
use crate::sharing::{Sharing, validate_info};
use crate::subjects::{self, Coverage};
use crate::write::Object;
use crate::{DecodeError, Problem};
use nkeys::PublicKey;

/// How a service answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// Nothing is said, which means one answer.
    #[default]
    Unset,
    /// `Singleton`: one answer.
    Singleton,
    /// `Stream`: any number.
    Stream,
    /// `Chunked`: one answer in parts.
    Chunked,
}

impl ResponseType {
    const fn word(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::Singleton => "Singleton",
            Self::Stream => "Stream",
            Self::Chunked => "Chunked",
        }
    }

    fn read(value: &Value) -> Result<Self, DecodeError> {
        let known = [Self::Unset, Self::Singleton, Self::Stream, Self::Chunked];
        let word = read::text(value, MAX_TEXT_BYTES)?;
        let found = known.into_iter().find(|kind| kind.word() == word);
        found.ok_or_else(|| DecodeError::field(Problem::Word(word)))
    }
}

/// Which requests are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Those whose headers ask for it.
    Headers,
    /// One to a hundred of a hundred.
    Percent(i64),
}

/// Where measured latencies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceLatency {
    /// Which requests.
    pub sampling: Sampling,
    /// Where the figures are published.
    pub results: String,
}

/// What an account offers others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// For people.
    pub name: String,
    /// What is offered.
    pub subject: String,
    /// In which way.
    pub sharing: Sharing,
    /// Importers need an activation.
    pub token_req: bool,
    /// Activations that are void.
    pub revocations: Revocations,
    /// How the service answers.
    pub response_type: ResponseType,
    /// How long answers may take, in nanoseconds; zero for the default.
    pub response_threshold: i64,
    /// Whether latencies are measured.
    pub latency: Option<ServiceLatency>,
    /// The token, counted from one, that must be the importer's key; zero for none.
    pub account_token_position: u32,
    /// Tools may list it.
    pub advertise: bool,
    /// Traces follow requests into this account.
    pub allow_trace: bool,
    /// For people.
    pub description: String,
    /// For people.
    pub info_url: String,
}

const FIELDS: &[&str] = &[
    "name",
    "subject",
    "type",
    "token_req",
    "revocations",
    "response_type",
    "response_threshold",
    "service_latency",
    "account_token_position",
    "advertise",
    "allow_trace",
    "description",
    "info_url",
];

impl Export {
    /// An export of one subject, open to all.
    pub fn new(sharing: Sharing, subject: &str) -> Self {
        Self {
            name: String::new(),
            subject: subject.to_owned(),
            sharing,
            token_req: false,
            revocations: Revocations::default(),
            response_type: ResponseType::Unset,
            response_threshold: 0,
            latency: None,
            account_token_position: 0,
            advertise: false,
            allow_trace: false,
            description: String::new(),
            info_url: String::new(),
        }
    }

    pub(crate) fn read(value: &Value) -> Result<Self, DecodeError> {
        if value.is_null() {
            return Err(read::wrong(value, "an export"));
        }
        let fields = Fields::of(value, FIELDS)?;
        Ok(Self {
            name: fields.text("name")?,
            subject: fields.text_within("subject", MAX_SUBJECT_BYTES)?,
            sharing: fields.read("type", Sharing::read)?.ok_or_else(|| read::missing("type"))?,
            token_req: fields.flag("token_req")?,
            revocations: Revocations::read(fields)?,
            response_type: fields.read("response_type", ResponseType::read)?.unwrap_or_default(),
            response_threshold: fields.int("response_threshold")?,
            latency: fields.read("service_latency", read_latency)?,
            account_token_position: fields.narrow("account_token_position")?,
            advertise: fields.flag("advertise")?,
            allow_trace: fields.flag("allow_trace")?,
            description: fields.text("description")?,
            info_url: fields.text("info_url")?,
        })
    }

    pub(crate) fn write(&self) -> Map<String, Value> {
        Object::default()
            .text("name", &self.name)
            .text("subject", &self.subject)
            .put("type", self.sharing.word())
            .flag("token_req", self.token_req)
            .map("revocations", self.revocations.write())
            .text("response_type", self.response_type.word())
            .int("response_threshold", self.response_threshold)
            .maybe("service_latency", self.latency.as_ref().map(write_latency))
            .int("account_token_position", self.account_token_position.into())
            .flag("advertise", self.advertise)
            .flag("allow_trace", self.allow_trace)
            .text("description", &self.description)
            .text("info_url", &self.info_url)
            .done()
    }

    /// How long answers may take; `None` for the default.
    pub fn threshold(&self) -> Option<Duration> {
        (self.response_threshold > 0).then(|| Duration::from_nanos(self.response_threshold.unsigned_abs()))
    }

    /// Whether the holder's activation, issued then, is void.
    pub fn revokes(&self, holder: &PublicKey, issued_at: UnixSeconds) -> bool {
        self.revocations.hit(holder, issued_at)
    }

    fn validate(&self, issues: &mut Issues) {
        match self.sharing {
            Sharing::Stream => self.validate_stream(issues),
            Sharing::Service => self.validate_service(issues),
        }
        if self.response_threshold < 0 {
            issues.block("negative response threshold is invalid");
        }
        subjects::check(&self.subject, issues);
        self.validate_position(issues);
        validate_info(&self.info_url, issues);
    }

    fn validate_stream(&self, issues: &mut Issues) {
        if self.response_type != ResponseType::Unset {
            issues.block(format_args!("invalid response type for stream: {:?}", self.response_type.word()));
        }
        if self.allow_trace {
            issues.block("AllowTrace only valid for service export");
        }
        if self.latency.is_some() {
            issues.block("latency tracking only permitted for services");
        }
        if self.response_threshold > 0 {
            issues.block("response threshold only valid for services");
        }
    }

    fn validate_service(&self, issues: &mut Issues) {
        let Some(latency) = &self.latency else { return };
        if matches!(latency.sampling, Sampling::Percent(percent) if !(1..=100).contains(&percent)) {
            issues.block("sampling percentage needs to be between 1-100");
        }
        subjects::check(&latency.results, issues);
        if subjects::has_wildcards(&latency.results) {
            issues.block("results subject can not contain wildcards");
        }
    }

    fn validate_position(&self, issues: &mut Issues) {
        let Some(index) = self.account_token_position.checked_sub(1) else { return };
        let (position, subject) = (self.account_token_position, &self.subject);
        if !subjects::has_wildcards(subject) {
            issues.block(format_args!("Account Token Position can only be used with wildcard subjects: {subject}"));
            return;
        }
        match subject.split('.').nth(index as usize) {
            Some("*") => {}
            Some(other) => issues.block(format_args!(
                "Account Token Position {position} matches '{other}' but must match a * in: {subject}"
            )),
            None => {
                issues.block(format_args!("Account Token Position {position} exceeds length of subject '{subject}'"));
            }
        }
    }
}

fn read_latency(value: &Value) -> Result<ServiceLatency, DecodeError> {
    let fields = Fields::of(value, &["sampling", "results"])?;
    Ok(ServiceLatency {
        sampling: fields.read("sampling", read_sampling)?.unwrap_or(Sampling::Headers),
        results: fields.text_within("results", MAX_SUBJECT_BYTES)?,
    })
}

fn read_sampling(value: &Value) -> Result<Sampling, DecodeError> {
    match value.as_str() {
        Some(word) if word.eq_ignore_ascii_case("headers") => Ok(Sampling::Headers),
        Some(word) => Err(DecodeError::field(Problem::Word(word.to_owned()))),
        None => Ok(match read::int(value)? {
            0 => Sampling::Headers,
            percent => Sampling::Percent(percent),
        }),
    }
}

fn write_latency(latency: &ServiceLatency) -> Map<String, Value> {
    let mut object = Object::default();
    match latency.sampling {
        Sampling::Headers => object.put("sampling", "headers"),
        Sampling::Percent(percent) => object.put("sampling", percent),
    };
    object.put("results", latency.results.as_str()).done()
}

pub(crate) fn validate_all(exports: &[Export], issues: &mut Issues) {
    for export in exports {
        export.validate(issues);
    }
    for sharing in [Sharing::Service, Sharing::Stream] {
        validate_overlaps(sharing, exports, issues);
    }
}

fn validate_overlaps(sharing: Sharing, exports: &[Export], issues: &mut Issues) {
    let same = || exports.iter().enumerate().filter(|(_, export)| export.sharing == sharing);
    let mut coverage = Coverage::default();
    for (at, export) in same() {
        let equal = coverage.add(&export.subject, at);
        note_overlap(sharing, exports, equal, export, issues);
    }
    for (at, export) in same() {
        note_overlap(sharing, exports, coverage.covering(&export.subject, at), export, issues);
    }
}

fn note_overlap(sharing: Sharing, exports: &[Export], wide: Option<usize>, narrow: &Export, issues: &mut Issues) {
    if let Some(wide) = wide.and_then(|at| exports.get(at)) {
        issues.block(format_args!("{sharing} export subject {:?} already exports {:?}", wide.subject, narrow.subject));
    }
}
