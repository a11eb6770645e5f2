//! Every key of every block: an accepted value and what it changes, a wrong one and what is said. The table stands in
//! `keys.txt`; lines with `=` and `x` are compared, or written anew with `UPDATE_KEYS=1`.
//!
//! ```text
//! @ block { % }        what surrounds the entries that follow; «…» is left out when there is no entry
//! > key|alias: value   accepted; every alias has the same effect
//! = path: value        what differs from the surrounding alone
//! ! key: value         refused
//! x text               what is said
//! ```

use std::collections::BTreeSet;

use crate::read;

const TABLE: &str = include_str!("keys.txt");

#[test]
fn every_key_has_its_effect_and_every_wrong_value_its_sentence() {
    let written = rewritten();
    if std::env::var("UPDATE_KEYS").is_ok() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/keys.txt"), &written).unwrap();
        return;
    }
    for (at, (expected, found)) in TABLE.lines().zip(written.lines()).enumerate() {
        assert_eq!(found, expected, "keys.txt line {}", at + 1);
    }
    assert_eq!(written.lines().count(), TABLE.lines().count());
}

#[test]
fn no_key_is_read_and_ignored() {
    let mut entry = "";
    let mut effects = 1;
    for line in TABLE.lines().chain(["> end"]) {
        assert!(!(line.starts_with('x') && entry.starts_with('>')), "{entry} is refused: {line}");
        assert!(!(line.starts_with('=') && entry.starts_with('!')), "{entry} is accepted");
        match line.chars().next() {
            Some('>') => {
                assert!(effects > 0, "{entry} changes nothing");
                (entry, effects) = (line, 0);
            }
            Some('=' | '~') => effects += 1,
            Some('!') => (entry, effects) = (line, 1),
            _ => {}
        }
    }
}

#[test]
fn every_known_key_stands_in_the_table() {
    let mut accepted: BTreeSet<String> = BTreeSet::new();
    let mut block = String::new();
    for line in TABLE.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            block = name.to_owned();
        }
        let Some((keys, _)) = line.strip_prefix("> ").or(line.strip_prefix("! ")).and_then(split_entry) else {
            continue;
        };
        accepted.extend(keys.split('|').map(|key| format!("{block}: {key}")));
    }
    let known = bulwark_config::known_keys().into_iter();
    let known = known.flat_map(|(block, keys)| keys.into_iter().map(move |key| format!("{block}: {key}")));
    let missing: Vec<String> = known.filter(|key| !accepted.contains(key)).collect();
    assert!(missing.is_empty(), "not in keys.txt: {missing:#?}");
}

fn split_entry(entry: &str) -> Option<(&str, &str)> {
    let end = entry.find([':', ' ', '{'])?;
    Some(entry.split_at(end))
}

/// The table with what really happens.
fn rewritten() -> String {
    let mut out = String::new();
    let mut around = "%".to_owned();
    for line in TABLE.lines() {
        match (line.chars().next(), line.get(2..)) {
            (Some('=' | 'x' | '~'), _) => continue,
            (Some('@'), Some(text)) => text.clone_into(&mut around),
            _ => {}
        }
        out.push_str(line);
        out.push('\n');
        match (line.chars().next(), line.get(2..)) {
            (Some('>'), Some(entry)) => accepted(&around, entry, &mut out),
            (Some('!'), Some(entry)) => refused(&around, entry, &mut out),
            _ => {}
        }
    }
    out
}

fn accepted(around: &str, entry: &str, out: &mut String) {
    let (keys, rest) = split_entry(entry).unwrap_or_else(|| panic!("{entry}"));
    let effects: Vec<String> = keys.split('|').map(|key| effect(around, &format!("{key}{rest}"))).collect();
    for (key, effect) in keys.split('|').zip(&effects) {
        assert_eq!(effect, &effects[0], "{key}{rest}");
    }
    out.push_str(&effects[0]);
}

/// The surrounding with the entry in it. What stands in angles goes when there is no entry.
fn filled(around: &str, entry: &str) -> String {
    let around = match (around.split_once('«'), around.split_once('»')) {
        (Some((before, _)), Some((_, after))) if entry.is_empty() => format!("{before}{after}"),
        _ => around.replace(['«', '»'], ""),
    };
    around.replace('%', entry)
}

