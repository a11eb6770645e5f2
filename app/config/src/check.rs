//! What cannot be said of one option alone: options that contradict each other, and names that must be somewhere.

use std::time::Duration;

use conf::Place;
use hashbrown::HashSet;
use nkeys::{PublicKey, Role};

use crate::auth_chain;
use crate::go_text::quoted;
use crate::operator::Resolver;
use crate::report::Report;
use crate::settings::Settings;
use crate::support::{Feature, Support};
use crate::top::Draft;

/// How long a peer may take to log in.
const AUTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Fills in what depends on several options, and checks the whole.
pub(crate) fn finish(mut draft: Draft, support: &Support, report: &mut Report<'_>) -> Settings {
    check_users(&draft, report);
    let Draft { settings, accounts, implied, .. } = &mut draft;
    settings.auth.accounts = std::mem::take(&mut accounts.logins);
    settings.sharing = std::mem::take(&mut accounts.sharing);
    settings.auth.system_account = settings.auth.system_account.take().or(implied.system_account.take());
    settings.operator.resolver = settings.operator.resolver.take().or(implied.resolver.take());
    needs_of_resolver(&draft, report);
    let settings = &mut draft.settings;
    fill_in(settings, report);
    check_limits(settings, report);
    check_auth(&draft, report);
    check_links(&draft.settings, report);
    check_jetstream(&draft, report);
    check_monitoring(&draft.settings, report);
    check_operator(&draft.settings, report);
    auth_chain::check(&draft.settings, report);
    // What is wrong comes before what cannot be done.
    let uses = std::mem::take(&mut report.uses);
    uses.check(support, report);
    draft.settings
}

/// What the resolver needs of the server, be it written or implied by the operator's claims.
fn needs_of_resolver(draft: &Draft, report: &mut Report<'_>) {
    let operator = &draft.settings.operator;
    let Some(place) = draft.resolver_place.as_ref().or(draft.operator_place.as_ref()) else { return };
    match operator.resolver {
        Some(Resolver::Url(_)) => report.needs(Feature::UrlResolver, place),
        Some(Resolver::Full { .. } | Resolver::Cache { .. }) => report.needs(Feature::FolderResolver, place),
        // Accounts that nobody can log in to.
        _ if !operator.is_on() => report.needs(Feature::Resolver, place),
        Some(Resolver::Memory) | None => {}
    }
}

fn fill_in(settings: &mut Settings, report: &mut Report<'_>) {
    let timeout = settings.tls.as_ref().map_or(AUTH_TIMEOUT, |tls| tls.timeout + Duration::from_secs(1));
    settings.auth.authorization.timeout.get_or_insert(timeout);
    if settings.tls.as_ref().is_some_and(|tls| tls.verify_and_map) {
        settings.auth.certificate_kinds.push(auth::ConnectionKind::Standard);
    }
    if settings.mqtt.as_ref().and_then(|mqtt| mqtt.tls.as_ref()).is_some_and(|tls| tls.verify_and_map) {
        settings.auth.certificate_kinds.push(auth::ConnectionKind::Mqtt);
    }
    if settings.websocket.as_ref().and_then(|ws| ws.tls.as_ref()).is_some_and(|tls| tls.verify_and_map) {
        settings.auth.certificate_kinds.push(auth::ConnectionKind::WebSocket);
    }
    if settings.leafnodes.as_ref().and_then(|leafs| leafs.tls.as_ref()).is_some_and(|tls| tls.verify_and_map) {
        settings.auth.certificate_kinds.extend([auth::ConnectionKind::Leaf, auth::ConnectionKind::LeafWebSocket]);
    }
    if let Some(websocket) = settings.websocket.as_ref().filter(|block| block.listen.port.is_some()) {
        let doors = [websocket.own_login(), websocket.leaf_login(&settings.auth.authorization)];
        settings.auth.doors.extend(doors.into_iter().flatten());
    }
    settings.jetstream.finish(report);
    let system = settings.system_account().map(str::to_owned);
    let gateway = settings.gateway.as_ref().map(|gateway| gateway.name.clone()).filter(|name| !name.is_empty());
    match (&settings.cluster.name, gateway) {
        (Some(cluster), Some(gateway)) if *cluster != gateway => {
            report.plain("cluster name conflicts between cluster and gateway definitions");
        }
        (None, Some(gateway)) => settings.cluster.name = Some(gateway),
        _ => {}
    }
    if settings.cluster.listen.port.is_some() {
        settings.cluster.finish(system.as_deref(), report);
    }
}

