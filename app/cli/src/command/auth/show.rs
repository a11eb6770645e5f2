//! Operators, accounts and users as people see them.

use anyhow::Result;
use jwt::{
    AccountClaims, AccountLimits, ClusterTraffic, JetStreamLimits, OperatorClaims, Scope, Sharing, UserClaims,
    UserRights, bound,
};
use nkeys::PublicKey;

use crate::command::auth::desk::Desk;
use crate::show::{Columns, comma, ibytes, local_time};

/// A limit as people read it.
pub(crate) fn limit(limit: i64) -> String {
    bound(limit).map_or_else(|| "unlimited".to_owned(), comma)
}

/// A limit in bytes.
pub(crate) fn byte_limit(limit: i64) -> String {
    bound(limit).filter(|bytes| *bytes > 0).map_or_else(|| "unlimited".to_owned(), ibytes)
}

/// A second on this machine's clock.
pub(crate) fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), local_time)
}

pub(crate) fn operator(desk: &Desk<'_>, name: &str, claims: &OperatorClaims) -> Result<Columns> {
    let mut page = Columns::new(format!("Operator {name} ({})", claims.common.subject));
    page.section("Configuration");
    page.row("Name", name).row("Subject", claims.common.subject.to_string());
    page.rows("Tags", &claims.common.tags);
    page.row_if(!claims.operator_service_urls.is_empty(), "Service URL(s)", claims.operator_service_urls.join(", "));
    page.row_not_empty("Account Server", &claims.account_server_url);
    page.row("Accounts", desk.vault.library.accounts(name)?.len() as u64);
    page.row(
        "System Account",
        match &claims.system_account {
            None => "not set".to_owned(),
            Some(key) => format!("{} ({key})", desk.name_of(name, key)),
        },
    );
    page.row_if(claims.strict_signing_key_usage, "Strict Signing Key Usage", true);
    page.row_if(claims.common.expires > 0, "Expiry", moment(claims.common.expires));
    let mut keys: Vec<_> = claims.signing_keys.iter().map(|key| held(desk, key)).collect();
    keys.sort();
    page.rows("Signing Keys", keys);
    Ok(page)
}

/// A key, and whether its seed is kept elsewhere.
pub(crate) fn held(desk: &Desk<'_>, key: &PublicKey) -> String {
    let elsewhere = if desk.vault.keys.has(&key.to_string()) { "" } else { " (seed kept elsewhere)" };
    format!("{key}{elsewhere}")
}

pub(crate) fn account(desk: &Desk<'_>, operator: &str, name: &str, claims: &AccountClaims) -> Result<Columns> {
    let mut page = Columns::new(format!("Account {name} ({})", claims.common.subject));
    page.section("Configuration");
    page.row("Name", name).row("Issuer", claims.common.issuer.to_string()).row("Operator", operator);
    let system = desk.vault.library.operator(operator).ok().and_then(|operator| operator.system_account);
    page.row("System Account", system == Some(claims.common.subject));
    page.row_not_empty("Description", &claims.description);
    page.rows("Tags", &claims.common.tags);
    page.row("JetStream", has_jetstream(claims));
    page.row_if(claims.common.expires > 0, "Expiry", moment(claims.common.expires));
    page.row("Users", desk.vault.library.users(operator, name)?.len() as u64);
    page.row("Revocations", claims.revocations.iter().count() as u64);
    let counts = |sharing| {
        let exports = claims.exports.iter().filter(|export| export.sharing == sharing).count();
        (exports as u64, claims.imports.iter().filter(|import| import.sharing == sharing).count() as u64)
    };
    let (services, streams) = (counts(Sharing::Service), counts(Sharing::Stream));
    page.row("Service Exports", services.0).row("Stream Exports", streams.0);
    page.row("Service Imports", services.1).row("Stream Imports", streams.1);
    page.row_if(claims.signing_keys.iter().next().is_some(), "Signing Keys", claims.signing_keys.iter().count() as u64);
    account_limits(&mut page, claims);
    if has_jetstream(claims) {
        jetstream(&mut page, claims);
    }
    Ok(page)
}

pub(crate) fn has_jetstream(claims: &AccountClaims) -> bool {
    let limits = &claims.limits;
    !limits.tiers.is_empty() || limits.jetstream.disk_storage != 0 || limits.jetstream.mem_storage != 0
}

fn account_limits(page: &mut Columns, claims: &AccountClaims) {
    let AccountLimits { imports, exports, disallow_bearer, conn, leaf, .. } = claims.limits.account;
    let nats = claims.limits.nats;
    page.section("Limits");
    page.row("Bearer Tokens Allowed", !disallow_bearer);
    page.row("Subscriptions", limit(nats.subs)).row("Connections", limit(conn));
    page.row("Maximum Payload", byte_limit(nats.payload));
    page.row_if(nats.data > 0, "Data", nats.data);
    page.row("Leafnodes", limit(leaf)).row("Imports", limit(imports)).row("Exports", limit(exports));
}

