//! Collects what is said while reading, and takes values out of nodes with the sentences of the reference server.

use std::borrow::Cow;
use std::time::Duration;

use conf::{Kind, Map, Node, Place};
use moment::GoDuration;
use secret::Secret;

use crate::diagnostic::Diagnostic;
use crate::go_text::{self, Shown};
use crate::suggest::nearest;
use crate::support::{Feature, Uses, nothing_to_do};

/// The value of an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<Secret<String>>;
/// The content of a file, or why it cannot be had.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Secret<Vec<u8>>, String>;

/// What the configuration may ask of the process: its environment and files.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Environment variables.
    pub environment: Environment<'a>,
    /// Files.
    pub read_file: ReadFile<'a>,
}

/// The list of errors and warnings, and the means to read values.
pub(crate) struct Report<'a> {
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) errors: Vec<Diagnostic>,
    /// Which parts of the server the configuration asks for.
    pub(crate) uses: Uses,
    /// Lines for the log, about options that are accepted with nothing to do.
    pub(crate) notices: Vec<String>,
    pub(crate) world: World<'a>,
    /// Certificates are opened while reading, so that `-t` finds what is wrong with them.
    pub(crate) opens_certificates: bool,
}

impl<'a> Report<'a> {
    pub(crate) fn new(world: World<'a>, opens_certificates: bool) -> Self {
        Self {
            warnings: Vec::new(),
            errors: Vec::new(),
            uses: Uses::default(),
            notices: Vec::new(),
            world,
            opens_certificates,
        }
    }

    pub(crate) fn error(&mut self, place: &Place, text: impl Into<String>) {
        self.errors.push(Diagnostic::at(place, text));
    }

    pub(crate) fn error_with(&mut self, place: &Place, text: impl Into<String>, remedy: impl Into<String>) {
        self.errors.push(Diagnostic::at(place, text).with_remedy(remedy));
    }

    /// Something wrong between options, found after reading.
    pub(crate) fn plain(&mut self, text: impl Into<String>) {
        self.errors.push(Diagnostic::plain(text));
    }

    pub(crate) fn warning(&mut self, place: &Place, text: impl Into<String>) {
        self.warnings.push(Diagnostic::at(place, text));
    }

    /// A field that is accepted but should be written differently.
    pub(crate) fn invalid_use(&mut self, place: &Place, field: &str, why: &str) {
        self.warning(place, format!("invalid use of field {field:?}: {why}"));
    }

    /// The configuration asks for a part of the server.
    pub(crate) fn needs(&mut self, feature: Feature, place: &Place) {
        self.uses.note(feature, place);
    }

    /// An option that is right and has nothing to do here.
    pub(crate) fn nothing_to_do(&mut self, key: &str, place: &Place) {
        self.notices.extend(nothing_to_do(key, place));
    }

    /// A key nobody knows. One that a variable refers to may have any name.
    pub(crate) fn unknown(&mut self, key: &str, node: &Node, known: &[&str]) {
        self.unknown_as(key, node, known, format!("unknown field {}", go_text::quoted(key)));
    }

    /// The same in the words of a block that has its own.
    pub(crate) fn unknown_as(&mut self, key: &str, node: &Node, known: &[&str], text: impl Into<String>) {
        if node.is_used_variable {
            return;
        }
        match nearest(key, known) {
            Some(meant) => self.error_with(&node.place, text, format!("did you mean {meant:?}?")),
            None => self.error(&node.place, text),
        }
    }

    /// A value of the wrong type, in the words of the reference server and in plain ones.
    pub(crate) fn wrong_type(&mut self, node: &Node, wanted: Kind) {
        let text =
            format!("interface conversion: interface {{}} is {}, not {}", node.kind().go_type(), wanted.go_type());
        self.error_with(&node.place, text, format!("write {}", wanted.words()));
    }

    fn expect<T>(&mut self, node: &Node, value: Option<T>, wanted: Kind) -> Option<T> {
        if value.is_none() {
            self.wrong_type(node, wanted);
        }
        value
    }

