//! Scripts: plain text to steps.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// A scene: how the server is started, and what happens.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Further flags of the server.
    pub flags: Vec<String>,
    /// Configurations by name. The one without a name is there at the start.
    pub configs: Vec<(String, String)>,
    /// What happens, in order, with the text it was written as.
    pub steps: Vec<(String, Step)>,
}

/// One step of a scene.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A new connection to the WebSocket port, and a request there.
    Ask {
        /// Whose.
        who: String,
        /// What differs from the usual one.
        request: String,
        /// Of an answer that agrees nothing is shown, and the INFO is read and not shown.
        greeted: bool,
    },
    /// A new connection to the WebSocket port.
    Knock(String),
    /// A frame to send, escapes and templates still in its body.
    Frame {
        /// Whose.
        who: String,
        /// Its first byte.
        first: u8,
        /// Its body.
        text: String,
    },
    /// Bytes to send as they are, escapes and templates still in them.
    Bytes {
        /// Whose.
        who: String,
        /// The text.
        text: String,
    },
    /// A new connection; `greeted` swallows the INFO.
    Open {
        /// Whose.
        who: String,
        /// The INFO is read and not shown.
        greeted: bool,
    },
    /// Open and CONNECT with these fields over the usual ones.
    Join {
        /// Whose.
        who: String,
        /// A JSON object, or nothing.
        fields: String,
    },
    /// Bytes to send, escapes and templates still in them.
    Send {
        /// Whose.
        who: String,
        /// The text.
        text: String,
    },
    /// A PUB with its size worked out, templates still in it.
    Publish {
        /// Whose.
        who: String,
        /// Subject and reply.
        subjects: String,
        /// The payload.
        payload: String,
    },
    /// PING, and everything up to the PONG.
    Sync(String),
    /// So many operations.
    Read(String, usize),
    /// What arrives in this time.
    Quiet(String, Duration),
    /// Everything up to the end of the connection, which must come within the window.
    Closed(String, Range<Duration>),
    /// The end of the connection. What is said before it is not shown, as a reference may lose it.
    Ends(String),
    /// PINGs of the server are shown and not answered.
    ShowPings(String),
    /// Our end is closed.
    HangUp(String),
    /// A pause.
    Wait(Duration),
    /// Another configuration and SIGHUP.
    Reload(String),
    /// A signal.
    Signal(String),
    /// A page of the monitoring port is asked for and shown.
    Page(String),
    /// The server ends with this code.
    Exits(i32),
    /// The log has this text.
    Log(String),
    /// The log has not got this text.
    LogLacks(String),
}

/// Why a text is not a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ScriptError {}

/// The longest a step waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

enum Section {
    About,
    Flags,
    Config(usize),
    Steps,
}

impl Script {
    /// Reads a script.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        let mut section = Section::About;
        for (index, line) in text.lines().enumerate() {
            let wrong = |what| ScriptError { line: index + 1, what };
            if let Some(name) = line.strip_prefix("--- ") {
                section = script.begin(name.trim()).ok_or(wrong("no such section"))?;
                continue;
            }
            match section {
                Section::About if line.starts_with('#') || line.is_empty() => {}
                Section::About => return Err(wrong("text before the first section")),
                Section::Flags => script.flags.extend(line.split_whitespace().map(str::to_owned)),
                Section::Config(at) => {
                    script.configs[at].1.push_str(line);
                    script.configs[at].1.push('\n');
                }
                Section::Steps if line.trim().is_empty() || line.starts_with('#') => {}
                Section::Steps => script.steps.push((line.to_owned(), step(line).ok_or(wrong("not a step"))?)),
            }
        }
        Ok(script)
    }

    fn begin(&mut self, name: &str) -> Option<Section> {
        match name.split_whitespace().collect::<Vec<_>>()[..] {
            ["flags"] => Some(Section::Flags),
            ["steps"] => Some(Section::Steps),
            ["config"] => Some(self.begin_config("")),
            ["config", name] => Some(self.begin_config(name)),
            _ => None,
        }
    }

    fn begin_config(&mut self, name: &str) -> Section {
        self.configs.push((name.to_owned(), String::new()));
        Section::Config(self.configs.len() - 1)
    }

    /// The configuration of that name.
    pub fn config(&self, name: &str) -> Option<&str> {
        self.configs.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }
}

fn step(line: &str) -> Option<Step> {
    if let Some((who, text)) = line.split_once(">> ").filter(|(who, _)| is_name(who)) {
        return Some(Step::Send { who: who.into(), text: text.into() });
    }
    if let Some((who, text)) = line.split_once("> ").filter(|(who, _)| is_name(who)) {
        return Some(Step::Send { who: who.into(), text: format!("{text}\\r\\n") });
    }
    let (first, rest) = line.trim_end().split_once(' ')?;
    server_step(first, rest).or_else(|| peer_step(first.to_owned(), rest))
}

