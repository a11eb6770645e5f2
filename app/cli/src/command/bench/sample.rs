//! What one client did, and what all of them did together.

use std::time::{Duration, Instant};

use crate::command::bench::histogram::Histogram;

/// What one client did.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) messages: u64,
    /// Bytes of the messages the client was asked for.
    pub(crate) bytes: u64,
    /// Messages the client saw on its connection, in and out.
    pub(crate) seen: u64,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) latencies: Histogram,
}

impl Sample {
    pub(crate) fn duration(&self) -> Duration {
        self.end.saturating_duration_since(self.start).max(Duration::from_nanos(1))
    }

    /// Messages per second.
    pub(crate) fn rate(&self) -> u64 {
        (self.messages as f64 / self.duration().as_secs_f64()) as u64
    }

    /// Bytes per second.
    pub(crate) fn throughput(&self) -> f64 {
        self.bytes as f64 / self.duration().as_secs_f64()
    }

    /// All samples as one, from the first start to the last end.
    pub(crate) fn together(samples: &[Self]) -> Option<Self> {
        let mut samples = samples.iter();
        let mut sum = samples.next()?.clone();
        for sample in samples {
            sum.messages += sample.messages;
            sum.bytes += sample.bytes;
            sum.seen += sample.seen;
            sum.start = sum.start.min(sample.start);
            sum.end = sum.end.max(sample.end);
            sum.latencies.merge(&sample.latencies);
        }
        Some(sum)
    }
}

/// The lowest, mean and highest rate of several clients, and how far they are spread.
pub(crate) struct Rates {
    pub(crate) min: u64,
    pub(crate) mean: u64,
    pub(crate) max: u64,
    pub(crate) deviation: u64,
}

impl Rates {
    pub(crate) fn of(samples: &[Sample]) -> Self {
        let rates: Vec<u64> = samples.iter().map(Sample::rate).collect();
        let count = rates.len().max(1) as u64;
        let mean = rates.iter().sum::<u64>() / count;
        let squares: f64 = rates.iter().map(|&rate| (rate as f64 - mean as f64).powi(2)).sum();
        Self {
            min: rates.iter().copied().min().unwrap_or(0),
            mean,
            max: rates.iter().copied().max().unwrap_or(0),
            deviation: (squares / count as f64).sqrt() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(start: Instant, millis: u64, messages: u64) -> Sample {
        let end = start + Duration::from_millis(millis);
        Sample { messages, bytes: messages * 10, seen: messages, start, end, latencies: Histogram::default() }
    }

    #[test]
    fn the_sum_spans_all_clients() {
        let start = Instant::now();
        let later = start + Duration::from_millis(500);
        let samples = [sample(start, 1000, 1000), sample(later, 1500, 3000)];
        let sum = Sample::together(&samples).unwrap();
        assert_eq!((sum.rate(), sum.throughput()), (2000, 20_000.0));
        let rates = Rates::of(&samples);
        assert_eq!((rates.min, rates.mean, rates.max, rates.deviation), (1000, 1500, 2000, 500));
    }
}
