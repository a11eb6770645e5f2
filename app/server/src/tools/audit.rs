//! `nats-server audit`: whether a trail is whole, and what is in it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use audit::{Class, Finding, MAX_LINE_BYTES, Outcome, Query, Record, Summary, Verifier};
use moment::Timestamp;
use nkeys::PublicKey;
use serde_json::{Value, json};

use super::words::{Word, Words};
use crate::audit::put_aside;

/// Verifies. Whether the trail is whole.
pub fn verify(mut words: Words<'_>) -> Result<bool, String> {
    let (mut file, mut key, mut as_json) = (None, None, false);
    while let Some(word) = words.next() {
        match word {
            Word::Option("json", None) => as_json = true,
            Word::Option("key", given) => key = Some(public_key(words.value("key", given)?)?),
            Word::Option(name, _) => return Err(format!("audit verify has no option --{name}")),
            Word::Plain(path) => file = Some(path),
        }
    }
    let file = file.ok_or("audit verify needs the file of the trail")?;
    let mut verifier = Verifier::new(key);
    let mut wrong = Vec::new();
    for_each_line(Path::new(file), &mut |path, number, line| {
        wrong.extend(verifier.read(line).into_iter().map(|finding| (path.to_owned(), number, finding)));
    })?;
    tell(&verifier.summary(), &wrong, as_json);
    Ok(wrong.is_empty())
}

fn public_key(text: &str) -> Result<PublicKey, String> {
    text.parse().map_err(|error| format!("--key {text:?} is no public key: {error}"))
}

fn tell(summary: &Summary, wrong: &[(PathBuf, u64, Finding)], as_json: bool) {
    let Summary { lines, checkpoints, signed_up_to, head } = summary;
    if as_json {
        let findings: Vec<Value> = wrong
            .iter()
            .map(|(path, line, finding)| json!({ "file": path, "line": line, "finding": finding.to_string() }))
            .collect();
        let whole = json!({
            "lines": lines, "checkpoints": checkpoints, "signed_up_to": signed_up_to, "last": head.seq, "findings": findings,
        });
        return println!("{whole:#}");
    }
    for (path, line, finding) in wrong {
        println!("{}:{line}: {finding}", path.display());
    }
    let verdict = if wrong.is_empty() { "The trail is whole" } else { "The trail is NOT whole" };
    println!(
        "{verdict}: {lines} records, the last is {}; {checkpoints} checkpoints, signed up to {signed_up_to}",
        head.seq
    );
}

/// Shows the records that are asked for. Whether there are any.
pub fn show(words: Words<'_>) -> Result<bool, String> {
    let (file, query, as_json) = wanted(words)?;
    let mut shown = 0u64;
    for_each_line(Path::new(file), &mut |_, _, line| {
        if let Some((time, record)) = query.picks(line) {
            shown += 1;
            if as_json {
                println!("{}", line.trim_end());
            } else {
                println!("{}", sentence(time, &record));
            }
        }
    })?;
    Ok(shown > 0)
}

fn wanted<'a>(mut words: Words<'a>) -> Result<(&'a str, Query, bool), String> {
    let (mut file, mut query, mut as_json) = (None, Query::default(), false);
    while let Some(word) = words.next() {
        let (name, given) = match word {
            Word::Plain(path) => {
                file = Some(path);
                continue;
            }
            Word::Option("json", None) => {
                as_json = true;
                continue;
            }
            Word::Option(name, given) => (name, given),
        };
        let mut value = || words.value(name, given);
        match name {
            "user" => query.user = Some(value()?.to_owned()),
            "account" => query.account = Some(value()?.to_owned()),
            "subject" => query.what = Some(value()?.to_owned()),
            "class" => query.class = Some(class(value()?)?),
            "outcome" => query.outcome = Some(outcome(value()?)?),
            "since" => query.since = Some(time(value()?)?),
            "until" => query.until = Some(time(value()?)?),
            _ => return Err(format!("audit show has no option --{name}")),
        }
    }
    Ok((file.ok_or("audit show needs the file of the trail")?, query, as_json))
}

fn class(word: &str) -> Result<Class, String> {
    let known = "trail, login, logout, denial, reload, account, admin, key, store";
    Class::of(word).ok_or_else(|| format!("there is no class {word:?}; there are {known}"))
}

fn outcome(word: &str) -> Result<Outcome, String> {
    match word {
        "done" => Ok(Outcome::Done),
        "refused" => Ok(Outcome::Refused),
        _ => Err(format!("there is no outcome {word:?}; there are done, refused")),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("{text:?} is no time; write it as 2026-01-31T12:00:00Z"))
}

/// A record as a sentence for people.
fn sentence(time: Timestamp, record: &Record) -> String {
    let Record { class, outcome, account, user, from, credential, what, rule, count } = record;
    let mut text =
        format!("{time}  {:7}  {:7}", class.word(), if *outcome == Outcome::Done { "done" } else { "refused" });
    let who =
        [account, user].map(String::as_str).into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    for (before, part) in [("  ", &who), ("  from ", from), ("  by ", credential), ("  ", what), ("  because: ", rule)]
    {
        if !part.is_empty() {
            text.push_str(before);
            text.push_str(part);
        }
    }
    if *count > 1 {
        text.push_str(&format!("  {count} times"));
    }
    text
}

/// Every line of the files that were put aside and of the one that grows, oldest first, with its number.
fn for_each_line(path: &Path, each: &mut dyn FnMut(&Path, u64, &str)) -> Result<(), String> {
    let trouble = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let mut files = put_aside(path).map_err(|error| trouble(path, error))?;
    files.push(path.to_owned());
    for file in files {
        let mut reader = BufReader::new(File::open(&file).map_err(|error| trouble(&file, error))?);
        let mut number = 0;
        while let Some(line) = next_line(&mut reader).map_err(|error| trouble(&file, error))? {
            number += 1;
            each(&file, number, &line);
        }
    }
    Ok(())
}

/// The next line. Of one that is too long only so much as shows that it is.
fn next_line(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE_BYTES as u64 + 2).read_until(b'\n', &mut line)?;
    if line.len() > MAX_LINE_BYTES && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
    }
    Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()))
}
