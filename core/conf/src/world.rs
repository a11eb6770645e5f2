//! What the parser may ask of the outside, and the state that all files of one configuration share.

use std::fmt;
use std::sync::Arc;

use secret::Secret;

use crate::cursor::{Cursor, Mark};
use crate::limits::{MAX_ERRORS, MAX_FILE_BYTES, MAX_NODES};
use crate::node::{Entries, Text, Written};
use crate::{Error, Fault, Map, Node, Place, Unexpected, Value};

/// Answers what the process environment says about a name.
type Environment<'a> = &'a dyn Fn(&str) -> Option<Secret<String>>;
/// Reads a file, or says why not in the words for the person who wrote the configuration.
type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Secret<Vec<u8>>, String>;

/// The outside: environment variables and files, both as functions.
#[derive(Clone, Copy)]
pub struct World<'a> {
    pub(crate) environment: Environment<'a>,
    pub(crate) read_file: ReadFile<'a>,
}

impl<'a> World<'a> {
    /// A world made of two functions.
    pub const fn new(environment: Environment<'a>, read_file: ReadFile<'a>) -> Self {
        Self { environment, read_file }
    }
}

impl fmt::Debug for World<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// Reads a configuration text. `file` is its name, and its directory is where includes are looked for.
///
/// On failure the list holds everything that could be told at once: a wrong character ends its own file, all other
/// mistakes are collected.
pub fn parse(file: &str, text: Secret<Vec<u8>>, world: &World<'_>) -> Result<Map, Vec<Error>> {
    let mut shared = Shared::new(world);
    let map = parse_file(file, text, &mut shared);
    match (map, shared.errors) {
        (Ok(map), errors) if errors.is_empty() => Ok(map),
        (_, errors) => Err(errors),
    }
}

/// One file, included or not. Its variables see only its own maps.
pub(crate) fn parse_file(file: &str, written: Secret<Vec<u8>>, shared: &mut Shared<'_>) -> Step<Map> {
    let (file, written): (Arc<str>, Written) = (file.into(), Arc::new(written));
    if written.expose().len() > MAX_FILE_BYTES {
        return shared.stop(Place::new(file, 1, 0), Fault::FileTooLarge);
    }
    match std::str::from_utf8(written.expose()) {
        Ok(text) => Parser::new(file, &written, text.strip_prefix('\u{feff}').unwrap_or(text), shared).parse(),
        Err(error) => {
            let place = place_of(&file, written.expose().get(..error.valid_up_to()).unwrap_or_default());
            shared.stop(place, Fault::NotUtf8)
        }
    }
}

fn place_of(file: &Arc<str>, before: &[u8]) -> Place {
    let line = before.iter().filter(|&&byte| byte == b'\n').count();
    let start = before.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place::new(Arc::clone(file), number(line).saturating_add(1), number(before.len() - start))
}

/// The file cannot be read on; why is already in the list of errors.
pub(crate) struct Stop;

pub(crate) type Step<T> = Result<T, Stop>;

/// What the files and variables of one configuration share.
pub(crate) struct Shared<'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) errors: Vec<Error>,
    /// Environment variables whose values are being read right now.
    pub(crate) resolving: Vec<String>,
    pub(crate) include_depth: usize,
    /// Files included so far.
    pub(crate) includes: usize,
    /// Maps and arrays that are open, over all files and variables.
    pub(crate) depth: usize,
    nodes: usize,
    /// Keys that were written lately: the same few come again and again.
    keys: [Option<Arc<str>>; KEYS_KEPT],
    /// Room of maps and of arrays that are complete, for the next ones.
    pub(crate) map_rooms: Vec<Entries>,
    pub(crate) array_rooms: Vec<Vec<Node>>,
}

/// Keys that are kept for the next time.
const KEYS_KEPT: usize = 64;

impl<'a> Shared<'a> {
    fn new(world: &'a World<'a>) -> Self {
        Self {
            world,
            errors: Vec::new(),
            resolving: Vec::new(),
            include_depth: 0,
            includes: 0,
            depth: 0,
            nodes: 0,
            keys: [const { None }; KEYS_KEPT],
            map_rooms: Vec::new(),
            array_rooms: Vec::new(),
        }
    }

