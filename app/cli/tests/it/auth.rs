//! `nats auth` where no server is: what it signs, keeps, shows and refuses.

use std::path::Path;

use crate::scene::{Done, Scene, finish};

pub(crate) const PASSPHRASE: &str = "correct horse battery";

/// Types a command of `nats auth` with the passphrase in the environment and no server in it.
pub(crate) fn auth(scene: &Scene, args: &[&str]) -> Done {
    with_passphrase(scene, Some(PASSPHRASE), args)
}

fn with_passphrase(scene: &Scene, passphrase: Option<&str>, args: &[&str]) -> Done {
    let mut command = scene.command(&[&["auth"], args].concat());
    command.env_remove("NATS_URL");
    if let Some(passphrase) = passphrase {
        command.env("NATS_AUTH_PASSPHRASE", passphrase);
    }
    finish(&mut command, None)
}

/// An operator acme with account shop and user joe.
pub(crate) fn acme() -> Scene {
    let scene = Scene::alone();
    std::fs::create_dir(scene.path("srv")).unwrap();
    auth(&scene, &["init", "acme", "shop", "joe", "--dir", "srv"]).fine();
    scene
}

/// Everything below a directory: relative path and content.
fn content(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn one_command_makes_everything_and_keeps_no_seed_bare() {
    let scene = acme();
    for file in ["srv/nats-server.conf", "srv/joe.creds", "srv/sys.creds"] {
        assert!(scene.path(file).is_file(), "{file}");
    }
    let files = content(&scene.path("data/nats/nsc"));
    let seeds = files.iter().filter(|(name, _)| name.ends_with(".nk.sealed")).count();
    assert_eq!(seeds, 6, "operator, its signing key, two accounts, two users");
    for (name, bytes) in &files {
        let text = String::from_utf8_lossy(bytes);
        for seed in ["SO", "SA", "SU"] {
            let has_seed =
                text.split(|c: char| !c.is_ascii_alphanumeric()).any(|w| w.len() == 58 && w.starts_with(seed));
            assert!(!has_seed, "a bare seed in {name}");
        }
    }
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    for path in [
        "stores/acme/.nsc",
        "stores/acme/acme.jwt",
        "stores/acme/accounts/shop/shop.jwt",
        "stores/acme/accounts/shop/users/joe.jwt",
    ] {
        assert!(names.contains(&path), "{path} in {names:?}");
    }
    let again = auth(&scene, &["init", "acme", "--dir", "srv"]).failed(1);
    assert!(again.stderr.contains("operator acme already exist"), "{}", again.stderr);
}

#[test]
fn without_a_passphrase_nothing_is_signed_and_the_error_says_how() {
    let scene = Scene::alone();
    let new = with_passphrase(&scene, None, &["operator", "add", "acme"]).failed(1);
    assert!(new.stderr.contains("a new keystore is sealed, and no passphrase was given"), "{}", new.stderr);
    assert!(new.stderr.contains("NATS_AUTH_PASSPHRASE") && new.stderr.contains("--plain-keys"), "{}", new.stderr);
    assert!(!scene.path("data").exists(), "nothing was made");
    let short = with_passphrase(&scene, Some("short"), &["operator", "add", "acme"]).failed(1);
    assert!(short.stderr.contains("at least 8 characters"), "{}", short.stderr);

    let scene = acme();
    let wrong = with_passphrase(&scene, Some("another passphrase"), &["account", "edit", "shop", "--connections", "1"])
        .failed(1);
    assert!(wrong.stderr.contains("the passphrase does not open the keystore"), "{}", wrong.stderr);
    let none = with_passphrase(&scene, None, &["account", "edit", "shop", "--connections", "1"]).failed(1);
    assert!(none.stderr.contains("the keystore is sealed and no passphrase was given"), "{}", none.stderr);
    let info = with_passphrase(&scene, None, &["account", "info", "shop"]).fine();
    assert!(info.stdout.contains("Connections: unlimited"), "reading needs no passphrase: {}", info.stdout);
}

#[test]
fn the_passphrase_comes_from_a_file_and_can_be_changed() {
    let scene = acme();
    std::fs::write(scene.path("old"), format!("{PASSPHRASE}\n")).unwrap();
    std::fs::write(scene.path("new"), "a newer passphrase\n").unwrap();
    with_passphrase(
        &scene,
        None,
        &["keystore", "passphrase", "--passphrase-file", "old", "--new-passphrase-file", "new"],
    )
    .fine();
    auth(&scene, &["account", "edit", "shop", "--connections", "1", "--no-push"]).failed(1);
    let args = ["account", "edit", "shop", "--connections", "1", "--no-push", "--passphrase-file", "new"];
    with_passphrase(&scene, None, &args).fine();
}

#[test]
fn a_change_shows_its_paths_and_a_dry_run_changes_nothing() {
    let scene = acme();
    let before = content(&scene.path("data"));
    let dry =
        auth(&scene, &["account", "edit", "shop", "--connections", "10", "--payload", "1MB", "--no-push", "--dry-run"])
            .fine();
    for line in [
        "  - limits.conn: -1",
        "  + limits.conn: 10",
        "  + limits.payload: 1048576",
        "Nothing was changed: this was a dry run",
    ] {
        assert!(dry.stdout.lines().any(|found| found == line), "{line} in {}", dry.stdout);
    }
    assert_eq!(content(&scene.path("data")), before);
    let real = auth(&scene, &["account", "edit", "shop", "--connections", "10", "--no-push"]).fine();
    assert!(real.stdout.contains("Connections: 10\n"), "{}", real.stdout);
}

#[test]
fn claims_no_server_takes_are_refused_with_the_reason() {
    let scene = acme();
    let odd = auth(&scene, &["account", "exports", "add", "x", "a..b", "shop", "--no-push"]).failed(1);
    assert!(odd.stderr.contains("no server would take the claims of account shop"), "{}", odd.stderr);
    let odd = auth(&scene, &["account", "keys", "add", "shop", "r", "--pub-allow", "{{name()", "--no-push"]).failed(1);
    assert!(odd.stderr.contains("unclosed template"), "{}", odd.stderr);
    let import =
        auth(&scene, &["account", "imports", "add", "x", "a.b", "shop", "--source", "SYSTEM", "--no-push"]).failed(1);
    assert!(import.stderr.contains("account SYSTEM does not export \"a.b\" as a stream"), "{}", import.stderr);
    for name in ["../x", "a/b", ".x"] {
        let odd = auth(&scene, &["user", "add", name, "shop"]).failed(1);
        assert!(odd.stderr.contains("invalid user name"), "{}", odd.stderr);
    }
}

#[test]
fn a_role_decides_what_its_users_may_do() {
    let scene = acme();
    auth(&scene, &["account", "keys", "add", "shop", "seller", "--pub-allow", "orders.{{name()}}.>", "--no-push"])
        .fine();
    let refused = auth(&scene, &["user", "add", "ann", "shop", "--key", "seller", "--pub-allow", "x"]).failed(1);
    assert!(refused.stderr.contains("role seller decides what its users may do"), "{}", refused.stderr);
    assert!(refused.stderr.contains("nats auth account keys edit shop seller"), "{}", refused.stderr);
    let ann = auth(&scene, &["user", "add", "ann", "shop", "--key", "seller"]).fine();
    assert!(ann.stdout.contains("Scoped: true") && ann.stdout.contains("Allow: orders.{{name()}}.>"), "{}", ann.stdout);
    let unknown = auth(&scene, &["user", "add", "bob", "shop", "--key", "buyer"]).failed(1);
    assert!(
        unknown.stderr.contains("no signing key \"buyer\"") && unknown.stderr.contains("known: seller"),
        "{}",
        unknown.stderr
    );
    let rotated = auth(&scene, &["account", "keys", "rotate", "shop", "--key", "seller", "-f", "--no-push"]).fine();
    assert!(
        rotated.stdout.contains("These users need their new credentials (nats auth user credential): ann"),
        "{}",
        rotated.stdout
    );
    auth(&scene, &["doctor", "--offline"]).fine();
    auth(&scene, &["account", "keys", "rm", "shop", "--key", "seller", "-f", "--no-push"]).fine();
    let sick = auth(&scene, &["doctor", "--offline"]).failed(1);
    assert!(
        sick.stdout.contains("user ann of shop") && sick.stdout.contains("which the account does not know (any more)"),
        "{}",
        sick.stdout
    );
}

#[test]
fn removing_an_operator_key_signs_its_accounts_again() {
    let scene = acme();
    let keys = auth(&scene, &["operator", "keys", "ls"]).fine().stdout;
    let old = keys.trim();
    let info = auth(&scene, &["account", "info", "shop"]).fine().stdout;
    assert!(info.contains(&format!("Issuer: {old}")), "{info}");
    auth(&scene, &["operator", "keys", "rotate", old, "-f", "--no-push"]).fine();
    let keys = auth(&scene, &["operator", "keys", "ls"]).fine().stdout;
    assert_ne!(keys.trim(), old);
    let info = auth(&scene, &["account", "info", "shop"]).fine().stdout;
    assert!(info.contains(&format!("Issuer: {}", keys.trim())), "{info}");
    auth(&scene, &["doctor", "--offline"]).fine();
}

#[test]
fn a_key_that_lives_elsewhere_signs_by_request_and_response() {
    let vault = acme();
    // The online machine has the tokens, and no keys of the operator.
    let online = Scene::alone();
    let copied =
        std::process::Command::new("cp").arg("-r").arg(vault.path("data")).arg(online.path("data")).status().unwrap();
    assert!(copied.success());
    std::fs::remove_dir_all(online.path("data/nats/nsc/keys/keys/O")).unwrap();

    let refused = auth(&online, &["account", "edit", "shop", "--connections", "7", "--no-push"]).failed(1);
    assert!(refused.stderr.contains("which signs account shop, is not in this keystore"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--sign-request FILE"), "{}", refused.stderr);
    auth(&online, &["account", "edit", "shop", "--connections", "7", "--no-push", "--sign-request", "request.json"])
        .fine();
    let info = auth(&online, &["account", "info", "shop"]).fine();
    assert!(info.stdout.contains("Connections: unlimited"), "nothing changed yet: {}", info.stdout);
    auth(&online, &["apply", "request.json", "--no-push"]).failed(1);

    std::fs::copy(online.path("request.json"), vault.path("request.json")).unwrap();
    let signed = auth(&vault, &["sign", "request.json", "response.json", "-f"]).fine();
    assert!(signed.stdout.contains("  - limits.conn: -1\n  + limits.conn: 7"), "{}", signed.stdout);
    std::fs::copy(vault.path("response.json"), online.path("response.json")).unwrap();

    // Somebody else's signature is no signature.
    let response = std::fs::read_to_string(online.path("response.json")).unwrap();
    let mut forged: serde_json::Value = serde_json::from_str(&response).unwrap();
    let signature = forged["claims"][0]["signature"].as_str().unwrap();
    let signature = format!("{}{}", if signature.starts_with('A') { "B" } else { "A" }, &signature[1..]);
    forged["claims"][0]["signature"] = signature.into();
    std::fs::write(online.path("forged.json"), forged.to_string()).unwrap();
    let refused = auth(&online, &["apply", "forged.json", "--no-push"]).failed(1);
    assert!(refused.stderr.contains("the signature does not belong to this claim"), "{}", refused.stderr);

    auth(&online, &["apply", "response.json", "--no-push"]).fine();
    let info = auth(&online, &["account", "info", "shop"]).fine();
    assert!(info.stdout.contains("Connections: 7"), "{}", info.stdout);
}

#[test]
fn a_response_by_a_key_the_operator_does_not_know_is_refused() {
    let (ours, theirs) = (acme(), acme());
    // Their acme has other keys: what they sign looks right and is not ours.
    auth(&theirs, &["account", "edit", "shop", "--connections", "7", "--no-push", "--sign-request", "request.json"])
        .fine();
    auth(&theirs, &["sign", "request.json", "response.json", "-f"]).fine();
    std::fs::copy(theirs.path("response.json"), ours.path("response.json")).unwrap();
    let refused = auth(&ours, &["apply", "response.json", "--no-push"]).failed(1);
    assert!(refused.stderr.contains("a key that operator acme does not know for this"), "{}", refused.stderr);
}

#[test]
fn a_store_of_nsc_is_taken_over_unchanged() {
    let nsc = Scene::alone();
    for args in [
        &["operator", "add", "acme", "--plain-keys"][..],
        &["account", "add", "shop", "--defaults", "--no-push"],
        &["user", "add", "joe", "shop", "--defaults"],
    ] {
        with_passphrase(&nsc, None, args).fine();
    }
    let (stores, keys) = (nsc.path("data/nats/nsc/stores"), nsc.path("data/nats/nsc/keys"));
    let before = content(&stores);
    let bare = content(&keys);
    assert!(bare.iter().all(|(name, _)| name.starts_with("keys/") && name.ends_with(".nk")), "{bare:?}");

    let scene = Scene::alone();
    let imported = auth(&scene, &["keystore", "import", stores.to_str().unwrap(), keys.to_str().unwrap()]).fine();
    assert!(imported.stdout.contains("Took over operator acme with 4 token(s)"), "{}", imported.stdout);
    assert!(imported.stdout.contains(&format!("Took over {} key(s)", bare.len())), "{}", imported.stdout);
    assert_eq!(content(&scene.path("data/nats/nsc/stores")), before, "the tokens are the same bytes");
    assert_eq!(content(&keys), bare, "the old store is as it was");
    assert!(content(&scene.path("data/nats/nsc/keys")).iter().all(|(name, _)| !name.ends_with(".nk")));
    auth(&scene, &["user", "credential", "joe.creds", "joe", "shop"]).fine();
    auth(&scene, &["account", "edit", "shop", "--connections", "3", "--no-push"]).fine();

    // And in place: sealed where it lies, and opened again for nsc.
    auth(&nsc, &["keystore", "seal"]).fine();
    assert!(content(&keys).iter().all(|(name, _)| !name.ends_with(".nk")));
    auth(&nsc, &["keystore", "unseal", "-f"]).fine();
    assert_eq!(content(&keys), bare);
}

#[test]
fn a_credential_file_comes_back_as_a_user() {
    let scene = acme();
    auth(&scene, &["user", "credential", "joe.creds", "joe", "shop"]).fine();
    auth(&scene, &["user", "rm", "joe", "shop", "-f"]).fine();
    auth(&scene, &["user", "info", "joe", "shop"]).failed(1);
    auth(&scene, &["user", "import", "joe.creds"]).fine();
    auth(&scene, &["user", "info", "joe", "shop"]).fine();
    let again = auth(&scene, &["user", "import", "joe.creds"]).failed(1);
    assert!(again.stderr.contains("user joe already exist"), "{}", again.stderr);
    let stranger = auth(&acme(), &["user", "import", scene.path("joe.creds").to_str().unwrap()]).failed(1);
    assert!(stranger.stderr.contains("which is not kept here"), "{}", stranger.stderr);
}

#[test]
fn a_backup_restores_everything_and_is_sealed_on_request() {
    let scene = acme();
    auth(&scene, &["nkey", "gen", "x25519", "--output", "box.nk"]).fine();
    auth(&scene, &["operator", "backup", "acme", "backup", "--key", "box.nk"]).fine();
    let text = std::fs::read_to_string(scene.path("backup")).unwrap();
    assert!(!text.contains("eyJ0eXAiOiJKV1Qi"), "sealed");
    let other = Scene::alone();
    for file in ["backup", "box.nk"] {
        std::fs::copy(scene.path(file), other.path(file)).unwrap();
    }
    auth(&other, &["operator", "restore", "acme", "backup", "--key", "box.nk"]).fine();
    assert_eq!(content(&other.path("data/nats/nsc/stores")), content(&scene.path("data/nats/nsc/stores")));
    auth(&other, &["account", "edit", "shop", "--connections", "3", "--no-push"]).fine();
    auth(&other, &["operator", "restore", "acme", "backup", "--key", "box.nk"]).failed(1);
}

#[test]
fn leave_to_import_is_given_used_and_taken_back() {
    let scene = acme();
    auth(&scene, &["account", "add", "cafe", "--defaults", "--no-push"]).fine();
    auth(&scene, &["account", "exports", "add", "orders", "orders.>", "shop", "--activation", "--no-push"]).fine();
    let without =
        auth(&scene, &["account", "imports", "add", "o", "orders.new", "cafe", "--source", "shop", "--no-push"])
            .failed(1);
    assert!(without.stderr.contains("account shop wants an activation"), "{}", without.stderr);
    auth(&scene, &["account", "exports", "activate", "orders.>", "cafe", "shop", "--output", "leave.jwt"]).fine();
    let other = auth(
        &scene,
        &["account", "imports", "add", "o", "orders.new", "shop", "--activation", "leave.jwt", "--no-push"],
    )
    .failed(1);
    assert!(other.stderr.contains("the activation is for account"), "{}", other.stderr);
    let added = auth(
        &scene,
        &[
            "account",
            "imports",
            "add",
            "o",
            "orders.new",
            "cafe",
            "--activation",
            "leave.jwt",
            "--local",
            "shop.new",
            "--no-push",
        ],
    );
    let added = added.fine();
    assert!(
        added.stdout.contains("Local Subject: shop.new") && added.stdout.contains("Activation: true"),
        "{}",
        added.stdout
    );
    auth(&scene, &["account", "exports", "revoke", "orders.>", "cafe", "shop", "--no-push"]).fine();
    let info = auth(&scene, &["account", "exports", "ls", "shop", "-j"]).fine();
    assert!(info.stdout.contains("\"revocations\""), "{}", info.stdout);
    auth(&scene, &["account", "imports", "rm", "shop.new", "cafe", "-f", "--no-push"]).fine();
}

#[test]
fn mappings_are_weighed() {
    let scene = acme();
    auth(&scene, &["account", "mappings", "add", "shop", "a", "b", "60", "--no-push"]).fine();
    auth(&scene, &["account", "mappings", "add", "shop", "a", "c", "40", "--no-push"]).fine();
    let heavy = auth(&scene, &["account", "mappings", "add", "shop", "a", "d", "1", "--no-push"]).failed(1);
    assert!(heavy.stderr.contains("exceeds 100%"), "{}", heavy.stderr);
    let table = auth(&scene, &["account", "mappings", "ls", "shop"]).fine().stdout;
    assert!(table.contains("│ a              │ b              │ 60     │"), "{table}");
    auth(&scene, &["account", "mappings", "rm", "shop", "a", "--no-push"]).fine();
}

#[test]
fn keys_sign_verify_seal_and_open() {
    let scene = Scene::alone();
    std::fs::write(scene.path("data.txt"), "the data").unwrap();
    auth(&scene, &["nkey", "gen", "user", "--output", "u.nk"]).fine();
    let signature = auth(&scene, &["nkey", "sign", "data.txt", "u.nk"]).fine().stdout;
    std::fs::write(scene.path("sig"), signature).unwrap();
    assert_eq!(auth(&scene, &["nkey", "verify", "data.txt", "sig", "u.nk"]).fine().stdout, "Verified OK\n");
    std::fs::write(scene.path("u.pub"), auth(&scene, &["nkey", "show", "u.nk"]).fine().stdout).unwrap();
    auth(&scene, &["nkey", "verify", "data.txt", "sig", "u.pub"]).fine();
    std::fs::write(scene.path("other.txt"), "the date").unwrap();
    auth(&scene, &["nkey", "verify", "other.txt", "sig", "u.pub"]).failed(1);

    for name in ["a.nk", "b.nk"] {
        auth(&scene, &["nkey", "gen", "curve", "--output", name]).fine();
    }
    let public = |name: &str| auth(&scene, &["nkey", "show", name]).fine().stdout.trim().to_owned();
    auth(&scene, &["nkey", "seal", "data.txt", "a.nk", &public("b.nk"), "--output", "sealed"]).fine();
    let opened = auth(&scene, &["nkey", "unseal", "sealed", "b.nk", &public("a.nk")]).fine();
    assert_eq!(opened.stdout, "the data\n");
    auth(&scene, &["nkey", "unseal", "sealed", "b.nk", &public("b.nk")]).failed(1);
}
