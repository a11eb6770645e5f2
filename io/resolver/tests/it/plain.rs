use bulwark_resolver::Request;
use jwt::testing::{Chain, NOW};

use crate::scene::Scene;

#[test]
fn an_account_in_use_is_updated_and_another_skipped() {
    let mut scene = Scene::plain();
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    scene.known = Some(vec![shop.key.public()]);
    let said = scene.push(&shop);
    assert_eq!((said.message(), said.effects.len()), ("jwt updated", 1));
    assert_eq!(scene.resolver.load(&shop.key.public(), NOW).expect("memory"), Some(shop.token()));
    assert_eq!(scene.push(&bank).message(), "jwt update skipped");
}

#[test]
fn plain_resolvers_have_their_own_words() {
    let mut scene = Scene::plain();
    let shop = scene.chain.account("shop");
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", shop.key.public());
    assert_eq!(scene.ask(&subject, b"").error(), "jwt update error - request body is empty");
    let said = scene.ask(&subject, b"x");
    assert_eq!(said.error(), "jwt update resulted in error - expected 3 chunks");
    assert_eq!(said.account(), shop.key.public().to_string());
}

#[test]
fn what_is_refused_is_explained_in_the_log_alone() {
    let mut scene = Scene::plain();
    let forged = scene.chain.account("shop").signed_by(&Chain::new("evil").key);
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", forged.key.public());
    let handled = scene.handle(&subject, forged.token().as_bytes());
    let outcome = handled.outcome.expect("an outcome");
    assert_eq!(outcome.error.as_deref(), Some("account validation failed"));
    assert!(outcome.log_line().contains("not signed by a trusted operator"), "{}", outcome.log_line());
    assert!(handled.effects.is_empty());
}

#[test]
fn an_older_token_is_refused_here_too() {
    let mut scene = Scene::plain();
    let shop = scene.chain.account("shop");
    scene.push(&shop.clone().issued(5));
    assert_eq!(scene.push(&shop).error(), "jwt update resulted in error - jwt is older than the stored one");
}

#[test]
fn preloaded_tokens_are_judged() {
    let mut scene = Scene::plain();
    let shop = scene.chain.account("shop");
    let preload = |scene: &mut Scene, token: &str| {
        scene.within(|resolver, world| resolver.preload(&shop.key.public(), token, world))
    };
    assert!(preload(&mut scene, &shop.clone().signed_by(&Chain::new("evil").key).token()).is_err());
    assert_eq!(preload(&mut scene, &shop.token()), Ok(()));
    assert!(scene.has(&shop));
}

#[test]
fn subjects_outside_the_protocol_are_none_of_its() {
    for odd in ["$SYS.REQ.CLAIMS", "$SYS.REQ.CLAIMS.OTHER", "$SYS.REQ.ACCOUNT.A.B.CLAIMS.UPDATE", "x", ""] {
        assert_eq!(Request::of(odd.as_bytes()), None, "{odd}");
    }
    assert_eq!(Request::of(b"$SYS.ACCOUNT.A.CLAIMS.UPDATE"), Some(Request::Update(Some("A"))));
    assert_eq!(Request::of(b"\xff"), None);
}