fn check_limits(settings: &Settings, report: &mut Report<'_>) {
    settings.lame_duck.check(report);
    let pending = settings.limits.max_pending_bytes;
    if let Some(payload) = settings.limits.max_payload_bytes.filter(|&payload| payload > pending) {
        report.plain(format!("max_payload ({payload}) cannot be higher than max_pending ({pending})"));
    }
}

/// Users are unique over all accounts, and do not stand beside a single login.
fn check_users(draft: &Draft, report: &mut Report<'_>) {
    let authorization = &draft.settings.auth.authorization;
    let in_accounts: usize = draft.accounts.logins.iter().map(|account| account.users.len()).sum();
    let users = in_accounts + authorization.users.as_ref().map_or(0, Vec::len);
    let mut seen: HashSet<&str> = HashSet::with_capacity(users);
    let place = |fallback: Option<&Place>| fallback.cloned().unwrap_or_else(|| Place::new("", 0, 0));
    let block = place(draft.authorization_place.as_ref());
    let listed = [(&block, authorization.users.as_deref().unwrap_or_default())];
    let accounts = draft
        .accounts
        .users_places
        .iter()
        .filter_map(|(at, place)| draft.accounts.logins.get(*at).map(|account| (place, account.users.as_slice())));
    for (place, users) in listed.into_iter().chain(accounts) {
        for user in users {
            let (what, name) = match (&user.user, &user.nkey) {
                (Some(user), _) => ("user", user),
                (None, Some(nkey)) => ("nkey", nkey),
                (None, None) => continue,
            };
            if !seen.insert(name) {
                report.error(place, format!("Duplicate {what} {} detected", quoted(name)));
            }
        }
    }
    for (at, place) in &draft.accounts.users_places {
        let has_users = draft.accounts.logins.get(*at).is_some_and(|account| !account.users.is_empty());
        if has_users && authorization.user.is_some() {
            report.error(place, "Can not have a single user/pass and accounts");
        } else if has_users && authorization.token.is_some() {
            report.error(place, "Can not have a token and accounts");
        }
    }
}

fn check_auth(draft: &Draft, report: &mut Report<'_>) {
    let settings = &draft.settings;
    let authorization = &settings.auth.authorization;
    if let Some(name) = &authorization.no_auth_user {
        check_no_auth_user(name, draft.no_auth_user_place.as_ref(), settings, report);
    }
    for name in authorization.auth_callout.iter().flat_map(|callout| &callout.allowed_accounts) {
        let is_there = name == account::GLOBAL || settings.auth.accounts.iter().any(|account| account.name == *name);
        if !is_there {
            let text = format!("auth_callout allowed account {} not found in configured accounts", quoted(name));
            say(draft.callout_place.as_ref(), text, report);
        }
    }
    let has_users = all_users(settings).next().is_some();
    let websocket = settings.websocket.as_ref().filter(|ws| ws.listen.port.is_some());
    let mqtt = settings.mqtt.as_ref().filter(|mqtt| mqtt.listen.port.is_some());
    let logins = [
        ("websocket", websocket.map(|ws| (&ws.login, &ws.no_auth_user))),
        ("mqtt", mqtt.map(|mqtt| (&mqtt.login, &mqtt.no_auth_user))),
    ];
    for (what, login) in logins {
        let Some((login, no_auth_user)) = login else {
            continue;
        };
        if let Some(name) = no_auth_user {
            check_no_auth_user(name, None, settings, report);
        }
        if has_users && login.user.is_some() {
            report.plain(format!("{what} authentication username not compatible with presence of users/nkeys"));
        }
        if has_users && login.token.is_some() {
            report.plain(format!("{what} authentication token not compatible with presence of users/nkeys"));
        }
    }
    if let Some(cookie) = websocket.and_then(|ws| ws.jwt_cookie.as_ref())
        && !settings.operator.is_on()
    {
        let text = "trusted operators or trusted keys configuration is required for JWT authentication via cookie";
        report.plain(format!("{text} {}", quoted(cookie)));
    }
}

fn say(place: Option<&Place>, text: String, report: &mut Report<'_>) {
    match place {
        Some(place) => report.error(place, text),
        None => report.plain(text),
    }
}

fn all_users(settings: &Settings) -> impl Iterator<Item = &auth::settings::UserSettings> {
    let listed = settings.auth.authorization.users.iter().flatten();
    listed.chain(settings.auth.accounts.iter().flat_map(|account| &account.users))
}

