//! `include FILE`: the keys of another file, in this map.

use std::path::{Component, Path};

use crate::cursor::is_blank;
use crate::cursor::is_line_end;
use crate::limits::{MAX_INCLUDE_DEPTH, MAX_INCLUDES};
use crate::world::{Parser, Step, Stop, parse_file};
use crate::{Error, Fault, Map, Place, Unexpected};

impl Parser<'_, '_> {
    /// The word `include` has been taken.
    pub(crate) fn include(&mut self) -> Step<()> {
        self.cursor.bump_while(is_blank);
        let mark = self.cursor.mark();
        let column = self.cursor.column_of(mark, 0);
        let name = self.include_name()?;
        let place = self.place(column);
        let entries = self.included(&name, place)?;
        for (key, node) in entries.into_entries() {
            self.set(key, node);
        }
        Ok(())
    }

    fn include_name(&mut self) -> Step<String> {
        let what = match self.cursor.peek() {
            Some('\'') => return self.quoted_include('\'', Unexpected::EndInQuotedInclude),
            Some('"') => return self.quoted_include('"', Unexpected::EndInDoubleQuotedInclude),
            Some('[') => "start of an array",
            Some('{') => "start of a map",
            Some('(') => "start of a block",
            Some(c) if c.is_ascii_digit() || c == '-' => "start of a number",
            Some('\\') => "escape sequence",
            Some(c) if is_line_end(c) => "new line",
            _ => return Ok(self.bare_include()),
        };
        self.unexpected_next(|_| Unexpected::IncludeOf(what))
    }

    fn quoted_include(&mut self, quote: char, at_end: Unexpected) -> Step<String> {
        self.cursor.bump();
        let mark = self.cursor.mark();
        self.cursor.bump_while(|c| c != quote);
        let name = self.cursor.since(mark).to_owned();
        if self.cursor.eat(quote) { Ok(name) } else { self.unexpected(at_end) }
    }

    fn bare_include(&mut self) -> String {
        let mark = self.cursor.mark();
        self.cursor.bump_while(|c| !is_line_end(c) && !is_blank(c) && !matches!(c, ';' | '}' | '\''));
        let name = self.cursor.since(mark).to_owned();
        self.cursor.eat('\'');
        name
    }

    /// The keys of the file, or none when it cannot be had: the mistake is noted, the rest of this file is still read.
    fn included(&mut self, name: &str, place: Place) -> Step<Map> {
        if self.shared.include_depth >= MAX_INCLUDE_DEPTH {
            return self.shared.stop(place, Fault::IncludeTooDeep { file: name.to_owned() });
        }
        if self.shared.includes >= MAX_INCLUDES {
            return self.shared.stop(place, Fault::TooManyIncludes { file: name.to_owned() });
        }
        self.shared.includes += 1;
        let path = join(&self.file, name);
        let text = match (self.shared.world.read_file)(&path) {
            Ok(text) => text,
            Err(why) => {
                self.shared.note(place, Fault::Unreadable { file: name.to_owned(), why })?;
                return Ok(Map::new());
            }
        };
        self.shared.include_depth += 1;
        let (before, depth) = (self.shared.errors.len(), self.shared.depth);
        let map = parse_file(&path, text, self.shared);
        self.shared.include_depth -= 1;
        self.shared.depth = depth;
        self.name_the_include(name, before);
        // A file that gave up lets the others speak, until there are enough mistakes altogether.
        if self.shared.has_enough_errors() { Err(Stop) } else { Ok(map.unwrap_or_default()) }
    }

    /// The errors of the included file keep their places in it and say how it came in.
    fn name_the_include(&mut self, name: &str, before: usize) {
        for error in self.shared.errors.iter_mut().skip(before) {
            let inner = Error { place: error.place.clone(), fault: error.fault.clone() };
            error.fault = Fault::InIncluded { file: name.to_owned(), inner: Box::new(inner) };
        }
    }
}

/// The path relative to the directory of the including file. An absolute path is joined as well: an include never
/// leaves the way it was reached by.
fn join(including: &str, name: &str) -> String {
    let directory = Path::new(including).parent().unwrap_or(Path::new(""));
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in directory.components().chain(Path::new(name).components().filter(is_relative)) {
        match (part, parts.last()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let path: std::path::PathBuf = parts.into_iter().collect();
    if path.as_os_str().is_empty() { ".".to_owned() } else { path.to_string_lossy().into_owned() }
}

fn is_relative(part: &Component<'_>) -> bool {
    !matches!(part, Component::RootDir | Component::Prefix(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_to_the_directory_of_the_including_file() {
        assert_eq!(join("nats.conf", "users.conf"), "users.conf");
        assert_eq!(join("/etc/nats/nats.conf", "./a/../users.conf"), "/etc/nats/users.conf");
        assert_eq!(join("/etc/nats.conf", "../../../x"), "/x");
        assert_eq!(join("conf/a.conf", "../../x"), "../x");
        assert_eq!(join("conf/a.conf", "/etc/x"), "conf/etc/x");
    }
}