fn jetstream(page: &mut Columns, claims: &AccountClaims) {
    page.section("JetStream Settings");
    page.row(
        "Cluster Traffic",
        match claims.cluster_traffic {
            ClusterTraffic::Owner => "owner",
            ClusterTraffic::System | ClusterTraffic::Unset => "system",
        },
    );
    if claims.limits.tiers.is_empty() {
        page.section("Account Default Limits");
        tier(page, &claims.limits.jetstream);
    }
    for (name, limits) in &claims.limits.tiers {
        page.section(format!("Tier {name}"));
        tier(page, limits);
    }
}

fn tier(page: &mut Columns, limits: &JetStreamLimits) {
    page.row(
        "Max Ack Pending",
        if limits.max_ack_pending <= 0 { "unlimited".to_owned() } else { comma(limits.max_ack_pending) },
    );
    page.row("Maximum Streams", limit(limits.streams)).row("Max Consumers Per Stream", limit(limits.consumer));
    page.row("Max Stream Size Required", limits.max_bytes_required);
    page.row("Max File Storage", byte_limit(limits.disk_storage));
    page.row_if(
        limits.disk_max_stream_bytes > 0,
        "Max File Storage Stream Size",
        byte_limit(limits.disk_max_stream_bytes),
    );
    page.row("Max Memory Storage", byte_limit(limits.mem_storage));
    page.row_if(
        limits.mem_max_stream_bytes > 0,
        "Max Memory Storage Stream Size",
        byte_limit(limits.mem_max_stream_bytes),
    );
}

pub(crate) fn user(name: &str, claims: &UserClaims, account: &AccountClaims) -> Columns {
    let mut page = Columns::new(format!("User {name} ({})", claims.common.subject));
    let scope = account.signing_keys.get(&claims.common.issuer).flatten();
    page.section("Configuration");
    page.row("Account", format!("{} ({})", account.common.name, account.common.subject));
    page.row("Issuer", claims.common.issuer.to_string()).row("Scoped", scope.is_some());
    page.row_some("Role", scope.map(|scope| scope.role.as_str()));
    page.rows("Tags", &claims.common.tags);
    page.row("Issued", moment(claims.common.issued_at));
    page.row_if(claims.common.expires > 0, "Expiry", moment(claims.common.expires));
    let is_revoked = account.revocations.hit(&claims.common.subject, claims.common.issued_at);
    page.row_if(is_revoked, "Revoked", true);
    rights(&mut page, scope.map_or(&claims.rights, |scope| &scope.template));
    page
}

pub(crate) fn scope(key: &PublicKey, scope: Option<&Scope>) -> Columns {
    let mut page = Columns::new(format!("Scoped Signing Key {key}"));
    page.section("Config");
    match scope {
        None => drop(page.row("Key", key.to_string()).row("Role", "none: users bring their own rights")),
        Some(scope) => {
            page.row_not_empty("Description", &scope.description);
            page.row("Key", key.to_string()).row("Role", scope.role.as_str());
            rights(&mut page, &scope.template);
        }
    }
    page
}

fn rights(page: &mut Columns, rights: &UserRights) {
    page.row_not_empty("Locale", &rights.times_location).row("Bearer Token", rights.bearer_token);
    page.row_if(rights.proxy_required, "Proxy Required", true);
    page.section("Limits");
    page.row("Max Payload", byte_limit(rights.limits.payload)).row("Max Data", limit(rights.limits.data));
    page.row("Max Subscriptions", limit(rights.limits.subs));
    page.row_not_empty("Connection Types", &rights.allowed_connection_types.join(", "));
    page.row_not_empty("Connection Sources", &rights.sources.join(", "));
    page.rows("Connection Times", rights.times.iter().map(|range| format!("{} to {}", range.start, range.end)));
    page.section("Permissions").section("  Publish");
    permission(page, &rights.permissions.publish);
    page.section("  Subscribe");
    permission(page, &rights.permissions.subscribe);
    if let Some(responses) = rights.permissions.responses {
        page.section("  Responses");
        page.row("Maximum Messages", limit(responses.max));
        page.row(
            "Time",
            crate::show::go_duration(std::time::Duration::from_nanos(responses.ttl.max(0).unsigned_abs())),
        );
    }
}

fn permission(page: &mut Columns, permission: &jwt::Permission) {
    if permission.allow.is_empty() && permission.deny.is_empty() {
        page.line("  No permissions defined");
        return;
    }
    page.rows("Allow", &permission.allow).rows("Deny", &permission.deny);
}
