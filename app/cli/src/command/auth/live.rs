//! The servers' side: pushing accounts, asking for them, and whose connections a change would close.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::StatusCode;
use bytes::Bytes;
use futures::StreamExt;
use jwt::chain::{OperatorTrust, rights_of};
use jwt::{AccountClaims, UserClaims};
use moment::Timestamp;
use nkeys::{Creds, PublicKey, Role};
use serde_json::{Value, json};
use tokio::time::timeout_at;

use crate::command::auth::desk::{Desk, now};
use crate::command::auth::plan::Publishing;
use crate::command::dig::Dig;
use crate::command::gather::{NoResponders, Question, active_servers, ask_servers};
use crate::context::{Record, read_bytes, read_text};
use crate::failure::advise;
use crate::link::{self, Link};
use crate::show::{Table, cells, log, outln};
use crate::vault::{Place, fresh_key};

/// How long a login that we make for ourselves is good for.
const LOGIN_SECS: i64 = 300;
/// When it is unknown how many servers answer, this long a silence is the end.
const SILENCE: Duration = Duration::from_millis(500);
const MAX_ANSWERS: usize = 10_000;
/// Connections asked for at a time.
const PAGE: usize = 1024;

/// Where a change goes after it was signed.
pub(crate) enum Target {
    /// To the servers that these settings reach.
    Servers(Box<Record>),
    /// Nowhere, and why.
    Nowhere(&'static str),
}

impl Target {
    /// A server that was typed, the operator's own, or, when pushing was asked for, the usual one.
    pub(crate) fn of(desk: &Desk<'_>, operator: &str, publishing: &Publishing) -> Self {
        if publishing.no_push {
            return Self::Nowhere("--no-push");
        }
        let global = &desk.invocation.global;
        let is_typed = [&global.server, &global.context, &global.creds]
            .iter()
            .any(|given| given.as_ref().is_some_and(|g| !g.is_empty()));
        let services = desk.vault.library.operator(operator).map(|o| o.operator_service_urls).unwrap_or_default();
        if !is_typed && !publishing.push && services.is_empty() {
            return Self::Nowhere(
                "no server is known: name one with --server, or the operator's with nats auth operator edit --service URL",
            );
        }
        match desk.invocation.settings() {
            Ok(mut settings) => {
                if !is_typed && !services.is_empty() {
                    settings = Record {
                        url: services.join(","),
                        ca: settings.ca,
                        cert: settings.cert,
                        key: settings.key,
                        ..Record::default()
                    };
                }
                Self::Servers(settings.into())
            }
            Err(_) => Self::Nowhere("the context cannot be read"),
        }
    }
}

/// Connects as a user of the system account: the one whose credentials were given, or one made for the occasion.
pub(crate) async fn connect(desk: &Desk<'_>, operator: &str, settings: &Record) -> Result<Link> {
    let settings = match is_system(desk, operator, settings) {
        true => settings.clone(),
        false => with_login(desk, operator, settings)?,
    };
    link::connect(desk.invocation, &settings).await
}

/// Whether the settings log in as somebody who may be of the system account.
fn is_system(desk: &Desk<'_>, operator: &str, settings: &Record) -> bool {
    if !settings.user.is_empty() || !settings.nkey.is_empty() || !settings.token.is_empty() {
        return true;
    }
    let token = if !settings.creds.is_empty() {
        read_bytes(&settings.creds).ok().and_then(|bytes| Creds::parse(bytes.expose()).ok()).map(|creds| creds.jwt)
    } else if !settings.user_jwt.is_empty() {
        read_text(&settings.user_jwt).ok().map(|text| text.expose().clone())
    } else {
        None
    };
    let Some(user) = token.and_then(|token| UserClaims::decode(&token).ok()) else { return false };
    let system = desk.vault.library.operator(operator).ok().and_then(|operator| operator.system_account);
    system.is_none_or(|system| user.account() == system)
}

/// A user of the system account for a few minutes, who may ask and hear answers.
fn with_login(desk: &Desk<'_>, operator: &str, settings: &Record) -> Result<Record> {
    let claims = desk.vault.library.operator(operator)?;
    let system = claims.system_account.ok_or_else(|| {
        advise(
            format!("operator {operator} has no system account, so there is nobody who may talk to the servers"),
            "log in as a user of the servers' system account with --creds or --context",
        )
    })?;
    let name = desk.name_of(operator, &system);
    let account = desk.vault.library.account(operator, &name)?;
    let signer = desk.user_signer(&claims, &account)?;
    let signer = desk.pair(&signer, "users of the system account")?;
    let user = fresh_key(Role::User)?;
    let mut login = UserClaims::new(user.public(), signer.public());
    "nats auth".clone_into(&mut login.common.name);
    login.common.expires = now() + LOGIN_SECS;
    login.issuer_account = Some(account.common.subject).filter(|account| *account != signer.public());
    login.rights.permissions.publish.allow = vec!["$SYS.REQ.>".to_owned()];
    login.rights.permissions.subscribe.allow = vec!["_INBOX.>".to_owned()];
    let mut settings = settings.clone();
    settings.clear_login();
    settings.user_jwt = login.encode(&signer, now())?;
    settings.user_seed = user.seed().expose().clone();
    // The permission above is for the usual inboxes.
    settings.inbox_prefix.clear();
    Ok(settings)
}

/// Brings the accounts among these tokens to the servers, and waits for them.
pub(crate) async fn publish(
    desk: &Desk<'_>,
    operator: &str,
    target: &Target,
    tokens: &[(Place, String)],
    is_quiet: bool,
) -> Result<()> {
    if !is_quiet
        && tokens.iter().any(|(place, _)| *place == Place::Operator)
        && desk.vault.library.accounts(operator)?.len() > 1
    {
        log!(
            "the operator's token stands in the servers' configuration: write it again with nats auth config, then reload the servers"
        );
    }
    let accounts: Vec<_> = tokens
        .iter()
        .filter_map(|(place, token)| match place {
            Place::Account(name) => Some((name.as_str(), token.as_str())),
            _ => None,
        })
        .collect();
    if accounts.is_empty() {
        return Ok(());
    }
    match target {
        Target::Nowhere(why) => {
            if !is_quiet {
                log!("signed and kept here, not pushed ({why})");
            }
            Ok(())
        }
        Target::Servers(settings) => {
            let pushed = async {
                let link = connect(desk, operator, settings).await?;
                for (name, token) in accounts {
                    push(desk, &link, name, token, is_quiet).await?;
                }
                Ok(())
            };
            pushed.await.map_err(|error: anyhow::Error| {
                let hint = "the change is signed and kept here; bring it to the servers with nats auth account push";
                advise(format!("not pushed: {error:#}"), hint)
            })
        }
    }
}

/// Pushes one account and waits until every server said how it went.
pub(crate) async fn push(desk: &Desk<'_>, link: &Link, name: &str, token: &str, is_quiet: bool) -> Result<()> {
    let claims = AccountClaims::decode(token)?;
    let subject = claims.common.subject;
    let expect = active_servers(desk.invocation, link).await.unwrap_or(0);
    let say = |text: String| if is_quiet { log!("{text}") } else { outln!("{text}") };
    match expect {
        0 => say(format!("Updating Account {name} ({subject}) on all servers\n")),
        expect => say(format!("Updating account {name} ({subject}) on {expect} server(s)\n")),
    }
    let (mut updated, mut failed, mut skipped) = (0, 0, 0);
    let question = format!("$SYS.REQ.ACCOUNT.{subject}.CLAIMS.UPDATE");
    for answer in ask_raw(desk, link, &question, token.to_owned().into(), expect).await.map_err(explained)? {
        let answer: Value = serde_json::from_slice(&answer).context("a server's answer is no JSON")?;
        let server = server_name(&answer);
        if answer.has("error") {
            say(format!("X Update failed on {server}: {}", answer.text("error.description")));
            failed += 1;
        } else if answer.text("data.message").contains("skipped") {
            say(format!(
                "- Nobody of this account is connected to {server}, which reads accounts from its configuration"
            ));
            skipped += 1;
        } else {
            say(format!("✓ Update completed on {server}"));
            updated += 1;
        }
    }
    let expected = if expect > 0 { format!(" Expected {expect}") } else { String::new() };
    say(format!("\nSuccess {updated} Failed {failed}{expected}\n"));
    if failed > 0 {
        bail!("update failed on {failed}/{} servers", failed + updated + skipped);
    }
    if updated + skipped == 0 {
        bail!("no servers were updated");
    }
    if expect > 0 && updated + skipped != expect {
        bail!("received updated from only {} out of {expect} servers", updated + skipped);
    }
    if look_up(desk, link, &subject.to_string()).await?.is_none() {
        log!(
            "the servers read accounts from their configuration (resolver MEMORY): write it again with nats auth config, or the change is gone after a restart"
        );
    }
    Ok(())
}

fn server_name(answer: &Value) -> &str {
    match (answer.text("server.name"), answer.text("server.id")) {
        ("", id) => id,
        (name, _) => name,
    }
}

/// The token of an account as the servers have it; nothing where they keep none.
pub(crate) async fn look_up(desk: &Desk<'_>, link: &Link, subject: &str) -> Result<Option<String>> {
    let answers = ask_raw(desk, link, &format!("$SYS.REQ.ACCOUNT.{subject}.CLAIMS.LOOKUP"), Bytes::new(), 1).await;
    match answers {
        Ok(answers) => {
            let found = answers.into_iter().find(|answer| !answer.is_empty());
            found.map(|token| String::from_utf8(token.to_vec()).context("the token is no text")).transpose()
        }
        Err(error) if error.is::<NoResponders>() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks the servers to forget accounts; only the operator's keys may.
pub(crate) async fn delete(desk: &Desk<'_>, link: &Link, request: String) -> Result<()> {
    let expect = active_servers(desk.invocation, link).await.unwrap_or(0);
    for answer in ask_raw(desk, link, "$SYS.REQ.CLAIMS.DELETE", request.into(), expect).await.map_err(explained)? {
        let answer: Value = serde_json::from_slice(&answer).context("a server's answer is no JSON")?;
        let server = server_name(&answer);
        match answer.text("error.description") {
            "" => outln!("✓ {} on {server}", answer.text("data.message")),
            text => bail!("{server}: {text}"),
        }
    }
    Ok(())
}

fn explained(error: anyhow::Error) -> anyhow::Error {
    if error.is::<NoResponders>() {
        return advise(
            "no server takes account claims from here",
            "the login must be of the system account, and the servers in operator mode",
        );
    }
    error
}

/// Asks with bytes, and collects answers as bytes.
async fn ask_raw(desk: &Desk<'_>, link: &Link, subject: &str, body: Bytes, expect: usize) -> Result<Vec<Bytes>> {
    let work = async {
        let inbox = link.client.new_inbox();
        let mut heard = link.client.subscribe(inbox.clone()).await?;
        link.client.publish_with_reply(subject.to_owned(), inbox, body).await?;
        let deadline = Instant::now() + desk.invocation.timeout();
        let mut until = deadline;
        let mut answers = Vec::new();
        while let Ok(Some(message)) = timeout_at(until.into(), heard.next()).await {
            if message.status == Some(StatusCode::NO_RESPONDERS) {
                return Err(NoResponders.into());
            }
            answers.push(message.payload);
            if answers.len() == expect || answers.len() >= MAX_ANSWERS {
                break;
            }
            if expect == 0 {
                until = deadline.min(Instant::now() + SILENCE);
            }
        }
        Ok(answers)
    };
    link.unless_fault(work).await
}

/// A connection that a change would close.
struct Loss {
    server: String,
    cid: u64,
    who: String,
    name: String,
    why: String,
}

/// Shows whose connections would be closed by new claims of an account.
pub(crate) async fn tell_of_losses(
    desk: &Desk<'_>,
    operator: &str,
    target: &Target,
    claims: &AccountClaims,
) -> Result<()> {
    let settings = match target {
        Target::Nowhere(why) => {
            outln!("Whose connections would be closed is unknown: {why}\n");
            return Ok(());
        }
        Target::Servers(settings) => settings,
    };
    let link = connect(desk, operator, settings).await?;
    let name = &claims.common.name;
    let Some((losses, count)) = losses(desk, operator, &link, claims).await? else {
        outln!("No server said who is connected to account {name}\n");
        return Ok(());
    };
    if losses.is_empty() {
        outln!("None of the {count} connection(s) of account {name} would be closed\n");
        return Ok(());
    }
    let mut table = Table::new(
        format!("{} of {count} connection(s) of account {name} would be closed", losses.len()),
        &["Server", "CID", "User", "Connection", "Reason"],
    );
    for loss in losses {
        table.row(cells![loss.server, loss.cid.to_string(), loss.who, loss.name, loss.why]);
    }
    table.print();
    Ok(())
}

/// The connections that would be closed, and how many there are; nothing where no server answers.
async fn losses(
    desk: &Desk<'_>,
    operator: &str,
    link: &Link,
    claims: &AccountClaims,
) -> Result<Option<(Vec<Loss>, usize)>> {
    let kept = kept_users(desk, operator, &claims.common.subject);
    let judge = Judge::of(claims)?;
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CONNZ", claims.common.subject);
    let expect = active_servers(desk.invocation, link).await.unwrap_or(0);
    let (mut losses, mut count, mut offset) = (Vec::new(), 0, 0);
    loop {
        let body = json!({"auth": true, "limit": PAGE, "offset": offset, "sort": "cid"});
        let answers = ask_servers(desk.invocation, link, &Question { subject: &subject, body, expect }).await;
        let answers = match answers {
            // Servers that know nothing of the account do not answer.
            Err(_) if offset == 0 => return Ok(None),
            other => other?,
        };
        let mut is_full = false;
        for answer in &answers {
            let connections = answer.list("data.connections");
            is_full |= connections.len() >= PAGE;
            count += connections.len();
            for (at, connection) in connections.iter().enumerate() {
                let user = user_of(connection, &kept);
                if let Some(why) = judge.loss(user.as_ref(), offset + at) {
                    losses.push(Loss {
                        server: server_name(answer).to_owned(),
                        cid: connection.whole("cid"),
                        who: who(connection, user.as_ref()),
                        name: connection.text("name").to_owned(),
                        why,
                    });
                }
            }
        }
        if !is_full {
            return Ok(Some((losses, count)));
        }
        offset += PAGE;
    }
}

/// The users of an account that are kept here, by public key.
fn kept_users(desk: &Desk<'_>, operator: &str, account: &PublicKey) -> HashMap<String, UserClaims> {
    let (library, name) = (&desk.vault.library, desk.name_of(operator, account));
    let names = library.users(operator, &name).unwrap_or_default();
    let users = names.into_iter().filter_map(|user| library.user(operator, &name, &user).ok());
    users.map(|user| (user.common.subject.to_string(), user)).collect()
}

/// The claims of a connection: those it showed where the server tells them, else those that are kept here.
fn user_of(connection: &Value, kept: &HashMap<String, UserClaims>) -> Option<UserClaims> {
    let shown = UserClaims::decode(connection.text("jwt")).ok();
    let by_key =
        || [connection.text("nkey"), connection.text("authorized_user")].iter().find_map(|key| kept.get(*key)).cloned();
    shown.or_else(by_key)
}

/// The user of a connection, as people call it.
fn who(connection: &Value, user: Option<&UserClaims>) -> String {
    if let Some(user) = user {
        return user.common.name.clone();
    }
    let named = [connection.text("authorized_user"), connection.text("nkey")];
    named.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}

/// The account as it would be, before a trust that stands in for the servers'.
struct Judge {
    trust: OperatorTrust,
    account: jwt::chain::TrustedAccount,
    at: Timestamp,
}

impl Judge {
    fn of(claims: &AccountClaims) -> Result<Self> {
        let stand_in = fresh_key(Role::Operator)?;
        let at = Timestamp::from_secs(now());
        let token = claims.encode(&stand_in, at.as_secs())?;
        let trust = OperatorTrust::of_keys(&[stand_in.public()])?;
        // Claims that end with this change are judged as ended, not refused.
        let account = trust.admit_account(&token, &claims.common.subject, at).map_err(|error| anyhow!("{error}"))?;
        Ok(Self { trust, account, at })
    }

    /// Why a connection would be closed, the one that came as the so-manieth to its server.
    fn loss(&self, user: Option<&UserClaims>, place: usize) -> Option<String> {
        let claims = self.account.claims();
        if jwt::bound(claims.limits.account.conn).is_some_and(|most| place as u64 >= most) {
            return Some(format!("limits.conn allows {} connection(s)", claims.limits.account.conn.max(0)));
        }
        let user = user?;
        if claims.revocations.hit(&user.common.subject, user.common.issued_at) {
            return Some("revocations hold the user".to_owned());
        }
        if user.common.is_expired(self.at.as_secs()) {
            return Some("the user's claims are expired".to_owned());
        }
        match rights_of(&self.trust, &self.account, user) {
            Err(refusal) => Some(refusal.to_string()),
            Ok(granted) if granted.rights.bearer_token && claims.limits.account.disallow_bearer => {
                Some("limits.disallow_bearer refuses bearer tokens".to_owned())
            }
            Ok(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jwt::Revoked;
    use jwt::testing::Chain;

    #[test]
    fn a_loss_names_what_decides() {
        let chain = Chain::new("acme");
        let shop = chain.account("shop");
        let (joe, sue) = (shop.user("joe"), shop.user("sue"));
        let loss = |claims: &AccountClaims, token: String, place| {
            let user = user_of(&json!({ "jwt": token }), &HashMap::new());
            Judge::of(claims).unwrap().loss(user.as_ref(), place)
        };
        assert_eq!(loss(&shop.claims, joe.token(), 0), None);

        let mut revoked = shop.claims.clone();
        revoked.revocations.revoke(Revoked::Key(joe.key.public()), now());
        assert_eq!(loss(&revoked, joe.token(), 0).as_deref(), Some("revocations hold the user"));
        assert_eq!(loss(&revoked, sue.token(), 0), None);

        let kept = HashMap::from([(joe.key.public().to_string(), joe.claims.clone())]);
        let by_key = user_of(&json!({"authorized_user": joe.key.public().to_string()}), &kept);
        assert_eq!(by_key.map(|user| user.common.name).as_deref(), Some("joe"), "a server that tells no tokens");

        let mut narrow = shop.claims.clone();
        narrow.limits.account.conn = 1;
        assert_eq!(loss(&narrow, joe.token(), 0), None);
        assert_eq!(loss(&narrow, joe.token(), 1).as_deref(), Some("limits.conn allows 1 connection(s)"));

        let mut keyless = shop.claims.clone();
        keyless.signing_keys.remove(&shop.signing.public());
        let why = loss(&keyless, shop.delegated_user("joe").token(), 0).unwrap();
        assert!(why.contains("is no signing key of the account"), "{why}");

        let mut strict = shop.claims.clone();
        strict.limits.account.disallow_bearer = true;
        let bearer = shop.user("bot").with(|claims| claims.rights.bearer_token = true);
        assert_eq!(loss(&strict, bearer.token(), 0).as_deref(), Some("limits.disallow_bearer refuses bearer tokens"));
    }
}
