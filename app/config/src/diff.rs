//! What changed between two settings, and whether a running server can follow. A pure function; carrying the changes
//! out is the server's work.

use std::fmt;
use std::fmt::{Debug, Display};
use std::time::Duration;

use moment::GoDuration;

use crate::diff_links;
use crate::go_text::quoted_list;
use crate::settings::Settings;

/// Which room a change concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the fields of Settings")]
pub enum Part {
    Identity,
    Clients,
    Limits,
    Logging,
    Monitoring,
    Files,
    Process,
    Users,
    Accounts,
    Tls,
    Ocsp,
    Proxies,
    Cluster,
    Routes,
    Gateway,
    Leafnodes,
    JetStream,
    WebSocket,
    Mqtt,
    Operator,
}

/// Whether a running server can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Yes, at once.
    Live,
    /// No.
    NeedsRestart,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it concerns.
    pub part: Part,
    /// Whether it can be followed.
    pub effect: Effect,
    /// The line for the log: what was reloaded, or why it cannot be. Never with a secret in it.
    pub line: String,
}

/// A reload that cannot be: nothing of it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadRefused {
    /// Everything that would need a restart.
    pub reasons: Vec<String>,
}

impl Display for ReloadRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))
    }
}

impl std::error::Error for ReloadRefused {}

/// All or nothing: the changes if a running server can follow every one of them.
///
/// # Errors
/// The reasons of all that need a restart.
pub fn all_live(changes: Vec<Change>) -> Result<Vec<Change>, ReloadRefused> {
    let fixed = changes.iter().filter(|change| change.effect == Effect::NeedsRestart);
    let reasons: Vec<String> = fixed.map(|change| change.line.clone()).collect();
    if reasons.is_empty() { Ok(changes) } else { Err(ReloadRefused { reasons }) }
}

/// What changed, in the order in which the reference server tells it. Users and accounts are always told: permissions
/// are looked at again on every reload, and certificates are read again wherever there is TLS.
pub fn diff(old: &Settings, new: &Settings) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.clients(old, new);
    changes.users(old, new);
    changes.limits(old, new);
    diff_links::links(&mut changes, old, new);
    diff_links::jetstream(&mut changes, old, new);
    diff_links::listeners(&mut changes, old, new);
    changes.process(old, new);
    changes.tls(old, new);
    changes.rest(old, new);
    changes.0
}

