//! The options that are combined, which combinations should work, and which cells cover them.

use std::collections::HashSet;
use std::fmt;

/// The options and what each can be.
pub const AXES: [(&str, &[&str]); 10] = [
    ("client", &["openssl", "async-nats", "nats-py"]),
    ("speaks", &["1.2", "1.3"]),
    ("least", &["1.2", "1.3"]),
    ("suite", &["default", "aes128", "aes256", "chacha"]),
    ("curve", &["default", "X25519MLKEM768", "X25519", "CurveP256", "CurveP384"]),
    (
        "certificate",
        &[
            "p256",
            "p384",
            "ed25519",
            "rsa",
            "below",
            "root",
            "none",
            "self",
            "stranger",
            "expired",
            "future",
            "server-only",
            "authority",
            "cannot-sign",
        ],
    ),
    (
        "identity",
        &["off", "verify", "map-mail", "map-dns", "map-uri", "map-dn", "map-dn-reordered", "map-dn-short", "map-other"],
    ),
    ("pin", &["none", "its", "other"]),
    ("first", &["off", "on", "auto", "300ms"]),
    ("begins", &["info", "tls"]),
];

/// Certificates that a server which asks for one accepts.
const TRUSTED: [&str; 6] = ["p256", "p384", "ed25519", "rsa", "below", "root"];

/// Identities that no configured user has.
const NOBODY: [&str; 2] = ["map-dn-short", "map-other"];

/// One combination: for each axis which of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell([usize; AXES.len()]);

impl Cell {
    /// The value of an axis.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn get(&self, axis: &str) -> &'static str {
        let at = AXES.iter().position(|(name, _)| *name == axis).expect("the axis has a name of the table");
        AXES[at].1[self.0[at]]
    }

    /// The cell in which all is in order, for this client.
    fn plain(client: &str) -> Self {
        Self([0; AXES.len()]).with("client", client).with("speaks", "1.3").with("identity", "verify")
    }

    fn with(mut self, axis: &str, value: &str) -> Self {
        let at = AXES.iter().position(|(name, _)| *name == axis).expect("the axis has a name of the table");
        self.0[at] = AXES[at].1.iter().position(|known| *known == value).expect("the axis has this value");
        self
    }

    /// Whether a client with this cell should come in.
    pub fn should_work(&self) -> bool {
        let (speaks, curve, certificate) = (self.get("speaks"), self.get("curve"), self.get("certificate"));
        let is_asked = self.get("identity") != "off";
        let has_hybrid = speaks == "1.3" && self.get("client") == "async-nats";
        let pin_fits = match self.get("pin") {
            "none" => true,
            "its" => is_asked,
            _ => false,
        };
        let meets = match self.get("first") {
            "off" => self.get("begins") == "info",
            "on" => self.get("begins") == "tls",
            // Fifty milliseconds are a race for a client that reads its certificates once it has connected.
            "auto" => self.get("begins") == "info" || self.get("client") == "openssl",
            _ => true,
        };
        speaks >= self.get("least")
            && (curve != "X25519MLKEM768" || has_hybrid)
            && (!is_asked || TRUSTED.contains(&certificate))
            && !NOBODY.contains(&self.get("identity"))
            && pin_fits
            && meets
    }

    /// Every cell.
    fn all() -> impl Iterator<Item = Self> {
        let count: usize = AXES.iter().map(|(_, values)| values.len()).product();
        (0..count).map(|mut number| {
            Self(std::array::from_fn(|axis| {
                let values = AXES[axis].1.len();
                let value = number % values;
                number /= values;
                value
            }))
        })
    }

    fn pairs(&self) -> impl Iterator<Item = Pair> + '_ {
        (0..AXES.len())
            .flat_map(move |left| (left + 1..AXES.len()).map(move |right| (left, self.0[left], right, self.0[right])))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<&str> = self.0.iter().zip(AXES).map(|(value, (_, values))| values[*value]).collect();
        f.write_str(&values.join(" "))
    }
}

/// An axis with a value, and another one.
type Pair = (usize, usize, usize, usize);

/// Cells that should work, together with every pair of values that can stand together in such a cell. The same each time.
pub fn cover() -> Vec<Cell> {
    let working: Vec<Cell> = Cell::all().filter(Cell::should_work).collect();
    let mut missing: HashSet<Pair> = working.iter().flat_map(|cell| cell.pairs().collect::<Vec<_>>()).collect();
    let mut chance = Chance(1);
    let mut rows = Vec::new();
    while let Some(pair) = missing.iter().min().copied() {
        let has_it = |cell: &&Cell| cell.0[pair.0] == pair.1 && cell.0[pair.2] == pair.3;
        let fitting: Vec<&Cell> = working.iter().filter(has_it).collect();
        let candidates = (0..200).map(|_| fitting[chance.below(fitting.len())]);
        let gain = |cell: &&Cell| cell.pairs().filter(|pair| missing.contains(pair)).count();
        let best = *candidates.max_by_key(gain).expect("the pair came from a working cell");
        for pair in best.pairs() {
            missing.remove(&pair);
        }
        rows.push(best);
    }
    rows.sort_unstable();
    rows
}

/// Every refusal alone: all else is in order.
pub fn refusals() -> Vec<Cell> {
    let alone = |client: &&'static str| {
        let plain = Cell::plain(client);
        let untrusted = AXES[5].1.iter().filter(|kind| !TRUSTED.contains(kind));
        let mut cells: Vec<Cell> = untrusted.map(|kind| plain.with("certificate", kind)).collect();
        cells.push(plain.with("speaks", "1.2").with("least", "1.3"));
        cells.push(plain.with("speaks", "1.2").with("curve", "X25519MLKEM768"));
        if *client != "async-nats" {
            cells.push(plain.with("curve", "X25519MLKEM768"));
        }
        cells.extend(NOBODY.map(|identity| plain.with("identity", identity)));
        cells.push(plain.with("pin", "other"));
        cells.push(plain.with("identity", "off").with("pin", "other"));
        cells.push(plain.with("first", "on"));
        cells.push(plain.with("begins", "tls"));
        cells
    };
    AXES[0].1.iter().flat_map(alone).collect()
}

/// A small generator, so that the cells are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cover_is_small_and_holds_every_pair_that_can_be() {
        let rows = cover();
        let covered: HashSet<Pair> = rows.iter().flat_map(|cell| cell.pairs().collect::<Vec<_>>()).collect();
        let possible = Cell::all().filter(Cell::should_work).flat_map(|cell| cell.pairs().collect::<Vec<_>>());
        assert!(possible.into_iter().all(|pair| covered.contains(&pair)));
        assert!(rows.len() + refusals().len() <= 300, "{} and {}", rows.len(), refusals().len());
        assert!(refusals().iter().all(|cell| !cell.should_work()));
    }
}
