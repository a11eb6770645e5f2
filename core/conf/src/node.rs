//! The tree.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secret::Secret;

use crate::Place;

/// A text of the configuration. It may be a password, so it prints as a fixed word and is wiped when the last that refers to it
/// goes: the tree, for nearly all of them.
#[derive(Clone, Debug)]
pub struct Text(Kept);

/// What is written in a file stays there, as there may be millions of texts. No reference by a variable makes a tree much larger.
#[derive(Clone, Debug)]
enum Kept {
    /// A piece of a file.
    Written { file: Written, start: u32, end: u32 },
    /// What nobody has written so: it has escapes, or was made here.
    Made(Arc<Secret<String>>),
}

/// The bytes of a file, which may hold secrets anywhere.
pub(crate) type Written = Arc<Secret<Vec<u8>>>;

impl Text {
    /// Takes a text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Kept::Made(Arc::new(Secret::new(text.into()))))
    }

    /// So many bytes of a file, which end here. They are whole characters.
    pub(crate) fn written(file: &Written, len: usize, end: usize) -> Self {
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self(Kept::Written { file: Arc::clone(file), start: place(end.saturating_sub(len)), end: place(end) })
    }

    /// The text. Who calls this knows which option it belongs to.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kept::Written { file, start, end } => {
                let bytes = file.expose().get(*start as usize..*end as usize);
                bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
            }
            Kept::Made(text) => text.expose(),
        }
    }

    /// The text of an option that is a secret.
    pub fn to_secret(&self) -> Secret<String> {
        Secret::new(self.as_str().to_owned())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        secret::same_bytes(self.as_str().as_bytes(), other.as_str().as_bytes())
    }
}

impl Eq for Text {}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Quoted, unquoted or block.
    String(Text),
    /// With the size suffix applied.
    Integer(i64),
    /// Digits, a point, digits.
    Float(f64),
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// `2026-01-02T03:04:05Z`, checked, as written.
    Datetime(Box<str>),
    /// Elements by comma or line.
    Array(Vec<Node>),
    /// Keys and values.
    Map(Map),
}

/// The kind of a value, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in Value")]
pub enum Kind {
    String,
    Integer,
    Float,
    Bool,
    Datetime,
    Array,
    Map,
}

impl Kind {
    /// The name of the kind in messages of the reference server, which surfaces its language's types.
    pub const fn go_type(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "int64",
            Self::Float => "float64",
            Self::Bool => "bool",
            Self::Datetime => "time.Time",
            Self::Array => "[]interface {}",
            Self::Map => "map[string]interface {}",
        }
    }

    /// The kind in plain words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Float => "a number with a fraction",
            Self::Bool => "true or false",
            Self::Datetime => "a date",
            Self::Array => "an array [ ]",
            Self::Map => "a map { }",
        }
    }
}

/// A value and where it stands. In a map that is the place of the key.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The place to name in a message.
    pub place: Place,
    /// What is there.
    pub value: Value,
    /// Whether a `$NAME` referred to it. Such a key may have any name.
    pub is_used_variable: bool,
}

impl Node {
    /// A node nobody refers to yet.
    pub const fn new(place: Place, value: Value) -> Self {
        Self { place, value, is_used_variable: false }
    }

    /// The kind of its value.
    pub const fn kind(&self) -> Kind {
        match self.value {
            Value::String(_) => Kind::String,
            Value::Integer(_) => Kind::Integer,
            Value::Float(_) => Kind::Float,
            Value::Bool(_) => Kind::Bool,
            Value::Datetime(_) => Kind::Datetime,
            Value::Array(_) => Kind::Array,
            Value::Map(_) => Kind::Map,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        self.as_text().map(Text::as_str)
    }

    /// The text, still wrapped.
    pub const fn as_text(&self) -> Option<&Text> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// The integer, if it is one.
    pub const fn as_integer(&self) -> Option<i64> {
        if let Value::Integer(number) = self.value { Some(number) } else { None }
    }

    /// The float, if it is one.
    pub const fn as_float(&self) -> Option<f64> {
        if let Value::Float(number) = self.value { Some(number) } else { None }
    }

    /// The boolean, if it is one.
    pub const fn as_bool(&self) -> Option<bool> {
        if let Value::Bool(truth) = self.value { Some(truth) } else { None }
    }

    /// The elements, if it is an array.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Value::Array(elements) = &self.value { Some(elements) } else { None }
    }

