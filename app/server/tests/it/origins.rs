//! Every kind of origin that an explanation can name, asked of the built binary, as a file in the repository.
//!
//! `BULWARK_BLESS=1` writes the file anew.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use jwt::testing::Chain;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::callout::{Service, answered, config_with};
use crate::running::{Running, user};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/origins.txt");

const SHOP: &str = r#"
accounts {
  SHOP {
    limits { max_payload: 1000, messages_per_second: 500 }
    default_permissions { publish: "orders.>", subscribe: { deny: "orders.secret" } }
    users [
      { user: clerk, password: a, permissions: {
          publish: { allow: ["orders.>", "ask.*", "in.*"], deny: "orders.void" }
          subscribe: ["orders.> workers", "$JS.API.>"] } }
      { user: guest, password: b, limits { messages_per_second: 5 } }
    ]
    exports [ { stream: "orders.>" } ]
    imports [ { service: { account: BANK, subject: "pay.*" }, to: "ask.*" } ]
    mappings { "in.*": "orders.$1", "half": [ { destination: "orders.half", weight: 40% }, { destination: "gone", weight: 60% } ] }
  }
  BANK {
    users [ { user: teller, password: c } ]
    exports [ { service: "pay.*" }, { service: "$JS.API.>" } ]
    imports [ { stream: { account: SHOP, subject: "orders.>" }, prefix: "from.shop" } ]
  }
  SHUT { limits { max_subscriptions: 0 }, users [ { user: mute, password: g } ] }
  AUTH { users [ { user: door, password: d }, { user: porter, password: e } ] }
  READ {
    users [ { user: reader, password: f, permissions: { publish: "$JS.API.CONSUMER.MSG.NEXT.LEDGER.>" } } ]
    imports [ { service: { account: BANK, subject: "$JS.API.>" } } ]
  }
}
authorization { auth_callout {
  issuer: AAB35RZ7HJSICG7D4IGPYO3CTQPWWGULJXZYD45QAWUKTXJYDI6EO7MV
  account: AUTH, auth_users: [ door ]
} }
"#;

/// A stream of this account keeps `ledger.>`.
const STREAMS: &str = r#"
accounts { LEDGER { jetstream: enabled, users [
  { user: owner, password: a }
  { user: partly, password: b, permissions: { subscribe: { deny: "ledger.secret" } } }
  { user: outside, password: c, permissions: { subscribe: { deny: "other.>" } } }
  { user: shut, password: d, permissions: { subscribe: { deny: "ledger.>" } } }
  { user: inbox, password: e, permissions: { publish: "$JS.API.CONSUMER.>", subscribe: "_INBOX.>" } }
] } }
"#;

struct Matrix {
    folder: TempDir,
    written: String,
}

impl Matrix {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// One row: what kind of origin it is, what is asked, and what is answered.
    fn row(&mut self, kind: &str, words: &str) {
        let output = Command::new(env!("CARGO_BIN_EXE_nats-server"))
            .arg("explain")
            .args(words.split(' '))
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        writeln!(self.written, "# {kind}\n$ nats-server explain {words}\n{said}").unwrap();
    }
}

/// What a callout service gave is known to the running server only.
fn answer_of_the_service(matrix: &mut Matrix) {
    let server = Running::start(&config_with("", ""));
    let answer = |request: &jwt::AuthorizationRequest| {
        answered(request, "OPEN", |claims| {
            claims.rights.permissions.publish.allow = vec!["orders.>".into()];
            claims.rights.permissions.subscribe.deny = vec!["orders.secret".into()];
        })
    };
    let _service = Service::serve(server.admitted(&user("auth", "auth")), None, Box::new(answer));
    let _bob = server.admitted(&user("bob", "b0b"));
    let mut admin = server.admitted(&user("admin", "admin"));
    for (kind, question) in [
        ("an answer of the auth callout service", json!({"user": "bob", "publish": "orders.new"})),
        ("a deny entry of such an answer", json!({"user": "bob", "subscribe": "orders.secret"})),
    ] {
        let answer = admin.request("$SYS.REQ.SERVER.PING.EXPLAIN", question.to_string().as_bytes()).json();
        let mut row: Value = answer["data"]["explained"][0].clone();
        row.as_object_mut().unwrap_or_else(|| panic!("{answer}")).remove("connections");
        let said = serde_json::to_string_pretty(&row).unwrap();
        writeln!(matrix.written, "# {kind}\n$ nats req '$SYS.REQ.SERVER.PING.EXPLAIN' '{question}'\n{said}\n").unwrap();
    }
}

/// Every origin a rule can have, by the words its row must have. Whoever adds one has to add a row.
fn words_of_every_origin() -> Vec<&'static str> {
    use auth::Origin;
    let place = auth::settings::Place::default;
    let scope = || Origin::Scope { key: "A".into(), role: "".into(), template: None };
    let all = [
        Origin::Config(place()),
        Origin::Default(place()),
        Origin::User,
        Origin::AccountDefault,
        scope(),
        Origin::Answer,
        Origin::Callout,
    ];
    let words = |origin: &Origin| match origin {
        Origin::Config(_) => "(shop.conf:",
        Origin::Default(_) => "(default permissions, shop.conf:",
        Origin::User => "(user JWT)",
        Origin::AccountDefault => "(default permissions of the account JWT)",
        Origin::Scope { .. } => "(scope \"clerks\" of signing key A",
        Origin::Answer => "(answer of the auth callout service)",
        Origin::Callout => "(auth callout)",
        Origin::Told(_) => unreachable!("whoever is asked about here is bound by no other server's word"),
    };
    all.iter().map(words).collect()
}

