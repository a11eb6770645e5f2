//! An intrusion, from the first guess to the forged file, and the trail that tells of it: `docs/audit.md` holds the story as the
//! trail told it. `BULWARK_BLESS=1` writes it anew.

use std::path::Path;
use std::process::Command;

use jwt::Revoked;
use jwt::testing::{Chain, TestAccount};
use serde_json::json;

use crate::resolvers::{House, admitted, log_in, updated};
use crate::running::Running;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/audit.md");
const BEGIN: &str = "<!-- the story begins -->\n";
const END: &str = "<!-- the story ends -->\n";

/// An account that may store, so that the trail can be kept in a stream, and that offers tenants their own slice of it.
fn trail_account(chain: &Chain) -> TestAccount {
    chain.account("trail").with(|claims| {
        claims.limits.jetstream.disk_storage = -1;
        claims.limits.jetstream.mem_storage = -1;
        claims.limits.jetstream.streams = -1;
        claims.limits.jetstream.consumer = -1;
        claims
            .exports
            .push(jwt::Export { account_token_position: 2, ..jwt::Export::new(jwt::Sharing::Stream, "audit.*.>") });
    })
}

fn import(trail: &TestAccount, importer: &TestAccount) -> jwt::Import {
    let subject = format!("audit.{}.>", importer.key.public());
    jwt::Import { to: "ours".to_owned(), ..jwt::Import::new(jwt::Sharing::Stream, trail.key.public(), &subject) }
}

