use std::fs;
use std::time::Duration;

use bulwark_resolver::{Answer, DeleteMode, Effect, Request, Resolver, Settings};
use jwt::testing::{Chain, NOW, TestAccount};
use jwt::{Export, Revoked, Sharing};
use moment::Timestamp;
use serde_json::json;

use crate::scene::{SERVER, Scene};

fn changed(account: &TestAccount) -> Effect {
    Effect::Changed { account: account.key.public(), token: account.token() }
}

#[test]
fn an_update_is_stored_and_answered() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    let said = scene.push(&shop);
    let key = shop.key.public();
    assert_eq!(
        said.text,
        format!(r#"{{"server":{SERVER},"data":{{"account":"{key}","code":200,"message":"jwt updated"}}}}"#)
    );
    assert_eq!(said.effects, [changed(&shop)]);
    assert_eq!(fs::read_to_string(scene.file(&shop, ".jwt")).expect("a file"), shop.token());

    let again = scene.push(&shop);
    assert_eq!((again.message(), again.effects.len()), ("jwt updated", 0), "the same token changes nothing");
}

#[test]
fn all_three_subjects_of_an_update_are_taken() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    let key = shop.key.public();
    for (at, subject) in [
        format!("$SYS.REQ.ACCOUNT.{key}.CLAIMS.UPDATE"),
        format!("$SYS.ACCOUNT.{key}.CLAIMS.UPDATE"),
        "$SYS.REQ.CLAIMS.UPDATE".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let newer = shop.clone().issued(at as i64);
        let said = scene.ask(&subject, newer.token().as_bytes());
        assert_eq!((said.message(), said.account()), ("jwt updated", key.to_string().as_str()), "{subject}");
        assert_eq!(said.effects, [changed(&newer)]);
    }
}

#[test]
fn what_is_no_account_token_is_answered_with_the_reason() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", shop.key.public());
    let said = scene.ask(&subject, b"garbage");
    assert_eq!(
        said.text,
        format!(
            r#"{{"server":{SERVER},"error":{{"account":"n/a","code":500,"description":"jwt update resulted in error - expected 3 chunks"}}}}"#
        )
    );
    let user = shop.user("joe").token();
    assert_eq!(scene.ask(&subject, user.as_bytes()).error(), "jwt update resulted in error - not account claim");
    assert_eq!(scene.ask(&subject, b"\xff\xfe").error(), "jwt update resulted in error - expected 3 chunks");
    let bank = scene.chain.account("bank").token();
    let said = scene.ask(&subject, bank.as_bytes());
    assert_eq!(said.error(), "jwt update resulted in error - subject does not match jwt content");
    assert_eq!(said.account(), shop.key.public().to_string());
    assert_eq!(scene.names(), ["jwt"], "nothing was stored");
}

#[test]
fn invalid_claims_are_not_stored() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop").with(|claims| {
        claims.exports = vec![Export::new(Sharing::Stream, "a b")];
    });
    let said = scene.push(&shop);
    let wanted = "jwt validation failed - validation errors: [subject \"a b\" cannot have spaces]";
    assert_eq!(said.error(), wanted);
    assert!(said.effects.is_empty() && !scene.has(&shop));
}

/// Ours: the reference stores what anybody signed.
#[test]
fn what_no_trusted_operator_signed_is_not_stored() {
    let mut scene = Scene::full(|_| {});
    let stranger = Chain::new("evil");
    let shop = scene.chain.account("shop").signed_by(&stranger.signing);
    assert!(scene.push(&shop).error().contains("not signed by a trusted operator"));
    assert!(!scene.has(&shop));
}

/// Ours: the reference stores what is over.
#[test]
fn what_is_over_is_not_stored() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop").with(|claims| claims.common.expires = NOW.as_secs());
    assert_eq!(scene.push(&shop).error(), "jwt update resulted in error - account claim is expired");
    assert!(!scene.has(&shop));
}