fn chain(matrix: &Matrix) {
    let chain = Chain::new("acme");
    let (system, mut shop) = (chain.account("SYS"), chain.account("shop"));
    shop.claims.limits.nats.payload = 77;
    shop.claims.default_permissions.publish.deny = vec!["orders.void".into()];
    let signer =
        shop.add_scope("clerks", |scope| scope.template.permissions.publish.allow = vec!["{{name()}}.>".into()]);
    let own = shop.user("joe").with(|user| user.rights.permissions.publish.allow = vec!["orders.>".into()]);
    let (scoped, plain) = (shop.scoped_user("ann", &signer), shop.user("bob"));
    let limited = shop.user("tom").with(|user| user.common.tags = vec!["limit.messages_per_second:9".into()]);
    let stranger = chain.account("other").user("eve");
    for (name, user) in [("joe", own), ("ann", scoped), ("bob", plain), ("tom", limited), ("eve", stranger)] {
        matrix.file(&format!("{name}.creds"), user.creds().expose());
    }
    matrix.file("operator.jwt", &nkeys::decorate_jwt("OPERATOR", &chain.token()));
    let preload = [&system, &shop].map(|account| format!("  {}: {}\n", account.key.public(), account.token()));
    let (system, preload) = (system.key.public(), preload.concat());
    let config = format!(
        "operator: 'operator.jwt'\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{\n{preload}}}\n"
    );
    matrix.file("operator.conf", &config);
}

#[test]
fn every_kind_of_origin_has_its_row() {
    let mut matrix = Matrix { folder: TempDir::new().unwrap(), written: String::new() };
    matrix.file("shop.conf", SHOP);
    chain(&matrix);
    let shop = |words: &str| format!("-c shop.conf {words}");
    for (kind, words) in [
        ("a rule of the configuration: file and line", "--user clerk --publish orders.new"),
        ("a deny entry", "--user clerk --publish orders.void"),
        ("no entry", "--user clerk --publish billing"),
        ("no list at all", "--user teller --publish anything"),
        ("default permissions", "--user guest --publish orders.new"),
        ("default permissions that withhold", "--user guest --subscribe orders.>"),
        ("a queue, and one that is missing", "--user clerk --subscribe orders.new"),
        ("where messages are sent on the user's word", "--user clerk --deliver orders.new"),
        ("what belongs to the server", "--user teller --publish _GR_.x"),
        ("the place of the callout service", "--user porter --publish $SYS.REQ.USER.AUTH"),
        ("a mapping", "--user clerk --publish in.new"),
        ("an import of a service", "--user clerk --publish ask.1"),
        ("an import of a stream", "--user teller --subscribe from.shop.orders.new"),
        ("a limit that lets nothing through", "--user mute --subscribe orders.new"),
        ("limits of account and user", "--user guest --publish orders.new"),
        ("everybody who publishes to a subject, over imports", "--all-users --account BANK --publish pay.1"),
        ("everybody who reads a subject, over imports", "--all-users --account SHOP --subscribe orders.new"),
        ("everybody who can read a stream, by which way", "--account BANK --read-stream LEDGER"),
    ] {
        matrix.row(kind, &shop(words));
    }
    for (kind, rule) in [("deny entries bind", "deny"), ("allow lists bind, too", "all"), ("none binds", "off")] {
        let config = format!("{STREAMS}\njetstream {{ store_dir: js, subscribe_permissions: {rule} }}");
        matrix.file(&format!("{rule}.conf"), &config);
        let words = format!("-c {rule}.conf --account LEDGER --read-stream BOOK --subjects ledger.>");
        matrix.row(&format!("who can read a stream where {kind}"), &words);
    }
    let gateway = |name: &str| format!("gateway {{ name: {name}, listen: \"127.0.0.1:-1\" }}");
    matrix.file("far.conf", &format!("server_name: far\n{STREAMS}\n{}", gateway("far")));
    let keeper =
        format!("server_name: near\njetstream {{ store_dir: js, subscribe_permissions: all }}\n{}", gateway("near"));
    matrix.file("keeper.conf", &keeper);
    let over = "--account LEDGER --read-stream BOOK --subjects ledger.>";
    matrix.row(
        "over a gateway: the server with the stream says which bind",
        &format!("-c far.conf {over} --kept-by keeper.conf"),
    );
    matrix.row("the same as its own server sees it, which keeps no streams", &format!("-c far.conf {over}"));
    matrix.row("the same without a word about what it keeps", "-c deny.conf --account LEDGER --read-stream BOOK");
    let operator = |words: &str| format!("-c operator.conf {words}");
    for (kind, words) in [
        ("a claim of the user", "--creds joe.creds --publish orders.new"),
        ("the template of a scoped signing key", "--creds ann.creds --publish ann.x"),
        ("default permissions of the account's claims", "--creds bob.creds --publish orders.void"),
        ("limits in tags", "--creds tom.creds --publish a"),
        ("an account that is not at hand", "--creds eve.creds --publish a"),
    ] {
        matrix.row(kind, &operator(words));
    }
    answer_of_the_service(&mut matrix);
    for words in words_of_every_origin() {
        assert!(matrix.written.contains(words), "no row shows the origin {words:?}");
    }
    // Expiry of what the fixtures sign is far away; keys and texts are always the same.
    if std::env::var_os("BULWARK_BLESS").is_some() {
        std::fs::write(FILE, &matrix.written).unwrap();
    }
    let expected = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(matrix.written == expected, "look at this and bless it if it is meant:\n{}", matrix.written);
}
