//! What the process takes of the machine.

use std::fs;
use std::time::Instant;

/// Clock ticks per second in `/proc`; the same on every Linux that is in use.
const TICKS_PER_SECOND: f64 = 100.0;

/// A share is taken over at least this many seconds.
const WINDOW_SECONDS_MIN: f64 = 1.0;

/// Samples of the processor time.
pub(crate) struct Usage {
    at: Instant,
    ticks: f64,
    percent: f64,
}

impl Usage {
    pub(crate) fn new() -> Self {
        Self { at: Instant::now(), ticks: cpu_ticks(), percent: 0.0 }
    }

    /// Percent of one processor since the last sample that was long enough ago, with one decimal.
    pub(crate) fn cpu_percent(&mut self) -> f64 {
        let seconds = self.at.elapsed().as_secs_f64();
        if seconds >= WINDOW_SECONDS_MIN {
            let ticks = cpu_ticks();
            let share = (ticks - self.ticks) / TICKS_PER_SECOND / seconds * 100.0;
            *self = Self { at: Instant::now(), ticks, percent: (share * 10.0).round() / 10.0 };
        }
        self.percent
    }
}

/// User and system time. The name of the program may hold blanks and ends with the last bracket.
fn cpu_ticks() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum()
}

/// Resident memory in bytes; 0 where the system does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Processors the process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_memory() {
        assert!(resident_bytes() > 100 * 1024);
    }
}