/// Ours: with an older token a revocation would be rolled back.
#[test]
fn an_older_token_does_not_replace_a_newer_one() {
    let mut scene = Scene::full(|_| {});
    let old = scene.chain.account("shop");
    let joe = Revoked::Key(old.user("joe").key.public());
    let new = old.clone().with(|claims| claims.revocations.revoke(joe, NOW.as_secs())).issued(10);
    assert_eq!(scene.push(&new).message(), "jwt updated");
    let said = scene.push(&old);
    assert_eq!(said.error(), "jwt update resulted in error - jwt is older than the stored one");
    assert!(said.effects.is_empty() && scene.has(&new));

    scene.restart();
    assert!(scene.push(&old).json.get("error").is_some(), "after a restart neither");
    let (effects, refused) = scene.merge(format!("{}|{}", old.key.public(), old.token()).as_bytes());
    assert!(effects.is_empty() && refused.is_empty() && scene.has(&new), "nor from another server");
}

#[test]
fn of_two_tokens_of_one_second_the_last_counts() {
    let mut scene = Scene::full(|_| {});
    let first = scene.chain.account("shop");
    let second = first.clone().with(|claims| claims.limits.account.conn = 5);
    scene.push(&first);
    assert_eq!(scene.push(&second).effects, [changed(&second)]);
}

#[test]
fn a_strict_operators_identity_key_signs_nothing() {
    let mut scene = Scene::full(|_| {});
    scene.operator(|chain| chain.claims.strict_signing_key_usage = true);
    let shop = scene.chain.account("shop").signed_by(&scene.chain.key.clone());
    for subject in [format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", shop.key.public()), "$SYS.REQ.CLAIMS.UPDATE".into()] {
        let said = scene.ask(&subject, shop.token().as_bytes());
        assert_eq!(said.error(), "jwt update resulted in error - operator requires issuer to be a signing key");
    }
}

#[test]
fn a_lookup_tells_the_token_or_nothing() {
    let mut scene = Scene::full(|_| {});
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    scene.push(&shop);
    assert_eq!(scene.lookup(&shop.key.public().to_string()), Some(shop.token()));
    assert_eq!(scene.lookup(&bank.key.public().to_string()), Some(String::new()));
    assert_eq!(scene.lookup(&shop.user("joe").key.public().to_string()), Some(String::new()));
    for odd in ["x", "..", "../../etc/passwd", &shop.key.public().to_string()[..55], "*"] {
        let request = Request::Lookup(odd);
        let handled = scene.within(|resolver, world| resolver.handle(&request, b"", world));
        assert_eq!(handled.answer, Answer::Silence, "{odd}");
    }
}

#[test]
fn a_list_names_every_account_in_order() {
    let mut scene = Scene::full(|_| {});
    assert_eq!(scene.ask("$SYS.REQ.CLAIMS.LIST", b"").text, format!(r#"{{"data":[],"server":{SERVER}}}"#));
    let mut keys: Vec<String> = ["a", "b", "c"]
        .map(|name| {
            let account = scene.chain.account(name);
            scene.push(&account);
            account.key.public().to_string()
        })
        .into();
    keys.sort();
    assert_eq!(scene.list(), keys);
}

#[test]
fn a_pack_brings_two_servers_together() {
    let (mut one, mut other) = (Scene::full(|_| {}), Scene::full(|_| {}));
    let (shop, bank) = (one.chain.account("shop"), one.chain.account("bank"));
    one.push(&shop);
    other.push(&bank);
    assert_ne!(one.resolver.hash(), other.resolver.hash());

    for line in one.pack(&other.resolver.hash()).expect("another hash") {
        assert_eq!(line, format!("{}|{}", shop.key.public(), shop.token()).into_bytes());
        assert_eq!(other.merge(&line), (vec![changed(&shop)], Vec::new()));
    }
    for line in other.pack(&one.resolver.hash()).expect("another hash") {
        one.merge(&line);
    }
    assert_eq!(one.resolver.hash(), other.resolver.hash());
    assert_eq!(one.pack(&other.resolver.hash()), None);
    assert!(one.has(&bank) && other.has(&shop));
}

#[test]
fn the_hash_is_that_of_each_token_combined() {
    let mut scene = Scene::full(|_| {});
    assert_eq!(scene.resolver.hash(), [0; 32]);
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    scene.push(&shop);
    let alone = scene.resolver.hash();
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, shop.token().as_bytes());
    assert_eq!(alone, sha256.as_ref());
    scene.push(&bank);
    scene.delete(&scene.chain.key.clone(), &[&bank]);
    assert_eq!(scene.resolver.hash(), alone);
    scene.restart();
    assert_eq!(scene.resolver.hash(), alone);
}

#[test]
fn a_pack_of_a_stranger_brings_nothing_in() {
    let mut scene = Scene::full(|_| {});
    let stranger = Chain::new("evil");
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    let forged = shop.clone().signed_by(&stranger.signing).token();
    let (key, other) = (shop.key.public(), bank.token());
    for odd in [
        format!("{key}|{forged}"),
        format!("{key}|{other}"),
        format!("{key}|garbage"),
        format!("{key}"),
        format!("{key}|{}|x", shop.token()),
        format!("../../x|{}", shop.token()),
        format!("A/../../b|{}", shop.token()),
        format!("{}|{}", shop.user("joe").key.public(), shop.token()),
    ] {
        let (effects, refused) = scene.merge(odd.as_bytes());
        assert!(effects.is_empty() && refused.len() == 1, "{odd}: {refused:?}");
    }
    assert_eq!(scene.merge(b"\xff").1, ["pack is not text"]);
    assert_eq!(scene.merge(b"").1.len(), 0);
    assert_eq!(scene.names(), ["jwt"], "no file was made anywhere");

    let two = format!("{key}|{forged}\n\n{}|{}", bank.key.public(), bank.token());
    let (effects, refused) = scene.merge(two.as_bytes());
    assert_eq!((effects, refused.len()), (vec![changed(&bank)], 1), "a bad line does not spoil a good one");
}

/// CVE-2022-28357: an account name from a message became a file name.
#[test]
fn cve_2022_28357_no_name_from_a_message_becomes_a_path() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    for odd in ["../../x", "/etc/x", "A/../../b", "", "A\0", "CON"] {
        for request in [Request::Update(Some(odd)), Request::Lookup(odd)] {
            scene.within(|resolver, world| resolver.handle(&request, shop.token().as_bytes(), world));
        }
        let request = scene.delete_request(&scene.chain.key, json!([odd]));
        let said = scene.ask("$SYS.REQ.CLAIMS.DELETE", request.as_bytes());
        assert!(said.error().ends_with("failed - malformed request"), "{}", said.text);
    }
    assert_eq!(scene.names(), ["jwt"]);
}

