use std::collections::HashMap;

use nkeys::{PublicKey, Role};
use serde_json::{Map, Value};

use crate::DecodeError;
use crate::activation::ActivationClaims;
use crate::bounds::{MAX_SUBJECT_BYTES, MAX_TOKEN_BYTES};
use crate::issue::Issues;
use crate::read::{self, Fields};
use crate::sharing::Sharing;
use crate::subjects::{self, Coverage};
use crate::write::Object;

/// What an account takes from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// For people.
    pub name: String,
    /// The subject as its first publisher knows it.
    pub subject: String,
    /// The exporting account.
    pub account: PublicKey,
    /// The activation, where one is needed: the claim itself.
    pub token: String,
    /// The subject's local name in the old form.
    pub to: String,
    /// The subject's local name, which may hold `$1` for the first wildcard.
    pub local_subject: String,
    /// In which way.
    pub sharing: Sharing,
    /// The exporter sees who asks.
    pub share: bool,
    /// Traces of the stream follow into this account.
    pub allow_trace: bool,
}

const FIELDS: &[&str] = &["name", "subject", "account", "token", "to", "local_subject", "type", "share", "allow_trace"];

impl Import {
    /// An import under the exporter's own name.
    pub fn new(sharing: Sharing, account: PublicKey, subject: &str) -> Self {
        Self {
            name: String::new(),
            subject: subject.to_owned(),
            account,
            token: String::new(),
            to: String::new(),
            local_subject: String::new(),
            sharing,
            share: false,
            allow_trace: false,
        }
    }

    pub(crate) fn read(value: &Value) -> Result<Self, DecodeError> {
        if value.is_null() {
            return Err(read::wrong(value, "an import"));
        }
        let fields = Fields::of(value, FIELDS)?;
        Ok(Self {
            name: fields.text("name")?,
            subject: fields.text_within("subject", MAX_SUBJECT_BYTES)?,
            account: fields.key("account", Role::Account)?,
            token: fields.text_within("token", MAX_TOKEN_BYTES)?,
            to: fields.text_within("to", MAX_SUBJECT_BYTES)?,
            local_subject: fields.text_within("local_subject", MAX_SUBJECT_BYTES)?,
            sharing: fields.read("type", Sharing::read)?.ok_or_else(|| read::missing("type"))?,
            share: fields.flag("share")?,
            allow_trace: fields.flag("allow_trace")?,
        })
    }

    pub(crate) fn write(&self) -> Map<String, Value> {
        Object::default()
            .text("name", &self.name)
            .text("subject", &self.subject)
            .put("account", self.account.to_string())
            .text("token", &self.token)
            .text("to", &self.to)
            .text("local_subject", &self.local_subject)
            .put("type", self.sharing.word())
            .flag("share", self.share)
            .flag("allow_trace", self.allow_trace)
            .done()
    }

    /// The subject that an activation must cover: the exporter's side.
    pub fn exported_subject(&self) -> &str {
        if self.sharing == Sharing::Service && !self.to.is_empty() { &self.to } else { &self.subject }
    }

    /// The name under which a service is asked here, its `$1` written as `*`.
    fn local_filter(&self) -> String {
        match (self.to.as_str(), self.local_subject.as_str()) {
            ("", "") => self.subject.clone(),
            ("", local) => local
                .split('.')
                .map(|token| if reference(token).is_some() { "*" } else { token })
                .collect::<Vec<_>>()
                .join("."),
            (to, _) => to.to_owned(),
        }
    }

    fn validate(&self, importer: &PublicKey, issues: &mut Issues) {
        if self.sharing == Sharing::Service && self.allow_trace {
            issues.block("AllowTrace only valid for stream import");
        }
        if self.sharing == Sharing::Stream && self.share {
            issues.block(format_args!(
                "sharing information (for latency tracking) is only valid for services: {:?}",
                self.subject
            ));
        }
        subjects::check(&self.subject, issues);
        self.validate_names(issues);
        if !self.token.is_empty() {
            self.validate_token(importer, issues);
        }
    }

