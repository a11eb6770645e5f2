//! The `accounts` block.

use std::collections::HashSet;

use account::{AccountName, GLOBAL, Limits, Sampling, TraceDest};
use auth::WrittenLimits;
use auth::settings::{AccountSettings, Placed};
use conf::{Map, Node, Place, Value};
use nkeys::{PublicKey, Role};
use subject::Filter;

use crate::account_jetstream::{self, AccountJetStream};
use crate::exports::{self, Export};
use crate::go_text::quoted;
use crate::imports::{self, Import};
use crate::mappings;
use crate::permissions::{self, auth_place};
use crate::rates;
use crate::report::{Report, lowered};
use crate::support::Feature;
use crate::users;

pub(crate) const KEYS: &[&str] = &[
    "nkey",
    "users",
    "default_permissions",
    "imports",
    "exports",
    "mappings",
    "maps",
    "jetstream",
    "limits",
    "msg_trace",
    "trace_dest",
];

/// What an account shares with others, and may store. Beside [`AccountSettings`], which says who may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountSharing {
    /// The account's name.
    pub name: String,
    /// What it offers.
    pub exports: Vec<Export>,
    /// What it takes.
    pub imports: Vec<Import>,
    /// What it may store; nothing if absent.
    pub jetstream: Option<AccountJetStream>,
    /// Where it is written.
    pub place: Option<Place>,
}

/// Accounts as far as they have been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accounts {
    /// Who may log in.
    pub(crate) logins: Vec<AccountSettings>,
    /// The rest. One entry per account.
    pub(crate) sharing: Vec<AccountSharing>,
    /// Where the users of an account are written, for messages about them.
    pub(crate) users_places: Vec<(usize, Place)>,
}

/// Reads the block: names alone, or a map.
pub(crate) fn read(node: &Node, accounts: &mut Accounts, report: &mut Report<'_>) {
    match &node.value {
        Value::Array(names) => names.iter().for_each(|name| read_name(name, accounts, report)),
        Value::Map(map) => {
            accounts.logins.reserve(map.len());
            accounts.sharing.reserve(map.len());
            for (name, value) in map.iter().filter(|(_, value)| !value.is_used_variable) {
                read_entry(name, value, accounts, report);
            }
            check_sharing(&node.place, accounts, report);
        }
        _ => {
            let kind = node.kind().go_type();
            report.error(&node.place, format!("Expected accounts to be a map or an array of names, got {kind}"));
        }
    }
}

fn read_name(node: &Node, accounts: &mut Accounts, report: &mut Report<'_>) {
    let Some(name) = report.text(node) else {
        return;
    };
    if accounts.logins.iter().any(|account| account.name == name) {
        return report.error(&node.place, format!("Duplicate Account Entry: {name}"));
    }
    enter(name, &node.place, accounts, report);
}

/// Makes the two entries of an account, if its name is one.
fn enter(name: &str, place: &Place, accounts: &mut Accounts, report: &mut Report<'_>) -> bool {
    if name == GLOBAL {
        report.error(place, format!("{} is a Reserved Account", quoted(name)));
        return false;
    }
    if let Err(error) = AccountName::parse(name) {
        report.error(place, format!("account {}: {error}", quoted(name)));
        return false;
    }
    let origin = auth_place(place);
    accounts.logins.push(AccountSettings { name: name.to_owned(), origin, ..AccountSettings::default() });
    let place = Some(place.clone());
    accounts.sharing.push(AccountSharing { name: name.to_owned(), place, ..AccountSharing::default() });
    true
}

fn read_entry(name: &str, node: &Node, accounts: &mut Accounts, report: &mut Report<'_>) {
    let Some(map) = node.as_map() else {
        return report.error(&node.place, "Expected map entries for accounts");
    };
    if !enter(name, &node.place, accounts, report) {
        return;
    }
    for (key, value) in map.iter() {
        read_key(key, value, accounts, report);
    }
}

