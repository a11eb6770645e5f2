//! Where answers of servers come from: the servers themselves, or an archive of what they answered.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::archive::{Archive, Kind};
use crate::command::dig::Dig;
use crate::command::gather::{Question, active_servers, ask_servers, check};
use crate::invocation::Invocation;
use crate::link::Link;

/// The flag of commands that can read an archive.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FromArchive {
    /// Read an archive of nats audit gather instead of asking servers
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) archive: Option<PathBuf>,
}

/// Whoever answers.
pub(crate) enum Source<'a> {
    Servers { invocation: &'a Invocation, link: Link },
    Archive(Archive),
}

/// Which servers are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Among {
    pub(crate) name: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) tags: Vec<String>,
}

impl Among {
    pub(crate) fn is_everybody(&self) -> bool {
        self.name.is_none() && self.host.is_none() && self.cluster.is_none() && self.tags.is_empty()
    }

    /// Says it in a question to servers.
    pub(crate) fn narrow(&self, body: &mut Map<String, Value>) {
        for (key, value) in [("server_name", &self.name), ("host", &self.host), ("cluster", &self.cluster)] {
            if let Some(value) = value {
                body.insert(key.to_owned(), value.clone().into());
                body.insert("exact_match".to_owned(), true.into());
            }
        }
        if !self.tags.is_empty() {
            body.insert("tags".to_owned(), json!(self.tags));
        }
    }

    /// Whether an answer in an archive is of a server that is meant.
    fn fits(&self, server: &Value) -> bool {
        let is = |wanted: &Option<String>, key: &str| wanted.as_ref().is_none_or(|wanted| server.text(key) == wanted);
        let is_named = self.name.as_ref().is_none_or(|name| server.text("name") == name || server.text("id") == name);
        let tags = server.texts("tags");
        is_named
            && is(&self.host, "host")
            && is(&self.cluster, "cluster")
            && self.tags.iter().all(|tag| tags.contains(tag))
    }
}

impl<'a> Source<'a> {
    pub(crate) async fn open(invocation: &'a Invocation, archive: Option<&Path>) -> Result<Self> {
        match archive {
            Some(path) => Ok(Self::Archive(Archive::open(path)?)),
            None => Ok(Self::Servers { invocation, link: invocation.connect().await? }),
        }
    }

    pub(crate) const fn is_live(&self) -> bool {
        matches!(self, Self::Servers { .. })
    }

    /// One answer of each server that is meant: `VARZ` or the like. `limit` is how many to wait for.
    pub(crate) async fn ask(
        &self,
        what: &str,
        body: Map<String, Value>,
        among: &Among,
        limit: Option<usize>,
    ) -> Result<Vec<Value>> {
        let answers = match self {
            Self::Servers { invocation, link } => ask_live(invocation, link, what, body, among, limit).await?,
            Self::Archive(archive) => look_up(archive, what, &body, among)?,
        };
        answers.iter().try_for_each(check)?;
        Ok(answers)
    }

    /// Asks one server for more. An archive has said everything at once.
    pub(crate) async fn ask_one(&self, server: &str, what: &str, body: Value) -> Result<Vec<Value>> {
        let Self::Servers { invocation, link } = self else { return Ok(Vec::new()) };
        let subject = format!("$SYS.REQ.SERVER.{server}.{what}");
        ask_servers(invocation, link, &Question { subject: &subject, body, expect: 1 }).await
    }
}

async fn ask_live(
    invocation: &Invocation,
    link: &Link,
    what: &str,
    mut body: Map<String, Value>,
    among: &Among,
    limit: Option<usize>,
) -> Result<Vec<Value>> {
    among.narrow(&mut body);
    let expect = match limit {
        Some(limit) if limit > 0 => limit,
        _ if among.is_everybody() => active_servers(invocation, link).await?,
        _ => 0,
    };
    let subject =
        if what.is_empty() { "$SYS.REQ.SERVER.PING".to_owned() } else { format!("$SYS.REQ.SERVER.PING.{what}") };
    ask_servers(invocation, link, &Question { subject: &subject, body: body.into(), expect }).await
}

/// What an archive says instead of servers: pages of one server are one answer.
fn look_up(archive: &Archive, what: &str, body: &Map<String, Value>, among: &Among) -> Result<Vec<Value>> {
    refuse_what_was_not_gathered(what, body)?;
    let found = match what {
        "VARZ" => archive.of_all(Kind::Variables)?,
        "CONNZ" => connections(archive)?,
        "ROUTEZ" => archive.of_all(Kind::Routes)?,
        "GATEWAYZ" => archive.of_all(Kind::Gateways)?,
        "LEAFZ" => archive.of_all(Kind::Leafs)?,
        "SUBSZ" => archive.of_all(Kind::Subs)?,
        "JSZ" => archive.of_all(Kind::JetStream)?,
        "HEALTHZ" => archive.of_all(Kind::Health)?,
        "ACCOUNTZ" => accounts(archive, body)?,
        "RAFTZ" => archive.of_all(Kind::AccountRaft)?,
        "IPQUEUESZ" => archive.of_all(Kind::AccountIpqueues)?,
        "" => archive.of_all(Kind::Variables)?.iter().map(sign_of_life).collect(),
        _ => bail!("an archive holds no {what}"),
    };
    let mut answers = merged(found.into_iter().filter(|answer| among.fits(answer.dig("server"))));
    answers.iter_mut().for_each(|answer| narrow_to_account(answer, body));
    if answers.is_empty() {
        return Err(anyhow!("the archive holds no {what} of these servers"));
    }
    Ok(answers)
}

