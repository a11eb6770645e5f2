use std::time::Duration;

use jwt::testing::NOW;
use moment::Timestamp;

use crate::scene::Scene;

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + seconds)
}

/// The keys in the cache, by the account's name.
fn kept(scene: &Scene, names: &[&str]) -> Vec<String> {
    let has = |name: &&&str| scene.file(&scene.chain.account(name), ".jwt").exists();
    names.iter().filter(has).map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_accounts_in_use_are_updated() {
    let mut scene = Scene::cache(|_| {});
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    scene.known = Some(vec![shop.key.public()]);
    let said = scene.push(&shop);
    assert_eq!((said.message(), said.effects.len()), ("jwt updated cache", 1));
    let said = scene.push(&bank);
    assert_eq!((said.message(), said.effects.len()), ("jwt update cache skipped", 0));
    let said = scene.ask("$SYS.REQ.CLAIMS.UPDATE", bank.token().as_bytes());
    assert_eq!(said.message(), "jwt update cache skipped");
    assert_eq!(kept(&scene, &["shop", "bank"]), ["shop"]);
}

#[test]
fn a_cache_has_its_own_words() {
    let mut scene = Scene::cache(|_| {});
    let shop = scene.chain.account("shop");
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", shop.key.public());
    let said = scene.ask(&subject, b"x");
    assert_eq!(said.error(), "jwt update cache resulted in error - expected 3 chunks");
    assert_eq!(said.account(), shop.key.public().to_string());
    assert_eq!(scene.ask("$SYS.REQ.CLAIMS.UPDATE", b"x").account(), "n/a");
    let odd = shop.clone().with(|claims| claims.info_url = "nowhere".into());
    assert!(scene.push(&odd).error().starts_with("jwt update cache validation failed - validation errors: ["));
    let bank = scene.chain.account("bank").token();
    let said = scene.ask(&subject, bank.as_bytes());
    assert_eq!(said.error(), "jwt update cache resulted in error - subject does not match jwt content");
}

#[test]
fn the_account_not_used_for_longest_makes_room() {
    let mut scene = Scene::cache(|cache| cache.limit = 2);
    let [a, b, c] = ["a", "b", "c"].map(|name| scene.chain.account(name));
    scene.push(&a);
    scene.push(&b);
    scene.resolver.load(&a.key.public(), NOW).expect("readable");
    scene.push(&c);
    assert_eq!(kept(&scene, &["a", "b", "c"]), ["a", "c"]);
}

#[test]
fn an_unused_account_goes_when_its_time_is_over() {
    let mut scene = Scene::cache(|cache| cache.ttl = Some(Duration::from_secs(60)));
    let [a, b] = ["a", "b"].map(|name| scene.chain.account(name));
    scene.push(&a);
    scene.push(&b);
    scene.resolver.load(&b.key.public(), later(30)).expect("readable");
    assert_eq!(scene.resolver.prune(later(59)), []);
    assert_eq!(scene.resolver.prune(later(60)), [a.key.public()]);
    assert_eq!(kept(&scene, &["a", "b"]), ["b"]);
    assert_eq!(scene.resolver.prune(later(90)), [b.key.public()]);
    assert_eq!(scene.resolver.hash(), [0; 32]);
}

#[test]
fn a_token_that_ended_leaves_the_cache() {
    let mut scene = Scene::cache(|_| {});
    let shop = scene.chain.account("shop").with(|claims| claims.common.expires = later(10).as_secs());
    scene.push(&shop);
    assert_eq!(scene.resolver.prune(later(10)), [shop.key.public()]);
    assert_eq!(kept(&scene, &["shop"]), Vec::<String>::new());
}

#[test]
fn deleting_removes_the_file() {
    let mut scene = Scene::cache(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    assert_eq!(scene.delete(&scene.chain.key.clone(), &[&shop]).message(), "deleted 1 accounts");
    assert_eq!(scene.names(), ["jwt"]);
}

#[test]
fn an_older_token_is_refused_here_too() {
    let mut scene = Scene::cache(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop.clone().issued(5));
    let wanted = "jwt update cache resulted in error - jwt is older than the stored one";
    assert_eq!(scene.push(&shop).error(), wanted);
}