/// Reads a key of the account that was entered last.
fn read_key(key: &str, node: &Node, accounts: &mut Accounts, report: &mut Report<'_>) {
    let at = accounts.logins.len() - 1;
    let (login, sharing) = (&mut accounts.logins[at], accounts.sharing.last_mut().expect("entered with the login"));
    match &*lowered(key) {
        "nkey" => read_nkey(node, login, report),
        "users" => {
            login.users = users::read(node, report);
            accounts.users_places.push((at, node.place.clone()));
        }
        "default_permissions" => login.default_permissions = permissions::read(node, report),
        "limits" => read_limits(node, &mut login.limits, report),
        "msg_trace" | "trace_dest" => login.msg_trace = read_trace(key, node, report),
        "imports" => {
            sharing.imports = imports::read(node, report);
            let settings =
                |import: &Import| Some(Placed { what: import.settings()?, origin: auth_place(&import.place) });
            login.imports = sharing.imports.iter().filter_map(settings).collect();
        }
        "exports" => {
            sharing.exports = exports::read(node, report);
            for export in &sharing.exports {
                match export.settings() {
                    Some(what) => login.exports.push(Placed { what, origin: auth_place(&export.place) }),
                    None => report.error(&export.place, not_a_subject(export)),
                }
            }
        }
        "mappings" | "maps" => login.mappings = mappings::read(node, report),
        "jetstream" => {
            sharing.jetstream = account_jetstream::read(node, report);
            needs(Feature::JetStream, node, sharing.jetstream.is_some(), report);
        }
        _ => report.unknown(key, node, KEYS),
    }
}

fn not_a_subject(export: &Export) -> String {
    let what = if export.is_stream() { "stream" } else { "service" };
    format!("Error adding {what} export {}: invalid subject", quoted(&export.subject))
}

fn needs(feature: Feature, node: &Node, is_used: bool, report: &mut Report<'_>) {
    if is_used {
        report.needs(feature, &node.place);
    }
}

fn read_nkey(node: &Node, login: &mut AccountSettings, report: &mut Report<'_>) {
    match node.as_str() {
        Some(nkey) if PublicKey::is(Role::Account, nkey) => login.nkey = Some(nkey.to_owned()),
        other => {
            let shown = quoted(other.unwrap_or_default());
            report.error(&node.place, format!("Not a valid public nkey for an account: {shown}"));
        }
    }
}

pub(crate) const LIMIT_KEYS: &[&str] = &[
    "max_connections",
    "max_conn",
    "max_subscriptions",
    "max_subs",
    "max_payload",
    "max_pay",
    "max_leafnodes",
    "max_leafs",
    "messages_per_second",
    "messages_burst",
    "bytes_per_second",
    "bytes_burst",
];

fn read_limits(node: &Node, limits: &mut Limits, report: &mut Report<'_>) {
    let Some(map) = report.map_or_shown(node, "Expected account limits to be a map/struct") else {
        return;
    };
    let mut rates = WrittenLimits::default();
    for (key, value) in map.iter() {
        if rates::read(key, value, &mut rates, report) {
            continue;
        }
        let target = match &*lowered(key) {
            "max_connections" | "max_conn" => &mut limits.max_connections,
            "max_subscriptions" | "max_subs" => &mut limits.max_subscriptions,
            "max_payload" | "max_pay" => &mut limits.max_payload,
            "max_leafnodes" | "max_leafs" => &mut limits.max_leafnodes,
            _ => {
                let text = format!("Unknown field {} parsing account limits", quoted(key));
                report.unknown_as(key, value, LIMIT_KEYS, text);
                continue;
            }
        };
        if let Some(number) = report.integer(value) {
            *target = Limits::from_written(number);
        }
    }
    rates::check(&rates, node, report);
    limits.rates = rates.rates();
}