    pub(crate) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        self.expect(node, node.as_str(), Kind::String)
    }

    pub(crate) fn integer(&mut self, node: &Node) -> Option<i64> {
        self.expect(node, node.as_integer(), Kind::Integer)
    }

    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        self.expect(node, node.as_bool(), Kind::Bool)
    }

    pub(crate) fn array<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        self.expect(node, node.as_array(), Kind::Array)
    }

    pub(crate) fn map<'n>(&mut self, node: &'n Node) -> Option<&'n Map> {
        self.expect(node, node.as_map(), Kind::Map)
    }

    /// A map, or the block's own sentence, which ends with the type that is there.
    pub(crate) fn map_or<'n>(&mut self, node: &'n Node, sentence: &str) -> Option<&'n Map> {
        if node.as_map().is_none() {
            self.error(&node.place, format!("{sentence}, got {}", node.kind().go_type()));
        }
        node.as_map()
    }

    /// An array, or the block's own sentence, which ends with the type that is there.
    pub(crate) fn array_or<'n>(&mut self, node: &'n Node, sentence: &str) -> Option<&'n [Node]> {
        if node.as_array().is_none() {
            self.error(&node.place, format!("{sentence}, got {}", node.kind().go_type()));
        }
        node.as_array()
    }

    /// A map, or the block's own sentence, which ends with the value that is there.
    pub(crate) fn map_or_shown<'n>(&mut self, node: &'n Node, sentence: &str) -> Option<&'n Map> {
        if node.as_map().is_none() {
            self.error(&node.place, format!("{sentence}, got {}", Shown(node)));
        }
        node.as_map()
    }

    pub(crate) fn set_text(&mut self, node: &Node, target: &mut String) {
        if let Some(text) = self.text(node) {
            text.clone_into(target);
        }
    }

    /// An empty text is as good as none.
    pub(crate) fn set_optional_text(&mut self, node: &Node, target: &mut Option<String>) {
        if let Some(text) = self.text(node) {
            *target = Some(text.to_owned()).filter(|text| !text.is_empty());
        }
    }

    pub(crate) fn set_path(&mut self, node: &Node, target: &mut Option<std::path::PathBuf>) {
        if let Some(text) = self.text(node) {
            *target = Some(text.into()).filter(|_| !text.is_empty());
        }
    }

    /// A path in which `$NAME`, `${NAME}` and a leading `~` are filled in.
    pub(crate) fn set_expanded_path(&mut self, node: &Node, target: &mut Option<std::path::PathBuf>) {
        let Some(text) = self.text(node) else {
            return;
        };
        match expand(text, self.world.environment) {
            Ok(path) => *target = Some(path.into()).filter(|_| !text.is_empty()),
            Err(why) => self.error(&node.place, why),
        }
    }

    pub(crate) fn set_bool(&mut self, node: &Node, target: &mut bool) {
        if let Some(truth) = self.boolean(node) {
            *target = truth;
        }
    }

    /// A count that is never negative; zero asks for the default.
    pub(crate) fn set_count(&mut self, key: &str, node: &Node, target: &mut usize, default: usize) {
        match self.integer(node).map(usize::try_from) {
            Some(Ok(0)) => *target = default,
            Some(Ok(count)) => *target = count,
            Some(Err(_)) => self.error(&node.place, format!("{key} value can not be negative")),
            None => {}
        }
    }

    /// A password, token or key: in place, or `{ file: PATH }` for the first line of a file.
    pub(crate) fn set_secret(&mut self, node: &Node, target: &mut Option<Secret<String>>) {
        let secret = match node.as_map() {
            Some(map) => self.secret_file(node, map),
            None => self.expect(node, node.as_text(), Kind::String).map(conf::Text::to_secret),
        };
        if let Some(secret) = secret {
            *target = Some(secret).filter(|secret| !secret.expose().is_empty());
        }
    }

    fn secret_file(&mut self, node: &Node, map: &Map) -> Option<Secret<String>> {
        let path = match map.get("file") {
            Some(path) if map.len() == 1 => self.text(path)?,
            _ => {
                self.wrong_type(node, Kind::String);
                return None;
            }
        };
        let bytes = match (self.world.read_file)(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.error(&node.place, why);
                return None;
            }
        };
        let line = bytes.expose().split(|&byte| byte == b'\n').next().unwrap_or_default();
        match std::str::from_utf8(line) {
            Ok(line) => Some(Secret::from(line.trim_end_matches('\r'))),
            Err(_) => {
                self.error(&node.place, format!("the secret in {path} is not text"));
                None
            }
        }
    }

    /// A string, or an array of strings, in the words of the reference for such fields.
    pub(crate) fn strings(&mut self, field: &str, node: &Node) -> Option<Vec<String>> {
        if let Some(text) = node.as_str() {
            return Some(vec![text.to_owned()]);
        }
        let Some(elements) = node.as_array() else {
            let kind = node.kind().go_type();
            self.error(&node.place, format!("error parsing {field}: unsupported type {kind}"));
            return None;
        };
        let mut texts = Vec::with_capacity(elements.len());
        for element in elements {
            match element.as_str() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let kind = element.kind().go_type();
                    self.error(&element.place, format!("error parsing {field}: unsupported type in array {kind}"));
                }
            }
        }
        Some(texts)
    }

    /// An array of strings and nothing else.
    pub(crate) fn string_array(&mut self, node: &Node) -> Option<Vec<String>> {
        let elements = self.array(node)?;
        Some(elements.iter().filter_map(|element| self.text(element).map(str::to_owned)).collect())
    }

    /// A duration as text, or seconds as a number, which is warned about.
    pub(crate) fn duration(&mut self, field: &str, node: &Node) -> Option<Duration> {
        if let Some(text) = node.as_str() {
            return self.duration_text(field, node, text);
        }
        let seconds = self.integer(node)?;
        self.invalid_use(&node.place, field, &format!("{field} should be converted to a duration"));
        match u64::try_from(seconds) {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => self.negative(field, node),
        }
    }

    pub(crate) fn set_duration(&mut self, field: &str, node: &Node, target: &mut Duration) {
        if let Some(duration) = self.duration(field, node) {
            *target = duration;
        }
    }

    /// Zero asks for the default.
    pub(crate) fn set_duration_or(&mut self, field: &str, node: &Node, target: &mut Duration, default: Duration) {
        if let Some(duration) = self.duration(field, node) {
            *target = if duration.is_zero() { default } else { duration };
        }
    }

    pub(crate) fn set_optional_duration(&mut self, field: &str, node: &Node, target: &mut Option<Duration>) {
        if let Some(duration) = self.duration(field, node) {
            *target = Some(duration).filter(|duration| !duration.is_zero());
        }
    }

    fn duration_text(&mut self, field: &str, node: &Node, text: &str) -> Option<Duration> {
        match text.parse::<GoDuration>() {
            Ok(duration) => duration.to_std().or_else(|| self.negative(field, node)),
            Err(error) => {
                let why = go_text::duration_error(error, text);
                self.error(&node.place, format!("error parsing {field}: {why}"));
                None
            }
        }
    }

    fn negative<T>(&mut self, field: &str, node: &Node) -> Option<T> {
        self.error(&node.place, format!("{field} can not be negative"));
        None
    }

    /// Seconds as a number of any kind, or a duration as text. `block` begins the sentence of an error.
    pub(crate) fn seconds(&mut self, block: &str, node: &Node) -> Option<Duration> {
        let seconds = match (node.as_integer(), node.as_float(), node.as_str()) {
            (Some(seconds), ..) => u64::try_from(seconds).ok().map(Duration::from_secs),
            (_, Some(seconds), _) => Duration::try_from_secs_f64(seconds).ok(),
            (.., Some(text)) => match text.parse::<GoDuration>() {
                Ok(duration) => duration.to_std(),
                Err(error) => {
                    let why = go_text::duration_error(error, text);
                    self.error(&node.place, format!("error parsing {block} config, 'timeout' {why}"));
                    return None;
                }
            },
            _ => {
                self.error(&node.place, format!("error parsing {block} config, 'timeout' wrong type"));
                return None;
            }
        };
        seconds.or_else(|| self.negative("timeout", node))
    }

    /// The time a peer has to log in. A long one is probably a number that was meant as a duration.
    pub(crate) fn login_timeout(&mut self, block: &str, node: &Node) -> Option<Duration> {
        let timeout = self.seconds(block, node)?;
        if timeout > Duration::from_secs(60) {
            let why = format!(
                "timeout of {} ({:.6} seconds) is high, consider keeping it under 60 seconds. possibly caused by \
                 unquoted duration; use '1m' instead of 1m, for example",
                Shown(node),
                timeout.as_secs_f64()
            );
            self.invalid_use(&node.place, "timeout", &why);
        }
        Some(timeout)
    }

    /// A size in bytes: a number, or a text that ends in K, M, G or T.
    pub(crate) fn size(&mut self, field: &str, node: &Node) -> Option<i64> {
        match storage_size(node) {
            Ok(size) => Some(size),
            Err(why) => {
                self.error(&node.place, format!("{field} {why}"));
                None
            }
        }
    }
}

