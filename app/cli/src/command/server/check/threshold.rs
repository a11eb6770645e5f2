//! Thresholds from flags, or from the metadata of what is checked.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

use crate::command::dig::Dig;
use crate::command::server::check::outcome::Outcome;
use crate::parse::duration;

/// What every name of a threshold in metadata begins with.
const PREFIX: &str = "io.nats.monitor.";

/// The thresholds a stream or a consumer brings along. A flag wins over them.
pub(super) struct Brought<'a>(&'a Value);

impl<'a> Brought<'a> {
    pub(super) fn by(info: &'a Value) -> Self {
        Self(info.dig("config.metadata"))
    }

    /// A number; nothing when nobody set it, or set it below 1.
    pub(super) fn whole(&self, flag: Option<i64>, name: &str) -> Result<Option<u64>> {
        let number = match (flag, self.text(name)) {
            (Some(number), _) => number,
            (None, Some(text)) => text.parse().with_context(|| format!("{PREFIX}{name} is {text:?}, not a number"))?,
            (None, None) => return Ok(None),
        };
        Ok(u64::try_from(number).ok().filter(|&number| number > 0))
    }

    /// A time; nothing when nobody set it, or set it to 0.
    pub(super) fn span(&self, flag: Option<Duration>, name: &str) -> Result<Option<Duration>> {
        let span = match (flag, self.text(name)) {
            (Some(span), _) => span,
            (None, Some(text)) => duration(text).map_err(|error| anyhow!("{PREFIX}{name}: {error}"))?,
            (None, None) => return Ok(None),
        };
        Ok(Some(span).filter(|span| !span.is_zero()))
    }

    /// Whether who made it wants it to be watched.
    pub(super) fn is_enabled(&self) -> Result<bool> {
        self.is_set(false, "enabled")
    }

    pub(super) fn is_set(&self, flag: bool, name: &str) -> Result<bool> {
        match self.text(name) {
            Some(text) if !flag => {
                text.parse().with_context(|| format!("{PREFIX}{name} is {text:?}, not true or false"))
            }
            _ => Ok(flag),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(format!("{PREFIX}{name}"))?.as_str()
    }
}

/// A value's limits; nothing means none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) warn: Option<f64>,
    pub(super) critical: Option<f64>,
}

impl Limits {
    /// Limits as flags give them, where 0 and less is none.
    pub(super) fn above_zero(warn: Option<i64>, critical: Option<i64>) -> Self {
        let limit = |limit: Option<i64>| limit.filter(|&limit| limit > 0).map(|limit| limit as f64);
        Self { warn: limit(warn), critical: limit(critical) }
    }

    /// Limits as flags give them, where only less than 0 is none.
    pub(super) fn from_zero(warn: i64, critical: i64) -> Self {
        let limit = |limit: i64| (limit >= 0).then_some(limit as f64);
        Self { warn: limit(warn), critical: limit(critical) }
    }

    pub(super) const fn is_none(self) -> bool {
        self.warn.is_none() && self.critical.is_none()
    }

    /// The pair a metric is shown with.
    pub(super) fn pair(self) -> (f64, f64) {
        (self.warn.unwrap_or(0.0), self.critical.unwrap_or(0.0))
    }

    /// A critical limit below the one that warns: too few is bad, not too many.
    pub(super) fn is_inverted(self) -> bool {
        matches!((self.warn, self.critical), (Some(warn), Some(critical)) if critical < warn)
    }

    /// Files `text` under what the value means: at the limit counts as beyond it.
    pub(super) fn judge(self, value: f64, text: String, outcome: &mut Outcome) {
        let is_inverted = self.is_inverted();
        let is_beyond =
            |limit: Option<f64>| limit.is_some_and(|limit| if is_inverted { value <= limit } else { value >= limit });
        match (is_beyond(self.critical), is_beyond(self.warn)) {
            (true, _) => outcome.critical(text),
            (_, true) => outcome.warn(text),
            _ => outcome.ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_flag_wins_over_metadata() {
        let info = json!({"config": {"metadata": {
            "io.nats.monitor.lag-critical": "200", "io.nats.monitor.seen-critical": "1m",
            "io.nats.monitor.pinned": "true", "io.nats.monitor.bad": "x",
        }}});
        let brought = Brought::by(&info);
        assert_eq!(brought.whole(None, "lag-critical").unwrap(), Some(200));
        assert_eq!(brought.whole(Some(5), "lag-critical").unwrap(), Some(5));
        assert_eq!(brought.whole(Some(-1), "lag-critical").unwrap(), None);
        assert_eq!(brought.whole(None, "other").unwrap(), None);
        assert_eq!(brought.span(None, "seen-critical").unwrap(), Some(Duration::from_secs(60)));
        assert!(brought.is_set(false, "pinned").unwrap() && !brought.is_set(false, "other").unwrap());
        assert!(brought.whole(None, "bad").is_err() && brought.span(None, "bad").is_err());
    }

    #[test]
    fn limits_may_be_inverted() {
        let code = |warn, critical, value| {
            let mut outcome = Outcome::new("", "");
            Limits::from_zero(warn, critical).judge(value, String::new(), &mut outcome);
            outcome.status().code()
        };
        for (warn, critical, value, wanted) in [
            (5, 10, 4.0, 0),
            (5, 10, 5.0, 1),
            (5, 10, 10.0, 2),
            (10, 5, 11.0, 0),
            (10, 5, 10.0, 1),
            (10, 5, 5.0, 2),
            (-1, 10, 9.0, 0),
            (-1, 10, 10.0, 2),
            (5, -1, 5.0, 1),
            (-1, -1, 5.0, 0),
        ] {
            assert_eq!(code(warn, critical, value), wanted, "{warn} {critical} {value}");
        }
    }
}
