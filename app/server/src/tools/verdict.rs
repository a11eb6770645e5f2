//! Answers of `explain`, for people and for programs.

use auth::{Explanation, Party, Reach};
use serde_json::{Value, json};

use super::streams::{Reader, Way};
use crate::explain::{Answer, why, word};

/// Prints who has to do with a subject, wherever they are.
pub fn print_parties(parties: &[Party], as_json: bool) {
    let steps = |party: &Party| party.steps.iter().map(ToString::to_string).collect::<Vec<_>>();
    if as_json {
        let one = |party: &Party| {
            json!({
                "account": party.account.to_string(),
                "user": party.user,
                "subject": party.subject,
                "verdict": word(&party.outcome),
                "why": why(&party.outcome),
                "ways": steps(party),
            })
        };
        println!("{:#}", Value::Array(parties.iter().map(one).collect()));
        return;
    }
    let colourful = super::is_colourful();
    for party in parties {
        let word = painted(word(&party.outcome), colourful);
        println!("{word}  {}/{} as {:?}: {}", party.account, party.user, party.subject, why(&party.outcome));
        for step in steps(party) {
            println!("         by way of: {step}");
        }
    }
}

/// Prints who can read a stream, and how.
pub fn print_readers(readers: &[Reader], stream: &str, notes: &[String], as_json: bool) {
    if as_json {
        let one = |reader: &Reader| {
            let ways: Vec<Value> = reader.ways.iter().map(way).collect();
            json!({"account": reader.account, "user": reader.user, "ways": ways})
        };
        println!("{:#}", Value::Array(readers.iter().map(one).collect()));
        return;
    }
    if readers.is_empty() {
        println!("Nobody of the configuration has a way to read the stream {stream}");
    }
    for reader in readers {
        println!("{}/{} can read the stream {stream}:", reader.account, reader.user);
        for Way { what, request, reach, because } in &reader.ways {
            let only = match reach {
                Reach::All => "",
                Reach::Part => " (some of it)",
                Reach::Nothing => " (refused)",
            };
            let because = because.as_ref().map(|because| format!("; {because}")).unwrap_or_default();
            println!("  {what}: publish to {request}{only}{because}");
        }
    }
    notes.iter().for_each(|note| println!("{note}"));
}

fn way(Way { what, request, reach, because }: &Way) -> Value {
    let open = match reach {
        Reach::All => "all",
        Reach::Part => "part",
        Reach::Nothing => "none",
    };
    let mut row = json!({"way": what, "request": request, "open": open});
    if let Some(because) = because {
        row["because"] = because.as_str().into();
    }
    row
}

/// Prints the answers.
pub fn print(answers: &[Answer], as_json: bool) {
    if as_json {
        let all: Vec<Value> = answers.iter().map(Answer::json).collect();
        println!("{:#}", Value::Array(all));
        return;
    }
    let colourful = super::is_colourful();
    match answers {
        [one] => print_one(one, colourful),
        many => print_table(many, colourful),
    }
}

fn print_one(answer: &Answer, colourful: bool) {
    let Explanation { account, user, wish, .. } = &answer.explained;
    let may = if answer.is_yes() { "may" } else { "may not" };
    println!("{account}/{user} {may} {wish}");
    println!("  {}  {}", painted(answer.word(), colourful), answer.why());
    for way in &answer.ways {
        println!("  from there: {way}");
    }
    for bound in &answer.bounds {
        println!("  limit: {bound}");
    }
    for remedy in &answer.remedies {
        println!("  to change it: {remedy}");
    }
}

fn print_table(answers: &[Answer], colourful: bool) {
    let name = |answer: &Answer| format!("{}/{}", answer.explained.account, answer.explained.user);
    let width = answers.iter().map(|answer| name(answer).chars().count()).max().unwrap_or(0);
    for answer in answers {
        let word = format!("{:8}", answer.word());
        println!("{:width$}  {}  {}", name(answer), painted(&word, colourful), answer.why());
    }
}

fn painted(word: &str, colourful: bool) -> String {
    let colour = match word.trim_end() {
        "allowed" => 32,
        "filtered" => 33,
        _ => 31,
    };
    if colourful { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
}
