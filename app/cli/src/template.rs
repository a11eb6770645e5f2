//! Templates in bodies, headers and subjects: `{{Count}}`, `{{ Random 10 100 }}`, `{{.Request}}`.
//!
//! A small part of Go's template language: one call or field per pair of braces, with numbers and quoted texts as
//! arguments, `printf` in pipes, comments, and `{{-`/`-}}` to trim blanks.

use jiff::ZonedDateTime;

use crate::parse::words;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
/// Longer random texts than this are a typing error.
const MAX_RANDOM: u64 = 64 << 20;

/// What a template may speak of.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) count: u64,
    pub(crate) request: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
    pub(crate) stream: Option<&'a str>,
    /// The tokens of a request's subject, which `{{0}}`, `{{1}}` … stand for.
    pub(crate) tokens: &'a [&'a str],
}

impl Facts<'_> {
    pub(crate) fn counted(count: u64) -> Self {
        Self { count, ..Self::default() }
    }
}

/// Fills a template. The error says what is wrong with it.
pub(crate) fn fill(text: &str, facts: &Facts<'_>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (before, action) = rest.split_at(start);
        let end = action.find("}}").ok_or("template: unclosed action")?;
        let inner = &action[2..end];
        let trim_before = inner.starts_with("- ");
        let trim_after = inner.ends_with(" -");
        filled.push_str(if trim_before { before.trim_end() } else { before });
        filled.push_str(&act(inner.trim_start_matches("- ").trim_end_matches(" -").trim(), facts)?);
        rest = &action[end + 2..];
        if trim_after {
            rest = rest.trim_start();
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// One action: calls joined by pipes, each getting the result of the one before as its last argument.
fn act(action: &str, facts: &Facts<'_>) -> Result<String, String> {
    if action.starts_with("/*") && action.ends_with("*/") {
        return Ok(String::new());
    }
    if action.is_empty() {
        return Err("template: missing value for command".to_owned());
    }
    let mut piped: Option<String> = None;
    for call in action.split('|') {
        let mut words = words(call)?;
        words.extend(piped.take());
        piped = Some(call_one(&words, facts)?);
    }
    Ok(piped.unwrap_or_default())
}

fn call_one(words: &[String], facts: &Facts<'_>) -> Result<String, String> {
    let (name, arguments) = words.split_first().ok_or("template: missing value for command")?;
    let now = ZonedDateTime::now();
    Ok(match name.strip_prefix('.').unwrap_or(name) {
        "Count" | "Cnt" => facts.count.to_string(),
        "Unix" => now.timestamp().as_second().to_string(),
        "UnixNano" => now.timestamp().as_nanosecond().to_string(),
        "TimeStamp" => rfc3339(&now),
        "Time" => now.strftime("%-I:%M%p").to_string(),
        "ID" => unique_id(),
        "Random" => random_text(arguments)?,
        "Request" if facts.request.is_some() || name.starts_with('.') => facts.request.unwrap_or_default().to_owned(),
        "Subject" if facts.subject.is_some() => facts.subject.unwrap_or_default().to_owned(),
        "Stream" if facts.stream.is_some() => facts.stream.unwrap_or_default().to_owned(),
        "printf" => printf(arguments)?,
        index if index.parse().is_ok_and(|at: usize| at < facts.tokens.len()) && arguments.is_empty() => {
            facts.tokens[index.parse::<usize>().unwrap_or(0)].to_owned()
        }
        other if other.parse::<f64>().is_ok() && arguments.is_empty() => other.to_owned(),
        other => return Err(format!("template: function {other:?} not defined")),
    })
}

fn rfc3339(now: &ZonedDateTime) -> String {
    match now.offset().seconds() {
        0 => now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

/// `printf "%05d" Count`: only widths, numbers and texts.
fn printf(arguments: &[String]) -> Result<String, String> {
    let (format, values) = arguments.split_first().ok_or("template: printf needs a format")?;
    let mut values = values.iter();
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            text.push('%');
            continue;
        }
        let zero = chars.next_if_eq(&'0').is_some();
        let mut width = 0usize;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            width = (width * 10 + digit as usize).min(1024);
            chars.next();
        }
        let value = values.next().ok_or("template: printf has fewer values than verbs")?;
        match chars.next() {
            Some('d' | 's' | 'v') if zero => text.push_str(&format!("{value:0>width$}")),
            Some('d' | 's' | 'v') => text.push_str(&format!("{value:>width$}")),
            Some('q') => text.push_str(&format!("{value:?}")),
            other => return Err(format!("template: printf does not know %{}", other.unwrap_or(' '))),
        }
    }
    Ok(text)
}

fn random_text(arguments: &[String]) -> Result<String, String> {
    let [shortest, longest] = arguments else {
        return Err("template: wrong number of args for Random: want 2".to_owned());
    };
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("template: Random needs numbers, got {text:?}"));
    let (low, high) = (number(shortest)?.min(number(longest)?), number(shortest)?.max(number(longest)?));
    if high > MAX_RANDOM {
        return Err(format!("template: Random makes at most {MAX_RANDOM} characters"));
    }
    let length = low + random_below(high - low + 1);
    Ok(random_letters(usize::try_from(length).unwrap_or(0)))
}

/// A random number below `bound`.
pub(crate) fn random_below(bound: u64) -> u64 {
    getrandom::u64().unwrap_or(0) % bound.max(1)
}

/// So many random letters and digits.
pub(crate) fn random_letters(length: usize) -> String {
    let mut bytes = vec![0u8; length];
    getrandom::fill(&mut bytes).expect("the system has a source of randomness");
    bytes.iter().map(|&byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect()
}

/// An id nobody else has.
pub(crate) fn unique_id() -> String {
    random_letters(22)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        fill(text, &Facts { count: 7, request: Some("ask"), subject: Some("a.b"), ..Facts::default() })
    }

    #[test]
    fn calls_and_fields_are_filled_in() {
        assert_eq!(filled("n {{Count}} {{ .Cnt }} {{.Request}} {{Subject}}").unwrap(), "n 7 7 ask a.b");
        assert_eq!(filled("{{/* nothing */}}plain }} {").unwrap(), "plain }} {");
        assert_eq!(filled("a {{- Count -}} b").unwrap(), "a7b".to_owned());
        assert_eq!(filled("{{ Count | printf \"%05d\" }}").unwrap(), "00007");
        assert_eq!(filled("{{ID}}").unwrap().len(), 22);
    }

    #[test]
    fn random_texts_have_a_length_between_the_bounds() {
        for _ in 0..50 {
            assert!((3..=6).contains(&filled("{{Random 3 6}}").unwrap().len()));
        }
        assert_eq!(filled("{{Random 4 4}}").unwrap().len(), 4);
        assert!(filled("{{Random 1 99999999999}}").is_err());
    }

    #[test]
    fn a_bad_template_says_what_is_wrong() {
        assert_eq!(filled("{{Nope}}").unwrap_err(), "template: function \"Nope\" not defined");
        assert_eq!(filled("{{Count").unwrap_err(), "template: unclosed action");
        assert!(filled("{{Random 1}}").unwrap_err().contains("want 2"));
        assert!(fill("{{Request}}", &Facts::default()).is_err());
    }
}