#[test]
fn deleting_renames_the_file_and_closes_the_account() {
    let mut scene = Scene::full(|_| {});
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    scene.push(&shop);
    scene.push(&bank);
    let said = scene.delete(&scene.chain.signing.clone(), &[&shop]);
    assert_eq!(said.text, format!(r#"{{"server":{SERVER},"data":{{"code":200,"message":"deleted 1 accounts"}}}}"#));
    assert_eq!(said.effects, [Effect::Deleted(shop.key.public())]);
    assert!(!scene.has(&shop) && scene.has(&bank));
    assert_eq!(fs::read_to_string(scene.file(&shop, ".jwt.deleted")).expect("a file"), shop.token());
    assert!(!scene.file(&shop, ".jwt").exists());
}

#[test]
fn a_deleted_account_does_not_come_back_with_a_pack_and_does_with_an_update() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    scene.delete(&scene.chain.key.clone(), &[&shop]);
    let line = |account: &TestAccount| format!("{}|{}", account.key.public(), account.token()).into_bytes();
    assert!(scene.merge(&line(&shop)).0.is_empty());
    scene.restart();
    assert!(scene.merge(&line(&shop)).0.is_empty());
    let newer = shop.clone().issued(1);
    assert_eq!(scene.merge(&line(&newer)).0, [changed(&newer)], "what was signed afterwards is meant");
    scene.delete(&scene.chain.key.clone(), &[&shop]);
    assert_eq!(scene.push(&shop).message(), "jwt updated");
}

#[test]
fn a_hard_delete_leaves_nothing() {
    let mut scene = Scene::full(|full| full.delete = DeleteMode::Removed);
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    assert_eq!(scene.delete(&scene.chain.key.clone(), &[&shop]).message(), "deleted 1 accounts");
    assert_eq!(scene.names(), ["jwt"]);
}

#[test]
fn only_the_operator_deletes_and_never_the_system_account() {
    let mut scene = Scene::full(|_| {});
    let (shop, system, stranger) = (scene.chain.account("shop"), scene.chain.account("SYS"), Chain::new("evil"));
    scene.push(&shop);
    let operator = scene.chain.key.clone();
    let failed = |subject: &str, why: &str| format!("delete accounts request by {subject} failed - {why}");

    let said = scene.delete(&stranger.key, &[&shop]);
    assert_eq!(said.error(), failed(&stranger.key.public().to_string(), "not trusted"));
    assert!(said.json["error"].get("account").is_none());
    assert_eq!(scene.delete(&shop.key, &[&shop]).error(), failed(&shop.key.public().to_string(), "not trusted"));

    let ours = operator.public().to_string();
    assert_eq!(scene.delete(&operator, &[&system]).error(), failed(&ours, "not allowed to delete system account"));
    for odd in
        [json!("A"), json!({}), json!([5]), json!([null]), json!([""]), json!([shop.key.public().to_string(), 1])]
    {
        let request = scene.delete_request(&operator, odd);
        assert_eq!(scene.ask("$SYS.REQ.CLAIMS.DELETE", request.as_bytes()).error(), failed(&ours, "malformed request"));
    }
    let mut other = jwt::GenericClaims::new("somebody", operator.public());
    other.data.insert("accounts".into(), json!([shop.key.public().to_string()]));
    let token = other.encode(&operator, NOW.as_secs()).expect("signed");
    assert_eq!(scene.ask("$SYS.REQ.CLAIMS.DELETE", token.as_bytes()).error(), failed("somebody", "not self signed"));
    assert_eq!(scene.ask("$SYS.REQ.CLAIMS.DELETE", b"x").error(), failed("", "expected 3 chunks"));
    assert!(scene.has(&shop));
}

#[test]
fn an_expired_request_deletes_nothing() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    let operator = scene.chain.key.clone();
    let mut claims = jwt::GenericClaims::new(&operator.public().to_string(), operator.public());
    claims.common.expires = NOW.as_secs();
    claims.data.insert("accounts".into(), json!([shop.key.public().to_string()]));
    let token = claims.encode(&operator, NOW.as_secs() - 5).expect("signed");
    assert!(scene.ask("$SYS.REQ.CLAIMS.DELETE", token.as_bytes()).error().ends_with("claim is expired"));
    assert!(scene.has(&shop));
}

