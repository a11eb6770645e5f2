//! The server's log: lines that operators and test suites grep for, or JSON; to stderr, a file, or syslog.

mod about;
mod file;
mod line;
mod syslog;

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use about::{About, Matter, kind};
pub use file::FileLimits;
pub use line::{Format, Level};

use file::LogFile;
use line::{LineFormat, Server};
use syslog::Syslog;

/// The same warning about the same thing is written once in this time.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Texts remembered for that. Beyond it the memory is cleared: repeating a line is better than growing.
const REPEATS_MAX: usize = 4096;

/// Different errors of strangers that are written within a second. A worker that writes lines reads nobody: whoever is refused for
/// ever new reasons must not keep the others waiting. The rest is a number.
const ERRORS_PER_SECOND_MAX: u32 = 200;

/// Where and how to log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// A file; wins over syslog and stderr.
    pub file: Option<std::path::PathBuf>,
    /// When to rotate it.
    pub limits: FileLimits,
    /// The local syslog.
    pub syslog: bool,
    /// A remote syslog, `udp://host:port`, `tcp://host:port` or `unix://path`; wins over the local one.
    pub remote_syslog: Option<String>,
    /// Date and time on each line.
    pub time: bool,
    /// In UTC instead of local time.
    pub utc: bool,
    /// Debug lines.
    pub debug: bool,
    /// Protocol lines.
    pub trace: bool,
    /// Protocol lines of the system account too.
    pub trace_system: bool,
    /// Text or JSON.
    pub format: Format,
}

enum Target {
    Stderr,
    File(LogFile),
    Syslog(Syslog),
}

struct Inner {
    target: Target,
    format: LineFormat,
    settings: LogSettings,
}

/// The log. Shared by every thread; a line is written whole under one lock.
pub struct Log {
    inner: Mutex<Inner>,
    debug: AtomicBool,
    trace: AtomicBool,
    trace_system: AtomicBool,
    said: Mutex<Said>,
}

/// What was said lately of what may come in floods.
#[derive(Default)]
struct Said {
    texts: HashMap<String, Instant>,
    /// The second that is counted, by its begin.
    second: Option<Instant>,
    written: u32,
    withheld: u64,
}

/// Whether something is to be written.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    /// Yes, and before it that so many lines were not.
    It(u64),
    /// No: it was lately, or too much is.
    Nothing,
}

impl Said {
    fn say(&mut self, about: &str, now: Instant) -> Say {
        if self.texts.get(about).is_some_and(|at| now.duration_since(*at) < REPEAT_AFTER) {
            return Say::Nothing;
        }
        if self.second.is_none_or(|begun| now.duration_since(begun) >= Duration::from_secs(1)) {
            (self.second, self.written) = (Some(now), 0);
        }
        if self.written >= ERRORS_PER_SECOND_MAX {
            self.withheld += 1;
            return Say::Nothing;
        }
        self.written += 1;
        if self.texts.len() >= REPEATS_MAX {
            self.texts.clear();
        }
        self.texts.insert(about.to_owned(), now);
        Say::It(std::mem::take(&mut self.withheld))
    }
}

impl Log {
    /// Opens the log.
    ///
    /// # Errors
    /// If the file or the syslog cannot be reached; the text says which.
    pub fn open(settings: LogSettings) -> io::Result<Self> {
        let target = open_target(&settings)?;
        let format = line_format(&settings, &target, None);
        let log = Self {
            debug: AtomicBool::new(settings.debug),
            trace: AtomicBool::new(settings.trace),
            trace_system: AtomicBool::new(settings.trace_system),
            inner: Mutex::new(Inner { format, target, settings }),
            said: Mutex::default(),
        };
        Ok(log)
    }

