//! `nats server account`: what servers know of accounts.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::gather::{Question, active_servers, ask_servers, check};
use crate::command::server::source::{Among, FromArchive, Source};
use crate::invocation::Invocation;
use crate::show::{Columns, comma, outln, print_json};

/// Look after accounts
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Account {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show an account as a server sees it
    Info(Info),
    /// Remove all JetStream data of an account
    Purge(Purge),
    /// Destroy the key that an account has of its own, and with it all it stores
    DestroyKey(DestroyKey),
}

/// Show an account as a server sees it
#[derive(Args, Debug)]
struct Info {
    /// Name or public key of the account
    account: String,
    /// Ask the server on this host
    #[arg(long)]
    host: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    #[command(flatten)]
    from: FromArchive,
}

/// Remove all JetStream data of an account
#[derive(Args, Debug)]
struct Purge {
    /// Name or public key of the account
    account: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

/// Destroy the key that an account has of its own, and with it all it stores
///
/// What the key sealed is gone for good, on every server that has one for the account. Copies of the key's file, in
/// backups, open copies of the data: destroy them as well.
#[derive(Args, Debug)]
struct DestroyKey {
    /// Name or public key of the account
    account: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
}

impl Account {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        match &self.command {
            Command::Info(info) => info.run(invocation).await,
            Command::Purge(purge) => purge.run(invocation).await,
            Command::DestroyKey(destroy) => destroy.run(invocation).await,
        }
    }
}

impl Info {
    async fn run(&self, invocation: &Invocation) -> Result<()> {
        let source = Source::open(invocation, self.from.archive.as_deref()).await?;
        let among = Among { host: self.host.clone(), ..Among::default() };
        let body = Map::from_iter([("account".to_owned(), self.account.clone().into())]);
        let answers = source.ask("ACCOUNTZ", body, &among, Some(1)).await?;
        let account = answers[0].dig("data.account_detail");
        if account.is_null() {
            anyhow::bail!("account {:?} is not known to server {}", self.account, answers[0].text("server.name"));
        }
        if self.json {
            return print_json(account);
        }
        page(account, answers[0].dig("server")).print();
        Ok(())
    }
}

fn page(account: &Value, server: &Value) -> Columns {
    let name = account.text("account_name");
    let mut page = Columns::new(format!("Account information for account {name} from server {}", server.text("name")));
    page.section("Details")
        .row_not_empty("Complete", if account.flag("complete") { "true" } else { "" })
        .row("Expired", account.flag("expired"))
        .row("System Account", account.flag("is_system"))
        .row_not_empty("Updated", &account.time("update_time").map(crate::show::local_time).unwrap_or_default())
        .row("JetStream", account.flag("jetstream_enabled"))
        .row_not_empty("Issuer", account.text("issuer_key"))
        .row_not_empty("Tag", account.text("name_tag"))
        .row("Tags", account.texts("tags"))
        .row("Client Connections", account.whole("client_connections"))
        .row("Leafnode Connections", account.whole("leafnode_connections"))
        .row("Subscriptions", account.whole("subscriptions"));
    mappings(&mut page, account.dig("mappings"));
    subjects(&mut page, "Imports", account.list("imports"));
    subjects(&mut page, "Exports", account.list("exports"));
    subjects(&mut page, "Responses", account.list("responses"));
    if let Some(revoked) = account.dig("revoked_user").as_object().filter(|revoked| !revoked.is_empty()) {
        page.section("Revoked Users");
        for (user, at) in revoked {
            page.row(user, at.as_str().unwrap_or_default());
        }
    }
    page
}

fn mappings(page: &mut Columns, mappings: &Value) {
    let Some(mappings) = mappings.as_object().filter(|mappings| !mappings.is_empty()) else { return };
    page.section("Mappings");
    for (source, targets) in mappings {
        let targets: Vec<_> = targets
            .as_array()
            .into_iter()
            .flatten()
            .map(|target| format!("{} {}%", target.text("subject"), comma(target.whole("weight"))))
            .collect();
        page.rows(source, targets);
    }
}

fn subjects(page: &mut Columns, title: &str, entries: &[Value]) {
    if entries.is_empty() {
        return;
    }
    page.section(title);
    for entry in entries {
        let account = entry.text("account");
        let value = if account.is_empty() {
            entry.text("type").to_owned()
        } else {
            format!("{} of {account}", entry.text("type"))
        };
        page.row(entry.text("subject"), value);
    }
}

impl Purge {
    async fn run(&self, invocation: &Invocation) -> Result<()> {
        if !confirmed(self.force, &format!("Really purge all JetStream data of account {}", self.account))? {
            return Ok(());
        }
        let link = invocation.connect().await?;
        let subject = format!("$JS.API.ACCOUNT.PURGE.{}", self.account);
        let answers =
            ask_servers(invocation, &link, &Question { subject: &subject, body: Value::Null, expect: 1 }).await?;
        if self.json {
            return print_json(&answers[0]);
        }
        check(&answers[0])?;
        outln!("Account {} purge initiated: {}", self.account, answers[0].flag("initiated"));
        Ok(())
    }
}

impl DestroyKey {
    async fn run(&self, invocation: &Invocation) -> Result<()> {
        let question = format!("Really destroy the key of account {} and everything it stores, for good", self.account);
        if !confirmed(self.force, &question)? {
            return Ok(());
        }
        let link = invocation.connect().await?;
        let expect = active_servers(invocation, &link).await?;
        let question = Question { subject: "$SYS.REQ.SERVER.PING", body: serde_json::Value::Null, expect };
        let mut answers = Vec::new();
        for server in ask_servers(invocation, &link, &question).await? {
            let subject = format!("$SYS.REQ.SERVER.{}.DESTROYKEY", server.text("server.id"));
            let question = Question { subject: &subject, body: json!({"account": self.account}), expect: 1 };
            answers.extend(ask_servers(invocation, &link, &question).await?);
        }
        if self.json {
            print_json(&answers)?;
        } else {
            answers.iter().for_each(|answer| outln!("{}", told(answer)));
        }
        // A server that has no key for the account has nothing of it that one would open.
        match answers.iter().any(|answer| answer.has("data")) {
            true => Ok(()),
            false => anyhow::bail!("no server destroyed a key of account {}", self.account),
        }
    }
}

fn told(answer: &Value) -> String {
    let server = answer.text("server.name");
    if answer.has("data") {
        let streams = answer.whole("data.streams");
        return format!(
            "{server}: the key of account {} is destroyed, {streams} streams with it",
            answer.text("data.account")
        );
    }
    format!("{server}: {}", answer.text("error.description"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_on_their_way_have_a_section() {
        let account = json!({
            "account_name": "APP",
            "responses": [{"subject": "_R_.abc", "type": "service", "account": "OTHER"}],
            "revoked_user": {"UABC": "2026-01-01T00:00:00Z"},
        });
        let page = page(&account, &json!({"name": "one"})).render();
        assert!(page.contains("Responses:\n\n") && page.contains("_R_.abc: service of OTHER"), "{page}");
        assert!(page.contains("Revoked Users:"), "{page}");
    }
}
