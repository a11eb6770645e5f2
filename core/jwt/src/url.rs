//! As much of URLs as claims are checked for.

/// The scheme, if the text has one.
pub(crate) fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut letters = scheme.chars();
    let fits = letters.next()?.is_ascii_alphabetic()
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    (fits && !text.contains(|letter: char| letter.is_ascii_control() || letter == ' ')).then_some(scheme)
}

/// The host of `scheme://host…`.
pub(crate) fn host(text: &str) -> Option<&str> {
    scheme(text)?;
    let (_, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = if host.starts_with('[') { host } else { host.split(':').next()? };
    (!host.is_empty()).then_some(host)
}

/// A place where clients connect: a known protocol, no credentials, no path.
pub(crate) fn check_service(text: &str) -> Result<(), &'static str> {
    let scheme = scheme(text).ok_or("not a url")?;
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    if rest.contains('@') {
        return Err("credentials are not supported");
    }
    if rest.contains('/') {
        return Err("paths are not supported");
    }
    let known = ["nats", "tls", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if known { Ok(()) } else { Err("protocol not supported (only 'nats', 'tls', 'ws', 'wss' only)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_hosts() {
        assert_eq!(scheme("https://a.b/c"), Some("https"));
        for odd in ["", "a.b", "://a", "1a:b", "a b://c"] {
            assert_eq!(scheme(odd), None, "{odd}");
        }
        assert_eq!(host("http://u:p@a.b:80/c"), Some("a.b"));
        assert_eq!(host("http:///c"), None);
        assert_eq!(host("mailto:a"), None);
    }

    #[test]
    fn services_have_a_known_protocol_and_nothing_more() {
        assert_eq!(check_service("nats://a.b:4222"), Ok(()));
        assert_eq!(check_service("WSS://a"), Ok(()));
        for odd in ["http://a", "nats://u@a", "nats://a/b", "a"] {
            assert!(check_service(odd).is_err(), "{odd}");
        }
    }
}
