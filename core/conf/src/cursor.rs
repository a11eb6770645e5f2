//! Walks over a text and counts lines as the reference does.

/// The text, and how far we are.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    pos: usize,
    line: u32,
    /// Where the last line break stands; columns are counted from it.
    line_start: usize,
}

/// A remembered point, to cut a piece out later.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    pos: usize,
    line_start: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, pos: 0, line: 1, line_start: 0 }
    }

    /// The next character. A NUL ends the text wherever it stands, as in the reference; [`Cursor::is_at_end`] tells a
    /// true end from it.
    #[inline]
    pub(crate) fn peek(&self) -> Option<char> {
        match self.text.as_bytes().get(self.pos) {
            None | Some(0) => None,
            Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
            Some(_) => self.rest().chars().next(),
        }
    }

    /// The character after the next one.
    pub(crate) fn peek_second(&self) -> Option<char> {
        self.rest().chars().nth(1)
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    /// Takes the next character.
    #[inline]
    pub(crate) fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.pass(next);
        Some(next)
    }

    /// Goes past the next character, which is this one.
    #[inline]
    fn pass(&mut self, next: char) {
        if next == '\n' {
            self.line = self.line.saturating_add(1);
            self.line_start = self.pos;
        }
        self.pos += next.len_utf8();
    }

    /// Takes the next character if it is this one.
    #[inline]
    pub(crate) fn eat(&mut self, wanted: char) -> bool {
        let is_it = self.peek() == Some(wanted);
        if is_it {
            self.bump();
        }
        is_it
    }

    /// Takes characters while they please.
    #[inline]
    pub(crate) fn bump_while(&mut self, mut pleases: impl FnMut(char) -> bool) {
        while let Some(next) = self.peek().filter(|next| pleases(*next)) {
            self.pass(next);
        }
    }

    pub(crate) const fn mark(&self) -> Mark {
        Mark { pos: self.pos, line_start: self.line_start }
    }

    /// What was taken since the mark.
    pub(crate) fn since(&self, mark: Mark) -> &'a str {
        self.text.get(mark.pos..self.pos).unwrap_or_default()
    }

    pub(crate) const fn line(&self) -> u32 {
        self.line
    }

    /// The column of a token that began at the mark, ends here and means `len` bytes.
    pub(crate) fn column_of(&self, mark: Mark, len: usize) -> u32 {
        to_u32(self.pos.saturating_sub(mark.line_start).saturating_sub(len))
    }

    /// The column we are at.
    pub(crate) fn column(&self) -> u32 {
        to_u32(self.pos.saturating_sub(self.line_start))
    }
}

fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[inline]
pub(crate) const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

#[inline]
pub(crate) const fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

#[inline]
pub(crate) const fn is_separator(c: char) -> bool {
    matches!(c, '=' | ':')
}
