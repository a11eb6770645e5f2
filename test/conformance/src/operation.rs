//! Where an operation of the server ends, and how bytes are shown.

/// The length of the first whole operation in the bytes, if there is one.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.iter().position(|&byte| byte == b'\n')? + 1;
    let whole = head + body_length(&bytes[..head]);
    (bytes.len() >= whole).then_some(whole)
}

fn body_length(head: &[u8]) -> usize {
    if !head.starts_with(b"MSG ") && !head.starts_with(b"HMSG ") {
        return 0;
    }
    let head = String::from_utf8_lossy(head);
    let size = head.split_whitespace().last().and_then(|size| size.parse::<usize>().ok());
    size.map_or(0, |size| size + b"\r\n".len())
}

/// Runs of one byte longer than this are shown by their length.
const LONG_RUN: usize = 100;

/// Bytes as one line of printable text.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in bytes.chunk_by(|one, next| one == next) {
        let letter = shown_byte(run[0]);
        if run.len() > LONG_RUN {
            text.push_str(&format!("<{letter} {} times>", run.len()));
        } else {
            text.push_str(&letter.repeat(run.len()));
        }
    }
    text
}

fn shown_byte(byte: u8) -> String {
    match byte {
        b'\r' => "\\r".into(),
        b'\n' => "\\n".into(),
        b'\t' => "\\t".into(),
        b'\\' => "\\\\".into(),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    }
}

/// A message without its subscription id: two deliveries of one message are alike in this.
pub(crate) fn without_sid(operation: &[u8]) -> Option<Vec<u8>> {
    if !operation.starts_with(b"MSG ") && !operation.starts_with(b"HMSG ") {
        return None;
    }
    let words: Vec<&[u8]> = operation.splitn(4, |&byte| byte == b' ').collect();
    let [verb, subject, _, rest] = words[..] else { return None };
    Some([verb, subject, rest].join(&b' '))
}

/// The reply of a message that has one.
pub(crate) fn reply(operation: &[u8]) -> Option<String> {
    let sizes = match operation.split(|&byte| byte == b' ').next()? {
        b"MSG" => 1,
        b"HMSG" => 2,
        _ => return None,
    };
    let head = operation.split(|&byte| byte == b'\r').next()?;
    let words: Vec<_> = head.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).collect();
    // Verb, subject and subscription id before it, sizes after it.
    let reply = words.get(3).filter(|_| words.len() == 4 + sizes)?;
    Some(String::from_utf8_lossy(reply).into_owned())
}

/// The bytes a sent text stands for. `None` when an escape is not one.
pub(crate) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&kind, after) = rest.split_first()?;
        rest = after;
        match kind {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &rest[2..];
            }
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_after_its_payload_and_everything_else_with_its_line() {
        assert_eq!(length(b"PONG\r\nMSG"), Some(6));
        assert_eq!(length(b"MSG a 1 4\r\na\r\nb\r\nPONG"), Some(17));
        assert_eq!(length(b"MSG a 1 4\r\na\r\nb"), None);
        assert_eq!(length(b"PON"), None);
    }

    #[test]
    fn the_reply_stands_between_the_subscription_and_the_sizes() {
        assert_eq!(reply(b"MSG a 1 r 2\r\nhi\r\n").unwrap(), "r");
        assert_eq!(reply(b"HMSG a 1 r 2 2\r\nhi\r\n").unwrap(), "r");
        assert_eq!(reply(b"MSG a 1 2\r\nhi\r\n").or(reply(b"HMSG a 1 2 2\r\nhi\r\n")).or(reply(b"PING\r\n")), None);
    }

    #[test]
    fn what_is_shown_can_be_sent() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(unescaped(&shown(&bytes)), Some(bytes));
        assert_eq!(unescaped("\\q"), None);
    }

    #[test]
    fn long_runs_are_shown_by_their_length() {
        assert_eq!(shown(&[b'x'; 101]), "<x 101 times>");
        assert_eq!(shown(b"\n\n"), "\\n\\n");
    }

    #[test]
    fn deliveries_of_one_message_are_alike() {
        assert_eq!(without_sid(b"MSG a 1 r 2\r\nhi\r\n"), without_sid(b"MSG a 22 r 2\r\nhi\r\n"));
        assert_ne!(without_sid(b"MSG a 1 2\r\nhi\r\n"), without_sid(b"MSG a 1 2\r\nho\r\n"));
        assert_eq!(without_sid(b"PING\r\n"), None);
    }
}
