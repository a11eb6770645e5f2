//! Tables with round corners, and the same as Markdown, CSV or tab-separated text when asked by the environment.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use crate::show::{Figure, Scheme, outln, screen_width, stdout_is_terminal};

/// A titled table.
pub(crate) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Line>,
    footer: Vec<String>,
    right: Vec<usize>,
}

enum Line {
    Cells(Vec<String>),
    Separator,
}

/// The twelve strokes of a frame: horizontal, vertical, then the three junctions of top, middle and bottom.
struct Frame {
    flat: &'static str,
    upright: &'static str,
    top: [&'static str; 3],
    middle: [&'static str; 3],
    bottom: [&'static str; 3],
    unfinished: &'static str,
}

const ROUND: Frame = Frame {
    flat: "─",
    upright: "│",
    top: ["╭", "┬", "╮"],
    middle: ["├", "┼", "┤"],
    bottom: ["╰", "┴", "╯"],
    unfinished: " ≈",
};

const DOUBLE: Frame = Frame {
    flat: "═",
    upright: "║",
    top: ["╔", "╦", "╗"],
    middle: ["╠", "╬", "╣"],
    bottom: ["╚", "╩", "╝"],
    unfinished: " ≈",
};

/// One row of cells, each shown as its kind of value is shown.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$($crate::show::Figure::figure(&$cell)),*] };
}
pub(crate) use cells;

impl Table {
    pub(crate) fn new(title: impl Into<String>, header: &[&str]) -> Self {
        let header = header.iter().map(|&name| name.to_owned()).collect();
        Self { title: title.into(), header, rows: Vec::new(), footer: Vec::new(), right: Vec::new() }
    }

    /// Columns of bare numbers stand to the right.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(Line::Cells(cells));
    }

    pub(crate) fn line<F: Figure>(&mut self, cells: impl IntoIterator<Item = F>) {
        self.row(cells.into_iter().map(|cell| cell.figure()).collect());
    }

    pub(crate) fn separator(&mut self) {
        self.rows.push(Line::Separator);
    }

    pub(crate) fn footer(&mut self, cells: Vec<String>) {
        self.footer = cells;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints the table and an empty line.
    pub(crate) fn print(&self) {
        outln!("{}\n", self.render());
    }

    pub(crate) fn render(&self) -> String {
        if std::env::var("LLMFORMAT").is_ok_and(|value| value == "1") {
            return self.markdown();
        }
        match std::env::var("NATS_TABLE_FORMAT").unwrap_or_default().to_ascii_lowercase().as_str() {
            "md" | "markdown" => self.markdown(),
            "csv" => self.csv(),
            "tsv" => self.tsv(),
            _ => self.drawn(),
        }
    }

    fn drawn(&self) -> String {
        let scheme = match Scheme::chosen() {
            Scheme::Coloured(_) if !stdout_is_terminal() => Scheme::Rounded,
            scheme => scheme,
        };
        let limit = if stdout_is_terminal() { screen_width() } else { usize::MAX };
        let frame = if scheme == Scheme::Double { &DOUBLE } else { &ROUND };
        Drawing { table: self, frame, scheme, widths: self.widths(), limit, text: String::new() }.draw()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.columns()];
        for cells in self.all() {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.lines().map(UnicodeWidthStr::width).fold(*width, usize::max);
            }
        }
        self.make_room(&mut widths);
        widths
    }

    /// No word of the title is wider than the table.
    fn make_room(&self, widths: &mut [usize]) {
        let longest = self.title.split_whitespace().map(UnicodeWidthStr::width).max().unwrap_or(0);
        let inner = widths.iter().sum::<usize>() + widths.len() * 3;
        if let Some(last) = widths.last_mut() {
            *last += (longest + 3).saturating_sub(inner);
        }
    }

    fn columns(&self) -> usize {
        self.all().map(Vec::len).max().unwrap_or(0)
    }

    fn all(&self) -> impl Iterator<Item = &Vec<String>> {
        [&self.header].into_iter().chain(self.cells()).chain([&self.footer])
    }

    fn cells(&self) -> impl Iterator<Item = &Vec<String>> {
        self.rows.iter().filter_map(|line| match line {
            Line::Cells(cells) => Some(cells),
            Line::Separator => None,
        })
    }

    fn markdown(&self) -> String {
        let row = |cells: &Vec<String>| {
            let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', "<br/>")).collect();
            format!("| {} |", cells.join(" | "))
        };
        let mut lines = Vec::new();
        if !self.title.is_empty() {
            lines.push(format!("# {}", self.title));
        }
        lines.push(row(&self.header));
        let rules = (0..self.columns()).map(|at| if self.right.contains(&at) { " ---: " } else { " --- " });
        lines.push(format!("|{}|", rules.collect::<Vec<_>>().join("|")));
        lines.extend(self.cells().map(row));
        lines.extend((!self.footer.is_empty()).then(|| row(&self.footer)));
        lines.join("\n")
    }

