//! Tables of our documents: rows below a heading, cells between bars.

/// The rows of the first table below the heading that follow its dividing line, as cells.
pub(crate) fn rows(document: &str, heading: &str) -> Vec<Vec<String>> {
    let below = document.lines().skip_while(|line| line.trim() != heading).skip(1);
    let table = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    table.skip(2).map(cells).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The names in a cell, between commas; a dash is none.
pub(crate) fn names(cell: &str) -> Vec<String> {
    let names = cell.split(',').map(|name| name.trim().trim_matches('`').to_owned());
    names.filter(|name| !name.is_empty() && name != "–").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_below_the_heading() {
        let text = "# A\n\n| x |\n|---|\n| 1 |\n\n## B\n\ntext\n\n| crate | uses |\n|---|---|\n| `a`, b | – |\n| c | a, b |\n\nend\n";
        assert_eq!(rows(text, "## B"), [["`a`, b", "–"], ["c", "a, b"]]);
        assert_eq!(names("`a`, b"), ["a", "b"]);
        assert_eq!(names("–"), [""; 0]);
    }
}
