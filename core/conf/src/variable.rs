//! `$NAME`: a key of an enclosing map, or the environment.

use std::sync::Arc;

use secret::Secret;

use crate::cursor::Mark;
use crate::limits::{MAX_DEPTH, MAX_VARIABLE_DEPTH};
use crate::world::{Parser, Shared, Step};
use crate::{Error, Fault, Node, Place, Value};

/// A bcrypt hash needs no quotes although it begins with a dollar.
const BCRYPT: &str = "2a$";
/// The key under which the value of an environment variable is read.
const KEY: &str = "pk";

impl Parser<'_, '_> {
    /// The value a name refers to, at the place where it is referred to.
    pub(crate) fn variable(&mut self, mark: Mark, name: &str) -> Step<Node> {
        if name.starts_with(BCRYPT) {
            return self.text(mark);
        }
        let place = self.place(self.cursor.column_of(mark, name.len()));
        if let Some(node) = self.in_scope(name, &place)? {
            return Ok(node);
        }
        match self.in_environment(name, &place) {
            Ok(Some(mut node)) => {
                node.move_to(&place);
                Ok(node)
            }
            Ok(None) => self.placeholder(place, Fault::UnknownVariable { name: name.to_owned() }),
            Err(fault) => self.placeholder(place, fault),
        }
    }

    /// Keys written before, from the innermost map outwards. What is referred to counts as known from now on.
    fn in_scope(&mut self, name: &str, place: &Place) -> Step<Option<Node>> {
        let Some(found) = self.scopes.iter_mut().rev().find_map(|map| map.get_mut(name)) else {
            return Ok(None);
        };
        found.is_used_variable = true;
        if !self.shared.has_room_for(found.weight()) {
            return self.shared.stop(place.clone(), Fault::TooManyNodes);
        }
        // Copies of copies would grow without end.
        if self.shared.depth + found.depth() > MAX_DEPTH {
            return self.shared.stop(place.clone(), Fault::TooDeep);
        }
        Ok(Some(Node::new(place.clone(), found.value.clone())))
    }

    /// The value of an environment variable is itself read with this grammar.
    fn in_environment(&mut self, name: &str, place: &Place) -> Result<Option<Node>, Fault> {
        let bad = |inner, inner_line| Fault::BadVariable { name: name.to_owned(), inner: Box::new(inner), inner_line };
        if self.shared.resolving.iter().any(|open| open == name) {
            return Err(bad(Fault::VariableCycle { name: name.to_owned() }, place.line));
        }
        if self.shared.resolving.len() >= MAX_VARIABLE_DEPTH {
            return Err(bad(Fault::VariableTooDeep { name: name.to_owned() }, place.line));
        }
        let Some(value) = (self.shared.world.environment)(name) else {
            return Ok(None);
        };
        self.shared.resolving.push(name.to_owned());
        let read = read_value(value.expose(), self.shared);
        self.shared.resolving.pop();
        read.map_err(|error| bad(error.fault, error.place.line))
    }

    /// Remembers the error and goes on with a value that stands for nothing.
    fn placeholder(&mut self, place: Place, fault: Fault) -> Step<Node> {
        self.shared.note(place.clone(), fault)?;
        Ok(Node::new(place, Value::Bool(false)))
    }
}

/// Reads the value on its own, without the maps around the reference. Its first error is the caller's error.
fn read_value(value: &str, shared: &mut Shared<'_>) -> Result<Option<Node>, Error> {
    let written = Arc::new(Secret::new(format!("{KEY}={value}").into_bytes()));
    let text = std::str::from_utf8(written.expose()).unwrap_or_default();
    let (before, depth) = (shared.errors.len(), shared.depth);
    let map = Parser::new(Arc::from(""), &written, text, shared).parse().ok();
    shared.depth = depth;
    let first = shared.errors.drain(before..).next();
    match first {
        Some(error) => Err(error),
        None => Ok(map.and_then(|map| map.get(KEY).cloned())),
    }
}