    /// Goes on with other settings. The old target stays if the new one cannot be opened.
    ///
    /// # Errors
    /// If the new target cannot be opened.
    pub fn reconfigure(&self, settings: LogSettings) -> io::Result<()> {
        let mut inner = self.lock();
        if target_settings(&settings) != target_settings(&inner.settings) {
            inner.target = open_target(&settings)?;
        }
        self.debug.store(settings.debug, Ordering::Relaxed);
        self.trace.store(settings.trace, Ordering::Relaxed);
        self.trace_system.store(settings.trace_system, Ordering::Relaxed);
        let server = inner.format.server.take();
        inner.format = line_format(&settings, &inner.target, server);
        inner.settings = settings;
        Ok(())
    }

    /// From now on lines with fields say which server they are of.
    pub fn introduce(&self, name: &str, id: &str) {
        self.lock().format.server = Some(Server { name: name.to_owned(), id: id.to_owned() });
    }

    /// The same log for lines about this.
    pub fn of<'a>(&'a self, about: &'a About<'a>) -> LogOf<'a> {
        LogOf { log: self, about }
    }

    /// Opens the log file again, after somebody moved it away.
    pub fn reopen(&self) {
        let mut inner = self.lock();
        let reopened = match &mut inner.target {
            Target::File(file) => file.reopen().map(|()| true),
            _ => Ok(false),
        };
        drop(inner);
        match reopened {
            Ok(true) => self.notice("File log re-opened"),
            Ok(false) => self.notice("File log re-open ignored, not a file logger"),
            Err(error) => self.error(&format!("File log could not be re-opened: {error}")),
        }
    }

    /// Whether protocol lines are wanted.
    pub fn traces(&self) -> bool {
        self.trace.load(Ordering::Relaxed)
    }

    /// Whether protocol lines of the system account are wanted too.
    pub fn traces_system(&self) -> bool {
        self.trace_system.load(Ordering::Relaxed)
    }

    /// Whether debug lines are wanted.
    pub fn debugs(&self) -> bool {
        self.debug.load(Ordering::Relaxed)
    }

    /// For everybody.
    pub fn notice(&self, text: &str) {
        self.write(Level::Info, None, text);
    }

    /// Something is not as it should be.
    pub fn warn(&self, text: &str) {
        self.write(Level::Warn, None, text);
    }

    /// Something failed.
    pub fn error(&self, text: &str) {
        self.write(Level::Error, None, text);
    }

    /// An error that may come in floods: the same `key` is written once a minute, and only so many in a second.
    pub fn error_once(&self, key: &str, text: &str) {
        if self.says(key) {
            self.error(text);
        }
    }

    /// Whether an error that may come in floods is to be written now. What was withheld before it is told.
    fn says(&self, key: &str) -> bool {
        let said = self.said.lock().map(|mut said| said.say(key, Instant::now()));
        let Say::It(withheld) = said.unwrap_or(Say::It(0)) else { return false };
        if withheld > 0 {
            self.warn(&format!("{withheld} errors before this one were not written: too many came at once"));
        }
        true
    }

    /// The server cannot go on.
    pub fn fatal(&self, text: &str) {
        self.write(Level::Fatal, None, text);
    }

    /// For whoever looks for trouble.
    pub fn debug(&self, text: &str) {
        if self.debugs() {
            self.write(Level::Debug, None, text);
        }
    }

    fn write(&self, level: Level, about: Option<&About<'_>>, text: &str) {
        let mut inner = self.lock();
        let Inner { target, format, .. } = &mut *inner;
        if let Target::Syslog(syslog) = target {
            // There is nobody left to tell when the log itself cannot be written.
            let _ = syslog.write(level, &format.bare(level, about, text));
            return;
        }
        let line = format.line(level, about, text);
        let _ = match target {
            Target::File(file) => file.write(line.as_bytes(), &|note| format.line(Level::Info, None, note)),
            _ => io::stderr().write_all(line.as_bytes()),
        };
    }

    /// A panic while a line was written leaves the log usable.
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The log, for lines about a connection.
#[derive(Clone, Copy)]
pub struct LogOf<'a> {
    log: &'a Log,
    about: &'a About<'a>,
}

