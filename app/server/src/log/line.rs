//! What a log line looks like.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `[pid] date time [LVL] text`.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `INF`
    Info,
    /// `DBG`
    Debug,
    /// `WRN`
    Warn,
    /// `ERR`
    Error,
    /// `FTL`
    Fatal,
    /// `TRC`
    Trace,
}

impl Level {
    fn label(self) -> &'static str {
        match self {
            Self::Info => "INF",
            Self::Debug => "DBG",
            Self::Warn => "WRN",
            Self::Error => "ERR",
            Self::Fatal => "FTL",
            Self::Trace => "TRC",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Trace => "trace",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Info => "32",
            Self::Debug => "36",
            Self::Warn => "0;93",
            Self::Error | Self::Fatal => "31",
            Self::Trace => "33",
        }
    }
}

pub(super) struct LineFormat {
    pub(super) pid: u32,
    pub(super) time: bool,
    pub(super) utc: bool,
    pub(super) colours: bool,
    pub(super) format: Format,
}

impl LineFormat {
    /// A whole line with its end.
    pub(super) fn line(&self, level: Level, text: &str) -> String {
        self.line_at(level, text, Timestamp::now())
    }

    fn line_at(&self, level: Level, text: &str, now: Timestamp) -> String {
        match self.format {
            Format::Text => self.text(level, text, now),
            Format::Json => self.json(level, text, now),
        }
    }

    fn text(&self, level: Level, text: &str, now: Timestamp) -> String {
        let zone = if self.utc { TimeZone::UTC } else { TimeZone::system() };
        let time = if self.time {
            now.to_zoned_datetime(zone).strftime("%Y/%m/%d %H:%M:%S%.6f ").to_string()
        } else {
            String::new()
        };
        let label = level.label();
        let label = if self.colours { format!("\x1b[{}m{label}\x1b[0m", level.colour()) } else { label.to_owned() };
        format!("[{}] {time}[{label}] {}\n", self.pid, one_line(text))
    }

    fn json(&self, level: Level, text: &str, now: Timestamp) -> String {
        let mut line = serde_json::json!({
            "time": now.to_string(),
            "level": level.name(),
            "pid": self.pid,
            "message": text,
        })
        .to_string();
        line.push('\n');
        line
    }
}

/// A peer's bytes must not be able to write a log line of their own.
fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\t') {
        return text.into();
    }
    text.chars().map(|c| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.into() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(time: bool, colours: bool, format: Format) -> LineFormat {
        LineFormat { pid: 7, time, utc: true, colours, format }
    }

    fn noon() -> Timestamp {
        "2026-01-02T12:00:00.000123Z".parse().unwrap()
    }

    #[test]
    fn a_line_has_pid_time_level_and_text() {
        let line = format(true, false, Format::Text).line_at(Level::Info, "Server is ready", noon());
        assert_eq!(line, "[7] 2026/01/02 12:00:00.000123 [INF] Server is ready\n");
    }

    #[test]
    fn without_time_the_date_is_missing() {
        let line = format(false, false, Format::Text).line_at(Level::Error, "no", noon());
        assert_eq!(line, "[7] [ERR] no\n");
    }

    #[test]
    fn colours_stand_inside_the_brackets() {
        let line = format(false, true, Format::Text).line_at(Level::Warn, "x", noon());
        assert_eq!(line, "[7] [\x1b[0;93mWRN\x1b[0m] x\n");
    }

    #[test]
    fn a_text_cannot_begin_a_second_line() {
        let line = format(false, false, Format::Text).line_at(Level::Info, "a\r\n[1] [INF] forged", noon());
        assert_eq!(line, "[7] [INF] a\\r\\n[1] [INF] forged\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = format(true, false, Format::Json).line_at(Level::Debug, "a \"b\"", noon());
        assert_eq!(
            line,
            "{\"time\":\"2026-01-02T12:00:00.000123Z\",\"level\":\"debug\",\"pid\":7,\"message\":\"a \\\"b\\\"\"}\n"
        );
    }
}