    pub(crate) fn csv(&self) -> String {
        self.separated(",", |cell| {
            if cell.contains(['"', ',', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
        })
    }

    fn tsv(&self) -> String {
        self.separated("\t", |cell| {
            if cell.contains(['"', '\t', '\n']) || cell.contains("    ") {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.to_owned()
            }
        })
    }

    fn separated(&self, by: &str, quote: impl Fn(&str) -> String) -> String {
        let mut lines = Vec::new();
        if !self.title.is_empty() {
            lines.push(self.title.clone());
        }
        for cells in self.all().filter(|cells| !cells.is_empty()) {
            let mut cells: Vec<_> = cells.iter().map(|cell| quote(cell)).collect();
            cells.resize(self.columns(), String::new());
            lines.push(cells.join(by));
        }
        lines.join("\n")
    }
}

/// A table on its way to the screen.
struct Drawing<'a> {
    table: &'a Table,
    frame: &'static Frame,
    scheme: Scheme,
    widths: Vec<usize>,
    limit: usize,
    text: String,
}

impl Drawing<'_> {
    fn draw(mut self) -> String {
        let frame = self.frame;
        if self.table.title.is_empty() {
            self.rule(frame.top);
        } else {
            self.title();
        }
        if !self.table.header.is_empty() {
            self.cells(&self.table.header);
            if !self.table.rows.is_empty() {
                self.rule(frame.middle);
            }
        }
        for line in &self.table.rows {
            match line {
                Line::Cells(cells) => self.cells(cells),
                Line::Separator => self.rule(frame.middle),
            }
        }
        if !self.table.footer.is_empty() {
            self.rule(frame.middle);
            self.cells(&self.table.footer);
        }
        self.rule(frame.bottom);
        self.text
    }

    /// The title has the whole width for itself; a long one is wrapped.
    fn title(&mut self) {
        let frame = self.frame;
        let inner = (self.inner()).min(self.limit.saturating_sub(2));
        self.push(format!("{}{}{}", frame.top[0], frame.flat.repeat(inner), frame.top[2]), String::new());
        for line in wrapped(&self.table.title, inner.saturating_sub(2)) {
            let room = inner.saturating_sub(line.width());
            let left = room / 2;
            let edge = self.scheme.ink(frame.upright);
            let text = format!("{edge}{:left$}{line}{:right$}{edge}", "", "", right = room - left);
            self.line(text);
        }
        self.rule([frame.middle[0], frame.top[1], frame.middle[2]]);
    }

    /// The columns between the two edges.
    fn inner(&self) -> usize {
        (self.widths.iter().sum::<usize>() + self.widths.len() * 3).saturating_sub(1)
    }

    fn rule(&mut self, [left, joint, right]: [&str; 3]) {
        let spans: Vec<_> = self.widths.iter().map(|width| self.frame.flat.repeat(width + 2)).collect();
        self.push(format!("{left}{}{right}", spans.join(joint)), String::new());
    }

    fn cells(&mut self, cells: &[String]) {
        let height = cells.iter().map(|cell| cell.lines().count()).max().unwrap_or(1).max(1);
        for at in 0..height {
            let edge = self.scheme.ink(self.frame.upright);
            let mut text = edge.clone();
            let mut plain = self.frame.upright.to_owned();
            for (column, &width) in self.widths.iter().enumerate() {
                let cell = cells.get(column).and_then(|cell| cell.lines().nth(at)).unwrap_or("");
                let pad = width.saturating_sub(cell.width());
                let cell = if self.table.right.contains(&column) {
                    format!(" {:pad$}{cell} ", "")
                } else {
                    format!(" {cell}{:pad$} ", "")
                };
                let _ = write!(text, "{cell}{edge}");
                let _ = write!(plain, "{cell}{}", self.frame.upright);
            }
            self.push(plain, text);
        }
    }

    /// Adds a line: painted when it fits, cut (and plain) when it is wider than the screen.
    fn push(&mut self, plain: String, painted: String) {
        if plain.width() > self.limit {
            let room = self.limit.saturating_sub(self.frame.unfinished.width());
            let line = format!("{}{}", cut(&plain, room), self.frame.unfinished);
            return self.line(line);
        }
        let line = if painted.is_empty() { self.scheme.ink(&plain) } else { painted };
        self.line(line);
    }

    fn line(&mut self, line: String) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&line);
    }
}

/// The beginning of a text that fits into so many columns.
fn cut(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used > room {
            return &text[..at];
        }
    }
    text
}

/// Breaks a text at blanks so that no line is wider than `room`, except a single word that is.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new("Known Things", &["Name", "Count"]).right(&[1]);
        table.row(cells!["a", 7u64]);
        table.row(cells!["longer name", 1234u64]);
        table
    }

    #[test]
    fn a_table_has_round_corners_and_a_centred_title() {
        let wanted = "\
╭─────────────────────╮
│    Known Things     │
├─────────────┬───────┤
│ Name        │ Count │
├─────────────┼───────┤
│ a           │     7 │
│ longer name │ 1,234 │
╰─────────────┴───────╯";
        assert_eq!(sample().drawn(), wanted);
    }

    #[test]
    fn a_long_word_in_the_title_makes_the_last_column_wider() {
        let mut table = Table::new("Inaccessible Things", &["A"]);
        table.row(cells!["x"]);
        let wanted = "\
╭──────────────╮
│ Inaccessible │
│    Things    │
├──────────────┤
│ A            │
├──────────────┤
│ x            │
╰──────────────╯";
        assert_eq!(table.drawn(), wanted);
    }

    #[test]
    fn a_footer_stands_below_a_rule() {
        let mut table = Table::new("", &["A"]);
        table.row(cells!["x"]);
        table.footer(cells!["sum"]);
        assert_eq!(table.drawn(), "╭─────╮\n│ A   │\n├─────┤\n│ x   │\n├─────┤\n│ sum │\n╰─────╯");
    }

    #[test]
    fn programs_get_csv_tabs_or_markdown() {
        assert_eq!(sample().csv(), "Known Things\nName,Count\na,7\nlonger name,\"1,234\"");
        assert_eq!(sample().tsv(), "Known Things\nName\tCount\na\t7\nlonger name\t1,234");
        assert_eq!(
            sample().markdown(),
            "# Known Things\n| Name | Count |\n| --- | ---: |\n| a | 7 |\n| longer name | 1,234 |"
        );
    }
}