    /// The map, if it is one.
    pub const fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// How many nodes the tree below holds, this one included.
    pub(crate) fn weight(&self) -> usize {
        match &self.value {
            Value::Array(elements) => elements.iter().map(Self::weight).sum::<usize>().saturating_add(1),
            Value::Map(map) => map.iter().map(|(_, node)| node.weight()).sum::<usize>().saturating_add(1),
            _ => 1,
        }
    }

    /// How many maps and arrays are inside each other here.
    pub(crate) fn depth(&self) -> usize {
        match &self.value {
            Value::Array(elements) => elements.iter().map(Self::depth).max().unwrap_or(0) + 1,
            Value::Map(map) => map.iter().map(|(_, node)| node.depth()).max().unwrap_or(0) + 1,
            _ => 0,
        }
    }

    /// Gives the whole tree below the place where it is referred to: an environment variable has no file of its own.
    pub(crate) fn move_to(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Value::Array(elements) => elements.iter_mut().for_each(|node| node.move_to(place)),
            Value::Map(map) => map.entries.iter_mut().for_each(|(_, node)| node.move_to(place)),
            _ => {}
        }
    }
}

/// Keys and values in the order they were first written. A key that comes again replaces the value.
///
/// A tree has hundreds of thousands of small maps and few large ones, so only these have an index.
#[derive(Clone, Default)]
pub struct Map {
    entries: Entries,
    index: Option<Box<Index>>,
}

/// Keys and values, or the room for them.
pub(crate) type Entries = Vec<(Arc<str>, Node)>;

/// Gives elements memory of their own size. The room that a few of them were in is given back, for the next ones.
pub(crate) fn fit<T>(elements: &mut Vec<T>) -> Vec<T> {
    if elements.len() > SMALL {
        elements.shrink_to_fit();
        return Vec::new();
    }
    let mut room = std::mem::take(elements);
    elements.reserve_exact(room.len());
    elements.append(&mut room);
    room
}

/// The places of keys.
type Index = BTreeMap<Arc<str>, usize>;

/// Maps of so many keys are searched one by one.
const SMALL: usize = 16;

impl Map {
    /// An empty map.
    pub const fn new() -> Self {
        Self::in_room(Vec::new())
    }

    /// An empty map that has room already.
    pub(crate) const fn in_room(room: Entries) -> Self {
        Self { entries: room, index: None }
    }

    /// The value of a key. Case counts.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.get(self.position(key)?).map(|(_, node)| node)
    }

    /// The value of a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let at = self.position(key)?;
        self.entries.get_mut(at).map(|(_, node)| node)
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self.entries.iter().position(|(known, _)| **known == *key),
        }
    }

    /// Sets a key. The last one wins.
    pub fn insert(&mut self, key: impl Into<Arc<str>>, node: Node) {
        let key = key.into();
        if let Some(old) = self.get_mut(&key) {
            *old = node;
            return;
        }
        if self.index.is_none() && self.entries.len() == SMALL {
            self.index = Some(Box::new(self.places().collect()));
        }
        if let Some(index) = &mut self.index {
            index.insert(Arc::clone(&key), self.entries.len());
        }
        self.entries.push((key, node));
    }

    fn places(&self) -> impl Iterator<Item = (Arc<str>, usize)> {
        self.entries.iter().enumerate().map(|(at, (key, _))| (Arc::clone(key), at))
    }

    /// No key follows: what is taken is what is needed, and the room is for the next map.
    pub(crate) fn complete(&mut self) -> Entries {
        fit(&mut self.entries)
    }

    /// All keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(key, node)| (&**key, node))
    }

    /// All of them by key, bytewise: the order of the digest.
    pub(crate) fn sorted(&self) -> impl Iterator<Item = (&str, &Node)> {
        let len = self.entries.len();
        // The order of a small map, of which there are very many, asks for no memory.
        let mut few: [usize; SMALL] = std::array::from_fn(|at| at);
        let (few_len, many) = if len <= SMALL { (len, 0) } else { (0, len) };
        let mut many: Vec<usize> = (0..many).collect();
        let key = |at: &usize| self.entries.get(*at).map(|(key, _)| key);
        few.get_mut(..few_len).unwrap_or_default().sort_unstable_by_key(key);
        many.sort_unstable_by_key(key);
        let places = few.into_iter().take(few_len).chain(many);
        places.filter_map(|at| self.entries.get(at)).map(|(key, node)| (&**key, node))
    }

    /// All keys and values in order, to be taken one by one.
    pub fn into_entries(self) -> Vec<(Arc<str>, Node)> {
        self.entries
    }

    /// How many keys.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.sorted().eq(other.sorted())
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
