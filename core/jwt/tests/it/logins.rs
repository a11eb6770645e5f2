use bulwark_jwt::chain::{AccountRefusal, Attempt, Origin, UserGrant, UserRefusal, admit_user};
use bulwark_jwt::testing::{Chain, NOW, TestAccount, TestUser};
use bulwark_jwt::{Allow, ConnectionType, Responses, Revoked, TimeRange, UserClaims, UtcOnly};
use moment::{Duration, Timestamp};

const NONCE: &[u8] = b"u7dK2mPq0zX_aBc";

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + seconds)
}

/// A login over plain TCP from 10.1.2.3 with a right signature.
struct Login<'a> {
    chain: &'a Chain,
    account: &'a TestAccount,
    user: &'a TestUser,
    signature: Option<String>,
    connection: ConnectionType,
    address: Option<&'static str>,
    proxy: bool,
    now: Timestamp,
}

impl<'a> Login<'a> {
    fn of(chain: &'a Chain, account: &'a TestAccount, user: &'a TestUser) -> Self {
        Self {
            chain,
            account,
            user,
            signature: Some(user.sign(NONCE)),
            connection: ConnectionType::Standard,
            address: Some("10.1.2.3"),
            proxy: false,
            now: NOW,
        }
    }

    fn judge(&self) -> Result<UserGrant, UserRefusal> {
        let claims = UserClaims::decode(&self.user.token()).expect("a rightly signed token");
        let attempt = Attempt {
            nonce: NONCE,
            signature: self.signature.as_deref(),
            address: self.address.map(|address| address.parse().expect("an address")),
            connection: self.connection,
            via_trusted_proxy: self.proxy,
        };
        let account = self.account.trusted(self.chain);
        admit_user(&self.chain.trust(), &account, &claims, &attempt, &UtcOnly, self.now)
    }
}

fn login(chain: &Chain, account: &TestAccount, user: &TestUser) -> Result<UserGrant, UserRefusal> {
    Login::of(chain, account, user).judge()
}

fn shop() -> (Chain, TestAccount) {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    (chain, shop)
}

#[test]
fn a_user_of_the_account_is_admitted() {
    let (chain, shop) = shop();
    let joe = shop.user("joe");
    let grant = login(&chain, &shop, &joe).expect("admitted");
    assert_eq!((grant.user, grant.account), (joe.key.public(), shop.key.public()));
    assert_eq!((grant.name.as_str(), grant.account_name.as_str()), ("joe", "shop"));
    assert_eq!((grant.rules, grant.origin), (None, Origin::User));
    assert_eq!((grant.max_payload, grant.max_subscriptions), (None, None));
    assert_eq!((grant.expires, grant.account_expires), (None, None));
}

#[test]
fn a_signing_key_speaks_for_the_account_it_names() {
    let (chain, shop) = shop();
    let joe = shop.delegated_user("joe");
    assert_eq!(login(&chain, &shop, &joe).map(|grant| grant.issuer), Ok(shop.signing.public()));

    let silent = joe.clone().with(|claims| claims.issuer_account = None);
    let refused = login(&chain, &shop, &silent);
    assert_eq!(refused, Err(UserRefusal::OtherAccount(shop.signing.public())), "an account nobody knows");

    let mut removed = shop.clone();
    assert!(removed.claims.signing_keys.remove(&shop.signing.public()));
    assert_eq!(login(&chain, &removed, &joe), Err(UserRefusal::UnknownIssuer(shop.signing.public())));
}

#[test]
fn a_key_of_another_account_speaks_for_nobody_here() {
    let (chain, shop) = shop();
    let bank = chain.account("bank");
    let mallory = bank.user("mallory").with(|claims| claims.issuer_account = Some(shop.key.public()));
    assert_eq!(login(&chain, &shop, &mallory), Err(UserRefusal::UnknownIssuer(bank.key.public())));
}

#[test]
fn under_a_strict_operator_only_signing_keys_make_users() {
    let mut chain = Chain::new("acme");
    chain.claims.strict_signing_key_usage = true;
    let shop = chain.account("shop");
    assert_eq!(login(&chain, &shop, &shop.user("joe")), Err(UserRefusal::IdentityKey));
    assert!(login(&chain, &shop, &shop.delegated_user("joe")).is_ok());
}

#[test]
fn the_nonce_must_be_signed_by_the_user() {
    let (chain, shop) = shop();
    let (joe, eve) = (shop.user("joe"), shop.user("eve"));
    let judge = |signature: Option<String>| Login { signature, ..Login::of(&chain, &shop, &joe) }.judge();
    assert_eq!(judge(None), Err(UserRefusal::SignatureMissing));
    assert_eq!(judge(Some(String::new())), Err(UserRefusal::SignatureMissing));
    assert_eq!(judge(Some("%%%".into())), Err(UserRefusal::SignatureEncoding));
    assert_eq!(judge(Some("AAAA".into())), Err(UserRefusal::Signature));
    assert_eq!(judge(Some(eve.sign(NONCE))), Err(UserRefusal::Signature));
    assert_eq!(judge(Some(joe.sign(b"another nonce"))), Err(UserRefusal::Signature));
    let padded = data_encoding::BASE64.encode(&joe.key.sign(NONCE));
    assert!(judge(Some(padded)).is_ok(), "old clients pad");
}

