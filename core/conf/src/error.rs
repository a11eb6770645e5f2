//! What can be wrong with a text. Always the author's fault; the place says where.

use std::fmt;

use crate::Place;
use crate::limits::{MAX_DEPTH, MAX_FILE_BYTES, MAX_INCLUDE_DEPTH, MAX_INCLUDES, MAX_NODES, MAX_VARIABLE_DEPTH};

/// One thing that is wrong. `Display` is the reference server's sentence, without the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says it in its text")]
pub enum Fault {
    Syntax(Unexpected),
    KeyWithoutValue,
    NotUtf8,
    StringNotUtf8,
    FileTooLarge,
    TooDeep,
    TooManyNodes,
    IntegerRange { text: String },
    NotAnInteger { text: String },
    FloatRange { text: String },
    NotADatetime { text: String },
    UnknownVariable { name: String },
    BadVariable { name: String, inner: Box<Fault>, inner_line: u32 },
    VariableCycle { name: String },
    VariableTooDeep { name: String },
    Unreadable { file: String, why: String },
    IncludeTooDeep { file: String },
    TooManyIncludes { file: String },
    InIncluded { file: String, inner: Box<Error> },
}

/// A character, or the end, where the grammar does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says it in its text")]
pub enum Unexpected {
    End,
    EndInBlock,
    EndInMap,
    EndInMapKey,
    EndInQuotedMapKey,
    EndInDoubleQuotedMapKey,
    EndInQuotedInclude,
    EndInDoubleQuotedInclude,
    AfterTopValue(Option<char>),
    AfterBlockValue(Option<char>),
    AfterBlock(Option<char>),
    AfterMapValue(Option<char>),
    AfterArrayValue(Option<char>),
    KeySeparator(char),
    KeySeparatorInMap(char),
    ArrayEndInMap,
    MapTerminator(char),
    ArrayTerminator,
    NewLineForValue,
    IncludeOf(&'static str),
    Escape(Option<char>),
    HexEscape(String),
    HexEscapeLineEnd,
    LeadingPoint,
    LeadingPointOfNegative,
    NoDigit(Option<char>),
    NoFraction(Option<char>),
    DateForm,
    DateDigit(Option<char>),
    DateChar(char, Option<char>),
}

impl Error {
    /// What to do about it, where the sentence does not say it.
    pub const fn remedy(&self) -> Option<&'static str> {
        match &self.fault {
            Fault::Syntax(unexpected) => unexpected.remedy(),
            Fault::InIncluded { inner, .. } => match &inner.fault {
                Fault::Syntax(unexpected) => unexpected.remedy(),
                _ => None,
            },
            Fault::UnknownVariable { .. } => Some("define the key above this line or set it in the environment"),
            _ => None,
        }
    }
}

impl Unexpected {
    const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::AfterMapValue(Some(_)) | Self::AfterArrayValue(Some(_)) => {
                Some("a comma or a newline is missing before this place")
            }
            Self::AfterTopValue(Some(_)) | Self::AfterBlockValue(Some(_)) => {
                Some("a newline, comma or semicolon is missing before this place")
            }
            Self::AfterMapValue(None) | Self::EndInMap => Some("a closing '}' is missing"),
            Self::AfterArrayValue(None) => Some("a closing ']' is missing"),
            Self::MapTerminator(_) => Some("the key has no value"),
            Self::EndInBlock => Some("the closing ')' must stand alone on its line"),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.write(f, &self.place)
    }
}

impl std::error::Error for Error {}

impl Fault {
    fn write(&self, f: &mut fmt::Formatter<'_>, place: &Place) -> fmt::Result {
        let line = place.line;
        match self {
            Self::Syntax(unexpected) => write!(f, "Parse error on line {line}: '{unexpected}'"),
            Self::KeyWithoutValue => write!(f, "config is invalid ({place})"),
            Self::NotUtf8 => f.write_str("the file is not valid UTF-8"),
            Self::StringNotUtf8 => f.write_str("the escapes of this string are not valid UTF-8"),
            Self::FileTooLarge => write!(f, "the file is larger than {MAX_FILE_BYTES} bytes"),
            Self::TooDeep => write!(f, "maps and arrays are nested deeper than {MAX_DEPTH}"),
            Self::TooManyNodes => write!(f, "the configuration has more than {MAX_NODES} values"),
            Self::IntegerRange { text } => write!(f, "integer '{text}' is out of the range"),
            Self::NotAnInteger { text } => write!(f, "expected integer, but got '{text}'"),
            Self::FloatRange { text } => write!(f, "float '{text}' is out of the range"),
            Self::NotADatetime { text } => write!(f, "expected Zulu formatted DateTime, but got '{text}'"),
            Self::UnknownVariable { name } => {
                write!(f, "variable reference for '{name}' on line {line} can not be found")
            }
            Self::BadVariable { name, inner, inner_line } => {
                write!(f, "variable reference for '{name}' on line {line} could not be parsed: ")?;
                inner.write(f, &Place::new("", *inner_line, 0))
            }
            Self::VariableCycle { name } => write!(f, "variable reference cycle for '{name}'"),
            Self::VariableTooDeep { name } => {
                write!(f, "variable '{name}' refers to others more than {MAX_VARIABLE_DEPTH} deep")
            }
            Self::Unreadable { file, why } => write!(f, "error parsing include file '{file}', {why}"),
            Self::IncludeTooDeep { file } => {
                write!(f, "error parsing include file '{file}', files are included more than {MAX_INCLUDE_DEPTH} deep")
            }
            Self::TooManyIncludes { file } => {
                write!(f, "error parsing include file '{file}', more than {MAX_INCLUDES} files are included")
            }
            Self::InIncluded { file, inner } => write!(f, "error parsing include file '{file}', {inner}"),
        }
    }
}

