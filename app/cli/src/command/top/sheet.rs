//! Rows with numbers that grow: their rates, their order, and how they are shown.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use anyhow::{Result, anyhow};
use serde_json::{Map, Value, json};

use crate::show::{Table, comma, ibytes, out, outln, screen_width};

const CLEAR: &str = "\x1b[2J\x1b[H";
/// Points of the small plot above the table.
const POINTS_MAX: usize = 240;
/// Lines of the screen that are no rows: plot, frame, head, help.
const LINES_AROUND: usize = 8;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    /// A text.
    Text(&'static str),
    /// A number as it is.
    Count(&'static str),
    /// Bytes as they are.
    Bytes(&'static str),
    /// A number that grows, as what it grew by in a second.
    CountRate(&'static str),
    /// Bytes that grow, as what they grew by in a second.
    BytesRate(&'static str),
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Text(name)
            | Self::Count(name)
            | Self::Bytes(name)
            | Self::CountRate(name)
            | Self::BytesRate(name) => name,
        }
    }

    const fn is_rate(self) -> bool {
        matches!(self, Self::CountRate(_) | Self::BytesRate(_))
    }

    fn show(self, cell: &Cell) -> String {
        match (self, cell) {
            (_, Cell::Text(text)) => text.clone(),
            (Self::Count(_), Cell::Number(number)) => comma(*number as i128),
            (Self::CountRate(_), Cell::Number(number)) => format!("{}/s", comma(number.round() as i128)),
            (Self::BytesRate(_), Cell::Number(number)) => format!("{}/s", ibytes(number.round() as u64)),
            (_, Cell::Number(number)) => ibytes(*number as u64),
        }
    }
}

/// Columns of one thing to look at, and by which it is sorted at first.
pub(crate) struct View {
    pub(crate) title: &'static str,
    pub(crate) columns: &'static [Column],
    pub(crate) sort: &'static str,
}

/// A cell of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Text(String),
    Number(f64),
}

/// A row: what it is recognised by, and its cells as they were asked for.
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) cells: Vec<Cell>,
}

/// The rows of a view, with what is known of the last look.
pub(crate) struct Sheet {
    view: &'static View,
    sort: usize,
    is_reversed: bool,
    rows: Vec<Vec<Cell>>,
    before: HashMap<String, Vec<Cell>>,
    at: Option<Instant>,
    /// The sum of the first rate, look by look.
    plot: VecDeque<f64>,
}

impl Sheet {
    /// A sheet without rows.
    pub(crate) fn new(view: &'static View, sort: Option<&str>) -> Result<Self> {
        let wanted = sort.unwrap_or(view.sort);
        let names = || view.columns.iter().map(|column| column.name());
        let sort = names().position(|name| name.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
            anyhow!("there is no column {wanted:?}; there are {}", names().collect::<Vec<_>>().join(", "))
        })?;
        Ok(Self {
            view,
            sort,
            is_reversed: false,
            rows: Vec::new(),
            before: HashMap::new(),
            at: None,
            plot: VecDeque::new(),
        })
    }

    /// Takes a new look.
    pub(crate) fn take(&mut self, rows: Vec<Row>) {
        let now = Instant::now();
        let seconds = self.at.map(|at| (now - at).as_secs_f64().max(0.001));
        self.at = Some(now);
        let before = std::mem::take(&mut self.before);
        self.rows = rows.iter().map(|row| self.rated(row, before.get(&row.key), seconds)).collect();
        self.before = rows.into_iter().map(|row| (row.key, row.cells)).collect();
        self.arrange();
        if seconds.is_some() {
            self.note();
        }
    }

    /// Cells with rates in place of what grew.
    fn rated(&self, row: &Row, before: Option<&Vec<Cell>>, seconds: Option<f64>) -> Vec<Cell> {
        let cell = |(at, column): (usize, &Column)| match (&row.cells[at], column.is_rate()) {
            (Cell::Number(now), true) => {
                let last = before.and_then(|cells| cells.get(at));
                // What was not there at the last look began with nothing.
                let since = if let Some(Cell::Number(last)) = last { *last } else { 0.0 };
                let grown = seconds.map_or(0.0, |seconds| (now - since).max(0.0) / seconds);
                Cell::Number(grown)
            }
            (cell, _) => cell.clone(),
        };
        self.view.columns.iter().enumerate().map(cell).collect()
    }

    fn note(&mut self) {
        let Some(at) = self.view.columns.iter().position(|column| column.is_rate()) else { return };
        let sum = self.rows.iter().map(|row| if let Cell::Number(number) = row[at] { number } else { 0.0 }).sum();
        if self.plot.len() == POINTS_MAX {
            self.plot.pop_front();
        }
        self.plot.push_back(sum);
    }

    /// Numbers from the largest down, texts from A to Z.
    fn arrange(&mut self) {
        let at = self.sort;
        self.rows.sort_by(|one, other| match (&one[at], &other[at]) {
            (Cell::Number(one), Cell::Number(other)) => other.total_cmp(one),
            (Cell::Text(one), Cell::Text(other)) => one.cmp(other),
            (Cell::Text(_), Cell::Number(_)) => std::cmp::Ordering::Less,
            (Cell::Number(_), Cell::Text(_)) => std::cmp::Ordering::Greater,
        });
        if self.is_reversed {
            self.rows.reverse();
        }
    }

    /// Sorts by another column.
    pub(crate) fn sort_by_next(&mut self, step: isize) {
        let columns = self.view.columns.len() as isize;
        self.sort = (self.sort as isize + step).rem_euclid(columns) as usize;
        self.arrange();
    }

    /// Sorts the other way round.
    pub(crate) fn reverse(&mut self) {
        self.is_reversed = !self.is_reversed;
        self.arrange();
    }

    fn table(&self, rows: usize) -> Table {
        let arrow = if self.is_reversed { "▲" } else { "▼" };
        let names: Vec<String> = self
            .view
            .columns
            .iter()
            .enumerate()
            .map(
                |(at, column)| {
                    if at == self.sort { format!("{} {arrow}", column.name()) } else { column.name().to_owned() }
                },
            )
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let right: Vec<usize> =
            (0..names.len()).filter(|&at| !matches!(self.view.columns[at], Column::Text(_))).collect();
        let mut table = Table::new(self.view.title, &names).right(&right);
        for row in self.rows.iter().take(rows) {
            table.row(self.view.columns.iter().zip(row).map(|(column, cell)| column.show(cell)).collect());
        }
        table
    }

    /// Prints the rows once.
    pub(crate) fn print(&self, rows: usize) {
        self.table(rows).print();
    }

    /// Paints the screen.
    pub(crate) fn paint(&self, rows: usize) {
        let height = console::Term::stdout().size_checked().map_or(24, |(height, _)| usize::from(height));
        let rows = rows.min(height.saturating_sub(LINES_AROUND).max(1));
        out!("{CLEAR}");
        outln!("{}", self.small_plot(screen_width()));
        outln!("{}", self.table(rows).render());
        out!(
            "1 servers  2 accounts  3 connections  4 streams  5 subjects  6 jetstream   ← → sort   r reverse   q quit"
        );
    }

    /// The sum of the first rate as a row of blocks, and its last value.
    fn small_plot(&self, width: usize) -> String {
        let Some(column) = self.view.columns.iter().find(|column| column.is_rate()) else { return String::new() };
        let last = self.plot.back().copied().unwrap_or(0.0);
        let label = format!("{} {} ", column.name(), column.show(&Cell::Number(last)));
        let room = width.saturating_sub(label.chars().count() + 1);
        let values: Vec<f64> = self.plot.iter().rev().take(room).rev().copied().collect();
        label + &blocks(&values)
    }

    /// The rows as JSON, cells by the names of their columns.
    pub(crate) fn json(&self, rows: usize) -> Vec<Value> {
        let value = |cell: &Cell| match cell {
            Cell::Text(text) => json!(text),
            Cell::Number(number) => json!(number),
        };
        let name = |column: &Column| {
            let name = column.name().to_lowercase().replace(' ', "_");
            if column.is_rate() { format!("{name}_per_second") } else { name }
        };
        let object = |row: &Vec<Cell>| {
            let fields = self.view.columns.iter().zip(row).map(|(column, cell)| (name(column), value(cell)));
            Value::Object(fields.collect::<Map<_, _>>())
        };
        self.rows.iter().take(rows).map(object).collect()
    }
}

