//! Header blocks: `NATS/1.0 [status [description]]`, lines `Key: Value`, an empty line.
//!
//! Reading and removing follow different rules on purpose. A lookup is exact, as peers know it: the key as written, at
//! the start of a line that a CRLF began, directly followed by a colon; the first one counts. A removal is generous: any
//! letter case, blanks before the colon, lines that only a bare line feed began, folded continuations, every
//! occurrence. Whatever library reads the block behind us, it finds no forged copy of a header that the server sets.

use memchr::memchr;
use memchr::memmem::find;

use crate::encode::{Unencodable, is_word};

/// The first line of every block the server makes.
pub const VERSION_LINE: &[u8] = b"NATS/1.0\r\n";

const VERSION: &[u8] = b"NATS/1.0";
const CRLF: &[u8] = b"\r\n";

/// A view over a header block. Nothing about the bytes is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

/// The status on the first line of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    /// The code, such as `503`.
    pub code: &'a [u8],
    /// The description, or nothing.
    pub description: &'a [u8],
}

impl<'a> Headers<'a> {
    /// A view over these bytes.
    pub const fn new(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The value of the first line with exactly this key, without the blanks before it.
    pub fn get(self, key: &str) -> Option<&'a [u8]> {
        self.iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The same for a key in any letter case.
    pub fn get_any_case(self, key: &str) -> Option<&'a [u8]> {
        self.iter().find(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes())).map(|(_, value)| value)
    }

    /// Keys and values in order. Lines without a colon are passed over.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut lines = crlf_lines(self.0);
        lines.next();
        lines.filter_map(|line| {
            let (key, rest) = line.split_at_checked(memchr(b':', line)?)?;
            Some((key, without_leading(rest.strip_prefix(b":")?, |byte| byte == b' ')))
        })
    }

    /// The status, if the first line bears one.
    pub fn status(self) -> Option<Status<'a>> {
        let rest = crlf_lines(self.0).next()?.strip_prefix(VERSION)?.strip_prefix(b" ")?;
        let rest = without_leading(rest, |byte| byte == b' ');
        let end = memchr(b' ', rest).unwrap_or(rest.len());
        let (code, description) = rest.split_at_checked(end)?;
        (!code.is_empty()).then(|| Status { code, description: without_leading(description, |byte| byte == b' ') })
    }
}

/// Appends the block with this header: earlier ones of the key are removed, the new one goes to the end. An empty block
/// becomes one. Line breaks in the value become blanks.
///
/// # Errors
/// [`Unencodable`] if the key is no word or has a colon.
pub fn set(out: &mut Vec<u8>, block: &[u8], key: &str, value: &[u8]) -> Result<(), Unencodable> {
    check_key(key)?;
    let mut rest = Vec::with_capacity(block.len());
    remove(&mut rest, block, key);
    append(out, &rest, key, value)
}

/// Appends the block with this header behind the others, whatever they are.
///
/// # Errors
/// [`Unencodable`] if the key is no word or has a colon.
pub fn append(out: &mut Vec<u8>, block: &[u8], key: &str, value: &[u8]) -> Result<(), Unencodable> {
    check_key(key)?;
    open(out, block);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b": ");
    let value = value.trim_ascii();
    out.extend(value.iter().map(|&byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n\r\n");
    Ok(())
}

/// Appends the block without any header of this key, in the generous sense. Nothing at all if no header is left and the
/// first line bears no status.
pub fn remove(out: &mut Vec<u8>, block: &[u8], key: &str) {
    remove_where(out, block, |name| name.eq_ignore_ascii_case(key.as_bytes()));
}

/// Appends the block without any header whose key begins like this, in the generous sense.
pub fn remove_prefix(out: &mut Vec<u8>, block: &[u8], prefix: &str) {
    remove_where(out, block, |name| {
        name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix.as_bytes()))
    });
}

/// Appends the block without a status, so that nobody takes a publisher's word for the server's. Nothing at all if
/// nothing else is in it.
pub fn remove_status(out: &mut Vec<u8>, block: &[u8]) {
    let Some(rest) = block.strip_prefix(VERSION) else { return out.extend_from_slice(block) };
    let line_end = find(rest, CRLF).unwrap_or(rest.len());
    let start = out.len();
    out.extend_from_slice(VERSION);
    out.extend_from_slice(rest.get(line_end..).unwrap_or_default());
    drop_if_empty(out, start);
}

fn remove_where(out: &mut Vec<u8>, block: &[u8], unwanted: impl Fn(&[u8]) -> bool) {
    let start = out.len();
    let mut lines = block.split_inclusive(|&byte| byte == b'\n');
    out.extend_from_slice(lines.next().unwrap_or_default());
    let mut removing = false;
    for line in lines {
        let is_continuation = matches!(line, [b' ' | b'\t', ..]);
        removing = name_of(line).is_some_and(&unwanted) || (removing && is_continuation);
        if !removing {
            out.extend_from_slice(line);
        }
    }
    drop_if_empty(out, start);
}

/// What a lenient reader takes for the key of a line.
fn name_of(line: &[u8]) -> Option<&[u8]> {
    line.split_at_checked(memchr(b':', line)?).map(|(name, _)| name.trim_ascii())
}

/// A block that says nothing is no block.
fn drop_if_empty(out: &mut Vec<u8>, start: usize) {
    let made = out.get(start..).unwrap_or_default();
    if made.trim_ascii_end() == VERSION {
        out.truncate(start);
    }
}

/// The block as far as headers can be added to it: without the empty line at its end.
fn open(out: &mut Vec<u8>, block: &[u8]) {
    match block.strip_suffix(b"\r\n\r\n") {
        _ if block.is_empty() => out.extend_from_slice(VERSION_LINE),
        Some(lines) => {
            out.extend_from_slice(lines);
            out.extend_from_slice(CRLF);
        }
        None => {
            out.extend_from_slice(block);
            if !block.ends_with(CRLF) {
                out.extend_from_slice(CRLF);
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), Unencodable> {
    if is_word(key.as_bytes()) && !key.contains(':') { Ok(()) } else { Err(Unencodable) }
}

fn crlf_lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(block);
    std::iter::from_fn(move || {
        let bytes = rest.take()?;
        let Some(end) = find(bytes, CRLF) else { return Some(bytes) };
        rest = bytes.get(end + 2..);
        bytes.get(..end)
    })
}

fn without_leading(bytes: &[u8], unwanted: impl Fn(u8) -> bool) -> &[u8] {
    let count = bytes.iter().take_while(|&&byte| unwanted(byte)).count();
    bytes.get(count..).unwrap_or_default()
}
