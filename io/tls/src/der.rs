//! Just enough DER to read key envelopes and OCSP, and to write an OCSP request. Every length is checked; nothing recurses.

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The tags we meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u8);

impl Tag {
    pub(crate) const INTEGER: Self = Self(0x02);
    pub(crate) const BIT_STRING: Self = Self(0x03);
    pub(crate) const OCTET_STRING: Self = Self(0x04);
    pub(crate) const NULL: Self = Self(0x05);
    pub(crate) const OID: Self = Self(0x06);
    pub(crate) const ENUMERATED: Self = Self(0x0a);
    pub(crate) const GENERALIZED_TIME: Self = Self(0x18);
    pub(crate) const SEQUENCE: Self = Self(0x30);

    /// `[n]`, constructed.
    pub(crate) const fn context(number: u8) -> Self {
        Self(0xa0 | number)
    }

    /// `[n]`, primitive.
    pub(crate) const fn context_primitive(number: u8) -> Self {
        Self(0x80 | number)
    }
}

/// Walks over the elements of some DER.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The tag of the next element.
    pub(crate) fn peek(&self) -> Option<Tag> {
        self.bytes.first().copied().map(Tag)
    }

    /// The content of the next element, which must have this tag.
    pub(crate) fn take(&mut self, tag: Tag) -> Result<&'a [u8], Malformed> {
        if self.peek() != Some(tag) {
            return Err(Malformed);
        }
        self.any().map(|(_, content, _)| content)
    }

    /// The content of the next element if it has this tag.
    pub(crate) fn take_if(&mut self, tag: Tag) -> Result<Option<&'a [u8]>, Malformed> {
        if self.peek() == Some(tag) { self.take(tag).map(Some) } else { Ok(None) }
    }

    /// A sequence, to be walked.
    pub(crate) fn sequence(&mut self) -> Result<Self, Malformed> {
        self.take(Tag::SEQUENCE).map(Self::new)
    }

    /// The next element with its tag and length.
    pub(crate) fn raw(&mut self) -> Result<&'a [u8], Malformed> {
        self.any().map(|(_, _, whole)| whole)
    }

    /// A non-negative integer that fits.
    pub(crate) fn small_integer(&mut self) -> Result<u32, Malformed> {
        let content = self.take(Tag::INTEGER)?;
        if content.is_empty() || content.first().is_some_and(|byte| byte & 0x80 != 0) || content.len() > 5 {
            return Err(Malformed);
        }
        let value = content.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        u32::try_from(value).map_err(|_| Malformed)
    }

    /// Tag, content, and the whole element.
    pub(crate) fn any(&mut self) -> Result<(Tag, &'a [u8], &'a [u8]), Malformed> {
        let [tag, first, after @ ..] = self.bytes else {
            return Err(Malformed);
        };
        // Tags above 30 take more bytes; none of ours do.
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (len, after) = length(*first, after)?;
        let (content, rest) = after.split_at_checked(len).ok_or(Malformed)?;
        let whole = self.bytes.get(..self.bytes.len() - rest.len()).ok_or(Malformed)?;
        self.bytes = rest;
        Ok((Tag(*tag), content, whole))
    }
}

fn length(first: u8, after: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    if first < 0x80 {
        return Ok((usize::from(first), after));
    }
    let (bytes, after) = after.split_at_checked(usize::from(first & 0x7f)).ok_or(Malformed)?;
    // DER wants the shortest form. Four bytes are more than any file we read.
    if bytes.is_empty() || bytes.len() > 4 || bytes.first() == Some(&0) {
        return Err(Malformed);
    }
    let len = bytes.iter().fold(0u64, |len, &byte| len << 8 | u64::from(byte));
    if len < 0x80 {
        return Err(Malformed);
    }
    usize::try_from(len).map(|len| (len, after)).map_err(|_| Malformed)
}

/// One element.
pub(crate) fn element(tag: Tag, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag.0];
    if content.len() < 0x80 {
        out.push(u8::try_from(content.len()).unwrap_or_default());
    } else {
        let len = content.len().to_be_bytes();
        let significant = len.iter().position(|&byte| byte != 0).unwrap_or(len.len());
        out.push(0x80 | u8::try_from(len.len() - significant).unwrap_or_default());
        out.extend_from_slice(&len[significant..]);
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of elements.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(Tag::SEQUENCE, &parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for len in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7; len];
            let written = element(Tag::OCTET_STRING, &content);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.take(Tag::OCTET_STRING), Ok(content.as_slice()));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in [
            &[0x30, 0x05, 1][..],
            &[0x30, 0x81, 0x01, 0],
            &[0x30, 0x82, 0x00, 0x80],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            &[0x3f, 0x1f, 0],
            &[0x30],
            &[],
        ] {
            assert_eq!(Reader::new(bytes).any().unwrap_err(), Malformed, "{bytes:x?}");
        }
    }

    #[test]
    fn integers_that_do_not_fit_are_refused() {
        let read = |bytes: &[u8]| Reader::new(&element(Tag::INTEGER, bytes)).small_integer();
        assert_eq!(read(&[0, 0xff, 0xff, 0xff, 0xff]), Ok(u32::MAX));
        assert_eq!(read(&[1, 0, 0, 0, 0]), Err(Malformed));
        assert_eq!(read(&[0x80]), Err(Malformed));
        assert_eq!(read(&[]), Err(Malformed));
    }
}