fn check_no_auth_user(name: &str, place: Option<&Place>, settings: &Settings, report: &mut Report<'_>) {
    if settings.operator.is_on() {
        return say(place, "no_auth_user not compatible with Trusted Operator".to_owned(), report);
    }
    let is_it = |user: &auth::settings::UserSettings| [&user.user, &user.nkey].into_iter().flatten().any(|n| n == name);
    if all_users(settings).any(is_it) {
        return;
    }
    let text = if all_users(settings).next().is_none() {
        format!("no_auth_user: \"{name}\" present, but users/nkeys are not defined")
    } else {
        format!("no_auth_user: \"{name}\" not present as user or nkey in authorization block or account configuration")
    };
    say(place, text, report);
}

/// Accounts that links refer to must be there.
fn check_links(settings: &Settings, report: &mut Report<'_>) {
    if let Some(leafnodes) = &settings.leafnodes {
        let authorization = &leafnodes.authorization;
        let singles = authorization.account.iter().chain(authorization.users.iter().filter_map(|u| u.account.as_ref()));
        for name in singles {
            check_leaf_account(name, "authorization", None, settings, report);
        }
        for remote in &leafnodes.remotes {
            let name = remote.account.as_deref().unwrap_or(account::GLOBAL);
            check_leaf_account(name, "remote", Some(&remote.place), settings, report);
        }
        if settings.operator.is_on() && !authorization.users.is_empty() {
            report.plain("operator mode does not allow specifying users in leafnode config");
        }
        let is_listening = leafnodes.listen.port.is_some();
        if is_listening && settings.gateway.is_some() && settings.auth.system_account.is_none() {
            let text = "leaf nodes and gateways (both being defined) require a system account to also be configured";
            report.plain(text);
        }
    }
    let cluster_or_gateway = settings.cluster.listen.port.is_some() || settings.gateway.is_some();
    if settings.mqtt.as_ref().is_some_and(|mqtt| mqtt.listen.port.is_some()) {
        if settings.identity.server_name.is_none() && cluster_or_gateway {
            report.plain("mqtt requires server name to be explicitly set");
        }
        if !settings.jetstream.enabled && !cluster_or_gateway && settings.leafnodes.is_none() {
            report.plain("mqtt requires JetStream to be enabled if running in standalone mode");
        }
    }
    if !settings.cluster.routes.is_empty() && settings.cluster.listen.port.is_none() {
        report.plain("solicited routes require cluster capabilities, e.g. --cluster");
    }
}

fn check_leaf_account(name: &str, what: &str, place: Option<&Place>, settings: &Settings, report: &mut Report<'_>) {
    if settings.operator.is_on() {
        if !PublicKey::is(Role::Account, name) {
            let text = "operator mode requires account nkeys in remotes. Please add an `account` key to each remote in \
                        your `leafnodes` section, to assign it to an account. Each account value should be a 56 \
                        character public key, starting with the letter 'A'";
            say(place, text.to_owned(), report);
        }
        return;
    }
    let is_there = name == account::GLOBAL
        || settings.system_account() == Some(name)
        || settings.auth.accounts.iter().any(|account| account.name == name);
    if !is_there {
        let text = format!("cannot find local account {} specified in leafnode {what}", quoted(name));
        say(place, text, report);
    }
}

fn check_jetstream(draft: &Draft, report: &mut Report<'_>) {
    let settings = &draft.settings;
    let jetstream = &settings.jetstream;
    for (name, domain) in &jetstream.default_domains {
        let shown = quoted(name);
        if settings.operator.is_on() {
            if !PublicKey::is(Role::Account, name) {
                let text = "which is not a valid public account nkey";
                report.plain(format!("default_js_domain contains account name {shown}, {text}"));
            }
        } else if name != account::GLOBAL {
            match settings.sharing.iter().find(|account| account.name == *name) {
                None => report.plain(format!(
                    "in non operator mode, `default_js_domain` references non existing account {shown}"
                )),
                Some(account) if account.jetstream.is_some() && !domain.is_empty() => {
                    report.plain(format!("default_js_domain contains account name {shown} with enabled JetStream"));
                }
                Some(_) => {}
            }
        }
        if settings.system_account() == Some(name) {
            report.plain(format!("system account {shown} can not be in default_js_domain"));
        }
        let api = format!("$JS.{domain}.API.>");
        if !domain.is_empty() && subject::Filter::parse(api.as_bytes()).is_err() {
            let domain = quoted(domain);
            report.plain(format!("default_js_domain contains account {shown} with invalid domain name {domain}"));
        }
    }
    if jetstream.enabled && settings.cluster.listen.port.is_some() {
        if settings.identity.server_name.is_none() {
            report.plain("jetstream cluster requires `server_name` to be set");
        }
        if settings.cluster.name.is_none() {
            report.plain("jetstream cluster requires `cluster.name` to be set");
        }
        if let Some(place) = &draft.jetstream_place {
            report.needs(Feature::ClusteredJetStream, place);
        }
    }
}

