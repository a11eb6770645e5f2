//! How long things took, in bounded memory: buckets that are one part in 1024 wide.

use std::fmt::Write;
use std::time::Duration;

use crate::show::{comma, commaf_digits};

/// Each power of two is divided into so many buckets.
const PARTS_LOG2: u32 = 10;
const PARTS: usize = 1 << PARTS_LOG2;
/// Nanoseconds up to 2^42: an hour and more.
const MAX_LOG2: u32 = 42;
const BUCKETS: usize = PARTS * (MAX_LOG2 - PARTS_LOG2 + 1) as usize;
/// The bars of a drawn histogram are at most so long.
const BAR_WIDTH: u64 = 50;

/// A histogram of latencies.
#[derive(Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    sum: f64,
    sum_of_squares: f64,
    min: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Vec::new(), count: 0, sum: 0.0, sum_of_squares: 0.0, min: u64::MAX, max: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        self.buckets[bucket_of(nanos)] += 1;
        self.count += 1;
        self.sum += nanos as f64;
        self.sum_of_squares += nanos as f64 * nanos as f64;
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.buckets.is_empty() {
            self.buckets = vec![0; BUCKETS];
        }
        for (own, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *own += more;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.sum_of_squares += other.sum_of_squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Microseconds below which so many percent were, within one part in a thousand.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let rank = ((percent / 100.0 * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return micros(middle_of(at).clamp(self.min, self.max) as f64);
            }
        }
        0.0
    }

    pub(crate) fn min(&self) -> f64 {
        if self.is_empty() { 0.0 } else { micros(self.min as f64) }
    }

    pub(crate) fn max(&self) -> f64 {
        micros(self.max as f64)
    }

    pub(crate) fn mean(&self) -> f64 {
        if self.is_empty() { 0.0 } else { micros(self.sum / self.count as f64) }
    }

    pub(crate) fn deviation(&self) -> f64 {
        if self.is_empty() {
            return 0.0;
        }
        let mean = self.sum / self.count as f64;
        micros((self.sum_of_squares / self.count as f64 - mean * mean).max(0.0).sqrt())
    }

    /// A line with a bar for each doubling of the time.
    pub(crate) fn drawn(&self) -> String {
        let mut rows: Vec<(u64, u64)> = Vec::new();
        for (at, &count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let limit = middle_of(at).max(1).next_power_of_two();
            match rows.last_mut() {
                Some((last, sum)) if *last == limit => *sum += count,
                _ => rows.push((limit, count)),
            }
        }
        let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1);
        let mut text = String::new();
        for (limit, count) in rows {
            let bar = "█".repeat((count * BAR_WIDTH / most) as usize);
            let bar = if bar.is_empty() { "▏".to_owned() } else { bar };
            let limit = commaf_digits(micros(limit as f64), 1);
            let share = count as f64 * 100.0 / self.count as f64;
            let _ = writeln!(text, "  ≤ {limit:>12}us: {bar} {} ({share:.2}%)", comma(count));
        }
        text
    }
}

fn micros(nanos: f64) -> f64 {
    nanos / 1000.0
}

fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.min((1 << MAX_LOG2) - 1);
    let log2 = nanos.max(1).ilog2();
    if log2 < PARTS_LOG2 {
        return nanos as usize;
    }
    let group = log2 - PARTS_LOG2;
    (group as usize + 1) * PARTS + ((nanos >> group) as usize - PARTS)
}

fn middle_of(bucket: usize) -> u64 {
    if bucket < PARTS {
        return bucket as u64;
    }
    let group = (bucket / PARTS - 1) as u32;
    let low = ((bucket % PARTS + PARTS) as u64) << group;
    low + (1 << group) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_into_a_bucket_close_to_it() {
        for nanos in [0, 1, 1023, 1024, 1025, 99_999, 123_456_789, (1 << MAX_LOG2) - 1, u64::MAX] {
            let bucket = bucket_of(nanos);
            assert!(bucket < BUCKETS, "{nanos}");
            let nanos = nanos.min((1 << MAX_LOG2) - 1);
            assert!(middle_of(bucket).abs_diff(nanos) <= nanos / 1000 + 1, "{nanos}: {}", middle_of(bucket));
        }
    }

    #[test]
    fn percentiles_and_moments_are_right() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() <= wanted / 500.0, "{found} {wanted}");
        close(histogram.percentile(50.0), 500.0);
        close(histogram.percentile(99.0), 990.0);
        close(histogram.percentile(99.9), 999.0);
        assert_eq!((histogram.min(), histogram.max()), (1.0, 1000.0));
        close(histogram.mean(), 500.5);
        close(histogram.deviation(), 288.675);
        let mut twice = histogram.clone();
        twice.merge(&histogram);
        close(twice.percentile(50.0), 500.0);
        assert!(twice.drawn().contains("us: "));
    }
}
