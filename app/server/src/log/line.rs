//! What a log line looks like.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::about::About;

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `[pid] date time [LVL] text`.
    #[default]
    Text,
    /// One JSON object per line: time, level, pid, server, `message`, and fields for what the line is about.
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
    pub(super) server: Option<Server>,
}

/// The server whose log it is.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) id: String,
}

impl LineFormat {
    /// A whole line with its end.
    pub(super) fn line(&self, level: Level, about: Option<&About<'_>>, text: &str) -> String {
        self.line_at(level, about, text, Timestamp::now())
    }

    /// The same for a log that has time, level and process in places of its own, without an end.
    pub(super) fn bare(&self, level: Level, about: Option<&About<'_>>, text: &str) -> String {
        match self.format {
            Format::Text => one_line(&whole(about, text)).into_owned(),
            Format::Json => self.json(level, about, text, Timestamp::now()),
        }
    }

    fn line_at(&self, level: Level, about: Option<&About<'_>>, text: &str, now: Timestamp) -> String {
        match self.format {
            Format::Text => self.text(level, &whole(about, text), now),
            Format::Json => self.json(level, about, text, now) + "\n",
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

    fn json(&self, level: Level, about: Option<&About<'_>>, text: &str, now: Timestamp) -> String {
        let mut fields = Map::new();
        fields.insert("time".to_owned(), now.to_string().into());
        fields.insert("level".to_owned(), level.name().into());
        fields.insert("pid".to_owned(), self.pid.into());
        if let Some(Server { name, id }) = &self.server {
            fields.insert("server".to_owned(), name.as_str().into());
            fields.insert("server_id".to_owned(), id.as_str().into());
        }
        fields.insert("message".to_owned(), text.into());
        if let Some(about) = about {
            about.write(&mut fields);
        }
        Value::Object(fields).to_string()
    }
}

/// A text with what it is about before it.
fn whole<'t>(about: Option<&About<'_>>, text: &'t str) -> Cow<'t, str> {
    about.map_or(Cow::Borrowed(text), |about| format!("{about} - {text}").into())
}

/// A peer's bytes must not be able to write a log line of their own.
fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\t') {
        return text.into();
    }
    text.chars().map(|c| if c.is_control() && c != '\t' { c.escape_default().to_string() } else { c.into() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(time: bool, colours: bool, format: Format) -> LineFormat {
        LineFormat { pid: 7, time, utc: true, colours, format, server: None }
    }

    fn noon() -> Timestamp {
        "2026-01-02T12:00:00.000123Z".parse().unwrap()
    }

    #[test]
    fn a_line_has_pid_time_level_and_text() {
        let line = format(true, false, Format::Text).line_at(Level::Info, None, "Server is ready", noon());
        assert_eq!(line, "[7] 2026/01/02 12:00:00.000123 [INF] Server is ready\n");
    }

    #[test]
    fn without_time_the_date_is_missing() {
        let line = format(false, false, Format::Text).line_at(Level::Error, None, "no", noon());
        assert_eq!(line, "[7] [ERR] no\n");
    }

    #[test]
    fn colours_stand_inside_the_brackets() {
        let line = format(false, true, Format::Text).line_at(Level::Warn, None, "x", noon());
        assert_eq!(line, "[7] [\x1b[0;93mWRN\x1b[0m] x\n");
    }

    #[test]
    fn a_text_cannot_begin_a_second_line() {
        let line = format(false, false, Format::Text).line_at(Level::Info, None, "a\r\n[1] [INF] forged", noon());
        assert_eq!(line, "[7] [INF] a\\r\\n[1] [INF] forged\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = format(true, false, Format::Json).line_at(Level::Debug, None, "a \"b\"", noon());
        assert_eq!(
            line,
            "{\"time\":\"2026-01-02T12:00:00.000123Z\",\"level\":\"debug\",\"pid\":7,\"message\":\"a \\\"b\\\"\"}\n"
        );
    }
}
