//! Command lines and lists of subjects, split into words.

/// Splits a command line as a shell would: blanks separate, quotes group, a backslash takes the next character as it is.
pub(crate) fn words(line: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => found.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default(), '\'')?,
            '"' => quoted(&mut chars, word.get_or_insert_default(), '"')?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("a backslash at the end of the command")?),
            other => word.get_or_insert_default().push(other),
        }
    }
    found.extend(word);
    Ok(found)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String, quote: char) -> Result<(), String> {
    while let Some(c) = chars.next() {
        match c {
            c if c == quote => return Ok(()),
            '\\' if quote == '"' => escaped(chars, word)?,
            other => word.push(other),
        }
    }
    Err(format!("a quote {quote} is not closed"))
}

/// Inside double quotes a backslash is special before a few characters only.
fn escaped(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    match chars.next().ok_or("a quote \" is not closed")? {
        c @ ('"' | '\\' | '$' | '`') => word.push(c),
        other => word.extend(['\\', other]),
    }
    Ok(())
}

/// Subjects given as several arguments, or as one with commas or blanks.
pub(crate) fn split_subjects(given: &[String]) -> Vec<String> {
    given
        .iter()
        .flat_map(|text| text.split(|c: char| c == ',' || c.is_whitespace()))
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_and_backslashes_escape() {
        assert_eq!(words(r#"curl -s 'a b' "c \"d\" \n" e\ f"#).unwrap(), ["curl", "-s", "a b", "c \"d\" \\n", "e f"]);
        assert_eq!(words("  a ''  ").unwrap(), ["a", ""]);
        assert!(words("'open").is_err());
        assert!(words("end\\").is_err());
    }

    #[test]
    fn subjects_may_be_separated_by_commas_or_blanks() {
        let given = ["a.b,c".to_owned(), "d e".to_owned()];
        assert_eq!(split_subjects(&given), ["a.b", "c", "d", "e"]);
    }
}