#[test]
fn a_bearer_needs_no_signature_unless_the_account_wants_one() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| claims.rights.bearer_token = true);
    let unsigned = Login { signature: None, ..Login::of(&chain, &shop, &joe) };
    assert!(unsigned.judge().expect("admitted").is_bearer);
    let strict = shop.clone().with(|claims| claims.limits.account.disallow_bearer = true);
    assert_eq!(login(&chain, &strict, &joe), Err(UserRefusal::BearerDisallowed));
}

#[test]
fn a_user_is_admitted_from_the_first_to_the_last_second() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| {
        claims.common.not_before = later(10).as_secs();
        claims.common.expires = later(20).as_secs();
    });
    let judge = |now| Login { now, ..Login::of(&chain, &shop, &joe) }.judge();
    assert_eq!(judge(later(9)), Err(UserRefusal::Early));
    assert_eq!(judge(later(10)).map(|grant| grant.expires), Ok(Some(later(20))));
    assert_eq!(judge(later(20)), Err(UserRefusal::Expired));
    let odd = shop.user("joe").with(|claims| claims.common.expires = -1);
    assert_eq!(login(&chain, &shop, &odd), Err(UserRefusal::Expired), "a time before all times");
}

#[test]
fn nobody_is_admitted_to_an_expired_account() {
    let (chain, shop) = shop();
    let shop = shop.with(|claims| claims.common.expires = later(5).as_secs());
    let joe = shop.user("joe");
    let judge = |now| Login { now, ..Login::of(&chain, &shop, &joe) }.judge();
    assert_eq!(judge(later(4)).map(|grant| grant.account_expires), Ok(Some(later(5))));
    assert_eq!(judge(later(5)), Err(UserRefusal::Account(AccountRefusal::Expired)));
}

#[test]
fn a_revocation_hits_what_was_issued_until_then() {
    let (chain, shop) = shop();
    let joe = shop.user("joe");
    let revoked = |who: Revoked, until: i64| {
        let shop = shop.clone().with(|claims| claims.revocations.revoke(who, later(until).as_secs()));
        login(&chain, &shop, &joe).is_err_and(|refusal| refusal == UserRefusal::Revoked)
    };
    assert!(revoked(Revoked::Key(joe.key.public()), 0), "issued in that very second");
    assert!(revoked(Revoked::Key(joe.key.public()), 1));
    assert!(!revoked(Revoked::Key(joe.key.public()), -1), "issued later");
    assert!(revoked(Revoked::All, 0));
    assert!(!revoked(Revoked::All, -1));
    assert!(!revoked(Revoked::Key(shop.user("eve").key.public()), 100), "somebody else");
}

#[test]
fn a_user_that_does_not_say_when_it_was_issued_is_void_where_anything_is_revoked() {
    let (chain, shop) = shop();
    let mut joe = shop.user("joe");
    joe.issued_at = Timestamp::EPOCH;
    assert!(login(&chain, &shop, &joe).is_ok());
    let eve = shop.user("eve").key.public();
    let shop = shop.with(|claims| claims.revocations.revoke(Revoked::Key(eve), 1));
    assert_eq!(login(&chain, &shop, &joe), Err(UserRefusal::Revoked));
}

#[test]
fn a_user_limited_to_networks_comes_from_one_of_them() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| claims.rights.sources = vec!["10.0.0.0/8".into(), "2001:db8::/32".into()]);
    let judge = |address| Login { address, ..Login::of(&chain, &shop, &joe) }.judge();
    for inside in ["10.1.2.3", "2001:db8::7", "::ffff:10.9.9.9"] {
        assert!(judge(Some(inside)).is_ok(), "{inside}");
    }
    for outside in ["11.1.2.3", "2001:db9::7"] {
        assert!(matches!(judge(Some(outside)), Err(UserRefusal::Source(Some(_)))), "{outside}");
    }
    assert_eq!(judge(None), Err(UserRefusal::Source(None)));
}

#[test]
fn a_user_limited_to_times_leaves_when_they_end() {
    let (chain, shop) = shop();
    // NOW is 22:13:20 UTC.
    let between = |start: &str, end: &str| {
        let range = TimeRange { start: start.into(), end: end.into() };
        login(&chain, &shop, &shop.user("joe").with(|claims| claims.rights.times = vec![range]))
    };
    assert_eq!(between("22:00:00", "22:13:30").map(|grant| grant.expires), Ok(Some(later(10))));
    let over_midnight = between("22:00:00", "06:00:00").map(|grant| grant.expires);
    assert_eq!(over_midnight, Ok(Some(Timestamp::from_secs(1_700_028_000))));
    assert_eq!(between("09:00:00", "17:00:00"), Err(UserRefusal::OutsideTimes));
    assert!(matches!(between("9", "17:00:00"), Err(UserRefusal::Invalid(_))));
}

