//! Distinguished names: read from text (RFC 4514) and from certificates, and compared.
//!
//! Two names are equal when they have the same RDNs in the same order, and match when they have the same RDNs in any
//! order, each counted: a name in which an RDN stands twice matches only one in which it stands twice. An RDN may hold
//! several attributes, whose order means nothing but whose number does. Attribute types are compared without case, values
//! byte for byte.
//!
//! Rooms that must not know this type compare the texts of [`Dn::ordered`] and [`Dn::any_order`]: those are the same for
//! two names exactly if the names are equal, or match.

use std::fmt::Write;

use x509_parser::x509::X509Name;

/// The longest text that is read as a name.
pub const MAX_DN_TEXT: usize = 8 << 10;

/// A distinguished name with at least one RDN, the most specific first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dn {
    rdns: Vec<Rdn>,
}

/// Attributes in a fixed order, so that two RDNs are equal if their vectors are.
type Rdn = Vec<Attribute>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    kind: String,
    value: Vec<u8>,
}

/// Why a text is not a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnError {
    /// Nothing in it.
    Empty,
    /// Longer than [`MAX_DN_TEXT`].
    TooLong,
    /// An attribute without a type, or without a value behind it.
    Incomplete,
    /// A type that is not a keyword.
    BadType,
    /// A backslash before something that cannot be escaped.
    BadEscape,
    /// A value that begins with `#`: encoded values are not supported.
    EncodedValue,
}

impl std::fmt::Display for DnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty distinguished name",
            Self::TooLong => "distinguished name too long",
            Self::Incomplete => "incomplete type, value pair",
            Self::BadType => "invalid attribute type",
            Self::BadEscape => "corrupted escaped character",
            Self::EncodedValue => "unsupported BER encoding",
        })
    }
}

impl std::error::Error for DnError {}

impl Dn {
    /// Reads the text form, the most specific RDN first: `CN=www,OU=dev+L=here,DC=example,DC=com`.
    pub fn parse(text: &str) -> Result<Self, DnError> {
        if text.len() > MAX_DN_TEXT {
            return Err(DnError::TooLong);
        }
        if text.trim_matches(' ').is_empty() {
            return Err(DnError::Empty);
        }
        let mut parser = Parser { bytes: text.as_bytes() };
        let mut rdns = vec![Vec::new()];
        loop {
            let attribute = parser.attribute()?;
            rdns.last_mut().expect("begins with one").push(attribute);
            match parser.next() {
                None => break,
                Some(b'+') => {}
                Some(_) => rdns.push(Vec::new()),
            }
        }
        Ok(Self::from_rdns(rdns))
    }

    /// The subject of a certificate. `None` if it is empty or holds an attribute that has no name in text: such a subject
    /// equals no text.
    pub(crate) fn of_subject(subject: &X509Name<'_>) -> Option<Self> {
        let rdns: Option<Vec<Rdn>> = subject
            .iter_rdn()
            .map(|rdn| {
                rdn.iter()
                    .map(|attribute| {
                        let kind = kind_name(&attribute.attr_type().to_id_string())?.to_owned();
                        Some(Attribute { kind, value: string_bytes(attribute.attr_value())? })
                    })
                    .collect()
            })
            .collect();
        let mut rdns: Vec<Rdn> = rdns?.into_iter().filter(|rdn| !rdn.is_empty()).collect();
        rdns.reverse();
        if rdns.is_empty() { None } else { Some(Self::from_rdns(rdns)) }
    }

    fn from_rdns(mut rdns: Vec<Rdn>) -> Self {
        rdns.iter_mut().for_each(|rdn| rdn.sort());
        Self { rdns }
    }

    /// Whether both have the same RDNs, in any order.
    pub fn matches(&self, other: &Self) -> bool {
        self.rdns.len() == other.rdns.len() && sorted(&self.rdns) == sorted(&other.rdns)
    }

    /// A text that two names share exactly if they are equal.
    pub fn ordered(&self) -> String {
        text(self.rdns.iter())
    }

    /// A text that two names share exactly if they match.
    pub fn any_order(&self) -> String {
        text(sorted(&self.rdns).into_iter())
    }
}

