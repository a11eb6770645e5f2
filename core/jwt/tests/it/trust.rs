use bulwark_jwt::chain::{AccountRefusal, OperatorRefusal, OperatorTrust, judge_sentinel};
use bulwark_jwt::testing::{Chain, NOW, SERVER, key};
use bulwark_jwt::{OperatorClaims, UserClaims};
use moment::Timestamp;
use nkeys::{Role, decorate_jwt};

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + seconds)
}

fn refused(chain: &Chain) -> OperatorRefusal {
    OperatorTrust::of_operators(&[chain.token()], SERVER, NOW).expect_err("refused")
}

#[test]
fn accounts_of_the_operator_and_its_signing_keys_are_ours() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let trust = chain.trust();
    for signer in [&chain.key, &chain.signing] {
        let token = shop.clone().signed_by(signer).token();
        assert!(trust.admit_account(&token, &shop.key.public(), NOW).is_ok());
    }
    let stranger = Chain::new("evil");
    let token = shop.clone().signed_by(&stranger.signing).token();
    let refused = trust.admit_account(&token, &shop.key.public(), NOW);
    assert_eq!(refused, Err(AccountRefusal::Untrusted(stranger.signing.public())));
}

#[test]
fn an_account_cannot_vouch_for_itself() {
    let chain = Chain::new("acme");
    let shop = chain.account("shop");
    let token = shop.clone().signed_by(&shop.key).token();
    let refused = chain.trust().admit_account(&token, &shop.key.public(), NOW);
    assert_eq!(refused, Err(AccountRefusal::Untrusted(shop.key.public())));
}

#[test]
fn a_strict_operators_identity_key_signs_no_accounts() {
    let mut chain = Chain::new("acme");
    chain.claims.strict_signing_key_usage = true;
    let shop = chain.account("shop");
    let trust = chain.trust();
    assert!(trust.admit_account(&shop.token(), &shop.key.public(), NOW).is_ok());
    let token = shop.clone().signed_by(&chain.key).token();
    let refused = trust.admit_account(&token, &shop.key.public(), NOW);
    assert_eq!(refused, Err(AccountRefusal::Untrusted(chain.key.public())));
}

#[test]
fn the_claims_of_one_account_are_not_anothers() {
    let chain = Chain::new("acme");
    let (shop, bank) = (chain.account("shop"), chain.account("bank"));
    let refused = chain.trust().admit_account(&shop.token(), &bank.key.public(), NOW).expect_err("refused");
    assert_eq!(refused.to_string(), "subject does not match jwt content");
}

#[test]
fn an_account_is_ours_from_its_first_to_its_last_second() {
    let chain = Chain::new("acme");
    let mut shop = chain.account("shop");
    shop.claims.common.not_before = later(10).as_secs();
    shop.claims.common.expires = later(20).as_secs();
    let (trust, token, wanted) = (chain.trust(), shop.token(), shop.key.public());
    assert_eq!(trust.admit_account(&token, &wanted, later(9)), Err(AccountRefusal::Early));
    let account = trust.admit_account(&token, &wanted, later(10)).expect("current");
    assert_eq!(account.check(&trust, later(19)), Ok(()));
    assert_eq!(account.check(&trust, later(20)), Err(AccountRefusal::Expired));
    assert_eq!(account.expires(), Some(later(20)));
}

#[test]
fn an_expired_operator_refuses_to_boot_and_admits_nobody_later() {
    let mut chain = Chain::new("acme");
    chain.claims.common.expires = later(60).as_secs();
    let shop = chain.account("shop");
    let trust = chain.trust();
    assert!(trust.admit_account(&shop.token(), &shop.key.public(), later(59)).is_ok());
    let refused = trust.admit_account(&shop.token(), &shop.key.public(), later(60));
    assert_eq!(refused, Err(AccountRefusal::Untrusted(chain.signing.public())));

    chain.claims.common.expires = NOW.as_secs();
    assert_eq!(self::refused(&chain), OperatorRefusal::Expired(chain.key.public()));
    chain.claims.common.expires = 0;
    chain.claims.common.not_before = later(1).as_secs();
    assert_eq!(self::refused(&chain), OperatorRefusal::Early(chain.key.public()));
}