#[test]
fn times_count_in_their_zone_and_an_unknown_zone_admits_nobody() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| {
        claims.rights.times = vec![TimeRange { start: "00:00:01".into(), end: "23:59:59".into() }];
        claims.rights.times_location = "Mars/Olympus".into();
    });
    assert_eq!(login(&chain, &shop, &joe), Err(UserRefusal::UnknownZone("Mars/Olympus".into())));
}

#[test]
fn the_earlier_end_counts() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| {
        claims.rights.times = vec![TimeRange { start: "22:00:00".into(), end: "22:13:30".into() }];
        claims.common.expires = later(7).as_secs();
    });
    assert_eq!(login(&chain, &shop, &joe).map(|grant| grant.expires), Ok(Some(later(7))));
}

#[test]
fn a_user_limited_to_connection_types_uses_one_of_them() {
    let (chain, shop) = shop();
    let judge = |words: &[&str], connection| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let joe = shop.user("joe").with(|claims| claims.rights.allowed_connection_types = words);
        Login { connection, ..Login::of(&chain, &shop, &joe) }.judge().map(|_| ())
    };
    let (standard, leaf) = (ConnectionType::Standard, ConnectionType::Leafnode);
    assert_eq!(judge(&["STANDARD", "FOO"], standard), Ok(()));
    assert_eq!(judge(&["WEBSOCKET"], standard), Err(UserRefusal::ConnectionType(standard)));
    assert_eq!(judge(&["STANDARD"], leaf), Err(UserRefusal::ConnectionType(leaf)));
    assert_eq!(judge(&["FOO"], standard), Err(UserRefusal::NoKnownConnectionType));
}

#[test]
fn a_user_limited_to_proxies_comes_through_one() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| claims.rights.proxy_required = true);
    assert_eq!(login(&chain, &shop, &joe), Err(UserRefusal::ProxyRequired));
    assert!(Login { proxy: true, ..Login::of(&chain, &shop, &joe) }.judge().is_ok());
}

#[test]
fn the_limits_of_the_user_are_granted() {
    let (chain, shop) = shop();
    let joe = shop.user("joe").with(|claims| {
        claims.rights.limits.payload = 1024;
        claims.rights.limits.subs = 0;
    });
    let grant = login(&chain, &shop, &joe).expect("admitted");
    assert_eq!((grant.max_payload, grant.max_subscriptions), (Some(1024), Some(0)));
}

#[test]
fn default_permissions_count_for_users_that_say_nothing() {
    let (chain, shop) = shop();
    let shop = shop.with(|claims| claims.default_permissions.publish.deny = vec!["admin.>".into()]);
    let grant = login(&chain, &shop, &shop.user("joe")).expect("admitted");
    assert_eq!(grant.origin, Origin::AccountDefault);
    assert_eq!(grant.rules.expect("rules").publish.deny.len(), 1);

    let eve = shop.user("eve").with(|claims| claims.rights.permissions.subscribe.allow = vec!["a q".into()]);
    let grant = login(&chain, &shop, &eve).expect("admitted");
    assert_eq!(grant.origin, Origin::User);
    let rules = grant.rules.expect("rules");
    assert!(rules.publish.deny.is_empty());
    let Allow::Only(entries) = &rules.subscribe.allow else { panic!("an allow list") };
    assert_eq!(entries.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a q"]);
}

#[test]
fn leave_to_answer_is_leave_for_nothing_else() {
    let (chain, shop) = shop();
    let answering = |max, ttl| {
        let responses = Some(Responses { max, ttl });
        let joe = shop.user("joe").with(|claims| claims.rights.permissions.responses = responses);
        login(&chain, &shop, &joe).expect("admitted").rules.expect("rules")
    };
    let rules = answering(0, 0);
    assert_eq!(rules.publish.allow, Allow::Only(Vec::new()));
    assert_eq!(rules.subscribe.allow, Allow::Everything);
    let answer = rules.responses.expect("answers");
    assert_eq!((answer.max, answer.expires), (Some(1), Some(Duration::from_secs(120))));
    let answer = answering(-1, -1).responses.expect("answers");
    assert_eq!((answer.max, answer.expires), (None, None));
}

#[test]
fn a_refusal_names_what_decided() {
    let (chain, shop) = shop();
    let shop = shop.with(|claims| claims.revocations.revoke(Revoked::All, NOW.as_secs()));
    let refusal = login(&chain, &shop, &shop.user("joe")).expect_err("refused");
    assert_eq!(refusal.to_string(), "user is revoked");
}