fn sorted(rdns: &[Rdn]) -> Vec<&Rdn> {
    let mut rdns: Vec<&Rdn> = rdns.iter().collect();
    rdns.sort();
    rdns
}

fn text<'a>(rdns: impl Iterator<Item = &'a Rdn>) -> String {
    let mut out = String::new();
    for (index, rdn) in rdns.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        out.push_str(separator);
        for (index, attribute) in rdn.iter().enumerate() {
            let separator = if index == 0 { "" } else { "+" };
            let _ = write!(out, "{separator}{}=", attribute.kind);
            attribute.value.iter().for_each(|&byte| push_escaped(&mut out, byte));
        }
    }
    out
}

/// Everything but plain letters, digits and a few harmless signs is written as its number: no two values look alike.
fn push_escaped(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || b".-_@:/*".contains(&byte) {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "\\{byte:02x}");
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
}

impl Parser<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(first)
    }

    fn attribute(&mut self) -> Result<Attribute, DnError> {
        let kind = self.until(b"=,+")?;
        if kind.is_empty() || self.next() != Some(b'=') {
            return Err(DnError::Incomplete);
        }
        if self.bytes.first() == Some(&b'#') {
            return Err(DnError::EncodedValue);
        }
        if !kind.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte)) {
            return Err(DnError::BadType);
        }
        let kind = kind.iter().map(|byte| char::from(byte.to_ascii_uppercase())).collect();
        Ok(Attribute { kind, value: self.until(b",+")? })
    }

    /// Reads up to one of `ends` or the end, resolves escapes, drops blanks around it that are not escaped.
    fn until(&mut self, ends: &[u8]) -> Result<Vec<u8>, DnError> {
        let mut read = Vec::new();
        // Up to here a blank belongs to the text, whatever follows.
        let mut kept = 0;
        while let Some(&byte) = self.bytes.first().filter(|byte| !ends.contains(byte)) {
            self.next();
            match byte {
                b'\\' => {
                    read.push(self.escaped()?);
                    kept = read.len();
                }
                b' ' if read.is_empty() => {}
                b' ' => read.push(byte),
                _ => {
                    read.push(byte);
                    kept = read.len();
                }
            }
        }
        read.truncate(kept);
        Ok(read)
    }

    fn escaped(&mut self) -> Result<u8, DnError> {
        let first = self.next().ok_or(DnError::BadEscape)?;
        if b" \"#+,;<=>\\".contains(&first) {
            return Ok(first);
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let second = self.next().ok_or(DnError::BadEscape)?;
        match (digit(first), digit(second)) {
            (Some(high), Some(low)) => Ok(high << 4 | low),
            _ => Err(DnError::BadEscape),
        }
    }
}

/// The text name of an attribute type.
pub(crate) fn kind_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.17" => "POSTALCODE",
        DOMAIN_COMPONENT => "DC",
        _ => return None,
    })
}

/// `DC`.
pub(crate) const DOMAIN_COMPONENT: &str = "0.9.2342.19200300.100.1.25";

/// The value of an attribute that is a string of some kind.
pub(crate) fn string_bytes(value: &x509_parser::der_parser::asn1_rs::Any<'_>) -> Option<Vec<u8>> {
    const UTF8: u32 = 12;
    const NUMERIC: u32 = 18;
    const PRINTABLE: u32 = 19;
    const TELETEX: u32 = 20;
    const IA5: u32 = 22;
    const BMP: u32 = 30;
    match value.tag().0 {
        UTF8 => std::str::from_utf8(value.data).ok().map(|text| text.as_bytes().to_vec()),
        NUMERIC | PRINTABLE | IA5 => value.data.is_ascii().then(|| value.data.to_vec()),
        TELETEX => Some(value.data.to_vec()),
        BMP => utf16(value.data),
        _ => None,
    }
}

