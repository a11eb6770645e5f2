//! Time as values.
//!
//! This room decides nothing by itself: it never reads a clock. A [`Timestamp`] is wall time, an [`Instant`] is
//! monotonic time since the process started; both arrive as arguments. [`Deadlines`] is the small fixed table in which
//! a connection keeps everything it waits for, [`GoDuration`] is the text form of durations that operators write in
//! configuration files and read in monitoring.
//!
//! ```
//! use bulwark_moment::{Deadline, Deadlines, Instant};
//! use std::time::Duration;
//!
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! enum Wait { Login, Ping }
//! impl Deadline for Wait {
//!     const ALL: &'static [Wait] = &[Wait::Login, Wait::Ping];
//!     fn index(self) -> usize { self as usize }
//! }
//!
//! let start = Instant::START;
//! let mut waits: Deadlines<Wait, 2> = Deadlines::new();
//! waits.set(Wait::Login, start + Duration::from_secs(2));
//! assert_eq!(waits.take_expired(start), None);
//! assert_eq!(waits.take_expired(start + Duration::from_secs(2)), Some(Wait::Login));
//! assert_eq!(waits.next(), None);
//! ```

mod deadlines;
mod go_duration;
mod instant;
mod timestamp;

pub use deadlines::{Deadline, Deadlines};
pub use go_duration::{DurationError, GoDuration, uptime};
pub use instant::Instant;
pub use std::time::Duration;
pub use timestamp::{Civil, Timestamp, TimestampError};
