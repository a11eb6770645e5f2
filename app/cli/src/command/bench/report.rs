//! The figures of a measurement: lines for people, CSV and JSON for programs.

use std::fmt::Write;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::command::bench::histogram::Histogram;
use crate::command::bench::plan::Plan;
use crate::command::bench::sample::{Rates, Sample};
use crate::show::{Table, comma, commaf_digits, ibytes, outln, print_json, stdout_is_terminal};
use crate::template::unique_id;

/// A finished measurement.
pub(crate) struct Report<'a> {
    pub(crate) label: &'static str,
    pub(crate) plan: &'a Plan,
    pub(crate) samples: Vec<Sample>,
    /// `P` for who publishes, `S` for who receives.
    pub(crate) prefix: char,
}

impl Report<'_> {
    /// Shows the figures and saves them when asked.
    pub(crate) fn show(&self) -> Result<()> {
        let Some(sum) = Sample::together(&self.samples) else {
            outln!("No publisher or subscribers. Nothing to report.");
            return Ok(());
        };
        if self.plan.json {
            print_json(&self.json(&sum))?;
        } else {
            outln!("\n{}", self.lines(&sum));
            if stdout_is_terminal() && self.samples.len() > 1 {
                self.table(&sum).print();
            }
            if self.plan.histogram && !sum.latencies.is_empty() {
                outln!("Latency distribution:\n\n{}", sum.latencies.drawn());
            }
        }
        if let Some(path) = &self.plan.csv {
            std::fs::write(path, self.csv()).with_context(|| format!("writing file {}", path.display()))?;
            if !self.plan.json {
                outln!("Saved metric data in csv file {}", path.display());
            }
        }
        Ok(())
    }

    fn lines(&self, sum: &Sample) -> String {
        let mut text = String::new();
        if let [only] = self.samples.as_slice() {
            let _ = writeln!(text, "NATS {} stats: {}", self.label, stats(only));
            return text;
        }
        for (at, sample) in self.samples.iter().enumerate() {
            let _ = writeln!(text, "  [{}] {} ({} msgs)", at + 1, stats(sample), comma(sample.messages));
        }
        let _ = writeln!(text, "\n NATS {} aggregated stats: {}", self.label, rate(sum));
        let rates = Rates::of(&self.samples);
        let _ = writeln!(
            text,
            " message rates min {} | avg {} | max {} | stddev {} msgs",
            comma(rates.min),
            comma(rates.mean),
            comma(rates.max),
            comma(rates.deviation)
        );
        if !sum.latencies.is_empty() {
            let _ = writeln!(text, " latencies per operation {}", latencies(&sum.latencies));
        }
        text
    }

    fn table(&self, sum: &Sample) -> Table {
        let header = ["Client", "Messages", "Msgs/sec", "Bytes/sec", "Avg us", "P50 us", "P99 us", "P99.9 us"];
        let mut table = Table::new(format!("NATS {}", self.label), &header);
        for (at, sample) in self.samples.iter().enumerate() {
            table.row(cells_of(&(at + 1).to_string(), sample));
        }
        table.footer(cells_of("All", sum));
        table
    }

    /// A line for each client.
    fn csv(&self) -> String {
        let has_latencies = self.samples.iter().any(|sample| !sample.latencies.is_empty());
        let mut text = "#RunID,ClientID,MsgCount,MsgBytes,MsgsPerSec,BytesPerSec,DurationSecs".to_owned();
        if has_latencies {
            text.push_str(",MinLatencyMicroSecs,AvgLatencyMicroSecs,MaxLatencyMicroSecs,P50LatencyMicroSecs");
            text.push_str(",P90LatencyMicroSecs,P99LatencyMicroSecs,P99.9LatencyMicroSecs,StdDevLatencyMicroSecs");
        }
        text.push('\n');
        let run = unique_id();
        for (at, sample) in self.samples.iter().enumerate() {
            let (seen, bytes, per_second) = (sample.seen, sample.bytes, sample.rate());
            let seconds = sample.duration().as_secs_f64();
            let _ = write!(text, "{run},{}{at},{seen},{bytes},{per_second},", self.prefix);
            let _ = write!(text, "{:.6},{seconds:.6}", sample.throughput());
            if has_latencies {
                for value in figures(&sample.latencies) {
                    let _ = write!(text, ",{value:.6}");
                }
            }
            text.push('\n');
        }
        text
    }

    fn json(&self, sum: &Sample) -> Value {
        json!({
            "benchmark": self.label,
            "clients": self.samples.iter().map(json_of).collect::<Vec<_>>(),
            "total": json_of(sum),
        })
    }
}

fn cells_of(name: &str, sample: &Sample) -> Vec<String> {
    let time = |value: f64| if sample.latencies.is_empty() { String::new() } else { commaf_digits(value, 2) };
    vec![
        name.to_owned(),
        comma(sample.messages),
        comma(sample.rate()),
        ibytes(sample.throughput() as u64),
        time(sample.latencies.mean()),
        time(sample.latencies.percentile(50.0)),
        time(sample.latencies.percentile(99.0)),
        time(sample.latencies.percentile(99.9)),
    ]
}

fn rate(sample: &Sample) -> String {
    format!("{} msgs/sec ~ {}/sec", comma(sample.rate()), ibytes(sample.throughput() as u64))
}

fn stats(sample: &Sample) -> String {
    let rate = rate(sample);
    if sample.latencies.is_empty() {
        return rate;
    }
    let [min, mean, max, p50, p90, p99, p999, _] = figures(&sample.latencies).map(|value| commaf_digits(value, 2));
    format!(
        "{rate} ~ min: {min}us ~ avg: {mean}us ~ max: {max}us ~ P50: {p50}us ~ P90: {p90}us ~ P99: {p99}us ~ P99.9: {p999}us"
    )
}

fn latencies(histogram: &Histogram) -> String {
    let [min, mean, max, p50, p90, p99, p999, deviation] = figures(histogram).map(|value| commaf_digits(value, 2));
    format!(
        "min {min}us | avg {mean}us | max {max}us | stddev {deviation}us | P50 {p50}us | P90 {p90}us | P99 {p99}us | P99.9: {p999}us"
    )
}

/// Lowest, mean, highest, four percentiles and the deviation, in microseconds.
fn figures(histogram: &Histogram) -> [f64; 8] {
    [
        histogram.min(),
        histogram.mean(),
        histogram.max(),
        histogram.percentile(50.0),
        histogram.percentile(90.0),
        histogram.percentile(99.0),
        histogram.percentile(99.9),
        histogram.deviation(),
    ]
}

fn json_of(sample: &Sample) -> Value {
    let mut value = json!({
        "messages": sample.messages,
        "bytes": sample.bytes,
        "seconds": sample.duration().as_secs_f64(),
        "msgs_per_sec": sample.rate(),
        "bytes_per_sec": sample.throughput(),
    });
    if !sample.latencies.is_empty() {
        let [min, mean, max, p50, p90, p99, p999, deviation] = figures(&sample.latencies);
        value["latency_us"] = json!({
            "min": min, "avg": mean, "max": max, "p50": p50, "p90": p90, "p99": p99, "p99_9": p999, "stddev": deviation,
        });
    }
    value
}
