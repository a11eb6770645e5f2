//! Figures: medians, paired ratios, and their place in docs/figures.md.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::Run;
use super::scenario::{MANY_RULES_MARK, MANY_TENANTS_MARK};
use crate::Failure;
use crate::shell::{self, root};

/// Rates, in the order in which a run is asked for one.
const RATES: [&str; 5] = ["recv_msgs_s", "req_s", "acks_s", "conns_s", "pub_msgs_s"];

fn number(values: &Value, name: &str) -> Option<f64> {
    values[name].as_f64().filter(|number| number.is_finite() && *number > 0.0)
}

fn rate(values: &Value) -> Option<f64> {
    let rate = RATES.iter().find_map(|name| number(values, name));
    rate.or_else(|| Some(number(values, "conns")? / number(values, "connect_s")?))
}

/// Server CPU in microseconds per message, request or login.
fn cost(values: &Value) -> Option<f64> {
    number(values, "srv_cpu_s_per_m").or_else(|| number(values, "connect_cpu_us"))
}

fn memory(values: &Value) -> Option<f64> {
    number(values, "srv_peak_rss_mb").or_else(|| number(values, "peak_rss_mb"))
}

/// One line about one run.
pub(crate) fn brief(values: &Value) -> String {
    let show = |value: Option<f64>| value.map_or("-".to_owned(), short);
    format!("{:>8}/s  {:>8} us CPU  {:>6} MB", show(rate(values)), show(cost(values)), show(memory(values)))
}

fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e4 => format!("{:.0}k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

/// The median; of an even count the mean of the middle two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (count, middle) = (values.len(), values.len() / 2);
    match count {
        0 => None,
        _ if count % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// All figures of one server in one scenario, by repeat.
fn of<'a>(runs: &'a [Run], scenario: &'a str, rival: &'a str) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.scenario == scenario && run.rival == rival)
}

fn median_of(runs: &[Run], scenario: &str, rival: &str, figure: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
    median(of(runs, scenario, rival).filter_map(|run| figure(&run.values)).collect())
}

/// Base over other, pair by pair.
fn ratios(runs: &[Run], base: (&str, &str), other: (&str, &str), figure: impl Fn(&Value) -> Option<f64>) -> Vec<f64> {
    let pairs = of(runs, base.0, base.1).filter_map(|run| {
        let partner = of(runs, other.0, other.1).find(|partner| partner.repeat == run.repeat)?;
        Some(figure(&run.values)? / figure(&partner.values)?)
    });
    pairs.collect()
}

/// The median of base over other.
fn ratio(runs: &[Run], scenario: &str, base: &str, other: &str, figure: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
    median(ratios(runs, (scenario, base), (scenario, other), figure))
}

/// Fewer pairs say nothing about how sure their median is.
const FEWEST_FOR_AN_INTERVAL: usize = 9;

/// Between which values the median lies with 95 % probability, by the ranks of the sorted pairs.
fn interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    if values.len() < FEWEST_FOR_AN_INTERVAL {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let low = ((count - 1.96 * count.sqrt()) / 2.0).floor().max(0.0) as usize;
    Some((values[low], values[values.len() - 1 - low]))
}

fn with_interval(values: Vec<f64>) -> String {
    let shown = median(values.clone()).map_or("-".to_owned(), short);
    match interval(values) {
        Some((low, high)) => format!("**{shown}** [{}, {}]", short(low), short(high)),
        None => format!("**{shown}**"),
    }
}

/// A section of the page of figures: the machine, the commit and the table.
pub(crate) fn section(set: &str, rivals: &[(String, PathBuf)], runs: &[Run]) -> String {
    let repeats = runs.iter().map(|run| run.repeat + 1).max().unwrap_or(0);
    let mut text = format!(
        "## {set}\n\n{}\n{repeats} interleaved rounds, fresh servers each; medians, ratios paired.\n\n",
        machine()
    );
    let base = &rivals[0].0;
    text.push_str(&format!("| scenario | {base} rate/s | {base} CPU µs | {base} MB |"));
    for (name, _) in &rivals[1..] {
        text.push_str(&format!(" {name} rate × | {name} CPU × less | {name} MB | {name} extra |"));
    }
    text.push_str(&format!("\n|{}\n", "---|".repeat(4 + 4 * (rivals.len() - 1))));
    let mut seen = Vec::new();
    for run in runs {
        if !seen.contains(&run.scenario.as_str()) {
            seen.push(&run.scenario);
            text.push_str(&row(runs, &run.scenario, rivals));
        }
    }
    text + &price_of_more(runs, &seen, rivals)
}

/// What scenarios with this in their name cost each server, against its own run without it.
const MORE_OF_SOMETHING: [(&str, &str); 2] = [
    (MANY_RULES_MARK, "CPU with a thousand rules over CPU with few"),
    (MANY_TENANTS_MARK, "CPU among 10,000 tenants over CPU among those that take part"),
];

