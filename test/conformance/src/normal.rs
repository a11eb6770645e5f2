//! What differs from one run to the next gets a name, so that two transcripts can be compared as text.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;

use crate::json::{Json, Layout};

/// Values that belong to one run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Client ids and the connections they belong to.
    pub clients: Vec<(String, String)>,
    /// The port of the server.
    pub port: u16,
    /// Its monitoring port.
    pub monitor: Option<u16>,
    /// Its WebSocket port.
    pub websocket: Option<u16>,
    /// The ports of connections and whose they are.
    pub ports: BTreeMap<u16, String>,
}

/// JSON members whose value is a number or a text of this run alone.
const VOLATILE: [&str; 44] = [
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
    "user_nkey",
    "request_nonce",
    "sig",
    "now",
    "uptime",
    "idle",
    "last_activity",
    "config_load_time",
    "mem",
    "cpu",
    "cores",
    "gomaxprocs",
    "update_time",
    "pending_bytes",
    // What a reference keeps of matches that it made.
    "num_cache",
    "num_inserts",
    "num_removes",
    "num_matches",
    "cache_hit_rate",
    "max_fanout",
    "avg_fanout",
    // Times of streams and consumers.
    "created",
    "first_ts",
    "last_ts",
    "last_active",
    "active",
];
/// The same, in a measurement of how long a service takes.
const MEASURED: [&str; 3] = ["service", "system", "total"];
/// Members that are only one side's: the commit of the reference and its feature switches, our own version.
const DROPPED: [&str; 3] = ["git_commit", "bulwark", "feature_flags"];
/// Beginnings of generated subjects and how many random tokens follow at most.
const GENERATED: [(&str, usize); 2] = [("_R_.", 4), ("$SYS._INBOX.", 2)];

/// Numbers that above a bound are nobody's promise: traffic with answers whose length varies with ids and times, and
/// subscriptions when those of the server itself are counted too.
const VAGUE: [(&str, u64); 5] =
    [("bytes", 99), ("out_bytes", 99), ("out_client_bytes", 99), ("subscriptions", 19), ("num_subscriptions", 19)];

/// The bytes of an operation with everything that belongs to this run replaced.
pub fn normal(operation: &[u8], run: &Run) -> Vec<u8> {
    hide_sizes(operation, tidy_body(without_run(operation, run)))
}

/// A page as text, with everything that belongs to this run replaced. Its first line says how JSON is laid out, if it is
/// JSON; what follows is then shown with two blanks a level.
pub fn normal_page(page: &[u8], run: &Run) -> String {
    let original = String::from_utf8_lossy(page);
    let layout = Json::parse(&original).map(|json| match json.layout_of(&original) {
        Some(Layout::OneLine) => "(on one line)\n".to_owned(),
        Some(Layout::Indented(blanks)) => format!("({blanks} blanks)\n"),
        None => "(in a layout of its own)\n".to_owned(),
    });
    // A page with tokens is no JSON any more once the claims are shown, so it is tidied before.
    let tidied =
        find(page, b"eyJ").and_then(|_| tidy(&original)).map(|json| json.written(Layout::Indented(2)).into_bytes());
    let text = String::from_utf8_lossy(&without_run(tidied.as_deref().unwrap_or(page), run)).into_owned();
    let shown = tidy(&text).map(|json| json.written(Layout::Indented(2)));
    layout.unwrap_or_default() + &shown.unwrap_or(text)
}

/// A document in which everything stands where it always stands.
fn tidy(text: &str) -> Option<Json> {
    let mut json = Json::parse(text)?;
    let is_vague = |name: &str, count: u64| VAGUE.iter().any(|(vague, most)| name == *vague && count > *most);
    json.tidy(&|name, count| is_vague(name, count).then(|| "<many>".to_owned()));
    Some(json)
}

/// The same for the body of a message.
fn tidy_body(text: Vec<u8>) -> Vec<u8> {
    let Some(start) = find(&text, b"\r\n{").map(|at| at + 2).filter(|_| text.starts_with(b"MSG ")) else { return text };
    let Some(body) = std::str::from_utf8(&text[start..]).ok().and_then(|body| body.strip_suffix("\r\n")) else {
        return text;
    };
    let Some(json) = tidy(body) else { return text };
    [&text[..start], json.written(Layout::OneLine).as_bytes(), b"\r\n"].concat()
}

fn without_run(original: &[u8], run: &Run) -> Vec<u8> {
    let mut text = unfolded(original);
    for name in DROPPED {
        text = without_member(&text, name);
    }
    let measured = find(&text, b"io.nats.server.metric.v1.service_latency").map_or(&[][..], |_| &MEASURED);
    for name in VOLATILE.iter().chain(measured) {
        text = replace_member(&text, name, |_| format!("\"<{name}>\""));
    }
    for name in ["port", "http_port"] {
        text = replace_member(&text, name, |value| match value {
            // The reference shows what is written where any port will do.
            "-1" => "\"<monitor>\"".into(),
            port => port_name(port, run).unwrap_or(port.into()),
        });
    }
    for name in ["client_id", "cid"] {
        text = replace_member(&text, name, |value| format!("\"<{}>\"", client_name(value, run)));
    }
    text = hide_ack_times(&text);
    for (prefix, tokens) in GENERATED {
        text = replace_generated(&text, prefix, tokens);
    }
    text = hide_encoded(text);
    text = replace_keys(&text);
    replace_all(&text, format!(":{}", run.port).as_bytes(), b":<port>")
}

