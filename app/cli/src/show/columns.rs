//! Labels and values in two columns with a common colon, in sections.

use std::fmt::Write;

use crate::show::{Figure, Scheme, stdout_is_terminal, write_out};

/// A page of labelled values.
pub(crate) struct Columns {
    heading: String,
    rows: Vec<Row>,
}

enum Row {
    Value(String, String),
    Line(String),
    Section(String),
}

impl Columns {
    pub(crate) fn new(heading: impl Into<String>) -> Self {
        Self { heading: heading.into(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, label: &str, value: impl Figure) -> &mut Self {
        self.rows.push(Row::Value(label.to_owned(), value.figure()));
        self
    }

    pub(crate) fn row_if(&mut self, condition: bool, label: &str, value: impl Figure) -> &mut Self {
        if condition { self.row(label, value) } else { self }
    }

    pub(crate) fn row_some(&mut self, label: &str, value: Option<impl Figure>) -> &mut Self {
        match value {
            Some(value) => self.row(label, value),
            None => self,
        }
    }

    pub(crate) fn row_not_empty(&mut self, label: &str, value: &str) -> &mut Self {
        self.row_if(!value.is_empty(), label, value)
    }

    /// Several values under one label.
    pub(crate) fn rows<S: AsRef<str>>(&mut self, label: &str, values: impl IntoIterator<Item = S>) -> &mut Self {
        for (at, value) in values.into_iter().enumerate() {
            self.row(if at == 0 { label } else { "" }, value.as_ref());
        }
        self
    }

    /// Named values under one label, their names aligned.
    pub(crate) fn named_values<'a>(
        &mut self,
        label: &str,
        values: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> &mut Self {
        let values: Vec<_> = values.into_iter().collect();
        let longest = values.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        self.rows(label, values.iter().map(|(name, value)| format!("{name:>longest$}: {value}")))
    }

    pub(crate) fn section(&mut self, title: impl Into<String>) -> &mut Self {
        self.rows.push(Row::Section(title.into()));
        self
    }

    pub(crate) fn line(&mut self, text: impl Into<String>) -> &mut Self {
        self.rows.push(Row::Line(text.into()));
        self
    }

    pub(crate) fn print(&self) {
        write_out(self.render().as_bytes());
    }

    pub(crate) fn render(&self) -> String {
        if std::env::var("LLMFORMAT").is_ok_and(|value| value == "1") {
            return self.markdown();
        }
        self.text(&if stdout_is_terminal() { Scheme::chosen().ink(":") } else { ":".to_owned() })
    }

    fn text(&self, colon: &str) -> String {
        let mut text = String::new();
        if !self.heading.is_empty() {
            let _ = write!(text, "{}\n\n", self.heading);
        }
        let longest = self.longest();
        let mut before: Option<&Row> = None;
        for row in &self.rows {
            match row {
                Row::Section(title) => {
                    if before.is_some_and(|row| !matches!(row, Row::Section(_)) && !is_blank(row)) {
                        text.push('\n');
                    }
                    let _ = write!(text, "{title}{}\n\n", if title.ends_with(':') { "" } else { ":" });
                }
                Row::Value(label, value) => {
                    let pad = (longest + 2).saturating_sub(label.chars().count());
                    let colon = if label.is_empty() { " " } else { colon };
                    let _ = writeln!(text, "{:pad$}{label}{colon} {value}", "");
                }
                Row::Line(line) if line.is_empty() && matches!(before, Some(Row::Section(_))) => continue,
                Row::Line(line) => {
                    let _ = writeln!(text, "{line}");
                }
            }
            before = Some(row);
        }
        text
    }

    fn longest(&self) -> usize {
        let labels = self.rows.iter().filter_map(|row| match row {
            Row::Value(label, _) => Some(label.chars().count()),
            _ => None,
        });
        labels.max().unwrap_or(0)
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        if !self.heading.is_empty() {
            let _ = write!(text, "# {}\n\n", self.heading);
        }
        for (at, row) in self.rows.iter().enumerate() {
            let _ = match row {
                Row::Section(title) => write!(text, "{}## {title}\n\n", if at > 0 { "\n" } else { "" }),
                Row::Value(label, value) if label.is_empty() => writeln!(text, "- {value}"),
                Row::Value(label, value) => writeln!(text, "- **{label}:** {value}"),
                Row::Line(line) => writeln!(text, "{line}"),
            };
        }
        text
    }
}

fn is_blank(row: &Row) -> bool {
    matches!(row, Row::Line(line) if line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_meet_at_a_common_colon() {
        let mut page = Columns::new("Title");
        page.row("Name", "x").row("Long Label", 1234u64).rows("List", ["a", "b"]);
        page.section("More").row("Y", true).line("").section("Last").row_not_empty("None", "");
        let wanted = "Title\n\n        Name: x\n  Long Label: 1,234\n        List: a\n              b\n\nMore:\n\n           Y: true\n\nLast:\n\n";
        assert_eq!(page.text(":"), wanted);
    }
}
