//! Two small choices that several blocks share: what happens at a write timeout, and how links compress.

use std::time::Duration;

use conf::{Node, Value};
use moment::GoDuration;

use crate::go_text::{self, quoted};
use crate::report::Report;

/// What to do with a peer that does not take its bytes in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteTimeout {
    /// Close clients, try again with servers.
    #[default]
    Default,
    /// Close.
    Close,
    /// Try again.
    Retry,
}

impl WriteTimeout {
    pub(crate) fn read(node: &Node, target: &mut Self, report: &mut Report<'_>) {
        *target = match report.text(node) {
            Some("default") => Self::Default,
            Some("close") => Self::Close,
            Some("retry") => Self::Retry,
            Some(_) => {
                return report.error(&node.place, "write_timeout must be 'default', 'close' or 'retry'");
            }
            None => return,
        };
    }

    /// Whether a peer that takes something, if too little, may stay: servers may unless it says otherwise.
    pub fn retries(self, is_client: bool) -> bool {
        match self {
            Self::Default => !is_client,
            Self::Close => false,
            Self::Retry => true,
        }
    }

    /// What was chosen, if anything was.
    pub const fn chosen(self) -> Option<&'static str> {
        match self {
            Self::Default => None,
            Self::Close => Some("close"),
            Self::Retry => Some("retry"),
        }
    }

    /// The number the reference server prints for it.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Close => 1,
            Self::Retry => 2,
        }
    }
}

/// How a link between servers compresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As if this server could not.
    NotSupported,
    /// Never.
    Off,
    /// If the other side asks.
    Accept,
    /// The level follows the round trip time: up to the first threshold none, then fast, better, best. A zero leaves a
    /// level out.
    Auto(Vec<Duration>),
    /// S2, fast.
    Fast,
    /// S2, better.
    Better,
    /// S2, best.
    Best,
}

/// Levels are none, fast, better and best.
const MAX_THRESHOLDS: usize = 4;

impl Compression {
    /// `s2_auto` with the usual thresholds.
    pub fn auto() -> Self {
        Self::Auto([10, 50, 100].map(Duration::from_millis).to_vec())
    }

    /// The word for monitoring and INFO.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotSupported => "not supported",
            Self::Off => "off",
            Self::Accept => "accept",
            Self::Auto(_) => "s2_auto",
            Self::Fast => "s2_fast",
            Self::Better => "s2_better",
            Self::Best => "s2_best",
        }
    }

    /// Reads the option. `on` is what `true` means for this kind of link.
    pub(crate) fn read(key: &str, node: &Node, on: &Self, target: &mut Self, report: &mut Report<'_>) {
        let read = match &node.value {
            Value::Bool(true) => Some(on.clone()),
            Value::Bool(false) => Some(Self::Off),
            Value::String(text) => Self::of(text.as_str(), on, None, node, report),
            Value::Map(_) => Self::read_map(node, on, report),
            _ => {
                let kind = node.kind().go_type();
                report.error(&node.place, format!("field {key:?} should be a boolean or a structure, got {kind}"));
                None
            }
        };
        if let Some(read) = read {
            *target = read;
        }
    }

    fn read_map(node: &Node, on: &Self, report: &mut Report<'_>) -> Option<Self> {
        let before = report.errors.len();
        let (mut mode, mut thresholds) = (None, None);
        for (key, value) in node.as_map()?.iter() {
            match key.to_ascii_lowercase().as_str() {
                "mode" => mode = Some((report.text(value)?.to_owned(), value)),
                "rtt_thresholds" | "thresholds" | "rtts" | "rtt" => thresholds = Some(read_thresholds(value, report)?),
                _ => report.unknown(key, value, &["mode", "rtt_thresholds"]),
            }
        }
        if report.errors.len() > before {
            return None;
        }
        let (mode, place) = mode.unwrap_or_else(|| (String::new(), node));
        Self::of(&mode, on, thresholds, place, report)
    }

    fn of(mode: &str, on: &Self, thresholds: Option<Vec<i64>>, node: &Node, report: &mut Report<'_>) -> Option<Self> {
        let word = mode.to_ascii_lowercase();
        let chosen = match word.as_str() {
            "on" | "enabled" | "true" => on.clone(),
            "not supported" | "not_supported" => Self::NotSupported,
            "disabled" | "off" | "false" => Self::Off,
            "accept" => Self::Accept,
            "auto" | "s2_auto" => Self::auto(),
            "fast" | "s2_fast" => Self::Fast,
            "better" | "s2_better" => Self::Better,
            "best" | "s2_best" => Self::Best,
            _ => {
                report.error(&node.place, format!("unsupported compression mode {}", quoted(mode)));
                return None;
            }
        };
        match (chosen, thresholds) {
            (Self::Auto(_), Some(thresholds)) => match checked_thresholds(mode, &thresholds) {
                Ok(thresholds) => Some(Self::Auto(thresholds)),
                Err(why) => {
                    report.error(&node.place, why);
                    None
                }
            },
            (chosen, _) => Some(chosen),
        }
    }
}

fn read_thresholds(node: &Node, report: &mut Report<'_>) -> Option<Vec<i64>> {
    let mut thresholds = Vec::new();
    for element in report.array(node)? {
        let text = report.text(element)?;
        match text.parse::<GoDuration>() {
            Ok(duration) => thresholds.push(duration.0),
            Err(error) => {
                report.error(&node.place, go_text::duration_error(error, text));
                return None;
            }
        }
    }
    Some(thresholds)
}

fn checked_thresholds(mode: &str, written: &[i64]) -> Result<Vec<Duration>, String> {
    let shown = || {
        let texts: Vec<String> = written.iter().map(|&nanos| GoDuration(nanos).to_string()).collect();
        format!("[{}]", texts.join(" "))
    };
    let mut thresholds: Vec<Duration> =
        written.iter().map(|&n| Duration::from_nanos(n.max(0).unsigned_abs())).collect();
    if !thresholds.iter().filter(|threshold| !threshold.is_zero()).is_sorted() {
        return Err(format!("RTT threshold values {} should be in ascending order", shown()));
    }
    while thresholds.last().is_some_and(Duration::is_zero) {
        thresholds.pop();
    }
    match thresholds.len() {
        0 if written.is_empty() => Ok([10, 50, 100].map(Duration::from_millis).to_vec()),
        0 => Err(format!("compression mode {mode:?} requires at least one RTT threshold")),
        count if count > MAX_THRESHOLDS => {
            Err(format!("compression mode {mode:?} should have no more than 4 RTT thresholds: {}", shown()))
        }
        _ => Ok(thresholds),
    }
}