/// How a character is shown: a line break as `\n`, the end of the text as a word.
struct Shown(Option<char>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some('\n') => f.write_str("\\n"),
            Some(other) => write!(f, "{other}"),
            None => f.write_str("EOF"),
        }
    }
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("Unexpected EOF."),
            Self::EndInBlock => f.write_str("Unexpected EOF processing block."),
            Self::EndInMap => f.write_str("Unexpected EOF processing map."),
            Self::EndInMapKey => f.write_str("Unexpected EOF processing map key."),
            Self::EndInQuotedMapKey => f.write_str("Unexpected EOF processing quoted map key."),
            Self::EndInDoubleQuotedMapKey => f.write_str("Unexpected EOF processing double quoted map key."),
            Self::EndInQuotedInclude => f.write_str("Unexpected EOF in quoted include"),
            Self::EndInDoubleQuotedInclude => f.write_str("Unexpected EOF in double quoted include"),
            Self::AfterTopValue(got) => write!(
                f,
                "Expected a top-level value to end with a new line, comment or EOF, but got '{}' instead.",
                Shown(*got)
            ),
            Self::AfterBlockValue(got) => write!(
                f,
                "Expected a block-level value to end with a new line, comment or EOF, but got '{}' instead.",
                Shown(*got)
            ),
            Self::AfterBlock(got) => {
                write!(f, "Expected a block-level to end with a '}}', but got '{}' instead.", Shown(*got))
            }
            Self::AfterMapValue(got) => write!(
                f,
                "Expected a map value terminator \",\" or a map terminator \"}}\", but got '{}' instead.",
                Shown(*got)
            ),
            Self::AfterArrayValue(got) => write!(
                f,
                "Expected an array value terminator \",\" or an array terminator \"]\", but got '{}' instead.",
                Shown(*got)
            ),
            Self::KeySeparator(got) => write!(f, "Unexpected key separator '{got}'"),
            Self::KeySeparatorInMap(got) => write!(f, "Unexpected key separator '{got}'."),
            Self::ArrayEndInMap => f.write_str("Unexpected array end ']' processing map."),
            Self::MapTerminator(got) => write!(f, "Unexpected map value terminator \"{got}\"."),
            Self::ArrayTerminator => f.write_str("Unexpected array value terminator ','."),
            Self::NewLineForValue => f.write_str("Expected value but found new line"),
            Self::IncludeOf(what) => write!(f, "Expected include value but found {what}"),
            Self::Escape(got) => write!(
                f,
                "Invalid escape character '{}'. Only the following escape characters are allowed: \
                 \\xXX, \\t, \\n, \\r, \\\", \\\\.",
                Shown(*got)
            ),
            Self::HexEscape(got) => write!(f, "Expected two hexadecimal digits after '\\x', but got '{got}'"),
            Self::HexEscapeLineEnd => f.write_str("Expected two hexadecimal digits after '\\x', but hit end of line"),
            Self::LeadingPoint => f.write_str("Floats must start with a digit"),
            Self::LeadingPointOfNegative => f.write_str("Floats must start with a digit, not '.'."),
            Self::NoDigit(got) => write!(f, "Expected a digit but got '{}'.", Shown(*got)),
            Self::NoFraction(got) => {
                write!(f, "Floats must have a digit after the '.', but got '{}' instead.", Shown(*got))
            }
            Self::DateForm => f.write_str("All ISO8601 dates must be in full Zulu form."),
            Self::DateDigit(got) => {
                write!(f, "Expected digit in ISO8601 datetime, but found '{}' instead.", Shown(*got))
            }
            Self::DateChar(wanted, got) => {
                write!(f, "Expected '{wanted}' in ISO8601 datetime, but found '{}' instead.", Shown(*got))
            }
        }
    }
}