fn price_of_more(runs: &[Run], scenarios: &[&str], rivals: &[(String, PathBuf)]) -> String {
    let mut text = String::new();
    for (mark, what) in MORE_OF_SOMETHING {
        for plain in scenarios.iter().filter_map(|scenario| scenario.strip_suffix(mark)) {
            for (name, _) in rivals {
                let more = format!("{plain}{mark}");
                let price = with_interval(ratios(runs, (&more, name), (plain, name), cost));
                text.push_str(&format!("* {plain}, {name}: {what}: {price}\n"));
            }
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn row(runs: &[Run], scenario: &str, rivals: &[(String, PathBuf)]) -> String {
    let show = |value: Option<f64>| value.map_or("-".to_owned(), short);
    let base = rivals[0].0.as_str();
    let own = |figure: fn(&Value) -> Option<f64>| show(median_of(runs, scenario, base, figure));
    let mut text = format!("| {scenario} | {} | {} | {} |", own(rate), own(cost), own(memory));
    for (name, _) in &rivals[1..] {
        let faster = ratio(runs, scenario, base, name, |values| rate(values).map(|rate| 1.0 / rate));
        let cheaper = with_interval(ratios(runs, (scenario, base), (scenario, name), cost));
        let failed = of(runs, scenario, name).filter(|run| run.values["ok"] != true).count();
        let failed = if failed > 0 { format!(" {failed} FAILED") } else { String::new() };
        let memory = show(median_of(runs, scenario, name, memory));
        let extra = extra(runs, scenario, base, name);
        text.push_str(&format!(" {} | {cheaper}{failed} | {memory} | {extra} |", show(faster)));
    }
    text.push('\n');
    text
}

/// Latency, bytes per connection and bytes per subscription, where the scenario has them: base and other.
fn extra(runs: &[Run], scenario: &str, base: &str, other: &str) -> String {
    let both = |name: &str| {
        let figure = |rival| median_of(runs, scenario, rival, |values| number(values, name));
        Some((figure(base)?, figure(other)?))
    };
    let shown = [
        ("p50_us", "p50 µs", 1.0),
        ("p99_us", "p99 µs", 1.0),
        ("rss_bytes_per_conn", "KB/connection", 1024.0),
        ("rss_bytes_per_sub", "B/subscription", 1.0),
        ("written_per_byte", "written/stored", 1.0),
    ]
    .map(|(name, label, unit)| both(name).map(|(a, b)| format!("{label} {} → {}", short(a / unit), short(b / unit))));
    shown.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn machine() -> String {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let git =
        |arguments: &[&str]| shell::read(Command::new("git").args(arguments).current_dir(root())).unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let dirty =
        if git(&["status", "--porcelain", "--untracked-files=no"]).trim().is_empty() { "" } else { " with changes" };
    format!(
        "{} × {}, {} memory, Linux {}; load {} at the end; commit {}{dirty} of {}.",
        std::thread::available_parallelism().map_or(1, usize::from),
        first("/proc/cpuinfo", "model name"),
        first("/proc/meminfo", "MemTotal"),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        load.split_whitespace().next().unwrap_or("?"),
        git(&["rev-parse", "--short", "HEAD"]).trim(),
        git(&["log", "-1", "--format=%cs"]).trim(),
    )
}

/// Replaces the section of that set, or adds it.
pub(crate) fn write(set: &str, section: &str) -> Result<(), Failure> {
    let path = root().join("docs").join("figures.md");
    let page = fs::read_to_string(&path).map_err(|error| format!("docs/figures.md: {error}"))?;
    fs::write(&path, replaced(&page, set, section)).map_err(|error| error.to_string())?;
    println!("written to docs/figures.md");
    Ok(())
}

fn replaced(page: &str, set: &str, section: &str) -> String {
    let heading = format!("## {set}\n");
    let Some(start) = page.find(&heading) else { return format!("{}\n\n{section}", page.trim_end()) };
    let rest = &page[start + heading.len()..];
    match rest.find("\n## ") {
        Some(end) => format!("{}{section}{}", &page[..start], &rest[end..]),
        None => format!("{}{section}", &page[..start]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rival: &str, repeat: usize, cost: f64) -> Run {
        let values = serde_json::json!({ "ok": true, "srv_cpu_s_per_m": cost, "recv_msgs_s": 10.0 });
        Run { scenario: "s".into(), rival: rival.into(), repeat, values }
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let runs = [
            run("a", 0, 6.0),
            run("b", 0, 2.0),
            run("a", 1, 40.0),
            run("b", 1, 10.0),
            run("a", 2, 5.0),
            run("b", 2, 1.0),
        ];
        assert_eq!(ratio(&runs, "s", "a", "b", cost), Some(4.0));
        assert_eq!(median(vec![1.0, 4.0]), Some(2.5));
    }

    #[test]
    fn an_interval_leaves_out_the_outermost_pairs() {
        assert_eq!(interval((0..8).map(f64::from).collect()), None);
        assert_eq!(interval((0..31).map(f64::from).collect()), Some((10.0, 20.0)));
        assert_eq!(with_interval(vec![2.0]), "**2.00**");
    }

    #[test]
    fn a_section_replaces_the_one_of_its_name() {
        let page = "# Figures\n\n## quick\n\nold\n\n## core\n\nkept\n";
        assert_eq!(replaced(page, "quick", "## quick\n\nnew\n"), "# Figures\n\n## quick\n\nnew\n\n## core\n\nkept\n");
        assert_eq!(replaced(page, "tls", "## tls\n"), "# Figures\n\n## quick\n\nold\n\n## core\n\nkept\n\n## tls\n");
    }
}
