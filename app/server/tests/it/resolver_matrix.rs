//! What a change of an account does to those who are logged in, and what is left of it after a restart: every type of
//! resolver, every change.

use std::time::Instant;

use jwt::testing::{NOW, TestAccount, TestUser};
use jwt::{NO_LIMIT, Revoked};

use crate::resolvers::{House, SOON, Web, admitted, deletion, ends_soon, log_in, refused, update};
use crate::running::{Peer, Running, seconds};

/// How a server comes by its accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Full,
    Cache,
    Memory,
    Url,
}

/// A server with two accounts, the shop among them.
struct Place {
    kind: Kind,
    house: House,
    server: Running,
    web: Web,
}

impl Place {
    fn open(kind: Kind) -> Self {
        let house = House::new();
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("jwts");
        std::fs::create_dir(&dir).unwrap();
        let web = Web::start(vec![house.system.clone(), house.shop.clone()]);
        if matches!(kind, Kind::Full | Kind::Cache) {
            std::fs::write(dir.join(format!("{}.jwt", house.shop.key.public())), house.shop.token()).unwrap();
        }
        let config = match kind {
            Kind::Full => {
                house.config(&format!("resolver {{ type: full, dir: '{}', allow_delete: true }}", dir.display()))
            }
            Kind::Cache => house.config(&format!("resolver {{ type: cache, dir: '{}' }}", dir.display())),
            Kind::Memory => in_memory(&house, Some(&house.shop)),
            Kind::Url => on_the_web(&house, &web),
        };
        let server = Running::start_in(folder, &config);
        Self { kind, house, server, web }
    }

    /// Changes the shop, by the means that this type of resolver has.
    fn change(&mut self, change: impl FnOnce(&mut TestAccount)) {
        change(&mut self.house.shop);
        self.house.shop.issued_at = moment::Timestamp::from_secs(self.house.shop.issued_at.as_secs() + 10);
        match self.kind {
            Kind::Memory => self.server.reload(&in_memory(&self.house, Some(&self.house.shop))),
            Kind::Url => {
                *self.web.accounts.lock().unwrap() = vec![self.house.system.clone(), self.house.shop.clone()];
                self.push();
            }
            Kind::Full | Kind::Cache => self.push(),
        }
    }

    fn push(&self) {
        let answer = update(&mut self.house.admin(&self.server), &self.house.shop);
        assert_eq!(answer["data"]["code"], 200, "{answer}");
    }

    fn delete(&mut self) {
        match self.kind {
            Kind::Memory => self.server.reload(&in_memory(&self.house, None)),
            Kind::Url => {
                *self.web.accounts.lock().unwrap() = vec![self.house.system.clone()];
                self.server.reload(&on_the_web(&self.house, &self.web));
            }
            Kind::Full | Kind::Cache => {
                let request = deletion(&self.house.chain, &[&self.house.shop]);
                let answer =
                    self.house.admin(&self.server).request("$SYS.REQ.CLAIMS.DELETE", request.as_bytes()).json();
                assert_eq!(answer["data"]["message"], "deleted 1 accounts", "{answer}");
            }
        }
    }

    fn user(&self, name: &str) -> TestUser {
        self.house.shop.user(name)
    }

    fn admitted(&self, user: &TestUser) -> Peer {
        admitted(&self.server, user)
    }

    /// Nobody comes in as this user, now and after a restart.
    fn refused_for_good(&mut self, user: &TestUser) {
        refused(&self.server, user);
        self.server.restart();
        refused(&self.server, user);
    }
}

fn in_memory(house: &House, shop: Option<&TestAccount>) -> String {
    let entries = shop.into_iter().chain([&house.system]);
    let entries: String = entries.map(|account| format!("{}: {}\n", account.key.public(), account.token())).collect();
    let (operator, system) = (house.chain.token(), house.system.key.public());
    format!("operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{\n{entries}}}\n")
}

