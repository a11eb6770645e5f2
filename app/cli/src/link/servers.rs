//! The list of servers a person gives: `a:4222,tls://b,nats://user:pass@c`.

use anyhow::{Result, anyhow};
use async_nats::ServerAddr;

/// Reads a list of servers; a scheme may be left out.
pub(crate) fn servers(list: &str) -> Result<Vec<ServerAddr>> {
    let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
    let found: Vec<ServerAddr> = parts
        .map(|part| part.parse().map_err(|error| anyhow!("invalid server url {:?}: {error}", without_password(part))))
        .collect::<Result<_>>()?;
    if found.is_empty() {
        return Err(anyhow!("no server url in {list:?}"));
    }
    Ok(found)
}

/// An address as it may be shown: without what stands before the `@`.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_ports_have_defaults() {
        let found = servers("a, tls://b:5 ,nats://u:p@c:7").unwrap();
        let shown: Vec<_> = found.iter().map(|s| (s.host(), s.port(), s.tls_required())).collect();
        assert_eq!(shown, [("a", 4222, false), ("b", 5, true), ("c", 7, false)]);
        assert!(servers(" , ").is_err());
        assert!(servers("http://x").is_err());
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("nats://u:p@c:7"), "nats://c:7");
        assert_eq!(without_password("c:7"), "c:7");
    }
}
