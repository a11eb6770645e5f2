//! Answers of the running server: about those who are connected, by the permissions they have now, whatever gave them (the
//! configuration, claims, the answer of a service); about a user of the configuration who is not, by the directory.

use std::collections::BTreeMap;

use api::system::{Body, BodyFault};
use auth::{Directory, WrittenLimits};
use broker::{Hub, Link, Registered};
use serde_json::{Value, json};

use super::{Asked, Wanted, judged};

/// Different answers to one question: connections of the same user with the same permissions share one.
const ANSWERS_MAX: usize = 256;
/// Connections that are named in one answer.
const CONNECTIONS_MAX: usize = 1024;

/// About whom: `user` (a name or a public key), perhaps of an `account`, or the connection `cid`; and what: `publish`, or
/// `subscribe` or `deliver` and perhaps `queue`. The document, or why there is none.
///
/// # Errors
/// If the question cannot be read.
pub fn explain(hub: &Hub, body: &Body) -> Result<Result<Value, String>, BodyFault> {
    let (whom, texts) = (Whom::read(body)?, Texts::read(body)?);
    Ok(texts.wanted().and_then(|wanted| about(hub, &whom, &wanted)))
}

/// The same about whoever asks. Where rules are written is not told, nor where it goes from there: that is for those who look
/// after the server.
///
/// # Errors
/// If the question cannot be read.
pub fn explain_oneself(hub: &Hub, asker: &Link, body: &Body) -> Result<Result<Value, String>, BodyFault> {
    let texts = Texts::read(body)?;
    let Some(known) = hub.connection(asker.key.id) else {
        return Ok(Err("a server is asked about others by the system account".to_owned()));
    };
    let directory = hub.directory();
    Ok(texts.wanted().and_then(|wanted| {
        let answer = of_connection(&directory, &known, &wanted).ok_or("nobody is logged in")?;
        Ok(document(vec![answer.for_oneself().json()]))
    }))
}

/// The wish as it was written.
struct Texts {
    publish: String,
    deliver: String,
    subscribe: String,
    queue: String,
}

impl Texts {
    fn read(body: &Body) -> Result<Self, BodyFault> {
        let text = |name| body.text(name);
        let (publish, deliver) = (text("publish")?, text("deliver")?);
        Ok(Self { publish, deliver, subscribe: text("subscribe")?, queue: text("queue")? })
    }

    fn wanted(&self) -> Result<Wanted<'_>, String> {
        let (publish, deliver) = (given(&self.publish), given(&self.deliver));
        let asked = Asked { publish, deliver, subscribe: given(&self.subscribe), queue: given(&self.queue) };
        if asked.publish.or(asked.deliver).or(asked.subscribe).is_none() {
            return Err("\"publish\", \"subscribe\" or \"deliver\" says what is wanted".to_owned());
        }
        Wanted::read(asked)
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Who is asked about.
struct Whom {
    user: String,
    account: String,
    connection: u64,
}

impl Whom {
    fn read(body: &Body) -> Result<Self, BodyFault> {
        Ok(Self { user: body.text("user")?, account: body.text("account")?, connection: body.uint("cid")? })
    }

    /// By its name or key, or the name its claims give it.
    fn is(&self, known: &Registered) -> bool {
        let facts = &known.facts;
        let name = facts.claims.as_ref().map(|claims| claims.name.as_str());
        let is_user = self.user.is_empty() || *facts.user == *self.user || name == Some(self.user.as_str());
        let is_connection = self.connection == 0 || known.link.key.id == self.connection;
        let account = known.account.as_ref();
        is_user && is_connection && account.is_some_and(|account| self.is_of(account.settings().name.as_str()))
    }

    fn is_of(&self, account: &str) -> bool {
        self.account.is_empty() || self.account == account
    }
}

fn about(hub: &Hub, whom: &Whom, wanted: &Wanted<'_>) -> Result<Value, String> {
    if whom.user.is_empty() && whom.connection == 0 {
        return Err("\"user\" or \"cid\" says who is meant".to_owned());
    }
    let directory = hub.directory();
    let mut rows = connected(hub, &directory, whom, wanted);
    if rows.is_empty() && whom.connection == 0 {
        rows.extend(configured(&directory, whom, wanted));
    }
    if rows.is_empty() {
        return Err(match whom.connection {
            0 => format!("nobody called {:?} is connected or configured here", whom.user),
            cid => format!("there is no such connection: {cid}"),
        });
    }
    Ok(document(rows))
}

/// Those who are connected. Who has the same name, account and permissions is told of once.
fn connected(hub: &Hub, directory: &Directory, whom: &Whom, wanted: &Wanted<'_>) -> Vec<Value> {
    let mut rows: BTreeMap<(String, String, usize), (Value, Vec<u64>)> = BTreeMap::new();
    for known in hub.connections().iter().filter(|known| whom.is(known)) {
        let Some(permissions) = known.permissions() else { continue };
        let account = known.account.as_ref().map(|account| account.settings().name.to_string());
        let place = std::sync::Arc::as_ptr(&permissions) as usize;
        let key = (account.unwrap_or_default(), known.facts.user.to_string(), place);
        if rows.len() >= ANSWERS_MAX && !rows.contains_key(&key) {
            continue;
        }
        let make = || of_connection(directory, known, wanted).map(|answer| (answer.json(), Vec::new()));
        let Some((_, connections)) = entry(&mut rows, key, make) else { continue };
        if connections.len() < CONNECTIONS_MAX {
            connections.push(known.link.key.id);
        }
    }
    let row = |(mut row, connections): (Value, Vec<u64>)| {
        row["connections"] = json!(connections);
        row
    };
    rows.into_values().map(row).collect()
}

fn entry<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, make: impl FnOnce() -> Option<V>) -> Option<&mut V> {
    use std::collections::btree_map::Entry;
    match rows.entry(key) {
        Entry::Occupied(entry) => Some(entry.into_mut()),
        Entry::Vacant(entry) => make().map(|value| entry.insert(value)),
    }
}

fn of_connection(directory: &Directory, known: &Registered, wanted: &Wanted<'_>) -> Option<super::Answer> {
    let (account, permissions) = (known.account.as_ref()?.settings(), known.permissions()?);
    let claims = known.facts.claims.as_ref();
    let limits = match claims {
        // Tags that cannot be read let nobody in.
        Some(claims) => WrittenLimits::of_tags(&claims.tags).unwrap_or_default(),
        None => directory.limits_of(&known.facts.user).unwrap_or_default(),
    };
    let name = claims.map(|claims| claims.name.as_str()).filter(|name| !name.is_empty());
    let user = name.unwrap_or(&known.facts.user);
    Some(judged(directory, &account, user, &permissions, &limits, wanted.wish()))
}

fn configured(directory: &Directory, whom: &Whom, wanted: &Wanted<'_>) -> Option<Value> {
    let (account, permissions) = directory.permissions_of(&whom.user)?;
    if !whom.is_of(account.name.as_str()) {
        return None;
    }
    let limits = directory.limits_of(&whom.user).unwrap_or_default();
    let mut row = judged(directory, account, &whom.user, permissions, &limits, wanted.wish()).json();
    row["connections"] = json!([]);
    Some(row)
}

fn document(explained: Vec<Value>) -> Value {
    json!({ "explained": explained })
}
