//! Graphs that are painted anew every second.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::command::wait::interrupted;
use crate::show::{Graph, commaf_digits, is_interactive, out, outln, stdout_is_terminal};

/// Smaller screens show nothing useful.
const SMALLEST: (usize, usize) = (20, 20);
/// What stands beside the lines of a graph: labels and an axis.
const MARGIN: usize = 11;
/// Caption and empty line of a graph.
const BELOW: usize = 3;
const CLEAR: &str = "\x1b[2J\x1b[H";

/// One graph: its caption, its values so far, and how they are written.
pub(crate) struct Plot {
    pub(crate) caption: String,
    label: fn(f64) -> String,
    values: Vec<f64>,
}

impl Plot {
    pub(crate) fn new(caption: impl Into<String>, label: fn(f64) -> String) -> Self {
        Self { caption: caption.into(), label, values: Vec::new() }
    }

    pub(crate) fn push(&mut self, value: f64) {
        self.values.push(value);
        let surplus = self.values.len().saturating_sub(screen().map_or(SMALLEST.0, |(width, _)| width));
        self.values.drain(..surplus);
    }
}

/// Whole numbers on the axis.
pub(crate) fn whole(value: f64) -> String {
    commaf_digits(value.round(), 0)
}

/// Numbers with one decimal on the axis.
pub(crate) fn decimal(value: f64) -> String {
    format!("{value:.1}")
}

/// A number that grows, as what it grew by in a second.
pub(crate) struct Rate {
    last: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn from(value: f64) -> Self {
        Self { last: value, at: Instant::now() }
    }

    pub(crate) fn step(&mut self, value: f64) -> f64 {
        let rate = (value - self.last).max(0.0) / self.at.elapsed().as_secs_f64().max(0.001);
        *self = Self::from(value);
        rate
    }
}

fn screen() -> Option<(usize, usize)> {
    console::Term::stdout().size_checked().map(|(height, width)| (usize::from(width), usize::from(height)))
}

/// Fails unless a person watches a screen that is large enough.
pub(crate) fn check() -> Result<()> {
    if !is_interactive() && !stdout_is_terminal() {
        bail!("can only graph data on an interactive terminal");
    }
    check_size()
}

fn check_size() -> Result<()> {
    let (width, height) = screen().unwrap_or(SMALLEST);
    if width < SMALLEST.0 || height < SMALLEST.1 {
        bail!("please increase terminal dimensions");
    }
    Ok(())
}

/// Paints all graphs, one below the other, over the whole screen.
pub(crate) fn paint(title: &str, plots: &[Plot]) -> Result<()> {
    check_size()?;
    let (width, height) = screen().unwrap_or(SMALLEST);
    let rows = height.saturating_sub(2) / plots.len().max(1);
    out!("{CLEAR}");
    if !title.is_empty() {
        outln!("{title}\n");
    }
    for plot in plots {
        let graph = Graph {
            caption: &plot.caption,
            width: width.saturating_sub(MARGIN),
            height: rows.saturating_sub(BELOW).max(1),
            label: plot.label,
        };
        outln!("{}", graph.draw(&plot.values));
    }
    Ok(())
}

/// Asks for new values every second and paints them, until somebody presses Ctrl-C.
pub(crate) async fn every_second(mut frame: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut stop = std::pin::pin!(interrupted());
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = tick.tick() => frame().await?,
        }
    }
    out!("{CLEAR}");
    Ok(())
}