    fn validate_names(&self, issues: &mut Issues) {
        if !self.to.is_empty() {
            issues.warn("the field to has been deprecated (use LocalSubject instead)");
            // The prefix of a stream may end with the dot that joins it.
            let joined = if self.sharing == Sharing::Stream { self.to.strip_suffix('.') } else { None };
            subjects::check(joined.unwrap_or(&self.to), issues);
        }
        if !self.local_subject.is_empty() {
            self.validate_local(issues);
            if !self.to.is_empty() {
                issues.block("Local Subject replaces To");
            }
        }
    }

    /// The local name must take up every wildcard of the subject exactly once, by `*` or by `$n`.
    fn validate_local(&self, issues: &mut Issues) {
        subjects::check(&self.local_subject, issues);
        if ends_open(&self.local_subject) != ends_open(&self.subject) {
            issues.block("both, renaming subject and subject, need to end or not end in >");
        }
        let wildcards = self.subject.split('.').filter(|token| *token == "*").count();
        let mut used = 0;
        for token in self.local_subject.split('.') {
            match reference(token) {
                Some(number) if number > wildcards || number == 0 => issues.block(format_args!(
                    "Reference ${number} in {:?} reference * in {:?} that do not exist",
                    self.local_subject, self.subject
                )),
                Some(_) => used += 1,
                None => used += usize::from(token == "*"),
            }
        }
        if used != wildcards {
            issues.block("subject does not contain enough * or reference wildcards $[0-9]");
        }
    }

    /// Everything about the activation that needs no third party. Whether the exporter knows the signer, and the times,
    /// are judged by [`chain`](crate::chain).
    fn validate_token(&self, importer: &PublicKey, issues: &mut Issues) {
        let Ok(activation) = ActivationClaims::decode(&self.token) else {
            issues.block(format_args!("import {:?} contains an invalid activation token", self.subject));
            return;
        };
        if activation.common.issuer != self.account && activation.issuer_account != Some(self.account) {
            issues.block(format_args!("activation token doesn't match account for import {:?}", self.subject));
        }
        if activation.common.subject != *importer {
            let text = "activation token doesn't match account it is being included in,";
            issues.block(format_args!("{text} {:?}", self.subject));
        }
        if activation.sharing != self.sharing {
            let (token, import) = (activation.sharing, self.sharing);
            issues.block(format_args!("mismatch between token import type {token} and type of import {import}"));
        }
        if !subjects::is_contained_in(self.exported_subject(), &activation.import_subject) {
            issues.block(format_args!(
                "activation token import subject {:?} doesn't match import {:?}",
                activation.import_subject, self.subject
            ));
        }
    }
}

fn ends_open(subject: &str) -> bool {
    subject == ">" || subject.ends_with(".>")
}

/// The number in `$12`.
fn reference(token: &str) -> Option<usize> {
    token.strip_prefix('$').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

pub(crate) fn validate_all(imports: &[Import], importer: &PublicKey, issues: &mut Issues) {
    let mut services: HashMap<PublicKey, Vec<String>> = HashMap::new();
    for import in imports {
        import.validate(importer, issues);
        if import.sharing == Sharing::Service {
            services.entry(import.account).or_default().push(import.local_filter());
        }
    }
    for (account, subjects) in &services {
        validate_overlaps(account, subjects, issues);
    }
}

/// Two services of one exporter must not be asked under overlapping names.
fn validate_overlaps(account: &PublicKey, subjects: &[String], issues: &mut Issues) {
    let mut coverage = Coverage::default();
    let mut note = |one: &str, other: Option<usize>| {
        if let Some(other) = other.and_then(|at| subjects.get(at)) {
            issues.block(format_args!(
                "overlapping subject namespace for {one:?} and {other:?} in same account \"{account}\""
            ));
        }
    };
    for (at, subject) in subjects.iter().enumerate() {
        note(subject, coverage.add(subject, at));
    }
    for (at, subject) in subjects.iter().enumerate() {
        note(subject, coverage.covering(subject, at));
    }
}
