//! What differs from one run to the next gets a name, so that two transcripts can be compared as text.

/// Values that belong to one run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Client ids and the connections they belong to.
    pub clients: Vec<(String, String)>,
    /// The port of the server.
    pub port: u16,
}

/// JSON members whose value is a number or a text of this run alone.
const VOLATILE: [&str; 18] = [
    "server_id",
    "version",
    "ver",
    "go",
    "xkey",
    "nonce",
    "rtt",
    "ts",
    "time",
    "timestamp",
    "start",
    "stop",
    "seq",
    "expires",
    "jti",
    "iat",
    "exp",
    "id",
];
/// Members that are only one side's: the commit of the reference and its feature switches, our own version.
const DROPPED: [&str; 3] = ["git_commit", "bulwark", "feature_flags"];
/// Beginnings of generated subjects and how many random tokens follow.
const GENERATED: [(&str, usize); 2] = [("_R_.", 2), ("$SYS._INBOX.", 2)];

/// The bytes of an operation with everything that belongs to this run replaced.
pub fn normal(operation: &[u8], run: &Run) -> Vec<u8> {
    let mut text = operation.to_vec();
    for name in DROPPED {
        text = without_member(&text, name);
    }
    for name in VOLATILE {
        text = replace_member(&text, name, |_| format!("\"<{name}>\""));
    }
    text =
        replace_member(
            &text,
            "port",
            |value| if value == run.port.to_string() { "\"<port>\"".into() } else { value.into() },
        );
    for name in ["client_id", "cid"] {
        text = replace_member(&text, name, |value| format!("\"<{}>\"", client_name(value, run)));
    }
    for (prefix, tokens) in GENERATED {
        text = replace_generated(&text, prefix, tokens);
    }
    text = hide_encoded(text);
    text = replace_keys(&text);
    text = replace_all(&text, format!(":{}", run.port).as_bytes(), b":<port>");
    hide_sizes(operation, text)
}

fn client_name(value: &str, run: &Run) -> String {
    run.clients.iter().find(|(id, _)| id == value).map_or("cid".to_owned(), |(_, who)| who.clone())
}

/// The value after `"name":`, when it is a number, a text or a flat object: its first and last position.
fn member(text: &[u8], name: &str, from: usize) -> Option<(usize, usize, usize)> {
    let key = format!("\"{name}\":");
    let key_at = from + find(&text[from..], key.as_bytes())?;
    let start = key_at + key.len();
    let end = match text.get(start)? {
        b'"' => start + 2 + text[start + 1..].iter().position(|&byte| byte == b'"')?,
        b'{' => start + 1 + text[start..].iter().position(|&byte| byte == b'}')?,
        _ => {
            start
                + text[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(byte)).count()
        }
    };
    Some((key_at, start, end))
}

fn replace_member(text: &[u8], name: &str, mut value: impl FnMut(&str) -> String) -> Vec<u8> {
    let mut out = text.to_vec();
    let mut from = 0;
    while let Some((_, start, end)) = member(&out, name, from) {
        if start == end {
            from = end;
            continue;
        }
        let new = value(&String::from_utf8_lossy(&out[start..end]));
        from = start + new.len();
        out.splice(start..end, new.into_bytes());
    }
    out
}

fn without_member(text: &[u8], name: &str) -> Vec<u8> {
    let mut out = text.to_vec();
    while let Some((start, _, end)) = member(&out, name, 0) {
        let before = start.checked_sub(1).filter(|&at| out[at] == b',');
        let after = (before.is_none() && out.get(end) == Some(&b',')).then_some(end + 1);
        out.drain(before.unwrap_or(start)..after.unwrap_or(end));
    }
    out
}