fn check_monitoring(settings: &Settings, report: &mut Report<'_>) {
    if let (Some(http), Some(https)) = (settings.monitoring.http_port, settings.monitoring.https_port) {
        report.plain(format!("can't specify both HTTP ({http}) and HTTPs ({https}) ports"));
    }
    if settings.monitoring.https_port.is_some() && settings.tls.is_none() {
        report.plain("TLS cert and key required for HTTPS");
    }
    if settings.monitoring.login && settings.operator.is_on() {
        report.plain("http_login needs users with passwords, and those of an operator have none");
    }
    if settings.monitoring.login && settings.system_account().is_none() {
        report.plain("http_login needs a system account, whose users may look");
    }
}

fn check_operator(settings: &Settings, report: &mut Report<'_>) {
    let operator = &settings.operator;
    if operator.operators.is_empty() {
        if operator.default_sentinel.is_some() {
            report.plain("default sentinel requires operators and accounts");
        }
        if operator.is_on() {
            check_no_config_users(settings, report);
        }
        return;
    }
    if !operator.trusted_keys.is_empty() {
        report.plain("conflicting options for 'TrustedKeys' and 'TrustedOperators'");
    }
    if operator.resolver.is_none() {
        report.plain("operators require an account resolver to be configured");
    }
    check_no_config_users(settings, report);
    check_sentinel(settings, report);
    check_claims(settings, report);
}

/// Where accounts are claims, those of the configuration would never be looked at, unless the chain names them.
fn check_no_config_users(settings: &Settings, report: &mut Report<'_>) {
    let are_judges = settings.auth.authorization.judges.contains(&auth::settings::Judge::Users);
    if !settings.auth.accounts.is_empty() && !are_judges {
        report.plain("operators do not allow Accounts to be configured directly");
    }
    if all_users(settings).next().is_some() && !are_judges {
        report.plain("operators do not allow users to be configured directly");
    }
    if settings.auth.authorization.auth_callout.is_some() {
        report.plain("operators do not allow authorization callouts to be configured directly");
    }
}

fn check_sentinel(settings: &Settings, report: &mut Report<'_>) {
    let Some(sentinel) = &settings.operator.default_sentinel else {
        return;
    };
    match jwt::UserClaims::decode(sentinel.expose()) {
        Err(_) => report.plain("default sentinel JWT not valid"),
        // One without rights of its own is signed by a key that carries them.
        Ok(claims) if claims.rights.bearer_token => {}
        Ok(claims) if claims.issuer_account.is_some() && claims.rights.is_empty() => {}
        Ok(_) => report.plain("default sentinel must be a bearer token"),
    }
}

/// What the operators' JWTs ask of this server.
fn check_claims(settings: &Settings, report: &mut Report<'_>) {
    let operators = &settings.operator.operators;
    let claims: Vec<jwt::OperatorClaims> =
        operators.iter().filter_map(|operator| jwt::OperatorClaims::decode(&operator.jwt).ok()).collect();
    let named: Vec<String> = claims.iter().filter_map(|c| c.system_account.as_ref()).map(ToString::to_string).collect();
    match &settings.auth.system_account {
        Some(system) if !named.is_empty() && !named.contains(system) => {
            report.plain("system_account in config and operator JWT must be identical");
        }
        None if matches!(settings.operator.resolver, Some(Resolver::Full { .. } | Resolver::Cache { .. })) => {
            report.plain(
                "using nats based account resolver - the system account needs to be specified in configuration or the \
                 operator jwt",
            );
        }
        _ => {}
    }
    for claim in &claims {
        check_version(claim, report);
    }
}

/// The version of the reference server that this one is equal to.
pub const EQUAL_TO_VERSION: [u64; 3] = [2, 15, 1];

fn check_version(claims: &jwt::OperatorClaims, report: &mut Report<'_>) {
    let subject = &claims.common.subject;
    let wanted = match claims.asserted_version() {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return,
        Err(error) => {
            let version = &claims.assert_server_version;
            return report.plain(format!("operator {subject} expects version {version} got error instead: {error}"));
        }
    };
    if wanted > EQUAL_TO_VERSION {
        let at = (0..3).find(|&at| wanted[at] != EQUAL_TO_VERSION[at]).unwrap_or(0);
        let part = ["major", "minor", "update"][at];
        let (theirs, ours) = (wanted[at], EQUAL_TO_VERSION[at]);
        report.plain(format!("operator {subject} expected {part} version {theirs} > server {part} version {ours}"));
    }
}