fn server_step(verb: &str, rest: &str) -> Option<Step> {
    match verb {
        "wait" => span(rest).map(Step::Wait),
        "reload" => Some(Step::Reload(rest.into())),
        "signal" => Some(Step::Signal(rest.into())),
        "get" => rest.starts_with('/').then(|| Step::Page(rest.into())),
        "exits" => rest.parse().ok().map(Step::Exits),
        "log" => match rest.strip_prefix("lacks ") {
            Some(text) => quoted(text).map(Step::LogLacks),
            None => quoted(rest).map(Step::Log),
        },
        _ => None,
    }
}

fn quoted(text: &str) -> Option<String> {
    Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

fn peer_step(who: String, rest: &str) -> Option<Step> {
    if !is_name(&who) {
        return None;
    }
    let (verb, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    match (verb, argument) {
        ("pub", message) => {
            let (subjects, payload) = message.split_once(" | ").unwrap_or((message, ""));
            Some(Step::Publish { who, subjects: subjects.into(), payload: payload.into() })
        }
        ("hpub", message) => headed(message).map(|text| Step::Send { who, text }),
        ("asks", request) => Some(Step::Ask { who, request: request.into(), greeted: false }),
        ("enters", request) => Some(Step::Ask { who, request: request.into(), greeted: true }),
        ("knocks", "") => Some(Step::Knock(who)),
        ("frame", frame) => {
            let (first, text) = frame.split_once(' ').unwrap_or((frame, ""));
            Some(Step::Frame { who, first: u8::from_str_radix(first, 16).ok()?, text: text.into() })
        }
        ("bytes", text) => Some(Step::Bytes { who, text: text.into() }),
        ("dial", "") => Some(Step::Open { who, greeted: false }),
        ("open", "") => Some(Step::Open { who, greeted: true }),
        ("join", fields) => Some(Step::Join { who, fields: fields.into() }),
        ("sync", "") => Some(Step::Sync(who)),
        ("read", count) => count.parse().ok().map(|count| Step::Read(who, count)),
        ("quiet", time) => span(time).map(|time| Step::Quiet(who, time)),
        ("ends", "") => Some(Step::Ends(who)),
        ("closed", "") => Some(Step::Closed(who, Duration::ZERO..PATIENCE)),
        ("closed", window) => {
            let (from, to) = window.split_once("..")?;
            Some(Step::Closed(who, span(from)?..span(to)?))
        }
        ("pings", "shown") => Some(Step::ShowPings(who)),
        ("hangs", "up") => Some(Step::HangUp(who)),
        _ => None,
    }
}

/// `SUBJECT [REPLY] | Key: Value | … | PAYLOAD` as an HPUB with its sizes. The payload is taken as it is written.
fn headed(message: &str) -> Option<String> {
    let mut parts: Vec<&str> = message.split(" | ").collect();
    let payload = parts.pop()?;
    let (subjects, lines) = parts.split_first()?;
    let header: usize = "NATS/1.0\r\n\r\n".len() + lines.iter().map(|line| line.len() + 2).sum::<usize>();
    let lines: String = lines.iter().map(|line| format!("{line}\\r\\n")).collect();
    let total = header + payload.len();
    Some(format!("HPUB {subjects} {header} {total}\\r\\nNATS/1.0\\r\\n{lines}\\r\\n{payload}\\r\\n"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn span(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_steps_are_told_apart() {
        let text = "# about\n--- flags\n-D --user x\n--- config\nport: 1\n--- config later\nport: 2\n--- steps\na open\na> PING\na>> PI\nb closed 1s..2.5s\nlog \"x y\"\n";
        let script = Script::parse(text).unwrap();
        assert_eq!(script.flags, ["-D", "--user", "x"]);
        assert_eq!(script.config("later"), Some("port: 2\n"));
        let steps: Vec<_> = script.steps.into_iter().map(|(_, step)| step).collect();
        assert_eq!(steps[1], Step::Send { who: "a".into(), text: "PING\\r\\n".into() });
        assert_eq!(steps[2], Step::Send { who: "a".into(), text: "PI".into() });
        assert_eq!(steps[3], Step::Closed("b".into(), Duration::from_secs(1)..Duration::from_millis(2500)));
        assert_eq!(steps[4], Step::Log("x y".into()));
    }

    #[test]
    fn a_message_with_headers_is_measured() {
        let step = peer_step("a".into(), "hpub x in | A: b | hi").unwrap();
        let text = "HPUB x in 18 20\\r\\nNATS/1.0\\r\\nA: b\\r\\n\\r\\nhi\\r\\n";
        assert_eq!(step, Step::Send { who: "a".into(), text: text.into() });
    }

    #[test]
    fn a_word_that_is_no_step_is_named_by_its_line() {
        assert_eq!(Script::parse("--- steps\na open\na dances\n").unwrap_err().line, 3);
        assert!(Script::parse("stray\n").is_err());
        assert!(Script::parse("--- nothing\n").is_err());
    }
}
