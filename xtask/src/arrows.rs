//! What a room may use: the tables of ARCHITECTURE.md against cargo metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::Failure;
use crate::metadata::{Metadata, Room};
use crate::shell;
use crate::table::{names, rows};

/// Rooms that only observe: they may use anything, and nothing but tests uses them.
const OBSERVERS: [&str; 7] = ["testkit", "sim", "conformance", "bench", "smoke", "tls-matrix", "xtask"];

pub(crate) fn run() -> Result<(), Failure> {
    let document = fs::read_to_string(shell::root().join("ARCHITECTURE.md")).map_err(|error| error.to_string())?;
    let rooms = Metadata::read()?.rooms();
    let wrong = [crossed(&rooms, &permitted(&document)), homeless(&rooms, &hosts(&document))].concat();
    if wrong.is_empty() {
        println!("arrows: {} rooms use what they may", rooms.len());
        return Ok(());
    }
    Err(format!("arrows that ARCHITECTURE.md does not have:\n  {}", wrong.join("\n  ")))
}

/// Room -> rooms it may use.
fn permitted(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut permitted = BTreeMap::new();
    for row in rows(document, "## The arrows") {
        for room in names(&row[0]) {
            permitted.insert(room, names(&row[1]).into_iter().collect());
        }
    }
    permitted
}

/// Guest crate -> rooms that may name it.
fn hosts(document: &str) -> BTreeMap<String, BTreeSet<String>> {
    rows(document, "## Guests")
        .into_iter()
        .map(|row| (row[0].replace('`', ""), names(&row[1]).into_iter().collect()))
        .collect()
}

fn crossed(rooms: &[Room], permitted: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let judged = rooms.iter().filter(|room| !OBSERVERS.contains(&room.name.as_str()));
    judged.flat_map(|room| crossed_by(room, permitted.get(&room.name))).collect()
}

fn crossed_by(room: &Room, permitted: Option<&BTreeSet<String>>) -> Vec<String> {
    match permitted {
        None => vec![format!("{} has no row", room.name)],
        Some(permitted) => room.uses.difference(permitted).map(|used| format!("{} -> {used}", room.name)).collect(),
    }
}

fn homeless(rooms: &[Room], hosts: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for room in rooms.iter().filter(|room| !OBSERVERS.contains(&room.name.as_str())) {
        for guest in &room.guests {
            if hosts.get(guest).is_some_and(|hosts| !hosts.contains(&room.name)) {
                wrong.push(format!("{} names the guest {guest}", room.name));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str, uses: &[&str], guests: &[&str]) -> Room {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Room { name: name.into(), uses: set(uses), guests: set(guests) }
    }

    const DOCUMENT: &str = "## The arrows\n\n| crate | may use |\n|---|---|\n| a | – |\n| b | a |\n\n## Guests\n\n| g | h |\n|---|---|\n| `tokio` | b |\n";

    #[test]
    fn an_arrow_without_a_row_is_named() {
        let rooms = [room("a", &["b"], &[]), room("b", &["a"], &[]), room("c", &[], &[])];
        assert_eq!(crossed(&rooms, &permitted(DOCUMENT)), ["a -> b", "c has no row"]);
    }

    #[test]
    fn a_guest_lives_with_its_hosts_only() {
        let rooms = [room("a", &[], &["tokio", "memchr"]), room("b", &[], &["tokio"]), room("bench", &[], &["tokio"])];
        assert_eq!(homeless(&rooms, &hosts(DOCUMENT)), ["a names the guest tokio"]);
    }
}
