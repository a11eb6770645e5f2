//! `nats-server config diff OLD NEW`: which user gains or loses what.

use config::Part;
use serde_json::{Value, json};

use super::changes::{Change, between};
use super::words::{Word, Words};

/// Compares. Always a yes: a difference is no failure.
pub fn run(mut words: Words<'_>) -> Result<bool, String> {
    let mut files = Vec::new();
    let mut as_json = false;
    while let Some(word) = words.next() {
        match word {
            Word::Option("json", None) => as_json = true,
            Word::Option(name, _) => return Err(format!("config diff has no option --{name}")),
            Word::Plain(file) => files.push(file),
        }
    }
    let &[old, new] = files.as_slice() else { return Err("config diff needs two files: OLD NEW".to_owned()) };
    let ((before, old), (after, new)) = (super::directory(old)?, super::directory(new)?);
    let users = between(&old, &new);
    let settings = settings(&before.settings, &after.settings);
    if as_json {
        let users: serde_json::Map<String, Value> =
            users.iter().map(|(user, changes)| (user.clone(), changes.iter().map(as_value).collect())).collect();
        println!("{:#}", json!({ "users": users, "settings": settings }));
        return Ok(true);
    }
    let colourful = super::is_colourful();
    for (user, changes) in &users {
        println!("{user}");
        changes.iter().for_each(|change| println!("  {}", line(change, colourful)));
    }
    settings.iter().for_each(|line| println!("{line}"));
    if users.is_empty() {
        println!("No user gains or loses anything");
    }
    Ok(true)
}

/// What changes beside users and their rules. The report of a reload always speaks of those, changed or not.
fn settings(before: &config::Settings, after: &config::Settings) -> Vec<String> {
    let told_by_user = |change: &config::Change| matches!(change.part, Part::Users | Part::Accounts);
    let changes = config::diff(before, after).into_iter().filter(|change| !told_by_user(change));
    changes.map(|change| change.line).collect()
}

fn as_value(change: &Change) -> Value {
    json!({ "gain": change.is_gain(), "change": change.to_string() })
}

fn line(change: &Change, colourful: bool) -> String {
    let (sign, colour) = if change.is_gain() { ('+', 32) } else { ('-', 31) };
    if colourful { format!("\x1b[{colour}m{sign} {change}\x1b[0m") } else { format!("{sign} {change}") }
}