/// The changes as they are found.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    pub(crate) fn push(&mut self, part: Part, effect: Effect, line: impl Into<String>) {
        self.0.push(Change { part, effect, line: line.into() });
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn live(&mut self, part: Part, line: impl Into<String>) {
        self.push(part, Effect::Live, line);
    }

    /// `Reloaded: name = value`, if it changed.
    fn live_value<T: PartialEq + Display>(&mut self, part: Part, name: &str, old: &T, new: &T) {
        if old != new {
            self.live(part, format!("Reloaded: {name} = {new}"));
        }
    }

    /// `Reloaded: what`, if it changed.
    pub(crate) fn live_if(&mut self, changed: bool, part: Part, what: &str) {
        if changed {
            self.live(part, format!("Reloaded: {what}"));
        }
    }

    /// A value that cannot change, if it did. `field` is the name the reference server has for it.
    pub(crate) fn fixed<T: PartialEq + Display>(&mut self, part: Part, field: &str, old: T, new: T) {
        if old != new {
            let line = format!("config reload not supported for {field}: old={old}, new={new}");
            self.push(part, Effect::NeedsRestart, line);
        }
    }

    /// The same for a value that is not shown: a secret, or too large.
    pub(crate) fn fixed_hidden<T: PartialEq>(&mut self, part: Part, field: &str, old: &T, new: &T) {
        if old != new {
            let line = format!("config reload not supported for {field}: old=[REDACTED], new=[REDACTED]");
            self.push(part, Effect::NeedsRestart, line);
        }
    }

    /// The same in a sentence of its own.
    pub(crate) fn refuse(&mut self, part: Part, why: impl Into<String>) {
        self.push(part, Effect::NeedsRestart, why);
    }

    fn clients(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (&old.clients, &new.clients);
        self.fixed(Part::Identity, "ServerName", shown(&old.identity.server_name), shown(&new.identity.server_name));
        self.fixed(Part::Clients, "Host", &was.host, &is.host);
        // A random port stays the one that was found.
        if is.port != crate::Port::Random {
            self.fixed(Part::Clients, "Port", was.port, is.port);
        }
        if was.advertise != is.advertise {
            let address = is.advertise.as_ref().map(ToString::to_string).unwrap_or_default();
            self.live(Part::Clients, format!("Reload: client_advertise = {address}"));
        }
        self.logging(old, new);
        self.fixed(Part::Clients, "NoHeaderSupport", was.no_header_support, is.no_header_support);
        self.fixed(Part::Clients, "ProxyProtocol", was.proxy_protocol, is.proxy_protocol);
        self.fixed(Part::Clients, "AllowNonTLS", was.allow_non_tls, is.allow_non_tls);
    }

    fn logging(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (&old.logging, &new.logging);
        self.live_value(Part::Logging, "trace", &was.trace, &is.trace);
        self.live_value(Part::Logging, "debug", &was.debug, &is.debug);
        self.live_value(Part::Logging, "trace_verbose", &was.trace_verbose, &is.trace_verbose);
        self.live_value(Part::Logging, "trace_headers", &was.trace_headers, &is.trace_headers);
        self.live_value(Part::Logging, "logtime", &was.time, &is.time);
        self.live_value(Part::Logging, "logtime_utc", &was.utc, &is.utc);
        self.live_if(old.audit != new.audit, Part::Logging, "audit");
        self.live_if(old.tracing != new.tracing, Part::Logging, "tracing");
        self.live_if(old.before_login != new.before_login, Part::Limits, "before_login");
        self.live_value(Part::Logging, "log_format", &was.format.word(), &is.format.word());
    }

    fn users(&mut self, old: &Settings, new: &Settings) {
        self.fixed_no_auth_user(old, new);
        let are_other_keys = old.hash_of_nkey_users() != new.hash_of_nkey_users();
        self.live_if(are_other_keys, Part::Users, "authorization nkey users");
        self.live(Part::Users, "Reloaded: authorization users");
        self.live(Part::Accounts, "Reloaded: accounts");
        self.fixed(Part::Accounts, "SystemAccount", system(old), system(new));
        self.fixed(Part::Accounts, "NoSystemAccount", old.no_system_account, new.no_system_account);
        let (was, is) = (&old.auth.authorization, &new.auth.authorization);
        self.live_if(was.user != is.user, Part::Users, "authorization username");
        self.live_if(was.password != is.password, Part::Users, "authorization password");
        self.live_if(was.token != is.token, Part::Users, "authorization token");
        let is_same_callout = without_place(&was.auth_callout) == without_place(&is.auth_callout);
        self.live_if(!is_same_callout, Part::Users, "authorization auth_callout");
        let is_same_chain = was.judges == is.judges && was.callout_cache == is.callout_cache;
        self.live_if(!is_same_chain, Part::Users, "authorization auth_chain and callout_cache");
    }

    /// The user for peers without credentials may only go together with the user itself.
    fn fixed_no_auth_user(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (&old.auth.authorization.no_auth_user, &new.auth.authorization.no_auth_user);
        let is_gone = |name: &String| {
            let listed = new.auth.authorization.users.iter().flatten();
            let mut all = listed.chain(new.auth.accounts.iter().flat_map(|account| &account.users));
            !all.any(|user| user.user.as_ref() == Some(name) || user.nkey.as_ref() == Some(name))
        };
        if is.is_some() || was.as_ref().is_some_and(|name| !is_gone(name)) {
            self.fixed(Part::Users, "NoAuthUser", shown(was), shown(is));
        }
    }

    fn limits(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (&old.limits, &new.limits);
        // The reference writes a limit of none as -1.
        let connections = |count: usize| if count == 0 { "-1".to_owned() } else { count.to_string() };
        let (before, after) = (connections(was.max_connections), connections(is.max_connections));
        self.live_value(Part::Limits, "max_connections", &before, &after);
        let number = |count: Option<usize>| count.unwrap_or(0);
        self.fixed(Part::Limits, "MaxSubs", number(was.max_subscriptions), number(is.max_subscriptions));
        let tokens = |count: Option<std::num::NonZeroU8>| count.map_or(0, std::num::NonZeroU8::get);
        let (before, after) = (tokens(was.max_subscription_tokens), tokens(is.max_subscription_tokens));
        self.fixed(Part::Limits, "MaxSubTokens", before, after);
        self.live_value(Part::Limits, "ping_interval", &go(was.ping_interval), &go(is.ping_interval));
        self.live_value(Part::Limits, "ping_max", &was.ping_max, &is.ping_max);
        self.monitoring(old, new);
        self.login_timeout(old, new);
        self.live_value(Part::Limits, "max_control_line", &was.max_control_line_bytes, &is.max_control_line_bytes);
        let payload = |bytes: Option<usize>| bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string());
        let (before, after) = (payload(was.max_payload_bytes), payload(is.max_payload_bytes));
        self.live_value(Part::Limits, "max_payload", &before, &after);
        self.fixed(Part::Limits, "MaxPending", was.max_pending_bytes, is.max_pending_bytes);
        if was.no_fast_producer_stall != is.no_fast_producer_stall {
            let not = if is.no_fast_producer_stall { "not " } else { "" };
            self.live(Part::Limits, format!("Reloaded: fast producers will {not}be stalled"));
        }
        self.live_value(Part::Limits, "write_deadline", &go(was.write_deadline), &go(is.write_deadline));
        self.fixed(Part::Limits, "WriteTimeout", was.write_timeout.number(), is.write_timeout.number());
        self.fixed(Part::Limits, "MaxClosedClients", was.max_closed_clients, is.max_closed_clients);
        self.live_value(Part::Limits, "connect_error_reports", &was.connect_error_reports, &is.connect_error_reports);
        self.live_value(
            Part::Limits,
            "reconnect_error_reports",
            &was.reconnect_error_reports,
            &is.reconnect_error_reports,
        );
    }

    fn login_timeout(&mut self, old: &Settings, new: &Settings) {
        let seconds = |s: &Settings| s.auth.authorization.timeout.unwrap_or_default().as_secs_f64();
        self.live_value(Part::Users, "authorization timeout", &seconds(old), &seconds(new));
    }

    fn monitoring(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (&old.monitoring, &new.monitoring);
        let host = |s: &Settings| s.monitoring.host.clone().unwrap_or_else(|| s.clients.host.clone());
        let is_on = |s: &Settings| s.monitoring.http_port.or(s.monitoring.https_port).is_some();
        let port = |port: Option<crate::Port>| port.map_or_else(|| "0".to_owned(), |port| port.to_string());
        if is_on(old) && is_on(new) {
            self.fixed(Part::Monitoring, "HTTPHost", host(old), host(new));
        }
        self.fixed(Part::Monitoring, "HTTPPort", port(was.http_port), port(is.http_port));
        self.live_value(Part::Monitoring, "http_login", &was.login, &is.login);
        self.fixed(Part::Monitoring, "HTTPBasePath", &was.base_path, &is.base_path);
        self.fixed(Part::Monitoring, "HTTPSPort", port(was.https_port), port(is.https_port));
    }

    fn process(&mut self, old: &Settings, new: &Settings) {
        self.fixed(Part::Process, "ProfPort", old.prof_port, new.prof_port);
        self.live_value(Part::Process, "prof_block_rate", &old.prof_block_rate, &new.prof_block_rate);
        let path = |path: &Option<std::path::PathBuf>| {
            path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        };
        let (was, is) = (&old.files, &new.files);
        self.live_value(Part::Files, "pid_file", &path(&was.pid_file), &path(&is.pid_file));
        self.live_value(Part::Files, "ports_file_dir", &path(&was.ports_file_dir), &path(&is.ports_file_dir));
        let (was, is) = (&old.logging, &new.logging);
        self.live_value(Part::Logging, "log_file", &path(&was.file), &path(&is.file));
        self.fixed(Part::Logging, "LogSizeLimit", was.size_limit_bytes, is.size_limit_bytes);
        self.fixed(Part::Logging, "LogMaxFiles", was.files_max, is.files_max);
        self.live_value(Part::Logging, "syslog", &was.syslog, &is.syslog);
        let (before, after) = (shown(&was.remote_syslog), shown(&is.remote_syslog));
        self.live_value(Part::Logging, "remote_syslog", &before, &after);
        let length = |bytes: Option<std::num::NonZeroUsize>| bytes.map_or(0, std::num::NonZeroUsize::get);
        let (before, after) = (length(was.max_traced_bytes), length(is.max_traced_bytes));
        self.live_value(Part::Logging, "max_traced_msg_len", &before, &after);
        let (was, is) = (old.lame_duck, new.lame_duck);
        self.fixed(Part::Process, "LameDuckDuration", go(was.duration), go(is.duration));
        self.fixed(Part::Process, "LameDuckGracePeriod", go(was.grace_period), go(is.grace_period));
    }

    fn tls(&mut self, old: &Settings, new: &Settings) {
        if old.tls.is_some() || new.tls.is_some() {
            let state = if new.tls.is_some() { "enabled" } else { "disabled" };
            self.live(Part::Tls, format!("Reloaded: tls = {state}"));
        }
        let (was, is) = (old.tls.clone().unwrap_or_default(), new.tls.clone().unwrap_or_default());
        self.live_value(Part::Tls, "tls timeout", &was.timeout.as_secs_f64(), &is.timeout.as_secs_f64());
        self.live_if(was.pinned_certs != is.pinned_certs, Part::Tls, "pinned_certs");
        if was.handshake_first != is.handshake_first {
            let first = is.handshake_first != ::tls::HandshakeFirst::Off;
            self.live(Part::Tls, format!("Reloaded: Client TLS handshake first: {first}"));
        }
    }

    fn rest(&mut self, old: &Settings, new: &Settings) {
        let (was, is) = (&old.identity, &new.identity);
        self.live_if(was.tags != is.tags, Part::Identity, "tags");
        self.live_if(was.metadata != is.metadata, Part::Identity, "metadata");
        self.fixed(Part::Identity, "FeatureFlags", map(&was.feature_flags), map(&is.feature_flags));
        self.live_if(old.ocsp != new.ocsp, Part::Ocsp, "OCSP");
        if old.ocsp_cache != new.ocsp_cache {
            self.live(Part::Ocsp, "Reloaded OCSP peer cache");
        }
        let (was, is) = (&old.auth.trusted_proxies, &new.auth.trusted_proxies);
        let missing = |from: &Vec<String>, other: &Vec<String>| -> Vec<String> {
            from.iter().filter(|key| !other.contains(key)).cloned().collect()
        };
        for (keys, what) in [(missing(was, is), "removed"), (missing(is, was), "added")] {
            if !keys.is_empty() {
                let keys = quoted_list(keys.iter().map(String::as_str));
                self.live(Part::Proxies, format!("Reloaded: proxies trusted keys {keys} were {what}"));
            }
        }
    }
}

/// `map[a:1 b:2]`.
pub(crate) fn map<V: Display>(map: &std::collections::BTreeMap<String, V>) -> String {
    let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{value}")).collect();
    format!("map[{}]", entries.join(" "))
}

pub(crate) fn shown(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

pub(crate) fn go(duration: Duration) -> GoDuration {
    GoDuration::from(duration)
}

fn system(settings: &Settings) -> String {
    settings.system_account().unwrap_or_default().to_owned()
}

fn without_place(callout: &Option<auth::settings::CalloutSettings>) -> Option<auth::settings::CalloutSettings> {
    let origin = auth::settings::Place::default();
    callout.clone().map(|callout| auth::settings::CalloutSettings { origin, ..callout })
}

/// Any value in the words of `Debug`; only for values without secrets.
pub(crate) fn debug(value: &impl Debug) -> String {
    format!("{value:?}")
}
