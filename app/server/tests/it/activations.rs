//! What one account takes from another by leave: who has it, for what, and until when. Over sockets, in operator mode.

use std::time::Duration;

use jwt::testing::{Chain, NOW, TestAccount, resign};
use jwt::{ActivationClaims, Export, Import, Revoked, Sharing};

use crate::resolvers::{House, admitted, update, updated};
use crate::running::{Peer, Running, seconds};

/// A market that offers its prices by leave, and its news as well.
struct Market {
    house: House,
    server: Running,
    admin: Peer,
    market: TestAccount,
    prices: Export,
}

impl Market {
    fn open() -> Self {
        let house = House::new();
        let server = house.full("");
        let mut admin = house.admin(&server);
        let by_leave = |sharing, subject| Export { token_req: true, ..Export::new(sharing, subject) };
        let prices = by_leave(Sharing::Stream, "prices.>");
        let exports = vec![prices.clone(), by_leave(Sharing::Stream, "news.>"), by_leave(Sharing::Service, "quote")];
        let market = house.chain.account("market").with(|claims| claims.exports = exports);
        updated(&mut admin, &market);
        Self { house, server, admin, market, prices }
    }

    /// Leave for the shop to hear the prices.
    fn leave(&self) -> ActivationClaims {
        self.market.activation(self.house.shop.key.public(), &self.prices)
    }

    /// Somebody of this account who wants this, once it is known to import so.
    fn listener(&mut self, account: &TestAccount, import: Import, filter: &str) -> Peer {
        let name = account.claims.common.name.clone();
        updated(&mut self.admin, &account.clone().with(|claims| claims.imports.push(import)));
        let mut peer = admitted(&self.server, &account.user(&name));
        peer.subscribe(filter, "1");
        peer
    }

    fn publish(&self, subject: &str) {
        let mut trader = admitted(&self.server, &self.market.user("trader"));
        trader.publish(subject, None, b"7");
        trader.settle();
    }

    fn hears(&self, peer: &mut Peer) -> bool {
        drain(peer);
        self.publish("prices.tea");
        (0..5).any(|_| {
            std::thread::sleep(Duration::from_millis(40));
            drain(peer) > 0
        })
    }
}

/// Takes what has come.
fn drain(peer: &mut Peer) -> usize {
    peer.say("PING\r\n");
    let lines = std::iter::from_fn(|| Some(peer.answer()).filter(|line| line != "PONG"));
    lines.filter(|line| line.starts_with("MSG prices.tea ")).count()
}

#[test]
fn cve_2021_3127_a_leave_is_of_use_to_nobody_else_and_for_nothing_else() {
    let mut market = Market::open();
    let (leave, shop) = (market.leave(), market.house.shop.clone());
    let import = market.market.import_of(&market.prices, Some(&leave));
    let mut rightful = market.listener(&shop, import.clone(), "prices.>");
    assert!(market.hears(&mut rightful));

    let thief = market.house.chain.account("thief");
    let forged = |claims: &ActivationClaims, signer: &TestAccount| claims.encode(&signer.key, NOW.as_secs()).unwrap();
    let mut for_thief = leave.clone();
    for_thief.common.subject = thief.key.public();
    let mut posing = for_thief.clone();
    posing.issuer_account = Some(market.market.key.public());
    let own_word = format!(
        r#"{{"iss":"{0}","sub":"{0}","iat":1,"nats":{{"version":2,"type":"activation"}}}}"#,
        thief.key.public()
    );
    let attempts = [
        ("the shop's leave", Import { ..import.clone() }),
        ("a leave it signed itself", Import { token: forged(&for_thief, &thief), ..import.clone() }),
        ("a leave it signed in the market's name", Import { token: forged(&posing, &thief), ..import.clone() }),
        ("no leave", Import { token: String::new(), ..import.clone() }),
        ("something that is no leave", Import { token: resign(&thief.key, &own_word), ..import.clone() }),
        ("another token", Import { token: market.market.user("trader").token(), ..import.clone() }),
    ];
    for (number, (what, import)) in attempts.into_iter().enumerate() {
        let claims = thief
            .clone()
            .issued(10 * (1 + i64::try_from(number).unwrap()))
            .with(|claims| claims.imports = vec![import]);
        // Refused as a whole, or taken without this import.
        let answer = update(&mut market.admin, &claims);
        if answer["error"].is_null() {
            let mut peer = admitted(&market.server, &thief.user("thief"));
            peer.subscribe(">", "1");
            assert!(!market.hears(&mut peer), "{what}");
        }
    }
    // The shop's leave is for prices, and not for news or quotes.
    for (number, (sharing, subject)) in
        [(Sharing::Stream, "news.>"), (Sharing::Service, "quote")].into_iter().enumerate()
    {
        let wrong = Import { token: import.token.clone(), ..Import::new(sharing, market.market.key.public(), subject) };
        let after = 10 * (1 + i64::try_from(number).unwrap());
        let claims = shop.clone().issued(after).with(|claims| claims.imports = vec![import.clone(), wrong]);
        let answer = update(&mut market.admin, &claims);
        assert!(answer["error"]["description"].is_string(), "{subject}: {answer}");
    }
    assert!(market.hears(&mut rightful));
}