fn utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| pair.iter().fold(0, |high, &low| high << 8 | u16::from(low))).collect();
    String::from_utf16(&units).ok().map(String::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::parse(text).unwrap()
    }

    #[test]
    fn types_have_no_case_and_blanks_around_do_not_count() {
        assert_eq!(dn("cn=a, ou = b ,O=c"), dn("CN=a,OU=b,o=c"));
        assert_ne!(dn("CN=a"), dn("CN=A"));
        assert_eq!(dn("CN=a\\ "), dn("CN=a\\20"));
        assert_ne!(dn("CN=a\\ "), dn("CN=a "));
    }

    #[test]
    fn escapes_and_their_numbers_are_the_same() {
        assert_eq!(dn(r"CN=a\,b\+c\=d\\e"), dn(r"CN=a\2cb\2bc\3dd\5ce"));
        assert_eq!(dn("CN=Žluťoučký"), dn(r"CN=\c5\bdlu\c5\a5ou\c4\8dk\c3\bd"));
        assert_eq!(dn("CN=a=b"), dn(r"CN=a\=b"));
    }

    #[test]
    fn attributes_of_one_rdn_have_no_order() {
        assert_eq!(dn("CN=a+L=b,O=c"), dn("L=b+CN=a,O=c"));
        assert_ne!(dn("CN=a+L=b,O=c"), dn("CN=a,L=b,O=c"));
        assert_ne!(dn("CN=a+CN=a+L=b"), dn("CN=a+L=b+L=b"));
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for (text, error) in [
            ("", DnError::Empty),
            ("   ", DnError::Empty),
            ("alice", DnError::Incomplete),
            ("=a", DnError::Incomplete),
            ("CN=a,", DnError::Incomplete),
            ("CN=a,,O=b", DnError::Incomplete),
            ("CN=a+", DnError::Incomplete),
            ("CN=a\\", DnError::BadEscape),
            ("CN=a\\4", DnError::BadEscape),
            ("CN=a\\zz", DnError::BadEscape),
            ("CN=#0101", DnError::EncodedValue),
            ("C N=a", DnError::BadType),
            (r"C\2cN=a", DnError::BadType),
            ("ČN=a", DnError::BadType),
        ] {
            assert_eq!(Dn::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Dn::parse(&"CN=a,".repeat(2000)), Err(DnError::TooLong));
    }

    /// Advisory 2026-13: matching by sets let `CN=A,CN=A,O=X` pass for `CN=A,O=X,OU=Y`.
    #[test]
    fn advisory_2026_13_a_repeated_rdn_counts_as_often_as_it_stands() {
        let repeated = dn("CN=A,CN=A,O=X");
        for other in ["CN=A,O=X,OU=Y", "CN=A,O=X", "CN=A,O=X,O=X", "CN=A,CN=A,CN=A", "CN=A,CN=A,O=X,O=X"] {
            assert!(!repeated.matches(&dn(other)), "{other}");
            assert!(!dn(other).matches(&repeated), "{other}");
        }
        assert!(repeated.matches(&dn("O=X,CN=A,CN=A")));
        assert_ne!(repeated, dn("O=X,CN=A,CN=A"));
    }

    #[test]
    fn the_texts_agree_with_the_comparisons() {
        let names: Vec<Dn> = [
            "CN=A",
            "CN=A,O=X",
            "O=X,CN=A",
            "CN=A,CN=A,O=X",
            "CN=A,O=X,OU=Y",
            "CN=A+O=X",
            "O=X+CN=A",
            r"CN=A\,O=X",
            r"CN=A\+O=X",
            "CN=",
            "CN=,O=",
            "CN=A\\00",
            "DC=com,DC=example",
            "DC=example,DC=com",
            "CN=a",
            "OU=A",
        ]
        .map(dn)
        .into();
        for left in &names {
            for right in &names {
                assert_eq!(left == right, left.ordered() == right.ordered(), "{left:?} {right:?}");
                assert_eq!(left.matches(right), left.any_order() == right.any_order(), "{left:?} {right:?}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}") {
            if let Ok(name) = Dn::parse(&text) {
                proptest::prop_assert_eq!(&Dn::parse(&name.ordered()).unwrap(), &name);
                proptest::prop_assert!(Dn::parse(&name.any_order()).unwrap().matches(&name));
            }
        }

        #[test]
        fn names_survive_their_text(text in r"[A-Z]{1,2}=[ -~]{0,8}([,+][A-Z]{1,2}=[a-z \\,]{0,5}){0,4}") {
            if let Ok(name) = Dn::parse(&text) {
                proptest::prop_assert_eq!(Dn::parse(&name.ordered()).unwrap(), name);
            }
        }
    }
}