/// A key as keys are compared: without regard to case. Nearly all are written in small letters, and then nothing is copied.
pub(crate) fn lowered(key: &str) -> Cow<'_, str> {
    match key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(key.to_ascii_lowercase()),
        false => Cow::Borrowed(key),
    }
}

fn storage_size(node: &Node) -> Result<i64, String> {
    if let Some(size) = node.as_integer() {
        return Ok(size);
    }
    let text = node.as_str().ok_or("must be int64 or string")?;
    let Some(suffix) = text.chars().last() else {
        return Ok(0);
    };
    let digits = text.get(..text.len() - suffix.len_utf8()).unwrap_or_default();
    let invalid = || format!("strconv.ParseInt: parsing {}: invalid syntax", go_text::quoted(digits));
    let number: i64 = digits.parse().map_err(|_| invalid())?;
    let power = match suffix {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return Err("sizes defined as strings must end in K, M, G, T".to_owned()),
    };
    number.checked_mul(1 << power).ok_or_else(|| "is out of the range".to_owned())
}

fn expand(text: &str, environment: Environment<'_>) -> Result<String, &'static str> {
    let value = |name: &str| environment(name).map_or_else(String::new, |value| value.expose().clone());
    let mut out = String::new();
    let mut rest = text;
    if let Some(after) = text.strip_prefix('~') {
        let home = value("HOME");
        if home.is_empty() {
            return Err("failed to get home dir, require $HOME");
        }
        out.push_str(&home);
        rest = after;
    }
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        out.push_str(&value(name));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_filled_in_from_the_environment() {
        let environment = |name: &str| ["HOME", "A"].contains(&name).then(|| Secret::new(format!("/{name}")));
        let expand = |text: &str| expand(text, &environment);
        assert_eq!(expand("~/x.creds").as_deref(), Ok("/HOME/x.creds"));
        assert_eq!(expand("${A}b/$A-c/$GONE").as_deref(), Ok("/Ab//A-c/"));
        assert_eq!(super::expand("~", &|_| None), Err("failed to get home dir, require $HOME"));
    }
}