fn tool(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_nats-server")).args(words).current_dir(folder).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What differs from run to run is written so that it does not.
fn steady(text: &str, house: &House, more: &[(String, &str)]) -> String {
    let mut text = text.to_owned();
    let names = [(house.shop.key.public().to_string(), "SHOP"), (house.system.key.public().to_string(), "SYS")];
    for (long, short) in
        names.iter().map(|(long, short)| (long.as_str(), *short)).chain(more.iter().map(|(l, s)| (l.as_str(), *s)))
    {
        text = text.replace(long, short);
    }
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        // The time stands first.
        let line = line.split_once("  ").map_or(line, |(_, rest)| rest);
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

#[test]
fn an_intrusion_reads_as_a_story() {
    let mut house = House::new();
    let trail = trail_account(&house.chain);
    let system = house.system.key.public();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_owned();
    house.shop.claims.imports.push(import(&trail, &house.shop));
    let config = format!(
        "operator: {}\nsystem_account: {system}\nresolver {{ type: full, dir: '{}', allow_delete: true }}\n\
         resolver_preload {{ {system}: {}\n {}: {}\n {}: {} }}\n\
         audit {{ file: '{}', account: {}, window: 1s }}\n\
         jetstream {{ store_dir: '{}', cipher: aes, key: 'a key of the scene' }}\n",
        house.chain.token(),
        at.join("jwts").display(),
        house.system.token(),
        trail.key.public(),
        trail.token(),
        house.shop.key.public(),
        house.shop.token(),
        at.join("audit.jsonl").display(),
        trail.key.public(),
        at.join("data").display(),
    );
    let mut server = Running::start_in(folder, &config);

    // The trail goes into a stream, and the tenant hears its own slice of it.
    let mut keeper = admitted(&server, &trail.user("keeper"));
    let created =
        keeper.request("$JS.API.STREAM.CREATE.AUDIT", br#"{"name":"AUDIT","subjects":["audit.>"],"storage":"file"}"#);
    assert!(created.text().contains("\"did_create\":true"), "{}", created.text());
    let joe = house.shop.user("joe").with(|user| {
        user.rights.permissions.publish.allow = vec!["orders.>".into(), "_INBOX.>".into()];
    });
    let mut tenant = admitted(&server, &house.shop.user("auditor"));
    // Its own login may be told before the answer to anything it says.
    tenant.say("SUB ours.> 1\r\n");

    // Somebody guesses: the right claims, and signatures by a wrong key.
    let thief = jwt::testing::key(nkeys::Role::User, "thief");
    for _ in 0..6 {
        let mut peer = server.peer();
        let signature = data_encoding::BASE64URL_NOPAD.encode(&thief.sign(peer.nonce().as_bytes()));
        peer.connect(&json!({ "jwt": joe.token(), "sig": signature }));
    }
    // Then it has the credentials themselves, and looks for what it may not have.
    let mut stolen = admitted(&server, &joe);
    stolen.say("PUB billing.refunds 2\r\nhi\r\nSUB $SYS.> 7\r\nPUB orders.new 2\r\nok\r\nPING\r\n");
    while stolen.answer() != "PONG" {}
    // The tenant has heard of it.
    let heard = std::iter::from_fn(|| tenant.message_or_end()).find(|heard| heard.text().contains("billing.refunds"));
    assert!(heard.is_some_and(|heard| heard.subject.starts_with("ours.audit.")));

    // The administrator bans the address, revokes the user, and replaces the signing key.
    let mut admin = house.admin(&server);
    let ban = format!(r#"{{"user":"{}","seconds":3600,"reason":"credentials stolen"}}"#, joe.key.public());
    let answer = admin.request("$SYS.REQ.SERVER.PING.BAN", ban.as_bytes()).json();
    assert_eq!(answer["data"]["closed"], 1, "{answer}");
    assert!(log_in(&server, &joe).1.starts_with("-ERR"));
    house.shop.claims.revocations.revoke(Revoked::Key(joe.key.public()), jwt::testing::NOW.as_secs() + 10_000_000_000);
    let key = house.shop.add_scope("clerks", |_| {});
    updated(&mut admin, &house.shop);
    let unban = format!(r#"{{"user":"{}"}}"#, joe.key.public());
    admin.request("$SYS.REQ.SERVER.PING.UNBAN", unban.as_bytes());
    assert!(log_in(&server, &joe).1.starts_with("-ERR"));

    // What was stored is touched while the server is down.
    let stored = keeper.request("$JS.API.STREAM.INFO.AUDIT", b"").json();
    assert!(stored["state"]["messages"].as_u64().unwrap() > 5, "{stored}");
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    server.stop();
    let block = largest(&at.join("data"));
    let mut bytes = std::fs::read(&block).unwrap();
    // Behind the head, which is there twice, among the records.
    let middle = bytes.len() / 4 * 3;
    bytes[middle] ^= 1;
    std::fs::write(&block, bytes).unwrap();
    let config = at.join("server.conf").display().to_string();
    let (found, verified) = tool(&at, &["store", "verify", "-c", &config]);
    assert_eq!(found, Some(3), "{verified}");
    server.start_again();
    let mut keeper = admitted(&server, &trail.user("keeper"));
    for sequence in 1..=stored["state"]["messages"].as_u64().unwrap() {
        keeper.request("$JS.API.STREAM.MSG.GET.AUDIT", format!("{{\"seq\":{sequence}}}").as_bytes());
    }
    server.stop();

    let names = [
        (trail.key.public().to_string(), "TRAIL"),
        (trail.user("keeper").key.public().to_string(), "KEEPER"),
        (house.shop.user("auditor").key.public().to_string(), "AUDITOR"),
        (house.system.user("admin").key.public().to_string(), "ADMIN"),
        (joe.key.public().to_string(), "JOE"),
        (key.public().to_string(), "KEY-OF-CLERKS"),
        (house.chain.signing.public().to_string(), "OPERATOR-KEY"),
        (house.chain.key.public().to_string(), "OPERATOR"),
        (at.display().to_string(), "."),
    ];
    let (whole, _) = tool(&at, &["audit", "verify", "audit.jsonl"]);
    assert_eq!(whole, Some(0));
    let (_, shown) = tool(&at, &["audit", "show", "audit.jsonl"]);
    let story = steady(&shown, &house, &names);
    for told in [
        "signature of the nonce does not verify",
        "Publish Violation - Subject \"billing.refunds\"",
        "ban seconds 3600 user \"JOE\" reason \"credentials stolen\"",
        "is banned until",
        "jwt updated",
        "new claims are in use; one revocation is new",
        "signing keys changed; added KEY-OF-CLERKS",
        "user is revoked",
        "store    refused",
    ] {
        assert!(story.contains(told), "{told:?} is not in the story:\n{story}");
    }

    // Whoever changes the trail itself is found out, whatever line it is.
    let file = at.join("audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("billing.refunds", "billing.receipt")).unwrap();
    let (forged, says) = tool(&at, &["audit", "verify", "audit.jsonl"]);
    assert_eq!(forged, Some(3));
    let says = says.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, rest)| rest);
    let says = format!("audit.jsonl:N: {}", counted(says));
    write_story(&format!(
        "{}\n\n$ nats-server audit verify audit.jsonl   # after one word was changed in it\n{says}\n",
        chosen(&story)
    ));
}

/// Numbers that depend on the run.
fn counted(line: &str) -> String {
    let is_number = |word: &str| word.trim_end_matches([':', ',', '.']).parse::<u64>().is_ok();
    let line = line.split(' ').map(|word| if is_number(word) { "N" } else { word }).collect::<Vec<_>>().join(" ");
    // How many messages were written together, and so lie in one sheet, is a matter of time.
    line.replace("lost: messages N to N", "lost: message N")
}

/// The lines of the story, without what comes and goes: logins that succeed and their ends.
fn chosen(story: &str) -> String {
    let is_told = |line: &&str| !line.starts_with("logout") && !line.starts_with("trail");
    let mut lines: Vec<String> = Vec::new();
    for line in story.lines().filter(is_told) {
        let line = match line.split_once(" is banned until ") {
            Some((before, _)) => format!("{before} is banned until …"),
            None => line.to_owned(),
        };
        // Which record was touched, and how many guesses fell into one window, depends on the run.
        let line = if line.starts_with("store") || line.ends_with(" times") { counted(&line) } else { line };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn largest(folder: &Path) -> std::path::PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { found.push((entry.metadata().unwrap().len(), path)) }
        }
    }
    found.into_iter().max().unwrap().1
}

/// Compares with the page, or writes it.
fn write_story(story: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for the story");
    let (told, after) = rest.split_once(END).expect("the story has an end");
    let story = format!("\n```text\n{story}```\n\n");
    if std::env::var_os("BULWARK_BLESS").is_some() {
        return std::fs::write(PAGE, format!("{before}{BEGIN}{story}{END}{after}")).unwrap();
    }
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert!(
        lines(told) == lines(&story),
        "the trail tells another story; look at it and bless it if it is meant:\n{story}"
    );
}