impl LogOf<'_> {
    /// Works, and not as somebody might think.
    pub fn warn(&self, text: &str) {
        self.log.write(Level::Warn, Some(self.about), text);
    }

    /// For everybody.
    pub fn notice(&self, text: &str) {
        self.log.write(Level::Info, Some(self.about), text);
    }

    /// Something failed.
    pub fn error(&self, text: &str) {
        self.log.write(Level::Error, Some(self.about), text);
    }

    /// An error that may come in floods; see [`Log::error_once`]. The text is made only if it is written.
    pub fn error_once(&self, key: &str, text: impl FnOnce() -> String) {
        if self.log.says(key) {
            self.error(&text());
        }
    }

    /// For whoever looks for trouble. The text is made only if it is written.
    pub fn debug(&self, text: impl FnOnce() -> String) {
        if self.log.debugs() {
            self.log.write(Level::Debug, Some(self.about), &text());
        }
    }

    /// A protocol line.
    pub fn trace(&self, way: &str, text: &str) {
        if self.log.traces() {
            self.log.write(Level::Trace, Some(self.about), &format!("{way} {text}"));
        }
    }
}

/// The part of the settings that names the target.
fn target_settings(settings: &LogSettings) -> (&Option<std::path::PathBuf>, bool, &Option<String>, FileLimits) {
    (&settings.file, settings.syslog, &settings.remote_syslog, settings.limits)
}

fn open_target(settings: &LogSettings) -> io::Result<Target> {
    if let Some(path) = &settings.file {
        return Ok(Target::File(LogFile::open(path.clone(), settings.limits)?));
    }
    if let Some(url) = &settings.remote_syslog {
        return Ok(Target::Syslog(Syslog::connect(url)?));
    }
    if settings.syslog {
        return Ok(Target::Syslog(Syslog::local()?));
    }
    Ok(Target::Stderr)
}

fn line_format(settings: &LogSettings, target: &Target, server: Option<Server>) -> LineFormat {
    let colours = matches!(target, Target::Stderr) && io::stderr().is_terminal();
    let LogSettings { time, utc, format, .. } = *settings;
    LineFormat { pid: std::process::id(), time, utc, colours, format, server }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_different_errors_is_cut_and_the_rest_is_a_number() {
        let (mut said, begin) = (Said::default(), Instant::now());
        let written = |said: &mut Said, at: Instant, kind: &str| {
            (0..1_000).filter(|number| said.say(&format!("{kind} {number}"), at) == Say::It(0)).count()
        };
        assert_eq!(written(&mut said, begin, "a"), ERRORS_PER_SECOND_MAX as usize);
        assert_eq!(said.say("a 0", begin), Say::Nothing, "it was said");
        let later = begin + Duration::from_secs(1);
        let withheld = 1_000 - u64::from(ERRORS_PER_SECOND_MAX);
        assert_eq!(said.say("b", later), Say::It(withheld));
        assert_eq!(said.say("c", later), Say::It(0), "it is told once");
    }

    #[test]
    fn the_same_trouble_is_said_once_a_minute() {
        let (mut said, now) = (Said::default(), Instant::now());
        assert_eq!(said.say("user bob", now), Say::It(0));
        assert_eq!(said.say("user bob", now), Say::Nothing);
        assert_eq!(said.say("user eve", now), Say::It(0));
        assert_eq!(said.say("user bob", now + REPEAT_AFTER), Say::It(0));
    }

    #[test]
    fn a_target_that_cannot_be_opened_changes_nothing() {
        let log = Log::open(LogSettings::default()).unwrap();
        let bad = LogSettings { file: Some("/nowhere/at/all/x.log".into()), debug: true, ..LogSettings::default() };
        assert!(log.reconfigure(bad).is_err());
        assert!(!log.debugs());
    }

    #[test]
    fn debug_and_trace_are_switched_while_running() {
        let log = Log::open(LogSettings::default()).unwrap();
        assert!(!log.debugs() && !log.traces());
        log.reconfigure(LogSettings { debug: true, trace: true, ..LogSettings::default() }).unwrap();
        assert!(log.debugs() && log.traces());
    }
}