fn on_the_web(house: &House, web: &Web) -> String {
    let (operator, system) = (house.chain.token(), house.system.key.public());
    format!("operator: {operator}\nsystem_account: {system}\n{}\n", web.resolver())
}

fn everywhere(scene: impl Fn(Place)) {
    for kind in [Kind::Full, Kind::Cache, Kind::Memory, Kind::Url] {
        eprintln!("{kind:?}");
        scene(Place::open(kind));
    }
}

#[test]
fn a_user_is_revoked_everywhere() {
    everywhere(|mut place| {
        let (old, kept) = (place.user("old"), place.user("kept"));
        let (mut gone, mut stays) = (place.admitted(&old), place.admitted(&kept));
        let begun = Instant::now();
        place.change(|shop| shop.claims.revocations.revoke(Revoked::Key(old.key.public()), NOW.as_secs()));
        ends_soon(&mut gone, begun, "User Authentication Revoked");
        stays.settle();
        place.refused_for_good(&old);
        place.admitted(&kept);
        let newer = TestUser { issued_at: moment::Timestamp::from_secs(NOW.as_secs() + 1), ..old };
        place.admitted(&newer);
    });
}

#[test]
fn fix_fa12d09_all_users_are_revoked_everywhere() {
    everywhere(|mut place| {
        let joe = place.user("joe");
        let mut gone = place.admitted(&joe);
        let begun = Instant::now();
        place.change(|shop| shop.claims.revocations.revoke(Revoked::All, NOW.as_secs()));
        ends_soon(&mut gone, begun, "User Authentication Revoked");
        place.refused_for_good(&joe);
    });
}

#[test]
fn an_account_expires_everywhere() {
    everywhere(|mut place| {
        let joe = place.user("joe");
        let mut gone = place.admitted(&joe);
        let end = seconds() + 2;
        place.change(|shop| shop.claims.common.expires = end);
        gone.settle();
        assert_eq!(gone.answer(), "-ERR 'Account Authentication Expired'");
        // The clock of claims has seconds.
        assert!(seconds() <= end + 1, "{} after {end}", seconds());
        place.refused_for_good(&joe);
    });
}

#[test]
fn connections_are_limited_everywhere() {
    everywhere(|mut place| {
        let joe = place.user("joe");
        let (mut first, mut second) = (place.admitted(&joe), place.admitted(&joe));
        let begun = Instant::now();
        place.change(|shop| shop.claims.limits.account.conn = 1);
        ends_soon(&mut second, begun, "maximum account active connections exceeded");
        first.settle();
        let too_many = |place: &Place| {
            let (_, answer) = log_in(&place.server, &joe);
            assert_eq!(answer, "-ERR 'maximum account active connections exceeded'");
        };
        too_many(&place);
        place.server.restart();
        let _first = place.admitted(&joe);
        too_many(&place);
        place.change(|shop| shop.claims.limits.account.conn = NO_LIMIT);
        place.admitted(&joe);
    });
}

#[test]
fn a_signing_key_is_taken_away_everywhere() {
    everywhere(|mut place| {
        let (delegated, own) = (place.house.shop.delegated_user("joe"), place.user("ann"));
        let (mut gone, mut stays) = (place.admitted(&delegated), place.admitted(&own));
        let begun = Instant::now();
        place.change(|shop| assert!(shop.claims.signing_keys.remove(&shop.signing.public())));
        assert_eq!(gone.answer(), "", "not a word");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        stays.settle();
        place.refused_for_good(&delegated);
        place.admitted(&own);
    });
}

#[test]
fn an_account_is_deleted_everywhere() {
    everywhere(|mut place| {
        let joe = place.user("joe");
        let mut gone = place.admitted(&joe);
        let begun = Instant::now();
        place.delete();
        ends_soon(&mut gone, begun, "Account Authentication Expired");
        place.refused_for_good(&joe);
        // The others stay.
        let mut admin = place.house.admin(&place.server);
        admin.settle();
    });
}