#[test]
fn deleting_has_to_be_enabled() {
    let mut scene = Scene::full(|full| full.delete = DeleteMode::Refused);
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    let said = scene.delete(&scene.chain.key.clone(), &[&shop]);
    assert!(said.error().ends_with("failed - delete must be enabled in server config"));
    assert!(scene.has(&shop));
}

#[test]
fn a_full_directory_takes_no_further_account() {
    let mut scene = Scene::full(|full| full.limit = Some(1));
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    scene.push(&shop);
    assert_eq!(scene.push(&bank).error(), "jwt update resulted in error - jwt store is full");
    assert_eq!(scene.push(&shop.clone().issued(1)).message(), "jwt updated", "a known one it does");
    assert_eq!(scene.list(), [shop.key.public().to_string()]);
}

#[test]
fn accounts_survive_a_restart() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    scene.restart();
    assert!(scene.has(&shop));
    let token = scene.resolver.load(&shop.key.public(), NOW).expect("readable");
    assert_eq!(token, Some(shop.token()));
}

#[test]
fn a_token_that_ended_is_not_told_and_its_file_stays() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop").with(|claims| claims.common.expires = NOW.as_secs() + 10);
    scene.push(&shop);
    assert_eq!(scene.resolver.prune(NOW), []);
    scene.now = Timestamp::from_secs(NOW.as_secs() + 10);
    assert_eq!(scene.list().len(), 0);
    assert_eq!(scene.pack(b""), Some(Vec::new()));
    assert_eq!(scene.resolver.prune(scene.now), [shop.key.public()]);
    assert_eq!(scene.lookup(&shop.key.public().to_string()), Some(String::new()));
    assert!(scene.file(&shop, ".jwt").exists());
    let renewed = shop.clone().with(|claims| claims.common.expires = 0).issued(5);
    assert_eq!(scene.push(&renewed).message(), "jwt updated");
}

#[test]
fn a_reload_sees_what_was_put_there_by_hand_and_believes_only_what_is_signed() {
    let mut scene = Scene::full(|_| {});
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    let forged = bank.clone().signed_by(&Chain::new("evil").signing);
    fs::write(scene.file(&shop, ".jwt"), shop.token()).expect("written");
    fs::write(scene.file(&bank, ".jwt"), forged.token()).expect("written");
    let effects = scene.within(|resolver, world| resolver.reload(world)).expect("readable");
    assert_eq!(effects, [changed(&shop)]);
    let again = scene.within(|resolver, world| resolver.reload(world)).expect("readable");
    assert_eq!(again, []);
}

