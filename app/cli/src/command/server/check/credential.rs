//! `nats server check credential`.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

use crate::command::server::check::outcome::{Metric, Outcome};
use crate::global::negatable;
use crate::parse::duration;
use crate::show::humanize;

negatable! {
    /// Critical when the credential never expires
    RequireExpiry, "require-expiry", "no-require-expiry", true
}

/// Check how long a credential is valid
#[derive(Args, Debug)]
pub(crate) struct Credential {
    /// File with the credential
    #[arg(long, value_name = "FILE")]
    credential: String,
    /// Warn when it expires sooner
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    validity_warn: Option<Duration>,
    /// Critical when it expires sooner
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    validity_critical: Option<Duration>,
    #[command(flatten)]
    require_expiry: RequireExpiry,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    exp: i64,
}

impl Credential {
    pub(crate) fn run(&self, outcome: &mut Outcome) -> Result<()> {
        let content = match std::fs::read(&self.credential) {
            Ok(content) => content,
            Err(error) => {
                outcome.critical(format!("credential not accessible: {error}"));
                return Ok(());
            }
        };
        match claims(&content) {
            Ok(claims) => self.judge(claims.exp, Timestamp::now(), outcome),
            Err(error) => outcome.critical(format!("invalid credential: {error:#}")),
        }
        Ok(())
    }

    fn judge(&self, expires: i64, now: Timestamp, outcome: &mut Outcome) {
        let left = expires.saturating_sub(now.as_second());
        let limit = |limit: Option<Duration>| limit.unwrap_or_default().as_secs_f64();
        outcome.metric(Metric {
            help: "Expiry time in seconds",
            name: "expiry".to_owned(),
            value: left as f64,
            warning: limit(self.validity_warn),
            critical: limit(self.validity_critical),
            unit: "s",
        });
        let is_within = |limit: Option<Duration>| limit.filter(|limit| left as f64 <= limit.as_secs_f64());
        if expires == 0 && self.require_expiry.is_on() {
            outcome.critical("never expires");
        } else if expires == 0 {
            outcome.ok("never expires");
        } else if let Some(limit) = is_within(self.validity_critical) {
            outcome.critical(format!("expires sooner than {}", humanize(limit)));
        } else if let Some(limit) = is_within(self.validity_warn) {
            outcome.warn(format!("expires sooner than {}", humanize(limit)));
        } else if left <= 0 {
            outcome.critical(format!("expired at {}", utc(expires)));
        } else {
            outcome.ok(format!("expires in {}", utc(expires)));
        }
    }
}

/// The claims of a JWT, plain or decorated. The signature is the server's business.
fn claims(content: &[u8]) -> Result<Claims> {
    let jwt = nkeys::undecorate_jwt(content).context("no JWT found")?;
    let body = jwt.trim().split('.').nth(1).context("not a JWT")?;
    let json = BASE64URL_NOPAD.decode(body.trim_end_matches('=').as_bytes()).context("not a JWT")?;
    serde_json::from_slice(&json).context("the claims are not valid")
}

fn utc(seconds: i64) -> String {
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    at.to_zoned_datetime(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(warn: Option<u64>, critical: Option<u64>) -> Credential {
        Credential {
            credential: String::new(),
            validity_warn: warn.map(Duration::from_secs),
            validity_critical: critical.map(Duration::from_secs),
            require_expiry: clap_default(),
        }
    }

    fn clap_default() -> RequireExpiry {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            flag: RequireExpiry,
        }
        <Only as clap::Parser>::parse_from(["x"]).flag
    }

    #[test]
    fn time_left_decides() {
        let now = Timestamp::from_second(1_000).unwrap();
        let code = |check: Credential, expires| {
            let mut outcome = Outcome::new("Credential", "credential");
            check.judge(expires, now, &mut outcome);
            outcome.status().code()
        };
        assert_eq!(code(check(Some(100), Some(10)), 2_000), 0);
        assert_eq!(code(check(Some(100), Some(10)), 1_050), 1);
        assert_eq!(code(check(Some(100), Some(10)), 1_005), 2);
        assert_eq!(code(check(None, None), 900), 2, "an expired credential is never fine");
        assert_eq!(code(check(None, None), 0), 2);
    }
}
