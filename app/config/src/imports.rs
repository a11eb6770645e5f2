//! `imports` of an account: what it takes from others.

use account::{AccountName, LocalName};
use conf::{Map, Node, Place};

use crate::go_text::quoted;
use crate::report::{Report, lowered};

/// What is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportKind {
    /// Messages of the other account.
    Stream {
        /// A token before the subject.
        prefix: Option<String>,
        /// The subject here; the other account's if absent.
        to: Option<String>,
        /// A trace may follow messages into this account.
        allow_trace: bool,
    },
    /// An endpoint of the other account.
    Service {
        /// The subject here.
        to: String,
        /// The other account learns who asks, for latencies.
        share: bool,
    },
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// What kind.
    pub kind: ImportKind,
    /// From which account.
    pub account: String,
    /// Its subject there.
    pub subject: String,
    /// Where it is written.
    pub place: Place,
}

impl Import {
    /// Whether it is a stream.
    pub const fn is_stream(&self) -> bool {
        matches!(self.kind, ImportKind::Stream { .. })
    }
}

impl Import {
    /// The same for the room that compiles it. Nothing if its account's name is none.
    pub(crate) fn settings(&self) -> Option<account::Import> {
        let account = AccountName::parse(&self.account).ok()?;
        let kind = match &self.kind {
            ImportKind::Stream { prefix, to, allow_trace } => {
                let local = match (prefix, to) {
                    (Some(prefix), _) => LocalName::Prefixed(prefix.clone()),
                    (None, Some(to)) => LocalName::Mapped(to.clone()),
                    (None, None) => LocalName::Same,
                };
                account::ImportKind::Stream { local, allow_trace: *allow_trace }
            }
            ImportKind::Service { to, share } => account::ImportKind::Service { to: to.clone(), share: *share },
        };
        Some(account::Import { account, subject: self.subject.clone(), kind, activated: false })
    }
}

pub(crate) const KEYS: &[&str] = &["stream", "service", "prefix", "to", "share", "allow_trace"];

/// Reads the array. Two services of one account cannot have the same subject here.
pub(crate) fn read(node: &Node, report: &mut Report<'_>) -> Vec<Import> {
    let Some(elements) = report.array_or(node, "Imports should be an array") else {
        return Vec::new();
    };
    let mut imports: Vec<Import> = Vec::with_capacity(elements.len());
    for element in elements {
        let Some(map) = report.map_or(element, "Import Items should be a map with type entry") else {
            continue;
        };
        let Some(import) = read_entry(element, map, report) else {
            continue;
        };
        match imports.iter().find(|earlier| is_same_service(earlier, &import)) {
            Some(earlier) => report.error(&element.place, duplicate(&import, earlier)),
            None => imports.push(import),
        }
    }
    imports
}

fn is_same_service(one: &Import, other: &Import) -> bool {
    match (&one.kind, &other.kind) {
        (ImportKind::Service { to: one_to, .. }, ImportKind::Service { to: other_to, .. }) => {
            one_to == other_to && one.account == other.account
        }
        _ => false,
    }
}

fn duplicate(import: &Import, earlier: &Import) -> String {
    let to = match &import.kind {
        ImportKind::Service { to, .. } => to,
        ImportKind::Stream { .. } => &import.subject,
    };
    format!(
        "Duplicate service import subject {}, previously used in import for account {}, subject {}",
        quoted(to),
        quoted(&earlier.account),
        quoted(&earlier.subject)
    )
}

type Source = (String, String);

#[derive(Default)]
struct Draft<'n> {
    stream: Option<(&'n Node, Source)>,
    service: Option<(&'n Node, Source)>,
    prefix: Option<String>,
    to: Option<(&'n Node, String)>,
    share: bool,
    allow_trace: Option<(&'n Node, bool)>,
}

fn read_entry(node: &Node, map: &Map, report: &mut Report<'_>) -> Option<Import> {
    let before = report.errors.len();
    let mut draft = Draft::default();
    for (key, value) in map.iter() {
        draft.read(key, value, report);
    }
    if report.errors.len() > before {
        return None;
    }
    let import = draft.finish(node, report);
    import.filter(|_| report.errors.len() == before)
}

impl<'n> Draft<'n> {
    fn read(&mut self, key: &str, node: &'n Node, report: &mut Report<'_>) {
        match &*lowered(key) {
            "stream" => self.stream = source("Stream", node, report).map(|source| (node, source)),
            "service" => self.service = source("Service", node, report).map(|source| (node, source)),
            "prefix" => report.set_optional_text(node, &mut self.prefix),
            "to" => {
                let to = report.text(node).filter(|to| !to.is_empty());
                self.to = to.map(|to| (node, to.to_owned()));
            }
            "share" => report.set_bool(node, &mut self.share),
            "allow_trace" => self.allow_trace = report.boolean(node).map(|allowed| (node, allowed)),
            _ => report.unknown(key, node, KEYS),
        }
    }

    fn finish(self, node: &Node, report: &mut Report<'_>) -> Option<Import> {
        let place = node.place.clone();
        match (self.stream, self.service) {
            (Some((node, _)), Some(_)) => {
                report.error(&node.place, "Detected stream but already saw a service");
                None
            }
            (Some((_, (account, subject))), None) => {
                if let (Some(_), Some((node, _))) = (&self.prefix, &self.to) {
                    report.error(&node.place, "Stream import can not have a 'prefix' and a 'to' property");
                }
                let to = self.to.map(|(_, to)| to);
                let allow_trace = self.allow_trace.is_some_and(|(_, allowed)| allowed);
                let kind = ImportKind::Stream { prefix: self.prefix, to, allow_trace };
                Some(Import { kind, account, subject, place })
            }
            (None, Some((_, (account, subject)))) => {
                if let Some((node, _)) = self.allow_trace {
                    report.error(&node.place, "Detected allow_trace directive on a non-stream");
                }
                let to = self.to.map_or_else(|| subject.clone(), |(_, to)| to);
                let kind = ImportKind::Service { to, share: self.share };
                Some(Import { kind, account, subject, place })
            }
            (None, None) => {
                report.error(&node.place, "Import Items should be a map with type entry");
                None
            }
        }
    }
}

/// `{account, subject}`.
fn source(what: &str, node: &Node, report: &mut Report<'_>) -> Option<Source> {
    let map = report.map_or(node, &format!("{what} entry should be an account map"))?;
    let (mut account, mut subject) = (String::new(), String::new());
    for (key, value) in map.iter() {
        match &*lowered(key) {
            "account" => report.set_text(value, &mut account),
            "subject" => report.set_text(value, &mut subject),
            _ => report.unknown(key, value, &["account", "subject"]),
        }
    }
    if account.is_empty() || subject.is_empty() {
        report.error(&node.place, "Expect an account name and a subject");
        return None;
    }
    Some((account, subject))
}
