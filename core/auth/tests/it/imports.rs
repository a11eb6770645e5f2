//! What accounts of claims have of each other while others come and go.

use account::{Account, AccountIds, Changed};
use auth::{Directory, authenticate};
use jwt::testing::{Chain, NOW, TestAccount};
use jwt::{Export, Sharing};
use moment::Timestamp;

use crate::claims::{attempt, operators};

/// Two accounts: `shop` has a service of `bank`, which everybody may have or those with a token.
struct Pair {
    chain: Chain,
    bank: TestAccount,
    shop: TestAccount,
    ids: AccountIds,
}

impl Pair {
    fn new(token_ends: Option<Timestamp>) -> Self {
        let chain = Chain::new("acme");
        let (mut bank, mut shop) = (chain.account("bank"), chain.account("shop"));
        let mut export = Export::new(Sharing::Service, "rates");
        export.token_req = token_ends.is_some();
        let activation = token_ends.map(|end| {
            let mut activation = bank.activation(shop.key.public(), &export);
            activation.common.expires = end.as_secs();
            activation
        });
        shop.claims.imports.push(bank.import_of(&export, activation.as_ref()));
        bank.claims.exports.push(export);
        Self { chain, bank, shop, ids: AccountIds::default() }
    }

    fn directory(&mut self) -> Directory {
        let none = Directory::of_operators(operators(&self.chain), &mut self.ids).unwrap();
        let (one, _) = none.with_account(self.shop.trusted(&self.chain), &mut self.ids, NOW);
        one.with_account(self.bank.trusted(&self.chain), &mut self.ids, NOW).0
    }

    /// How many services a user of the importing account has, and how many stand in the set of accounts.
    fn services(&self, directory: &Directory) -> (usize, usize) {
        let verdict = authenticate(directory, &attempt(&self.shop.user("joe")), NOW);
        let of = |account: &Account| account.sharing.services.len();
        let joe = verdict.admitted().expect("the account is at hand");
        (of(&joe.account), of(directory.account(&self.shop.key.public().to_string()).unwrap()))
    }

    fn holds(&self, changed: &Changed, account: &TestAccount) -> bool {
        changed.iter().any(|name| name.as_str() == account.key.public().to_string())
    }
}

#[test]
fn whoever_imports_from_an_account_that_goes_has_nothing_of_it_at_once() {
    for token_ends in [None, Some(Timestamp::from_secs(NOW.as_secs() + 60))] {
        let mut pair = Pair::new(token_ends);
        let both = pair.directory();
        assert_eq!((pair.services(&both), both.next_token_end()), ((1, 1), token_ends));
        let (gone, changed) = both.without_account(&pair.bank.key.public(), &mut pair.ids, NOW);
        assert_eq!((pair.services(&gone), gone.next_token_end()), ((0, 0), None));
        assert!(pair.holds(&changed, &pair.shop) && pair.holds(&changed, &pair.bank));
        let importer = gone.account(&pair.shop.key.public().to_string()).unwrap();
        assert!(!importer.imports[0].activated, "a token of an account that is not there opens nothing");
        let (back, changed) = gone.with_account(pair.bank.trusted(&pair.chain), &mut pair.ids, NOW);
        assert_eq!((pair.services(&back), back.next_token_end()), ((1, 1), token_ends));
        assert!(pair.holds(&changed, &pair.shop));
    }
}

#[test]
fn an_account_that_nobody_imports_from_goes_alone() {
    let mut pair = Pair::new(None);
    let both = pair.directory();
    let (gone, changed) = both.without_account(&pair.shop.key.public(), &mut pair.ids, NOW);
    assert!(gone.claims_of(&pair.bank.key.public()).is_some());
    assert!(pair.holds(&changed, &pair.shop) && !pair.holds(&changed, &pair.bank));
}