/// What an entry changes, as lines.
fn effect(around: &str, entry: &str) -> String {
    let with = |entry: &str| read(&filled(around, entry));
    let (base, loaded) = match (with(""), with(entry)) {
        (Ok(base), Ok(loaded)) => (base, loaded),
        (Err(wrong), _) | (_, Err(wrong)) => return format!("x {wrong}"),
    };
    let before = flat(&base.settings);
    let mut left: Vec<&String> = before.iter().collect();
    let mut out = String::new();
    let after = flat(&loaded.settings);
    let mut added = Vec::new();
    for line in &after {
        match left.iter().position(|other| *other == line) {
            Some(at) => drop(left.remove(at)),
            None => added.push(line),
        }
    }
    // What is new as a whole has many fields of which nothing was said.
    let path_of = |line: &str| line.rsplit_once(": ").map(|(path, _)| path.to_owned());
    let gone: Vec<_> = left.iter().map(|line| path_of(line)).collect();
    let is_silent = |line: &str| [": None", ": []", ": {}", ": false"].iter().any(|end| line.ends_with(end));
    for line in added.into_iter().filter(|line| !is_silent(line) || gone.contains(&path_of(line))) {
        out.push_str(&format!("= {line}\n"));
    }
    for line in left {
        out.push_str(&format!("= without {line}\n"));
    }
    let said = loaded.warnings.iter().map(ToString::to_string).chain(loaded.notices.iter().cloned());
    for line in said {
        out.push_str(&format!("~ {line}\n"));
    }
    out
}

fn refused(around: &str, entry: &str, out: &mut String) {
    let text = filled(around, entry);
    match read(&text) {
        Ok(_) => out.push_str("= accepted\n"),
        Err(wrong) => wrong.errors.iter().for_each(|error| out.push_str(&format!("x {error}\n"))),
    }
}

/// Settings as `path: value` lines, without the places where things are written.
fn flat(settings: &bulwark_config::Settings) -> Vec<String> {
    let printed = format!("{settings:#?}");
    let mut path: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for line in printed.lines() {
        let depth = (line.len() - line.trim_start().len()) / 4;
        let text = line.trim().trim_end_matches(',');
        path.truncate(depth);
        let (name, value) = match text.split_once(": ") {
            Some((name, value)) if !name.starts_with('"') => (name, value),
            _ => ("", text),
        };
        if value.ends_with(['{', '(', '[']) {
            path.push(name.to_owned());
        } else if !matches!(value, "}" | ")" | "]") {
            path.push(name.to_owned());
            let words: Vec<&str> = path.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
            if !words.contains(&"place") && !words.contains(&"origin") {
                lines.push(format!("{}: {value}", words.join(".")));
            }
        }
    }
    lines
}

#[test]
fn no_value_makes_any_key_fall() {
    let values = [
        "5",
        "-1",
        "9223372036854775807",
        "1.5",
        "x",
        "''",
        "true",
        "2016-05-04T18:53:41Z",
        "[]",
        "{}",
        "[{}]",
        "[[x]]",
        "{x: {}}",
        "{file: x}",
        "[5, {a: b}, '']",
    ];
    let mut around = "%".to_owned();
    let mut seen = BTreeSet::new();
    for line in TABLE.lines() {
        if let Some(text) = line.strip_prefix("@ ") {
            text.clone_into(&mut around);
        }
        let entry = line.strip_prefix("> ").or(line.strip_prefix("! "));
        let Some((keys, _)) = entry.and_then(split_entry) else {
            continue;
        };
        for key in keys.split('|').filter(|key| seen.insert(format!("{around} {key}"))) {
            for value in values {
                // Whatever is said, it is said and not shouted.
                let said =
                    read(&filled(&around, &format!("{key}: {value}"))).map(|_| ()).map_err(|wrong| wrong.to_string());
                assert_ne!(said, Err(String::new()), "{around} {key}: {value}");
            }
        }
    }
}
