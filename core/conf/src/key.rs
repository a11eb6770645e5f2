//! Keys.

use std::sync::Arc;

use crate::cursor::is_separator;
use crate::world::{Parser, Step};
use crate::{Place, Unexpected};

/// What stands where a key is expected.
pub(crate) enum Key {
    /// A name, and where it stands.
    Named(Arc<str>, Place),
    /// The word `include`, followed by blank space.
    Include,
}

impl Parser<'_, '_> {
    /// A key at the top or in a block; the cursor stands on its first character.
    pub(crate) fn key(&mut self) -> Step<Key> {
        match self.cursor.peek() {
            Some(separator) if is_separator(separator) => self.unexpected(Unexpected::KeySeparator(separator)),
            Some(quote @ ('"' | '\'')) => self.quoted_key(quote, Unexpected::End),
            _ => Ok(self.bare_key()),
        }
    }

    /// A key in a map.
    pub(crate) fn map_key(&mut self) -> Step<Key> {
        match self.cursor.peek() {
            Some(separator) if is_separator(separator) => self.unexpected(Unexpected::KeySeparatorInMap(separator)),
            Some(']') => self.unexpected(Unexpected::ArrayEndInMap),
            Some('"') => self.quoted_key('"', Unexpected::EndInDoubleQuotedMapKey),
            Some('\'') => self.quoted_key('\'', Unexpected::EndInQuotedMapKey),
            _ => {
                let key = self.bare_key();
                if self.cursor.peek().is_none() { self.unexpected(Unexpected::EndInMapKey) } else { Ok(key) }
            }
        }
    }

    /// Nothing is escaped in a quoted key.
    fn quoted_key(&mut self, quote: char, at_end: Unexpected) -> Step<Key> {
        self.cursor.bump();
        let mark = self.cursor.mark();
        self.cursor.bump_while(|c| c != quote);
        let name = self.shared.key(self.cursor.since(mark));
        let place = self.place(self.cursor.column_of(mark, name.len()));
        if !self.cursor.eat(quote) {
            return self.unexpected(at_end);
        }
        Ok(Key::Named(name, place))
    }

    /// The first character belongs to the key whatever it is.
    fn bare_key(&mut self) -> Key {
        let mark = self.cursor.mark();
        self.cursor.bump();
        self.cursor.bump_while(|c| !c.is_whitespace() && !is_separator(c));
        let name = self.cursor.since(mark);
        if name.eq_ignore_ascii_case("include") && self.cursor.peek().is_some_and(char::is_whitespace) {
            return Key::Include;
        }
        Key::Named(self.shared.key(name), self.place(self.cursor.column_of(mark, name.len())))
    }
}