/// What a port is called, if it is one of this run.
fn port_name(value: &str, run: &Run) -> Option<String> {
    let port: u16 = value.parse().ok()?;
    match run.ports.get(&port) {
        _ if port == run.port => Some("\"<port>\"".into()),
        _ if Some(port) == run.monitor => Some("\"<monitor>\"".into()),
        _ if Some(port) == run.websocket => Some("\"<websocket>\"".into()),
        whose => whose.map(|who| format!("\"<port of {who}>\"")),
    }
}

fn client_name(value: &str, run: &Run) -> String {
    run.clients.iter().find(|(id, _)| id == value).map_or("cid".to_owned(), |(_, who)| who.clone())
}

/// The value after `"name":`, when it is a number, a text or a flat object: its first and last position.
fn member(text: &[u8], name: &str, from: usize) -> Option<(usize, usize, usize)> {
    let key = format!("\"{name}\":");
    let key_at = from + find(&text[from..], key.as_bytes())?;
    let mut start = key_at + key.len();
    start += usize::from(text.get(start) == Some(&b' '));
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
        let blank = out[..start].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
        let before = (start - blank).checked_sub(1).filter(|&at| out[at] == b',');
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

/// When a delivered message was stored: the sixth token behind `$JS.ACK.`, in nanoseconds.
fn hide_ack_times(text: &[u8]) -> Vec<u8> {
    const PREFIX: &[u8] = b"$JS.ACK.";
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, PREFIX) {
        let (before, behind) = rest.split_at(at + PREFIX.len());
        out.extend_from_slice(before);
        let end = behind.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(behind.len());
        let (subject, after) = behind.split_at(end);
        let tokens: Vec<&[u8]> = subject.split(|&byte| byte == b'.').collect();
        let shown = tokens.iter().enumerate().map(|(at, token)| if at == 5 { b"<time>".as_slice() } else { token });
        out.extend_from_slice(&shown.collect::<Vec<_>>().join(&b'.'));
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// Tokens as the claims in them: nobody can read a token, and its signature belongs to this run.
fn unfolded(text: &[u8]) -> Vec<u8> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, b"eyJ") {
        let end = at + rest[at..].iter().take_while(|&&byte| is_token(byte)).count();
        out.extend_from_slice(&rest[..at]);
        match claims_of(&rest[at..end]) {
            Some(claims) => out.extend([&b"<token "[..], &claims, b">"].concat()),
            None => out.extend_from_slice(&rest[at..end]),
        }
        rest = &rest[end..];
    }
    out.extend_from_slice(rest);
    out
}

fn claims_of(token: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = token.split(|&byte| byte == b'.').collect();
    let [_, claims, _] = parts[..] else { return None };
    let claims = BASE64URL_NOPAD.decode(claims).ok()?;
    // A token may hold another one.
    Some(unfolded(&claims))
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

/// When the body of a message changed, its sizes belong to this run too. Blanks in a row are one.
fn hide_sizes(original: &[u8], text: Vec<u8>) -> Vec<u8> {
    let sizes = match original {
        [b'M', b'S', b'G', b' ', ..] => 1,
        [b'H', b'M', b'S', b'G', b' ', ..] => 2,
        _ => return text,
    };
    let (Some(old), Some(new)) = (line_end(original), line_end(&text)) else { return text };
    let head = String::from_utf8_lossy(&text[..new]).into_owned();
    // The reference leaves two blanks where a message of its own has no reply.
    let mut words: Vec<&str> = head.split(' ').filter(|word| !word.is_empty()).collect();
    if original[old..] != text[new..] {
        words.truncate(words.len().saturating_sub(sizes));
        words.extend(std::iter::repeat_n("<size>", sizes));
    }
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
        let run = Run { clients: vec![("7".into(), "a".into())], port: 4333, ..Run::default() };
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
    fn tokens_are_shown_as_their_claims() {
        let token = jwt::testing::Chain::new("acme").account("shop").user("joe").token();
        let text = shown(&format!("MSG a 1 {}\r\n{token}\r\n", token.len()));
        assert!(
            text.starts_with(r#"MSG a 1 <size>"#) && text.contains(r#"<token {"jti":"<jti>","iat":"<iat>""#),
            "{text}"
        );
        assert_eq!(shown("MSG a 1  10\r\neyJno.token\r\n"), "MSG a 1 10\r\neyJno.token\r\n");
    }

    #[test]
    fn a_page_may_have_blanks() {
        let run = Run { monitor: Some(8222), ports: [(999, "b".into())].into(), ..Run::default() };
        let page = "{\n  \"port\": 999,\n  \"go\": \"x\",\n  \"git_commit\": \"y\",\n  \"http_port\": 8222\n}";
        let expected =
            "(2 blanks)\n{\n  \"port\": \"<port of b>\",\n  \"go\": \"<go>\",\n  \"http_port\": \"<monitor>\"\n}";
        assert_eq!(normal_page(page.as_bytes(), &run), expected);
        assert_eq!(normal_page(b"{\"a\":1}", &run), "(on one line)\n{\n  \"a\": 1\n}");
        assert_eq!(normal_page(b"no JSON", &run), "no JSON");
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
    fn acknowledgements_do_not_tell_when_a_message_was_stored() {
        let text = shown("MSG o.1 1 $JS.ACK.O.c.1.1.1.1795993740534611052.0 3\r\none\r\n");
        assert_eq!(text, "MSG o.1 1 $JS.ACK.O.c.1.1.1.<time>.0 3\r\none\r\n");
    }

    #[test]
    fn generated_subjects_keep_their_beginning() {
        assert_eq!(shown("MSG a 1 _R_.mtvCuo.dYiuZN 2\r\nhi\r\n"), "MSG a 1 _R_.<generated> 2\r\nhi\r\n");
        assert_eq!(shown("-ERR '_R_.'"), "-ERR '_R_.'");
    }
}
