//! A certified OpenID provider: npm's `oidc-provider` on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::world::{Running, World, asking, free_port, is_refused, place, servers};

/// A provider, and how to get tokens from it.
struct Issuer {
    _node: Running,
    port: u16,
}

pub(crate) fn home() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let home = std::env::var_os("CALLOUT_OIDC").map_or_else(|| target.join("oidc"), PathBuf::from);
    if home.join("node_modules/oidc-provider").is_dir() && Command::new("node").arg("--version").output().is_ok() {
        return Some(home);
    }
    crate::world::leave_out("no OpenID provider here: app/callout/tests/oidc/install");
    None
}

impl Issuer {
    fn start(home: &Path, port: u16, key: &str) -> Self {
        let script = home.join("provider.mjs");
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/provider.mjs"), &script)
            .expect("the script is copied");
        let mut node = Running::start(Command::new("node").arg(script).args([&port.to_string(), key]));
        node.wait_for("ready http");
        Self { _node: node, port }
    }

    /// A token for a client; the last word of the resource is the audience.
    fn token(&self, client: &str, resource: &str) -> String {
        use std::io::{Read, Write};
        let body = format!("grant_type=client_credentials&scope=nats&resource={resource}");
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).expect("the provider listens");
        let login = BASE64.encode(format!("{client}:secret").as_bytes());
        write!(
            stream,
            "POST /token HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nAuthorization: Basic {login}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let json = answer.find('{').and_then(|at| answer.get(at..)).unwrap_or_default();
        let json: Value = serde_json::from_str(json.get(..=json.rfind('}').unwrap_or(0)).unwrap_or_default())
            .unwrap_or_else(|error| panic!("{error}: {answer}"));
        json["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn config(&self) -> String {
        format!(
            "[[provider]]\nkind = \"oidc\"\nissuer = \"http://127.0.0.1:{}\"\naudience = [\"nats\"]\nkeys_min_pause = \"1ms\"\nleeway = \"0s\"\n{RULES}",
            self.port
        )
    }
}

const RULES: &str = r#"
[[rule]]
groups = ["sales"]
account = "APP"
pub_allow = ["orders.{{claim.department}}.{{name}}", "$SYS.REQ.USER.INFO"]
sub_allow = ["_INBOX.>"]

[[rule]]
claims = { department = "apac" }
account = "GUESTS"
"#;

#[tokio::test]
async fn a_token_of_the_provider_lets_in_and_others_do_not() {
    let Some(home) = home() else { return };
    let issuer = Issuer::start(&home, free_port(), "k1");
    for server in servers() {
        let world = World::open(&server, &asking(""));
        world.config("callout.toml", "", &issuer.config());
        let mut service = world.serve("callout.toml");
        let token = issuer.token("alice", "urn:nats");
        let alice = world.token(&token).await.expect("alice is let in");
        let (account, allowed) = place(&alice).await;
        assert_eq!((account.as_str(), allowed.first().map(String::as_str)), ("APP", Some("orders.emea.alice")));
        let bob = world
            .password("ignored", &issuer.token("bob", "urn:nats"))
            .await
            .expect("a token may stand for a password");
        assert_eq!(place(&bob).await.0, "GUESTS");

        is_refused(world.token(&issuer.token("star", "urn:nats")).await);
        service.wait_for("{{claim.department}} is not one plain token of a subject");
        is_refused(world.token(&issuer.token("alice", "urn:others")).await);
        service.wait_for("token of oidc: InvalidAudience");
        let (head, tail) = token.rsplit_once('.').expect("a signature");
        let other = if tail.starts_with('A') { "B" } else { "A" };
        let forged = format!("{head}.{other}{}", tail.get(1..).expect("a signature"));
        is_refused(world.token(&forged).await);
        service.wait_for("token of oidc: InvalidSignature");
        is_refused(world.token("nonsense").await);
        service.wait_for("no provider knows these credentials");
    }
}

#[tokio::test]
async fn tokens_that_anybody_could_make_are_refused() {
    let Some(home) = home() else { return };
    let issuer = Issuer::start(&home, free_port(), "k1");
    let world = World::open(&servers().remove(0), &asking(""));
    world.config("callout.toml", "", &issuer.config());
    let mut service = world.serve("callout.toml");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": format!("http://127.0.0.1:{}", issuer.port), "aud": "nats", "sub": "alice", "groups": ["sales"],
        "department": "x", "exp": now + 300, "iat": now});
    let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
    is_refused(world.token(&encode(&header, &claims, &EncodingKey::from_secret(b"public")).unwrap()).await);
    service.wait_for("algorithm HS256 is not one of those that are taken");

    let unsigned = |head: &str| {
        let text = |value: &str| data_encoding::BASE64URL_NOPAD.encode(value.as_bytes());
        format!("{}.{}.", text(head), text(&claims.to_string()))
    };
    is_refused(world.token(&unsigned(r#"{"alg":"none","kid":"k1"}"#)).await);
    service.wait_for("refused: token of oidc:");
    is_refused(world.token(&unsigned(r#"{"alg":"RS256","kid":"k1"}"#)).await);
    service.wait_for("refused: token of oidc:");
    is_refused(world.token(&unsigned(r#"{"alg":"RS256","kid":"k2"}"#)).await);
    service.wait_for("signed by key \"k2\", which the provider does not have");
    is_refused(world.token(&unsigned(r#"{"alg":"ES256","kid":"k1"}"#)).await);
    service.wait_for("the key is not for algorithm ES256");

    let short = issuer.token("alice", "urn:short:nats");
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    is_refused(world.token(&short).await);
    service.wait_for("token of oidc: ExpiredSignature");
}

#[tokio::test]
async fn keys_change_and_the_provider_may_be_away_for_a_while() {
    let Some(home) = home() else { return };
    let port = free_port();
    let issuer = Issuer::start(&home, port, "k1");
    let world = World::open(&servers().remove(0), &asking(""));
    world.config("callout.toml", "", &issuer.config());
    let mut service = world.serve("callout.toml");
    let (old, spare) = (issuer.token("alice", "urn:nats"), issuer.token("alice", "urn:nats"));
    world.token(&old).await.expect("alice is let in");
    drop(issuer);
    world.token(&spare).await.expect("known keys are good for a while");

    let issuer = Issuer::start(&home, port, "k2");
    world.token(&issuer.token("alice", "urn:nats")).await.expect("a new key is asked for");
    is_refused(world.token(&old).await);
    service.wait_for("signed by key \"k1\", which the provider does not have");
}

#[tokio::test]
async fn a_provider_that_never_answered_lets_nobody_in() {
    let Some(home) = home() else { return };
    let issuer = Issuer::start(&home, free_port(), "k1");
    let (token, config) = (issuer.token("alice", "urn:nats"), issuer.config());
    drop(issuer);
    let world = World::open(&servers().remove(0), &asking(""));
    world.config("callout.toml", "", &config);
    let mut service = world.serve("callout.toml");
    is_refused(world.token(&token).await);
    service.wait_for("could not connect");
}
