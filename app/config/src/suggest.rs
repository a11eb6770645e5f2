//! Which known word was probably meant.

/// The nearest of the known words, if it is near enough to be a slip of the finger.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    // Unknown keys of any length are compared with every known one.
    if word.len() > 64 {
        return None;
    }
    let bound = 1 + word.len() / 5;
    let near = known.iter().map(|&candidate| (distance(&word, candidate), candidate));
    near.filter(|&(steps, _)| steps <= bound).min_by_key(|&(steps, _)| steps).map(|(_, candidate)| candidate)
}

/// Letters to add, take away, replace or swap with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let width = other.len() + 1;
    let mut table: Vec<usize> = (0..width).collect();
    for row in 1..=one.len() {
        table.push(row);
        for column in 1..width {
            let at = row * width + column;
            let cost = usize::from(one[row - 1] != other[column - 1]);
            let mut steps = (table[at - width] + 1).min(table[at - 1] + 1).min(table[at - width - 1] + cost);
            let is_swap =
                row > 1 && column > 1 && one[row - 1] == other[column - 2] && one[row - 2] == other[column - 1];
            if is_swap {
                steps = steps.min(table[at - 2 * width - 2] + 1);
            }
            table.push(steps);
        }
    }
    table.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let known = ["port", "max_payload", "authorization", "permissions"];
        assert_eq!(nearest("prot", &known), Some("port"));
        assert_eq!(nearest("max-payload", &known), Some("max_payload"));
        assert_eq!(nearest("authorisation", &known), Some("authorization"));
        assert_eq!(nearest("permisions", &known), Some("permissions"));
        assert_eq!(nearest("cluster", &known), None);
        assert_eq!(nearest("x", &known), None);
        assert_eq!(nearest("", &[]), None);
    }
}
