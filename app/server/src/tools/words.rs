//! The words of a tool's command line.

/// Words that are taken one after the other.
pub struct Words<'a> {
    rest: std::slice::Iter<'a, &'a str>,
}

impl<'a> Words<'a> {
    pub fn new(words: &'a [&'a str]) -> Self {
        Self { rest: words.iter() }
    }

    /// The next word; an option of the form `--name=value` or `-name` is taken apart and written with two dashes.
    pub fn next(&mut self) -> Option<Word<'a>> {
        let word = *self.rest.next()?;
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty())
        else {
            return Some(Word::Plain(word));
        };
        Some(match name.split_once('=') {
            Some((name, value)) => Word::Option(name, Some(value)),
            None => Word::Option(name, None),
        })
    }

    /// The value of an option: what was behind `=`, or the next word.
    ///
    /// # Errors
    /// If there is none.
    pub fn value(&mut self, option: &str, given: Option<&'a str>) -> Result<&'a str, String> {
        given.or_else(|| self.rest.next().copied()).ok_or_else(|| format!("--{option} needs a value"))
    }
}

/// One word.
pub enum Word<'a> {
    /// An option's name without dashes, and the value written into the same word.
    Option(&'a str, Option<&'a str>),
    /// Anything else.
    Plain(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_with_one_dash_or_two_and_with_their_value_behind_either_sign() {
        let mut words = Words::new(&["-c", "file", "--user=alice", "plain", "--last"]);
        let Some(Word::Option("c", None)) = words.next() else { panic!("-c") };
        assert_eq!(words.value("c", None), Ok("file"));
        let Some(Word::Option("user", given)) = words.next() else { panic!("--user") };
        assert_eq!(words.value("user", given), Ok("alice"));
        let Some(Word::Plain("plain")) = words.next() else { panic!("plain") };
        let Some(Word::Option("last", None)) = words.next() else { panic!("--last") };
        assert_eq!(words.value("last", None), Err("--last needs a value".to_owned()));
        assert!(words.next().is_none());
    }
}