    /// A key, in one piece of memory with those that are the same.
    pub(crate) fn key(&mut self, text: &str) -> Arc<str> {
        let bytes = text.as_bytes();
        let ends = [bytes.first(), bytes.last()].map(|byte| byte.map_or(0, |byte| usize::from(*byte)));
        let place = self.keys.get_mut((bytes.len() + ends[0] * 3 + ends[1] * 5) % KEYS_KEPT);
        match place {
            Some(Some(known)) if **known == *text => known.clone(),
            place => {
                let key: Arc<str> = text.into();
                place.into_iter().for_each(|place| *place = Some(key.clone()));
                key
            }
        }
    }

    pub(crate) fn stop<T>(&mut self, place: Place, fault: Fault) -> Step<T> {
        self.errors.push(Error { place, fault });
        Err(Stop)
    }

    /// Notes an error and goes on, unless there are enough already.
    pub(crate) fn note(&mut self, place: Place, fault: Fault) -> Step<()> {
        self.errors.push(Error { place, fault });
        if self.errors.len() < MAX_ERRORS { Ok(()) } else { Err(Stop) }
    }

    /// There are so many errors that reading on helps nobody.
    pub(crate) fn has_enough_errors(&self) -> bool {
        self.errors.len() >= MAX_ERRORS
    }

    /// Counts nodes; false when there are too many.
    pub(crate) fn has_room_for(&mut self, count: usize) -> bool {
        self.nodes = self.nodes.saturating_add(count);
        self.nodes <= MAX_NODES
    }
}

/// The parser of one file. Its methods stand in the files of their subject.
pub(crate) struct Parser<'p, 'a> {
    pub(crate) file: Arc<str>,
    /// What is read, of which the cursor goes over the end.
    written: &'p Written,
    pub(crate) cursor: Cursor<'p>,
    /// The maps that are open, outermost first: what a variable can see.
    pub(crate) scopes: Vec<Map>,
    pub(crate) shared: &'p mut Shared<'a>,
}

impl<'p, 'a> Parser<'p, 'a> {
    /// `text` is what is written, or the end of it.
    pub(crate) fn new(file: Arc<str>, written: &'p Written, text: &'p str, shared: &'p mut Shared<'a>) -> Self {
        Self { file, written, cursor: Cursor::new(text), scopes: vec![Map::new()], shared }
    }

    pub(crate) fn parse(mut self) -> Step<Map> {
        self.top()?;
        Ok(self.scopes.pop().unwrap_or_default())
    }

    pub(crate) fn here(&self) -> Place {
        self.place(self.cursor.column())
    }

    pub(crate) fn place(&self, column: u32) -> Place {
        Place { file: Arc::clone(&self.file), line: self.cursor.line(), column }
    }

    pub(crate) fn unexpected<T>(&mut self, unexpected: Unexpected) -> Step<T> {
        let place = self.here();
        self.shared.stop(place, Fault::Syntax(unexpected))
    }

    /// Takes the offending character first, so that the line counts as in the reference.
    pub(crate) fn unexpected_next<T>(&mut self, unexpected: impl FnOnce(Option<char>) -> Unexpected) -> Step<T> {
        let column = self.cursor.column();
        let got = self.cursor.bump();
        let place = self.place(column);
        self.shared.stop(place, Fault::Syntax(unexpected(got)))
    }

    /// A value that began at the mark and ends here.
    pub(crate) fn node(&mut self, mark: Mark, len: usize, value: Value) -> Step<Node> {
        let place = self.place(self.cursor.column_of(mark, len));
        if !self.shared.has_room_for(1) {
            return self.shared.stop(place, Fault::TooManyNodes);
        }
        Ok(Node::new(place, value))
    }

    /// What was taken since the mark, as a text.
    pub(crate) fn text(&mut self, mark: Mark) -> Step<Node> {
        let len = self.cursor.since(mark).len();
        let end = self.written.expose().len() - self.cursor.rest().len();
        self.node(mark, len, Value::String(Text::written(self.written, len, end)))
    }

    /// Sets a key of the innermost map.
    pub(crate) fn set(&mut self, key: impl Into<Arc<str>>, node: Node) {
        if let Some(map) = self.scopes.last_mut() {
            map.insert(key, node);
        }
    }
}
