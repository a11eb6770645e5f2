//! `nats account info`.

use anyhow::Result;
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, ask_one};
use crate::invocation::Invocation;
use crate::link::{Line, Link, without_password};
use crate::show::{Columns, comma, ibytes};

pub(crate) async fn run(invocation: &Invocation) -> Result<()> {
    let mut line = invocation.line().await?;
    let rtt = line.flush().await?;
    let link = invocation.connect().await?;
    let user = ask_one(invocation, &link, "$SYS.REQ.USER.INFO", Value::Null).await.unwrap_or_default();
    // Not everybody may ask; the rest can be shown all the same.
    link.forgive();
    let user = user.dig("data").clone();
    let mut page = Columns::new("Account Information");
    identity(&mut page, &user, &line);
    page.row("Client ID", line.greeting.client_id.to_string())
        .row("Client IP", line.greeting.client_ip.as_str())
        .row("RTT", rtt);
    server(&mut page, &line);
    permissions(&mut page, user.dig("permissions"));
    jetstream(&mut page, invocation, &link, &line).await?;
    page.print();
    Ok(())
}

fn identity(page: &mut Columns, user: &Value, line: &Line) {
    if user.is_null() {
        return;
    }
    let with_name = |name: &str, id: &str| if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") };
    page.row("User", with_name(user.text("user_name"), user.text("user")));
    page.row("Account", with_name(user.text("account_name"), user.text("account")));
    page.row_if(!user.text("account_name").is_empty(), "System Account", line.greeting.acc_is_sys);
    match user.span("expires") {
        never if never.is_zero() => page.row("Expires", "never"),
        left => page.row("Expires", left),
    };
}

fn server(page: &mut Columns, line: &Line) {
    let greeting = &line.greeting;
    page.row("Headers Supported", greeting.headers)
        .row("Maximum Payload", ibytes(greeting.max_payload))
        .row_not_empty("Connected Cluster", &greeting.cluster)
        .row("Connected URL", without_password(line.server.as_url_str()))
        .row("Connected Address", line.address.as_str())
        .row("Connected Server ID", greeting.server_id.as_str())
        .row("Connected Server Version", greeting.version.as_str())
        .row_if(greeting.server_id != greeting.server_name, "Connected Server Name", greeting.server_name.as_str());
    match &line.tls {
        None => page.row("TLS Connection", "no"),
        Some(tls) => page
            .row("TLS Version", format!("{} using {}", tls.version, tls.suite))
            .row("TLS Server Name", line.server.host())
            .row("TLS Verified", format!("issuer {}", issuer(&tls.chain))),
    };
}

/// Who signed the server's certificate.
fn issuer(chain: &[Vec<u8>]) -> String {
    let first = chain.first().and_then(|der| x509_parser::parse_x509_certificate(der).ok());
    first.map_or_else(|| "unknown".to_owned(), |(_, certificate)| certificate.issuer().to_string())
}

fn permissions(page: &mut Columns, permissions: &Value) {
    if permissions.is_null() {
        return;
    }
    page.section("Connection Permissions");
    for (title, key) in [("  Publish:", "publish"), ("  Subscribe:", "subscribe")] {
        let rules = permissions.dig(key);
        let (mut allow, mut deny) = (rules.texts("allow"), rules.texts("deny"));
        if allow.is_empty() && deny.is_empty() {
            continue;
        }
        allow.sort();
        deny.sort();
        page.line(title).rows("Allow", allow).rows("Deny", deny).line("");
    }
}

async fn jetstream(page: &mut Columns, invocation: &Invocation, link: &Link, line: &Line) -> Result<()> {
    let subject = crate::command::api::subject(&invocation.settings()?, "INFO");
    match ask_one(invocation, link, &subject, Value::Null).await {
        Ok(info) if !info.has("error") => usage(page, &info, line),
        Ok(info) if matches!(info.whole("error.err_code"), 10039 | 10076) => {
            page.line("").line("   JetStream is not supported in this account");
        }
        Ok(info) => {
            page.line("").line(format!("   Could not obtain account information:  {}", info.text("error.description")));
        }
        Err(error) if error.is::<NoResponders>() => {
            page.line("").line("   JetStream is not supported in this account");
        }
        Err(_) => {
            page.line("").line("   No response from JetStream server");
        }
    }
    Ok(())
}

fn usage(page: &mut Columns, info: &Value, line: &Line) {
    match info.text("domain") {
        "" => page.section("JetStream Account Information"),
        domain => page.section(format!("JetStream Account Information for domain {domain}")),
    };
    page.section("Account Usage")
        .row_not_empty("Domain", info.text("domain"))
        .row("Storage", ibytes(info.whole("storage")))
        .row("Memory", ibytes(info.whole("memory")))
        .row("Streams", info.whole("streams"))
        .row("Consumers", info.whole("consumers"))
        .section("Account Limits")
        .row("Max Message Payload", ibytes(line.greeting.max_payload));
    match info.dig("tiers").as_object().filter(|tiers| !tiers.is_empty()) {
        None => tier(page, "Default", info),
        Some(tiers) => {
            let mut tiers: Vec<_> = tiers.iter().collect();
            tiers.sort_by_key(|(name, _)| (*name).clone());
            tiers.into_iter().for_each(|(name, facts)| tier(page, name, facts));
        }
    }
}

fn tier(page: &mut Columns, name: &str, tier: &Value) {
    let limits = tier.dig("limits");
    let number = |key: &str| match limits.signed(key) {
        ..=0 => "Unlimited".to_owned(),
        limit => comma(limit),
    };
    let bytes = |key: &str| match limits.signed(key) {
        ..=0 => "Unlimited".to_owned(),
        limit => ibytes(limit.unsigned_abs()),
    };
    let used = |key: &str, limit: &str, reserved: &str| {
        let limit = if limits.signed(limit) == -1 { "Unlimited".to_owned() } else { ibytes(limits.whole(limit)) };
        let reserved = tier.whole(reserved);
        let reserved = if reserved > 0 { format!(" ({} reserved)", ibytes(reserved)) } else { String::new() };
        format!("{} of {limit}{reserved}", ibytes(tier.whole(key)))
    };
    let streams =
        if limits.signed("max_streams") == -1 { "Unlimited".to_owned() } else { comma(limits.whole("max_streams")) };
    let consumers = match limits.signed("max_consumers") {
        -1 => "Unlimited".to_owned(),
        limit => format!("Maximum {} per stream", comma(limit)),
    };
    page.section(format!("Tier: {name}"))
        .section("Configuration Requirements")
        .row("Stream Requires Max Bytes Set", limits.flag("max_bytes_required"))
        .row("Consumer Maximum Ack Pending", number("max_ack_pending"))
        .section("Stream Resource Usage Limits")
        .row("Memory", used("memory", "max_memory", "reserved_memory"))
        .row("Memory Per Stream", bytes("memory_max_stream_bytes"))
        .row("Storage", used("storage", "max_storage", "reserved_storage"))
        .row("Storage Per Stream", bytes("storage_max_stream_bytes"))
        .row("Streams", format!("{} of {streams}", comma(tier.whole("streams"))))
        .row("Consumers", consumers);
}
