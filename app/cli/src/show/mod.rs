//! How answers look: columns and tables for people, JSON on request, plain text when piped.

mod bars;
mod columns;
mod figure;
mod graph;
mod json;
mod log;
mod progress;
mod prompt;
mod scheme;
mod span;
mod table;

pub(crate) use bars::bars;
pub(crate) use columns::Columns;
pub(crate) use figure::{Figure, comma, commaf, commaf_digits, ibytes};
pub(crate) use graph::Graph;
pub(crate) use json::print_json;
pub(crate) use log::{clock, log, out, outln, write_log as log_args, write_out};
pub(crate) use progress::{bar, bytes_bar};
pub(crate) use prompt::{ask, confirm, pick};
pub(crate) use scheme::{SCHEMES, Scheme, paint};
pub(crate) use span::{go_duration, humanize};
pub(crate) use table::{Table, cells};

use std::io::IsTerminal;

use jiff::{Timestamp, tz::TimeZone};

/// Whether answers go to a person's screen.
pub(crate) fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether a person watches what is going on.
pub(crate) fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether colours are welcome where nobody chose any: `NO_COLOR` says no.
pub(crate) fn may_paint() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether a person can be asked.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && stdout_is_terminal()
}

/// A point in time on this machine's clock: `2026-11-24 15:04:05`.
pub(crate) fn local_time(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The width of the screen, 80 when there is none.
pub(crate) fn screen_width() -> usize {
    console::Term::stdout().size_checked().map_or(80, |(_, width)| usize::from(width))
}
