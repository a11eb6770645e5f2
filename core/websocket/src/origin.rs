//! Which web pages may connect: a browser says by `Origin` whose page it shows.

use std::fmt;

/// Scheme, host and port of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    is_https: bool,
    host: String,
    port: u16,
}

/// Why a text is no origin that can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// It is not `http://…` or `https://…`.
    NoScheme,
    /// It has no host.
    NoHost,
    /// What stands for the port is none.
    NoPort,
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "allowed origins must be absolute URLs with http or https scheme",
            Self::NoHost => "host is required",
            Self::NoPort => "the port is no number from 1 to 65535",
        })
    }
}

impl std::error::Error for OriginError {}

impl Origin {
    /// Reads one. What follows host and port does not matter; the scheme has a port of its own.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::NoScheme)?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(OriginError::NoScheme),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        Self::of(authority, is_https)
    }

    /// Host and port as `Host` says them.
    fn of(authority: &str, is_https: bool) -> Result<Self, OriginError> {
        // An address of version 6 has colons of its own, within brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.is_empty() {
            return Err(OriginError::NoHost);
        }
        let port = match port.filter(|port| !port.is_empty()) {
            None => {
                if is_https {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|&port| port > 0).ok_or(OriginError::NoPort)?,
        };
        Ok(Self { is_https, host: host.to_ascii_lowercase(), port })
    }
}

/// Whose pages may connect. Who is no browser sends no origin and is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Only pages from the host and port that is connected to (`same_origin`).
    pub same: bool,
    /// Only these, if there are any (`allowed_origins`).
    pub allowed: Vec<Origin>,
}

impl Origins {
    /// Whether a page of this origin may connect to this host, over TLS or not.
    ///
    /// # Errors
    /// With the reason for the log.
    pub(crate) fn admit(&self, origin: Option<&str>, host: &str, is_secure: bool) -> Result<(), String> {
        let Some(text) = origin.filter(|_| self.same || !self.allowed.is_empty()) else { return Ok(()) };
        let origin = Origin::parse(text).map_err(|error| format!("origin not allowed: {error}"))?;
        if self.same && Origin::of(host, is_secure).as_ref() != Ok(&origin) {
            return Err("origin not allowed: not same origin".to_owned());
        }
        if !self.allowed.is_empty() && !self.allowed.contains(&origin) {
            return Err("origin not allowed: not in the allowed list".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_has_a_port() {
        assert_eq!(Origin::parse("https://Shop.example/path"), Origin::parse("HTTPS://shop.example:443"));
        assert_ne!(Origin::parse("https://shop.example"), Origin::parse("http://shop.example:8080"));
        assert_eq!(Origin::parse("http://[::1]:80"), Origin::parse("http://[::1]"));
        assert_eq!(Origin::parse("http://eve@shop.example"), Origin::parse("http://shop.example"));
    }

    #[test]
    fn what_is_no_origin_is_told() {
        for (text, error) in [
            ("shop.example", OriginError::NoScheme),
            ("ws://shop.example", OriginError::NoScheme),
            ("null", OriginError::NoScheme),
            ("http://", OriginError::NoHost),
            ("http://:80", OriginError::NoHost),
            ("http://shop:0", OriginError::NoPort),
            ("http://shop:http", OriginError::NoPort),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_rules_and_what_they_admit() {
        let allowed = vec![Origin::parse("https://shop.example").unwrap()];
        let (none, same) = (Origins::default(), Origins { same: true, allowed: Vec::new() });
        let (list, both) = (Origins { same: false, allowed: allowed.clone() }, Origins { same: true, allowed });
        // Origin; then what the host `shop.example` over TLS says by each rule.
        for (origin, verdicts) in [
            (None, [true, true, true, true]),
            (Some("https://shop.example"), [true, true, true, true]),
            (Some("https://SHOP.example:443"), [true, true, true, true]),
            (Some("http://shop.example"), [true, false, false, false]),
            (Some("https://evil.example"), [true, false, false, false]),
            (Some("https://shop.example.evil.example"), [true, false, false, false]),
            (Some("null"), [true, false, false, false]),
        ] {
            let said = [&none, &same, &list, &both].map(|rule| rule.admit(origin, "shop.example", true).is_ok());
            assert_eq!(said, verdicts, "{origin:?}");
        }
        let said = [&same, &list, &both].map(|rule| rule.admit(Some("https://shop.example"), "other", true).is_ok());
        assert_eq!(said, [false, true, false], "another host");
    }
}