fn replace_generated(text: &[u8], prefix: &str, tokens: usize) -> Vec<u8> {
    let mut out = text.to_vec();
    let mut from = 0;
    while let Some(at) = find(&out[from..], prefix.as_bytes()) {
        let start = from + at + prefix.len();
        let mut end = start;
        for token in 0..tokens {
            let dot = usize::from(token > 0 && out.get(end) == Some(&b'.'));
            let letters = out[end + dot..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            if letters == 0 {
                break;
            }
            end += dot + letters;
        }
        let new: &[u8] = if end == start { b"" } else { b"<generated>" };
        out.splice(start..end, new.iter().copied());
        from = start + new.len();
    }
    out
}

/// A compressed body says nothing when it is compared as bytes; its header says how it was compressed.
fn hide_encoded(mut text: Vec<u8>) -> Vec<u8> {
    let header = find(&text, b"\r\nContent-Encoding: ");
    if let Some(end) = header.and_then(|at| Some(at + find(&text[at..], b"\r\n\r\n")? + 4)) {
        text.truncate(end);
        text.extend_from_slice(b"<encoded>\r\n");
    }
    text
}

/// Public keys of servers, which name nodes.
fn replace_keys(text: &[u8]) -> Vec<u8> {
    const CHARS: usize = 56;
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let run = text[at..].iter().take_while(|&&byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')).count();
        if run == CHARS && matches!(text[at], b'N' | b'X') {
            out.extend_from_slice(b"<server>");
        } else {
            out.extend_from_slice(&text[at..at + run]);
        }
        at += run;
        out.extend(text.get(at));
        at += 1;
    }
    out
}

fn replace_all(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// When the body of a message changed, its sizes belong to this run too.
fn hide_sizes(original: &[u8], text: Vec<u8>) -> Vec<u8> {
    let sizes = match original {
        [b'M', b'S', b'G', b' ', ..] => 1,
        [b'H', b'M', b'S', b'G', b' ', ..] => 2,
        _ => return text,
    };
    let (Some(old), Some(new)) = (line_end(original), line_end(&text)) else { return text };
    if original[old..] == text[new..] {
        return text;
    }
    let head = String::from_utf8_lossy(&text[..new]).into_owned();
    // The reference leaves two blanks where a message of its own has no reply.
    let mut words: Vec<&str> = head.split(' ').filter(|word| !word.is_empty()).collect();
    let keep = words.len().saturating_sub(sizes);
    words.truncate(keep);
    words.extend(std::iter::repeat_n("<size>", sizes));
    let mut out = words.join(" ").into_bytes();
    out.extend_from_slice(&text[new..]);
    out
}

fn line_end(text: &[u8]) -> Option<usize> {
    find(text, b"\r\n")
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(operation: &str) -> String {
        let run = Run { clients: vec![("7".into(), "a".into())], port: 4333 };
        String::from_utf8(normal(operation.as_bytes(), &run)).unwrap()
    }

    #[test]
    fn members_of_one_run_get_names() {
        assert_eq!(
            shown(
                r#"INFO {"server_id":"NABC","version":"2.15.1","git_commit":"b2f","proto":1,"port":4333,"client_id":7}"#
            ),
            r#"INFO {"server_id":"<server_id>","version":"<version>","proto":1,"port":"<port>","client_id":"<a>"}"#
        );
    }

    #[test]
    fn our_own_member_is_dropped_at_either_end() {
        assert_eq!(shown(r#"INFO {"proto":1,"bulwark":"0.1.0"} "#), r#"INFO {"proto":1} "#);
        assert_eq!(shown(r#"INFO {"bulwark":"0.1.0","proto":1} "#), r#"INFO {"proto":1} "#);
    }

    #[test]
    fn sizes_are_hidden_only_when_the_body_changed() {
        assert_eq!(shown("MSG a 1 2\r\nhi\r\n"), "MSG a 1 2\r\nhi\r\n");
        assert_eq!(shown("MSG a 1 10\r\n{\"rtt\":123}\r\n"), "MSG a 1 <size>\r\n{\"rtt\":\"<rtt>\"}\r\n");
    }

    #[test]
    fn a_compressed_body_is_hidden() {
        let found = shown("HMSG a 1 36 38\r\nNATS/1.0\r\nContent-Encoding: gzip\r\n\r\n\u{1}\u{2}\r\n");
        assert_eq!(found, "HMSG a 1 <size> <size>\r\nNATS/1.0\r\nContent-Encoding: gzip\r\n\r\n<encoded>\r\n");
    }

    #[test]
    fn generated_subjects_keep_their_beginning() {
        assert_eq!(shown("MSG a 1 _R_.mtvCuo.dYiuZN 2\r\nhi\r\n"), "MSG a 1 _R_.<generated> 2\r\nhi\r\n");
        assert_eq!(shown("-ERR '_R_.'"), "-ERR '_R_.'");
    }
}