/// Fails for what servers would have had to be asked for while the archive was made.
fn refuse_what_was_not_gathered(what: &str, body: &Map<String, Value>) -> Result<()> {
    let is_asked = |key: &str| body.get(key).is_some_and(|value| !value.is_null() && *value != json!(0));
    let keys: &[&str] = match what {
        "CONNZ" => &["filter_subject", "user", "state", "cid"],
        "HEALTHZ" => &["account", "stream", "consumer"],
        "SUBSZ" => &["test", "account"],
        _ => &[],
    };
    match keys.iter().find(|key| is_asked(key)) {
        Some(key) => bail!("an archive cannot be asked for a {key}: only servers can select by it"),
        None => Ok(()),
    }
}

/// Connections with their accounts, where they were gathered account by account.
fn connections(archive: &Archive) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for account in archive.accounts() {
        for mut answer in archive.of_account(account, Kind::AccountConnections)? {
            for connection in answer["data"]["connections"].as_array_mut().into_iter().flatten() {
                if connection.text("account").is_empty() {
                    connection["account"] = account.into();
                }
            }
            found.push(answer);
        }
    }
    if found.is_empty() { archive.of_all(Kind::Connections) } else { Ok(found) }
}

fn accounts(archive: &Archive, body: &Map<String, Value>) -> Result<Vec<Value>> {
    let Some(account) = body.get("account").and_then(Value::as_str) else { return archive.of_all(Kind::Accounts) };
    let found = archive.of_account(account, Kind::AccountInfo)?;
    Ok(found
        .into_iter()
        .map(|answer| json!({"server": answer["server"], "data": {"account_detail": answer["data"]}}))
        .collect())
}

/// What a server says of itself to a ping, out of its variables.
fn sign_of_life(answer: &Value) -> Value {
    let varz = answer.dig("data");
    let clients = varz.dig("connections");
    json!({
        "server": answer["server"],
        "statsz": {
            "start": varz["start"], "mem": varz["mem"], "cores": varz["cores"], "cpu": varz["cpu"],
            "connections": clients, "total_connections": varz["total_connections"],
            "subscriptions": varz["subscriptions"], "slow_consumers": varz["slow_consumers"],
            "sent": {"msgs": varz["out_msgs"], "bytes": varz["out_bytes"]},
            "received": {"msgs": varz["in_msgs"], "bytes": varz["in_bytes"]},
            "routes": vec![json!({}); usize::try_from(varz.whole("routes")).unwrap_or(0).min(ROUTES_MAX)],
        },
    })
}

/// More routes no server has; an archive may say anything.
const ROUTES_MAX: usize = 10_000;

/// Lists that come in pages: of each document, where the list is.
const PAGED: [&str; 3] = ["connections", "subscriptions_list", "account_details"];

fn merged(pages: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut answers: Vec<Value> = Vec::new();
    for page in pages {
        let id = page.text("server.id").to_owned();
        let first = answers.iter_mut().find(|answer| answer.text("server.id") == id);
        match first.filter(|_| PAGED.iter().any(|list| page["data"][list].is_array())) {
            Some(first) => append(first, page),
            None => answers.push(page),
        }
    }
    for answer in &mut answers {
        if let Some(count) = answer["data"]["connections"].as_array().map(Vec::len) {
            answer["data"]["total"] = count.into();
            answer["data"]["num_connections"] = count.into();
        }
    }
    answers
}

fn append(first: &mut Value, mut page: Value) {
    for list in PAGED {
        if let (Some(all), Some(more)) = (first["data"][list].as_array_mut(), page["data"][list].as_array_mut()) {
            all.append(more);
        }
    }
}

/// Leaves only what concerns the account that was asked for.
fn narrow_to_account(answer: &mut Value, body: &Map<String, Value>) {
    let account = body.get("acc").or_else(|| body.get("account")).and_then(Value::as_str);
    let Some(account) = account.map(str::to_owned) else { return };
    for (list, keys) in
        [("connections", &["account"][..]), ("leafs", &["account"]), ("account_details", &["name", "id"])]
    {
        if let Some(rows) = answer["data"][list].as_array_mut() {
            rows.retain(|row| keys.iter().any(|key| row.text(key) == account));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_one_server_are_one_answer() {
        let page = |id: &str, cids: &[u64]| {
            let rows: Vec<_> = cids.iter().map(|cid| json!({"cid": cid, "account": "A"})).collect();
            json!({"server": {"id": id}, "data": {"connections": rows, "total": 9}})
        };
        let answers = merged([page("X", &[1, 2]), page("Y", &[7]), page("X", &[3])].into_iter());
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0]["data"]["connections"].as_array().map(Vec::len), Some(3));
        assert_eq!(answers[0]["data"]["total"], 3);
        let variables = |id: &str| json!({"server": {"id": id}, "data": {"mem": 1}});
        assert_eq!(merged([variables("X"), variables("Y")].into_iter()).len(), 2);
    }

    #[test]
    fn servers_are_meant_by_name_host_cluster_and_tags() {
        let server = json!({"name": "n1", "id": "N1", "host": "h", "cluster": "C", "tags": ["ssd", "eu"]});
        let among = |name: Option<&str>, tags: &[&str]| Among {
            name: name.map(str::to_owned),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            ..Among::default()
        };
        assert!(among(None, &[]).fits(&server) && among(Some("n1"), &["eu"]).fits(&server));
        assert!(!among(Some("n2"), &[]).fits(&server) && !among(None, &["us"]).fits(&server));
    }

    #[test]
    fn what_only_servers_can_select_is_refused() {
        let body = |key: &str| Map::from_iter([(key.to_owned(), json!("x"))]);
        assert!(refuse_what_was_not_gathered("CONNZ", &body("user")).is_err());
        assert!(refuse_what_was_not_gathered("CONNZ", &body("acc")).is_ok());
    }
}
