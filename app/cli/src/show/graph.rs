//! Line graphs out of box-drawing characters.

use std::fmt::Write;

/// A line through some values, from left to right, from zero to the largest one.
pub(crate) struct Graph<'a> {
    pub(crate) caption: &'a str,
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) label: fn(f64) -> String,
}

impl Graph<'_> {
    /// The last `width` values that fit, the largest one at the top.
    pub(crate) fn draw(&self, values: &[f64]) -> String {
        let values = &values[values.len().saturating_sub(self.width)..];
        let height = self.height.max(1);
        let most = values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
        let step = if most > 0.0 { most / height as f64 } else { 1.0 };
        let rows: Vec<usize> =
            values.iter().map(|value| ((value.max(0.0) / step).round() as usize).min(height)).collect();
        let mut canvas = vec![vec![' '; values.len()]; height + 1];
        for (at, &row) in rows.iter().enumerate() {
            let before = if at == 0 { row } else { rows[at - 1] };
            stroke(&mut canvas, at, before, row);
        }
        let labels: Vec<String> = (0..=height).map(|row| (self.label)(row as f64 * step)).collect();
        let widest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for row in (0..=height).rev() {
            let line: String = canvas[row].iter().collect();
            let _ = writeln!(text, " {:>widest$} ┤{}", labels[row], line.trim_end());
        }
        let indent = widest + 3 + self.width.saturating_sub(self.caption.chars().count()) / 2;
        let _ = writeln!(text, "{:indent$}{}", "", self.caption);
        text
    }
}

/// The piece of the line in one column: flat, or up or down from the row before.
fn stroke(canvas: &mut [Vec<char>], column: usize, before: usize, row: usize) {
    let mut put = |row: usize, mark: char| {
        if let Some(cell) = canvas.get_mut(row).and_then(|cells| cells.get_mut(column)) {
            *cell = mark;
        }
    };
    if before == row {
        return put(row, '─');
    }
    let is_up = row > before;
    put(before, if is_up { '╯' } else { '╮' });
    put(row, if is_up { '╭' } else { '╰' });
    (before.min(row) + 1..before.max(row)).for_each(|between| put(between, '│'));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_follows_the_values() {
        let graph = Graph { caption: "x", width: 6, height: 2, label: |value| format!("{value:.0}") };
        let wanted = " 4 ┤   ╭╮\n 2 ┤  ╭╯│\n 0 ┤──╯ ╰─\n      x\n";
        assert_eq!(graph.draw(&[9.0, 0.0, 0.0, 2.0, 4.0, 0.0, 0.0]), wanted);
    }

    #[test]
    fn nothing_is_a_flat_line() {
        let graph = Graph { caption: "x", width: 3, height: 1, label: |value| format!("{value:.0}") };
        assert_eq!(graph.draw(&[0.0; 3]), " 1 ┤\n 0 ┤───\n     x\n");
    }
}