#[test]
fn only_files_of_accounts_are_looked_at() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    for odd in ["x.jwt", ".jwt", "notes.txt", &format!("{}.jwt", shop.user("joe").key.public())] {
        fs::write(scene.path().join(odd), shop.token()).expect("written");
    }
    fs::create_dir(scene.file(&scene.chain.account("dir"), ".jwt")).expect("made");
    fs::write(scene.file(&scene.chain.account("empty"), ".jwt"), "").expect("written");
    fs::write(scene.file(&scene.chain.account("large"), ".jwt"), vec![b'a'; (1 << 20) + 1]).expect("written");
    fs::write(scene.file(&scene.chain.account("half"), ".jwt.new"), "eyJ").expect("written");
    scene.restart();
    assert_eq!(scene.list(), [shop.key.public().to_string()]);
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    let outside = scene.path().join("outside");
    fs::write(&outside, shop.token()).expect("written");
    std::os::unix::fs::symlink(&outside, scene.file(&shop, ".jwt")).expect("linked");
    scene.restart();
    assert_eq!(scene.list().len(), 0);
}

#[cfg(unix)]
#[test]
fn files_are_for_the_server_alone() {
    use std::os::unix::fs::PermissionsExt;
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    scene.push(&shop);
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o007;
    assert_eq!((mode(scene.file(&shop, ".jwt")), mode(scene.path())), (0, 0));
}

#[test]
fn a_directory_that_cannot_be_one_is_an_error_at_the_start() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let open = |path: &std::path::Path| {
        let settings = Settings::Full(bulwark_resolver::DirectorySettings::at(path));
        Resolver::open(&settings, NOW).err().map(|error| error.to_string())
    };
    assert_eq!(open("".as_ref()).as_deref(), Some("dir has no value and needs to point to a directory"));
    let refused = open(&file).expect("refused");
    assert!(refused.starts_with("dir needs to point to an accessible directory"), "{refused}");
}

#[test]
fn what_another_server_answered_is_judged_before_it_is_kept() {
    let mut scene = Scene::full(|_| {});
    let (shop, bank) = (scene.chain.account("shop"), scene.chain.account("bank"));
    let key = shop.key.public();
    let fetched = |scene: &mut Scene, token: &str| scene.within(|resolver, world| resolver.fetched(&key, token, world));
    assert!(fetched(&mut scene, &bank.token()).is_err());
    assert!(fetched(&mut scene, &shop.clone().signed_by(&Chain::new("evil").key).token()).is_err());
    assert_eq!(fetched(&mut scene, &shop.token()), Ok(Some(changed(&shop))));
    assert_eq!(fetched(&mut scene, &shop.token()), Ok(None));
    assert_eq!(scene.resolver.fetch_timeout(), Some(Duration::from_millis(1900)));
    assert_eq!(scene.resolver.sync_interval(), Some(Duration::from_secs(60)));
}

#[test]
fn preloaded_tokens_do_not_replace_newer_ones() {
    let mut scene = Scene::full(|_| {});
    let shop = scene.chain.account("shop");
    let newer = shop.clone().issued(5);
    scene.push(&newer);
    let preloaded = scene.within(|resolver, world| resolver.preload(&shop.key.public(), &shop.token(), world));
    assert_eq!(preloaded, Ok(()));
    assert!(scene.has(&newer));
}

#[test]
fn every_type_listens_to_its_own_subjects() {
    let filters = |resolver: &Resolver| resolver.subscriptions().iter().map(|one| one.filter).collect::<Vec<_>>();
    assert_eq!(filters(&Scene::plain().resolver).len(), 2);
    let full = Scene::full(|_| {});
    assert_eq!(filters(&full.resolver).len(), 7);
    let cache = filters(&Scene::cache(|_| {}).resolver);
    assert!(!cache.iter().any(|filter| filter.ends_with("LOOKUP") || filter.ends_with("PACK")));
    let queues: Vec<_> = full.resolver.subscriptions().iter().filter(|one| one.queue.is_some()).collect();
    assert_eq!(queues.len(), 1);
    for one in full.resolver.subscriptions() {
        assert!(Request::of(one.filter.as_bytes()).is_some(), "{}", one.filter);
    }
}