#[test]
fn an_operator_that_wants_a_newer_server_refuses_to_boot() {
    let mut chain = Chain::new("acme");
    for (wanted, text) in [
        ("3.0.0", "expected major version 3 > server major version 2"),
        ("2.16.0", "expected minor version 16 > server minor version 15"),
        ("2.15.2", "expected update version 2 > server update version 1"),
    ] {
        wanted.clone_into(&mut chain.claims.assert_server_version);
        let operator = chain.key.public();
        assert_eq!(refused(&chain).to_string(), format!("operator {operator} {text}"));
    }
    for fine in ["", "2.15.1", "2.14.99", "1.99.99", "0.0.0"] {
        fine.clone_into(&mut chain.claims.assert_server_version);
        assert!(OperatorTrust::of_operators(&[chain.token()], SERVER, NOW).is_ok(), "{fine}");
    }
    for odd in ["2", "2.15", "2.15.1.0", "a.b.c", "-1.0.0"] {
        odd.clone_into(&mut chain.claims.assert_server_version);
        assert!(matches!(refused(&chain), OperatorRefusal::Invalid(_)), "{odd}");
    }
}

#[test]
fn an_operator_signed_by_a_stranger_is_refused() {
    let chain = Chain::new("acme");
    let token = chain.claims.encode(&key(Role::Operator, "stranger"), NOW.as_secs()).expect("signed");
    let refused = OperatorTrust::of_operators(&[token], SERVER, NOW).expect_err("refused");
    assert_eq!(refused, OperatorRefusal::NotSelfSigned(chain.key.public()));
    let own = chain.claims.encode(&chain.signing, NOW.as_secs()).expect("signed");
    assert!(OperatorTrust::of_operators(&[own], SERVER, NOW).is_ok());
}

#[test]
fn urls_of_an_operator_are_checked() {
    let mut claims = OperatorClaims::new(key(Role::Operator, "acme").public());
    "a.b/c".clone_into(&mut claims.account_server_url);
    claims.operator_service_urls = vec!["nats://a:4222".to_owned(), "http://a".to_owned(), String::new()];
    let issues = claims.validate(NOW.as_secs());
    assert_eq!(issues.iter().count(), 2, "{issues:?}");
}

#[test]
fn several_operators_and_bare_keys_are_trusted() {
    let (acme, other) = (Chain::new("acme"), Chain::new("other"));
    let both = OperatorTrust::of_operators(&[acme.token(), other.token()], SERVER, NOW).expect("both");
    assert!(both.trusts(&acme.signing.public(), NOW) && both.trusts(&other.key.public(), NOW));
    assert_eq!(both.system_account(), acme.claims.system_account);

    let keys = OperatorTrust::of_keys(&[acme.key.public()]).expect("a key");
    assert!(keys.trusts(&acme.key.public(), NOW) && !keys.trusts(&acme.signing.public(), NOW));
    let account = acme.account("shop").key.public();
    assert_eq!(OperatorTrust::of_keys(&[account]).expect_err("refused"), OperatorRefusal::NotOperatorKey(account));
}

#[test]
fn only_pinned_accounts_and_the_system_account_log_in() {
    let chain = Chain::new("acme");
    let (shop, bank, system) = (chain.account("shop"), chain.account("bank"), chain.account("SYS"));
    let trust = chain.trust().pinned_to([shop.key.public()]);
    let account_of = |token: String| trust.account_of(&UserClaims::decode(&token).expect("a user"));
    assert!(account_of(shop.user("joe").token()).is_ok());
    assert!(account_of(system.user("admin").token()).is_ok());
    assert!(account_of(bank.user("joe").token()).is_err());
}

#[test]
fn an_operator_file_may_be_decorated() {
    let chain = Chain::new("acme");
    let trust = OperatorTrust::of_operators(&[decorate_jwt("OPERATOR", &chain.token())], SERVER, NOW).expect("read");
    assert_eq!(trust.operators()[0].token, chain.token());
    for odd in ["", " ", "a.b.c", &chain.account("shop").token()] {
        let refused = OperatorTrust::of_operators(&[odd.to_owned()], SERVER, NOW).expect_err("refused");
        assert!(refused.to_string().starts_with("error parsing operator JWT: "), "{odd}");
    }
}

#[test]
fn a_default_sentinel_signs_no_nonce() {
    let mut shop = Chain::new("acme").account("shop");
    let bearer = shop.user("anybody").with(|claims| claims.rights.bearer_token = true);
    assert!(judge_sentinel(&bearer.token()).is_ok());
    let clerk = shop.add_scope("clerk", |scope| scope.template.bearer_token = true);
    assert!(judge_sentinel(&shop.scoped_user("anybody", &clerk).token()).is_ok());
    let signing = judge_sentinel(&shop.user("joe").token()).expect_err("refused");
    assert_eq!(signing.to_string(), "default sentinel must be a bearer token");
    assert_eq!(judge_sentinel("x").expect_err("refused").to_string(), "default sentinel JWT not valid");
}
