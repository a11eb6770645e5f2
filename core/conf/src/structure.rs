//! What holds values: the top of a file, a file wrapped in braces, maps, arrays; and comments between everything.

use crate::cursor::{is_blank, is_line_end, is_separator};
use crate::key::Key;
use crate::limits::MAX_DEPTH;
use crate::node::fit;
use crate::world::{Parser, Step};
use crate::{Fault, Map, Node, Unexpected, Value};

/// Whether there is more of the file.
#[derive(PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// What follows a slash or hash.
#[derive(PartialEq, Eq)]
enum Comment {
    /// It was one, and has been skipped up to the line break.
    Skipped,
    /// There is none here. The cursor has not moved.
    None,
}

impl Parser<'_, '_> {
    /// The whole file.
    pub(crate) fn top(&mut self) -> Step<()> {
        loop {
            self.cursor.bump_while(char::is_whitespace);
            match self.cursor.peek() {
                None => return self.end_of_file(),
                Some('{') => {
                    self.cursor.bump();
                    if self.block()? == More::No {
                        return Ok(());
                    }
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some('/') => return self.unexpected(Unexpected::End),
                Some(_) => {
                    if self.entry()? == More::No {
                        return Ok(());
                    }
                    self.after_top_value()?;
                }
            }
        }
    }

    fn end_of_file<T: Default>(&mut self) -> Step<T> {
        if self.cursor.is_at_end() { Ok(T::default()) } else { self.unexpected(Unexpected::End) }
    }

    /// A stray closing brace after a value is tolerated.
    fn after_top_value(&mut self) -> Step<()> {
        loop {
            match self.cursor.peek() {
                None => return Ok(()),
                Some('\n' | '\r' | ';' | ',' | '}') => {
                    self.cursor.bump();
                    return Ok(());
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some(' ' | '\t' | '/') => {
                    self.cursor.bump();
                }
                Some(_) => return self.unexpected_next(Unexpected::AfterTopValue),
            }
        }
    }

    /// Entries in braces that make no map: the file in JSON's style. Braces right inside braces count as well.
    fn block(&mut self) -> Step<More> {
        let mut open = 1_usize;
        let mut is_closing = false;
        while open > 0 {
            if is_closing {
                is_closing = self.block_end(&mut open)?;
                continue;
            }
            self.cursor.bump_while(char::is_whitespace);
            match self.cursor.peek() {
                None => return self.end_of_file::<()>().map(|()| More::No),
                Some('{') => {
                    self.cursor.bump();
                    open += 1;
                }
                Some('}') => {
                    self.cursor.bump();
                    open -= 1;
                    is_closing = true;
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some('/') => return self.unexpected(Unexpected::End),
                Some(_) => {
                    if self.entry()? == More::No {
                        return Ok(More::No);
                    }
                    is_closing = self.after_block_value()?;
                }
            }
        }
        Ok(More::Yes)
    }

    /// Whether the block is about to close.
    fn after_block_value(&mut self) -> Step<bool> {
        loop {
            match self.cursor.peek() {
                Some('\n' | '\r' | ';' | ',') => {
                    self.cursor.bump();
                    return Ok(false);
                }
                Some('}') => return Ok(true),
                Some(_) if self.comment() == Comment::Skipped => {}
                Some(' ' | '\t' | '/') => {
                    self.cursor.bump();
                }
                _ => return self.unexpected_next(Unexpected::AfterBlockValue),
            }
        }
    }

    /// Whether a further block is about to close.
    fn block_end(&mut self, open: &mut usize) -> Step<bool> {
        loop {
            match self.cursor.peek() {
                Some('}') => {
                    self.cursor.bump();
                    *open -= 1;
                    return Ok(true);
                }
                Some(';' | ',') => {
                    self.cursor.bump();
                    return Ok(false);
                }
                Some(_) if self.comment() == Comment::Skipped => return Ok(false),
                Some('\n' | '\r' | ' ' | '\t' | '/') => {
                    self.cursor.bump();
                }
                _ => return self.unexpected_next(Unexpected::AfterBlock),
            }
        }
    }

    /// One key and its value, at the top or in a block.
    fn entry(&mut self) -> Step<More> {
        let (name, place) = match self.key()? {
            Key::Include => return self.include().map(|()| More::Yes),
            Key::Named(name, place) => (name, place),
        };
        self.cursor.bump_while(char::is_whitespace);
        match self.cursor.peek() {
            // A closing brace as the last word of the file is tolerated.
            None if self.cursor.is_at_end() && &*name == "}" => return Ok(More::No),
            None if self.cursor.is_at_end() => {
                let here = self.here();
                return self.shared.stop(here, Fault::KeyWithoutValue);
            }
            None => return self.unexpected(Unexpected::End),
            Some(separator) if is_separator(separator) => {
                self.cursor.bump();
            }
            Some(_) => {}
        }
        let mut node = self.value()?;
        node.place = place;
        self.set(name, node);
        Ok(More::Yes)
    }

    /// A map; the opening brace has been taken.
    pub(crate) fn map(&mut self) -> Step<Node> {
        self.go_deeper()?;
        self.scopes.push(Map::in_room(self.shared.map_rooms.pop().unwrap_or_default()));
        while self.next_map_key()? {
            self.map_entry()?;
            if !self.after_map_value()? {
                break;
            }
        }
        self.shared.depth -= 1;
        let mut map = self.scopes.pop().unwrap_or_default();
        self.shared.map_rooms.push(map.complete());
        self.node(self.cursor.mark(), 0, Value::Map(map))
    }

    /// Goes to the next key; false when the map closes.
    fn next_map_key(&mut self) -> Step<bool> {
        loop {
            match self.cursor.peek() {
                None => return self.unexpected(Unexpected::EndInMap),
                Some('}') => {
                    self.cursor.bump();
                    return Ok(false);
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some(c) if c.is_whitespace() || c == '/' => {
                    self.cursor.bump();
                }
                Some(_) => return Ok(true),
            }
        }
    }

    fn map_entry(&mut self) -> Step<()> {
        let (name, place) = match self.map_key()? {
            Key::Include => return self.include(),
            Key::Named(name, place) => (name, place),
        };
        self.cursor.bump_while(char::is_whitespace);
        if self.cursor.peek().is_some_and(is_separator) {
            self.cursor.bump();
            self.cursor.bump_while(char::is_whitespace);
        }
        if let Some(terminator @ (',' | '}')) = self.cursor.peek() {
            return self.unexpected(Unexpected::MapTerminator(terminator));
        }
        let mut node = self.value()?;
        node.place = place;
        self.set(name, node);
        Ok(())
    }

    /// Whether another key may follow.
    fn after_map_value(&mut self) -> Step<bool> {
        loop {
            match self.cursor.peek() {
                Some('}') => {
                    self.cursor.bump();
                    return Ok(false);
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some('\n' | '\r' | ';' | ',' | '/') => {
                    self.cursor.bump();
                    return Ok(true);
                }
                Some(c) if is_blank(c) => {
                    self.cursor.bump();
                }
                _ => return self.unexpected_next(Unexpected::AfterMapValue),
            }
        }
    }

    /// An array; the opening bracket has been taken.
    pub(crate) fn array(&mut self) -> Step<Node> {
        self.go_deeper()?;
        let mut elements = self.shared.array_rooms.pop().unwrap_or_default();
        while self.next_array_value()? {
            elements.push(self.value()?);
            if !self.after_array_value()? {
                break;
            }
        }
        self.shared.depth -= 1;
        self.shared.array_rooms.push(fit(&mut elements));
        self.node(self.cursor.mark(), 0, Value::Array(elements))
    }

    /// Goes to the next element; false when the array closes.
    fn next_array_value(&mut self) -> Step<bool> {
        loop {
            match self.cursor.peek() {
                Some(']') => {
                    self.cursor.bump();
                    return Ok(false);
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some(c) if c.is_whitespace() => {
                    self.cursor.bump();
                }
                Some(',' | '/') => return self.unexpected(Unexpected::ArrayTerminator),
                _ => return Ok(true),
            }
        }
    }

    /// Whether another element may follow.
    fn after_array_value(&mut self) -> Step<bool> {
        loop {
            match self.cursor.peek() {
                Some(']') => {
                    self.cursor.bump();
                    return Ok(false);
                }
                Some(_) if self.comment() == Comment::Skipped => {}
                Some(',' | '/') => {
                    self.cursor.bump();
                    return Ok(true);
                }
                Some(c) if is_line_end(c) => {
                    self.cursor.bump();
                    return Ok(true);
                }
                Some(c) if is_blank(c) => {
                    self.cursor.bump();
                }
                _ => return self.unexpected_next(Unexpected::AfterArrayValue),
            }
        }
    }

    fn go_deeper(&mut self) -> Step<()> {
        self.shared.depth += 1;
        if self.shared.depth > MAX_DEPTH {
            let here = self.here();
            return self.shared.stop(here, Fault::TooDeep);
        }
        Ok(())
    }

    /// `#` and `//`, to the end of the line.
    fn comment(&mut self) -> Comment {
        let is_one = match self.cursor.peek() {
            Some('#') => true,
            Some('/') => self.cursor.peek_second() == Some('/'),
            _ => false,
        };
        if !is_one {
            return Comment::None;
        }
        self.cursor.bump_while(|c| !is_line_end(c));
        Comment::Skipped
    }
}
