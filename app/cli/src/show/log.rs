//! Lines about what is going on go to stderr with the time before them; data goes to stdout as it is.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use jiff::ZonedDateTime;

/// What a process that writes into a closed pipe ends with, as if the signal had reached it.
const CLOSED_PIPE: i32 = 141;

/// The time of day, as it stands before a log line.
pub(crate) fn clock() -> String {
    ZonedDateTime::now().strftime("%H:%M:%S").to_string()
}

pub(crate) fn write_log(line: Arguments<'_>) {
    let text = line.to_string();
    let text = text.strip_suffix('\n').unwrap_or(&text);
    // Nobody is left to tell when stderr itself is gone.
    let _ = writeln!(std::io::stderr(), "{} {text}", clock());
}

/// Writes to stdout. A reader that went away (`| head -1`) ends the program quietly.
pub(crate) fn write_out(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        let code = if error.kind() == ErrorKind::BrokenPipe { CLOSED_PIPE } else { 1 };
        std::process::exit(code);
    }
}

/// A log line: `15:04:05 text` on stderr.
macro_rules! log {
    ($($arg:tt)*) => { $crate::show::log_args(format_args!($($arg)*)) };
}

/// Text on stdout.
macro_rules! out {
    ($($arg:tt)*) => { $crate::show::write_out(format!($($arg)*).as_bytes()) };
}

/// A line on stdout.
macro_rules! outln {
    () => { $crate::show::write_out(b"\n") };
    ($($arg:tt)*) => {{
        let mut line = format!($($arg)*);
        line.push('\n');
        $crate::show::write_out(line.as_bytes());
    }};
}

pub(crate) use {log, out, outln};
