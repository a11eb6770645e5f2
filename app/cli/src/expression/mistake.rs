//! What is said about an expression that is wrong, with the place.

use serde_json::Value;

use crate::failure::advise;

/// The text of a mistake in the form of an expression.
pub(super) fn of_grammar(text: &str, error: &expr::Error) -> String {
    let said = error.to_string();
    match place(&said) {
        Some(column) if column > text.trim_end().chars().count() => {
            pointed("the expression ends too early", text, column)
        }
        Some(column) => pointed("this is not an expression", text, column),
        None => said,
    }
}

/// The column that the guest's parser names: ` --> 1:14`.
fn place(said: &str) -> Option<usize> {
    let (_, place) = said.lines().next()?.split_once("--> ")?;
    let (line, column) = place.split_once(':')?;
    if line != "1" { None } else { column.trim().parse().ok() }
}

/// A mistake in the meaning of an expression: a name that is not there, or values that do not go together.
pub(super) fn of_meaning(text: &str, facts: &Value, error: &expr::Error) -> anyhow::Error {
    match unknown_name(text, facts) {
        Some(Unknown { column, name, inside, known }) => {
            let inside = if inside.is_empty() { String::new() } else { format!(" in {inside}") };
            advise(
                format!("invalid expression: {}", pointed(&format!("there is no {name:?}{inside}"), text, column)),
                format!("there are: {}", known.join(", ")),
            )
        }
        None => anyhow::anyhow!("invalid expression: {error}"),
    }
}

/// The text with a mark below a column, which counts from 1.
fn pointed(said: &str, text: &str, column: usize) -> String {
    format!("{said}\n\n  {text}\n  {:>column$} here", "^")
}

/// A name that leads nowhere.
struct Unknown {
    column: usize,
    name: String,
    inside: String,
    known: Vec<String>,
}

/// The first path in the text that starts at a fact, or at nothing, and leads nowhere.
fn unknown_name(text: &str, facts: &Value) -> Option<Unknown> {
    paths(text).into_iter().find_map(|(column, path)| missing_step(column, &path, facts))
}

fn missing_step(start: usize, path: &str, facts: &Value) -> Option<Unknown> {
    let (mut here, mut column, mut inside) = (facts, start, String::new());
    for name in path.split('.') {
        let fields = here.as_object()?;
        let Some(next) = fields.get(name) else {
            let known = fields.keys().cloned().collect();
            return Some(Unknown { column, name: name.to_owned(), inside, known });
        };
        column += name.chars().count() + 1;
        inside = if inside.is_empty() { name.to_owned() } else { format!("{inside}.{name}") };
        here = next;
    }
    None
}

/// Names joined by dots outside of quotes, with their columns. A single name is no path: it may be a word of the
/// language.
fn paths(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut path, mut quote) = (Vec::new(), String::new(), None);
    for (at, letter) in text.chars().chain([' ']).enumerate() {
        let is_name = letter.is_alphanumeric() || letter == '_' || (letter == '.' && !path.is_empty());
        match quote {
            Some(open) => quote = if letter == open { None } else { quote },
            None if is_name => path.push(letter),
            None => {
                let is_path = path.contains('.') && !path.starts_with(|first: char| first.is_numeric());
                let whole = std::mem::take(&mut path);
                if is_path {
                    found.push((at + 1 - whole.chars().count(), whole));
                }
                quote = matches!(letter, '"' | '\'' | '`').then_some(letter);
            }
        }
    }
    found
}