#[test]
fn fix_afb750e_a_leave_that_ends_takes_its_import_with_it_and_no_other() {
    let mut market = Market::open();
    let shop = market.house.shop.clone();
    let mut leave = market.leave();
    leave.common.expires = seconds() + 3;
    let import = market.market.import_of(&market.prices, Some(&leave));
    let mut short = market.listener(&shop, import, "prices.>");
    assert!(market.hears(&mut short));
    let cafe = market.house.chain.account("cafe");
    let lasting = market.market.activation(cafe.key.public(), &market.prices);
    let import = market.market.import_of(&market.prices, Some(&lasting));
    let mut lasting = market.listener(&cafe, import, "prices.>");
    assert!(market.hears(&mut lasting));
    while seconds() <= leave.common.expires {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!market.hears(&mut short), "the leave has ended");
    assert!(market.hears(&mut lasting), "this one has not");
    short.settle();
}

#[test]
fn a_leave_that_is_taken_back_ends_at_once_and_only_for_those_it_was_given_to() {
    let mut market = Market::open();
    let (shop, cafe) = (market.house.shop.clone(), market.house.chain.account("cafe"));
    let import = |market: &Market, account: &TestAccount| {
        let leave = market.market.activation(account.key.public(), &market.prices);
        market.market.import_of(&market.prices, Some(&leave))
    };
    let (for_shop, for_cafe) = (import(&market, &shop), import(&market, &cafe));
    let mut gone = market.listener(&shop, for_shop, "prices.>");
    let mut stays = market.listener(&cafe, for_cafe, "prices.>");
    assert!(market.hears(&mut gone) && market.hears(&mut stays));
    let revoked = market.market.clone().issued(10).with(|claims| {
        claims.exports[0].revocations.revoke(Revoked::Key(shop.key.public()), NOW.as_secs());
    });
    updated(&mut market.admin, &revoked);
    assert!(!market.hears(&mut gone), "it was taken back");
    assert!(market.hears(&mut stays));
}

#[test]
fn cve_2020_28466_and_cve_2022_42709_circles_of_claims_carry_nothing_and_cost_nothing() {
    let house = House::new();
    let server = house.full("");
    let mut admin = house.admin(&server);
    let names = ["A", "B", "C"];
    for length in 1..=names.len() {
        let chain = Chain::new("acme");
        let account = |at: usize| chain.account(names[at % length]);
        for at in 0..length {
            let (own, next) = (account(at), account(at + 1));
            for (sharing, subject) in [(Sharing::Service, "s"), (Sharing::Service, "w.*"), (Sharing::Stream, "t.>")] {
                let claims = own.clone().issued(10 * i64::try_from(length * 10 + at).unwrap()).with(|claims| {
                    claims.exports = vec![Export::new(sharing, subject)];
                    claims.imports = vec![Import::new(sharing, next.key.public(), subject)];
                });
                update(&mut admin, &claims);
            }
        }
        let mut peer = admitted(&server, &account(0).user("joe"));
        peer.subscribe(">", "1");
        for subject in ["s", "w.x", "t.x"] {
            peer.publish(subject, Some("answer.here"), b"x");
            let message = peer.message();
            assert_eq!(message.subject, subject, "once, in its own account");
            peer.settle();
        }
    }
}