fn read_trace(block: &str, node: &Node, report: &mut Report<'_>) -> Option<TraceDest> {
    let map = match &node.value {
        Value::String(_) => {
            let subject = read_trace_subject(block, node, report)?;
            return Some(TraceDest { subject, sampling: Sampling::ALL });
        }
        Value::Map(map) => map,
        _ => {
            let kind = node.kind().go_type();
            let text = format!("Expected account message trace {block:?} to be a string or a map/struct, got {kind}");
            report.error(&node.place, text);
            return None;
        }
    };
    read_trace_map(block, node, map, report)
}

fn read_trace_map(block: &str, node: &Node, map: &Map, report: &mut Report<'_>) -> Option<TraceDest> {
    let (mut subject, mut sampling) = (None, None);
    for (key, value) in map.iter() {
        match &*lowered(key) {
            "dest" => subject = Some(read_trace_subject(key, value, report)?),
            "sampling" => sampling = Some(read_trace_sampling(key, value, report)?),
            _ => {
                let text = format!("Unknown field {} parsing account message trace map/struct {block:?}", quoted(key));
                report.unknown_as(key, value, &["dest", "sampling"], text);
            }
        }
    }
    if subject.is_none() && sampling.is_some() {
        report.warning(&node.place, "Trace destination sampling ignored since no destination was set");
    }
    Some(TraceDest { subject: subject?, sampling: sampling.unwrap_or(Sampling::ALL) })
}

fn read_trace_subject(key: &str, node: &Node, report: &mut Report<'_>) -> Option<Filter> {
    let Some(text) = node.as_str() else {
        let kind = node.kind().go_type();
        report.error(&node.place, format!("Field {key:?} should be a string, got {kind}"));
        return None;
    };
    let subject = Filter::parse(text.as_bytes()).ok().filter(Filter::is_literal);
    if subject.is_none() {
        report.error(&node.place, format!("Trace destination {} is not valid", quoted(text)));
    }
    subject
}

fn read_trace_sampling(key: &str, node: &Node, report: &mut Report<'_>) -> Option<Sampling> {
    let percent = match &node.value {
        Value::Integer(percent) => *percent,
        Value::String(text) => {
            let text = text.as_str();
            let Ok(percent) = text.trim_end_matches('%').parse() else {
                let text = format!("Invalid trace destination sampling value {}", quoted(text));
                report.error(&node.place, text);
                return None;
            };
            percent
        }
        _ => {
            let kind = node.kind().go_type();
            let text =
                format!("Trace destination sampling field {key:?} should be an integer or a percentage, got {kind}");
            report.error(&node.place, text);
            return None;
        }
    };
    let sampling = u8::try_from(percent).ok().and_then(Sampling::percent);
    if sampling.is_none() {
        let text = format!("Ttrace destination sampling value {percent} is invalid, needs to be [1..100]");
        report.error(&node.place, text);
    }
    sampling
}

/// Reads the mappings of the global account, which stand at the top of the file.
pub(crate) fn read_global_mappings(node: &Node, report: &mut Report<'_>) -> account::Mappings {
    mappings::read(node, report)
}

/// Every account that an export or import names must be there.
fn check_sharing(place: &Place, accounts: &Accounts, report: &mut Report<'_>) {
    let names: HashSet<&str> = accounts.logins.iter().map(|account| account.name.as_str()).collect();
    let mut missing = |name: &str, what: &str| {
        if !names.contains(name) {
            report.error(place, format!("{} account not defined for {what}", quoted(name)));
        }
    };
    let exports = || accounts.sharing.iter().flat_map(|account| &account.exports);
    let imports = || accounts.sharing.iter().flat_map(|account| &account.imports);
    for is_stream in [true, false] {
        let what = if is_stream { "stream export" } else { "service export" };
        for export in exports().filter(|export| export.is_stream() == is_stream) {
            export.accounts.iter().flatten().for_each(|name| missing(name, what));
        }
    }
    for is_stream in [true, false] {
        let what = if is_stream { "stream import" } else { "service import" };
        imports().filter(|import| import.is_stream() == is_stream).for_each(|import| missing(&import.account, what));
    }
}