/// Leaves an empty screen behind.
pub(crate) fn leave() {
    out!("{CLEAR}");
}

/// Values as blocks of eight heights.
fn blocks(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().copied().fold(0.0, f64::max);
    let block = |value: &f64| {
        let share = if most > 0.0 { value / most } else { 0.0 };
        BLOCKS[((share * 7.0).round() as usize).min(7)]
    };
    values.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static VIEW: View = View {
        title: "Things",
        columns: &[Column::Text("Name"), Column::CountRate("Msgs"), Column::Bytes("Size")],
        sort: "Msgs",
    };

    fn row(name: &str, messages: f64, bytes: f64) -> Row {
        Row {
            key: name.to_owned(),
            cells: vec![Cell::Text(name.to_owned()), Cell::Number(messages), Cell::Number(bytes)],
        }
    }

    fn names(sheet: &Sheet) -> Vec<String> {
        sheet.json(9).iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn what_grows_is_shown_as_a_rate_and_sorted_by_it() {
        let mut sheet = Sheet::new(&VIEW, None).unwrap();
        sheet.take(vec![row("a", 1000.0, 5.0), row("b", 0.0, 9.0)]);
        assert_eq!(sheet.json(9)[0]["msgs_per_second"], 0.0, "one look has no rate");
        sheet.at = sheet.at.map(|at| at - std::time::Duration::from_secs(10));
        sheet.take(vec![row("a", 1010.0, 5.0), row("b", 100.0, 9.0), row("new", 7.0, 1.0)]);
        assert_eq!(names(&sheet), ["b", "a", "new"]);
        let rate = sheet.json(1)[0]["msgs_per_second"].as_f64().unwrap();
        assert!((9.0..=10.0).contains(&rate), "{rate}");
        sheet.reverse();
        assert_eq!(names(&sheet), ["new", "a", "b"]);
        sheet.reverse();
        sheet.sort_by_next(1);
        assert_eq!(names(&sheet), ["b", "a", "new"], "by size");
        sheet.sort_by_next(1);
        assert_eq!(names(&sheet), ["a", "b", "new"], "round to the names");
    }

    #[test]
    fn a_column_that_does_not_exist_is_answered_with_those_that_do() {
        let error = Sheet::new(&VIEW, Some("cpu")).err().unwrap().to_string();
        assert_eq!(error, "there is no column \"cpu\"; there are Name, Msgs, Size");
    }

    #[test]
    fn a_small_plot_reaches_from_nothing_to_the_largest() {
        assert_eq!(blocks(&[0.0, 3.5, 7.0]), "▁▅█");
        assert_eq!(blocks(&[0.0, 0.0]), "▁▁");
    }
}
