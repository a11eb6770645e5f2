//! Stored passwords and tokens.

use secret::Secret;

/// A password as configured: plain, or a bcrypt hash. Which of them is seen by its form.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a>(&'a str);

impl<'a> Stored<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The work factor, if it is a hash.
    pub(crate) fn cost(self) -> Option<u32> {
        bcrypt_cost(self.0)
    }

    pub(crate) fn is_hash(self) -> bool {
        self.cost().is_some()
    }

    /// Whether this is the password. A malformed hash is nobody's password.
    pub(crate) fn is(self, shown: &str) -> bool {
        match self.is_hash() {
            true => bcrypt::verify(shown, self.0).unwrap_or(false),
            false => secret::same_bytes(self.0.as_bytes(), shown.as_bytes()),
        }
    }

    /// Whether both are the same hash.
    pub(crate) fn is_same_hash(self, other: Stored<'_>) -> bool {
        self.is_hash() && secret::same_bytes(self.0.as_bytes(), other.0.as_bytes())
    }
}

/// `$2a$11$…`: two digits of cost between the second and the third dollar sign make a text a hash.
fn bcrypt_cost(text: &str) -> Option<u32> {
    let rest = text.strip_prefix("$2")?;
    let mut rest = rest.strip_prefix(['a', 'b', 'x', 'y'])?.strip_prefix('$')?.splitn(2, '$');
    match (rest.next(), rest.next()) {
        (Some(cost), Some(_)) if cost.len() == 2 => cost.parse().ok(),
        _ => None,
    }
}

/// What every refusal by password costs, so that its time tells nothing about who exists.
///
/// Where hashes are used, each failed attempt verifies exactly one hash: the user's own, or else this one.
#[derive(Clone, Default)]
pub(crate) struct Toll(Option<Secret<String>>);

impl Toll {
    /// As dear as the dearest of the passwords.
    pub(crate) fn of<'a>(passwords: impl Iterator<Item = Stored<'a>>) -> Self {
        let cost = passwords.filter_map(Stored::cost).max();
        // Any well-formed hash will do: nobody's password is compared with it, only the time counts.
        let hash = |cost| format!("$2b${cost:02}$abcdefghijklmnopqrstuuH3ULDq0mFJPhyPOCwQDKRw3LmrEHDq6");
        Self(cost.map(|cost| Secret::new(hash(cost))))
    }

    pub(crate) fn is_due(&self) -> bool {
        self.0.is_some()
    }

    /// Compares the password, and when that fails without a hash having been computed, computes one.
    pub(crate) fn check(&self, stored: Option<Stored<'_>>, shown: Option<&Secret<String>>) -> bool {
        let shown = shown.map_or("", |shown| shown.expose());
        let plan = self.plan(stored);
        let good = stored.is_some_and(|stored| stored.is(shown));
        if let (false, Plan::TollOnFailure) = (good, plan) {
            std::hint::black_box(self.hash().is_some_and(|toll| toll.is(shown)));
        }
        good
    }

    fn hash(&self) -> Option<Stored<'_>> {
        self.0.as_ref().map(|hash| Stored::new(hash.expose()))
    }

    /// How the time of a failure is spent.
    pub(crate) fn plan(&self, stored: Option<Stored<'_>>) -> Plan {
        match stored {
            Some(stored) if stored.is_hash() => Plan::OwnHash,
            _ if self.is_due() => Plan::TollOnFailure,
            _ => Plan::Cheap,
        }
    }
}

/// See [`Toll::plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    OwnHash,
    TollOnFailure,
    Cheap,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str) -> Stored<'_> {
        Stored::new(text)
    }

    #[test]
    fn a_hash_is_told_from_a_password_by_its_form() {
        for hash in ["$2a$11$x", "$2b$04$", "$2x$10$abc", "$2y$12$.."] {
            assert!(stored(hash).cost().is_some(), "{hash}");
        }
        for plain in ["", "$2a$", "$2a$1$x", "$2c$11$x", "$2a$111$x", "$2a$11", "$$2a$11$x", "s3cret"] {
            assert!(stored(plain).cost().is_none(), "{plain}");
        }
    }

    #[test]
    fn a_hashed_password_is_recognised() {
        let hash = bcrypt::hash("s3cret", 4).unwrap();
        let hash = stored(&hash);
        assert!(hash.is("s3cret") && !hash.is("s3cre") && !hash.is(""));
    }

    #[test]
    fn a_malformed_hash_is_nobodys_password() {
        let hash = stored("$2a$11$tooshort");
        assert!(!hash.is("") && !hash.is("$2a$11$tooshort"));
    }

    #[test]
    fn where_hashes_are_used_every_failure_verifies_exactly_one() {
        let (four, five) = (bcrypt::hash("x", 4).unwrap(), bcrypt::hash("y", 5).unwrap());
        let users = [stored("plain"), stored(&four), stored(&five)];
        let toll = Toll::of(users.into_iter());
        assert_eq!(toll.hash().and_then(Stored::cost), Some(5));
        assert_eq!(toll.plan(None), Plan::TollOnFailure);
        assert_eq!(toll.plan(Some(users[0])), Plan::TollOnFailure);
        assert_eq!(toll.plan(Some(users[1])), Plan::OwnHash);
        assert_eq!(Toll::of(users[..1].iter().copied()).plan(None), Plan::Cheap);
    }

    #[test]
    fn the_toll_is_a_hash_that_is_really_computed() {
        let own = bcrypt::hash("x", 4).unwrap();
        let toll = Toll::of([stored(&own)].into_iter());
        let Some(hash) = &toll.0 else { panic!("no toll") };
        assert!(bcrypt::verify("x", hash.expose()).is_ok(), "a malformed hash would fail at once and tell");
    }

    #[test]
    fn the_empty_password_is_a_password_like_any_other() {
        let toll = Toll::default();
        assert!(toll.check(Some(stored("")), None));
        assert!(!toll.check(Some(stored("a")), None));
        assert!(!toll.check(None, None));
    }
}
