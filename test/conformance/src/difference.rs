//! Two transcripts side by side.

/// The lines of both, marked `-` when only in the first and `+` when only in the second. `None` when they are equal.
pub fn difference(first: &str, second: &str) -> Option<String> {
    if first == second {
        return None;
    }
    let (a, b): (Vec<_>, Vec<_>) = (first.lines().collect(), second.lines().collect());
    let common = common_lengths(&a, &b);
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let mark = if i < a.len() && j < b.len() && a[i] == b[j] {
            (' ', a[i])
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            ('-', a[i])
        } else {
            ('+', b[j])
        };
        i += usize::from(mark.0 != '+');
        j += usize::from(mark.0 != '-');
        out.push_str(&format!("{} {}\n", mark.0, mark.1));
    }
    Some(out)
}

/// For each pair of positions the length of the longest common rest.
fn common_lengths(a: &[&str], b: &[&str]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if a[i] == b[j] { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_marked() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n").unwrap(), "  a\n- b\n+ x\n  c\n");
        assert_eq!(difference("a\n", "a\nb\n").unwrap(), "  a\n+ b\n");
    }
}
