//! Licences, sources and bans: `deny.toml` against cargo metadata. A check of our own, so that it needs no installation;
//! the file is one that cargo-deny reads too.

use std::fs;

use crate::Failure;
use crate::metadata::{Metadata, Package};
use crate::shell;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn run() -> Result<(), Failure> {
    let rules = fs::read_to_string(shell::root().join("deny.toml")).map_err(|error| error.to_string())?;
    let (allowed, banned) = (quoted_below(&rules, "allow = ["), banned(&rules));
    let guests = Metadata::read()?.guests();
    let wrong: Vec<String> = guests.iter().flat_map(|guest| faults(guest, &allowed, &banned)).collect();
    if wrong.is_empty() {
        println!("licences: {} guest crates are permitted", guests.len());
        return Ok(());
    }
    Err(format!("guests that deny.toml does not permit:\n  {}", wrong.join("\n  ")))
}

fn faults(guest: &Package, allowed: &[String], banned: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let name = format!("{} {}", guest.name, guest.version);
    if !permits(&guest.licence, allowed) {
        faults.push(format!("{name}: licence {:?}", guest.licence));
    }
    if guest.source != REGISTRY {
        faults.push(format!("{name}: comes from {:?}", guest.source));
    }
    if banned.contains(&guest.name) {
        faults.push(format!("{name}: banned"));
    }
    faults
}

/// The quoted texts between a line and the closing bracket.
fn quoted_below(rules: &str, line: &str) -> Vec<String> {
    let block = rules.lines().skip_while(|found| found.trim() != line).skip(1);
    block.take_while(|line| line.trim() != "]").filter_map(first_quoted).collect()
}

fn first_quoted(line: &str) -> Option<String> {
    let line = line.trim();
    if line.starts_with('#') { None } else { line.split('"').nth(1).map(str::to_owned) }
}

fn banned(rules: &str) -> Vec<String> {
    quoted_below(rules, "deny = [")
}

/// Whether an SPDX expression can be met with the allowed licences.
fn permits(expression: &str, allowed: &[String]) -> bool {
    // The old notation writes a slash for OR.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ").replace(" WITH ", "+WITH+");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Expression { words: &words, allowed };
    !words.is_empty() && parser.any() && parser.words.is_empty()
}

struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Expression<'_> {
    fn any(&mut self) -> bool {
        let mut met = self.all();
        while self.take("OR") {
            met |= self.all();
        }
        met
    }

    fn all(&mut self) -> bool {
        let mut met = self.one();
        while self.take("AND") {
            met &= self.one();
        }
        met
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let met = self.any();
            return self.take(")") && met;
        }
        let Some((word, rest)) = self.words.split_first() else { return false };
        self.words = rest;
        self.allowed.iter().any(|licence| *licence == word.replace("+WITH+", " WITH "))
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_when_its_branches_are() {
        let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned(), "Unicode-3.0".to_owned()];
        for met in [
            "MIT",
            "MIT/Apache-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(permits(met, &allowed), "{met}");
        }
        for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT", "MIT MIT"] {
            assert!(!permits(unmet, &allowed), "{unmet}");
        }
    }

    #[test]
    fn rules_are_read_from_the_lines_of_the_file() {
        let rules = "[licenses]\nallow = [\n  # why\n  \"MIT\",\n  \"ISC\",\n]\n[bans]\ndeny = [\n  { crate = \"openssl\" },\n]\n";
        assert_eq!(quoted_below(rules, "allow = ["), ["MIT", "ISC"]);
        assert_eq!(banned(rules), ["openssl"]);
    }
}
