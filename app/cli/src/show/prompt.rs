//! Questions to a person at a terminal. Without one they are errors that say so.

use std::io::{BufRead, Write};

use anyhow::{Result, bail};

use crate::show::is_interactive;

/// Asks yes or no; the answer is no unless it is a clear yes.
pub(crate) fn confirm(question: &str) -> Result<bool> {
    if !is_interactive() {
        bail!("cannot ask for confirmation without a terminal");
    }
    let answer = line(&format!("? {question} (y/N) "))?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a text; an empty answer means the given default.
pub(crate) fn ask(question: &str, default: &str) -> Result<String> {
    if !is_interactive() {
        bail!("cannot prompt for user input without a terminal");
    }
    let hint = if default.is_empty() { String::new() } else { format!(" ({default})") };
    let answer = line(&format!("? {question}{hint} "))?;
    Ok(if answer.is_empty() { default.to_owned() } else { answer })
}

/// Lets a person pick one of several names, by number or by name.
pub(crate) fn pick(question: &str, names: &[String]) -> Result<String> {
    if !is_interactive() {
        bail!("cannot prompt for user input without a terminal");
    }
    for (at, name) in names.iter().enumerate() {
        eprintln!("{:>4}) {name}", at + 1);
    }
    loop {
        let answer = line(&format!("? {question} "))?;
        let by_number = answer.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?));
        if let Some(name) = by_number.or_else(|| names.iter().find(|name| **name == answer)) {
            return Ok(name.clone());
        }
        eprintln!("answer with a number from 1 to {} or a name", names.len());
    }
}

fn line(prompt: &str) -> Result<String> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    if std::io::stdin().lock().read_line(&mut answer)? == 0 {
        bail!("the input ended before an answer was given");
    }
    Ok(answer.trim().to_owned())
}
