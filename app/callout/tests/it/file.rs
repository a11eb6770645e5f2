//! Users in a file, and everything about the service that does not depend on the provider.

use std::process::Command;

use crate::world::{World, asking, curve, http_get, is_refused, place, servers};

const RULES: &str = r#"
[[provider]]
kind = "file"
path = "users.toml"

[[rule]]
groups = ["sales"]
account = "APP"
pub_allow = ["orders.{{name}}.>", "$SYS.REQ.USER.INFO"]
sub_allow = ["_INBOX.>"]

[[rule]]
users = ["guest"]
account = "GUESTS"
expire = "1s"
"#;

fn users(world: &World, names: &[(&str, &str, &str)]) {
    let lines = names.iter().map(|(name, password, group)| {
        let hash = bcrypt::hash(password, 4).expect("a hash");
        format!("[users.{name}]\npassword = \"{hash}\"\ngroups = [\"{group}\"]\n")
    });
    world.write("users.toml", &lines.collect::<String>());
}

#[tokio::test]
async fn people_are_placed_with_their_rights_and_strangers_stay_out() {
    for server in servers() {
        let world = World::open(&server, &asking(""));
        users(&world, &[("alice", "s3cret", "sales"), ("guest", "guest-pw", "none"), ("eve", "eve-pw", "none")]);
        world.config("callout.toml", "", RULES);
        let mut service = world.serve("callout.toml");
        let alice = world.password("alice", "s3cret").await.expect("alice is let in");
        let (account, allowed) = place(&alice).await;
        assert_eq!((account.as_str(), allowed), ("APP", vec!["orders.alice.>".to_owned()]));
        service.wait_for("user \"alice\" of file enters account \"APP\" as \"alice\"");

        is_refused(world.password("alice", "wrong").await);
        service.wait_for("wrong password for user \"alice\" of file");
        is_refused(world.password("eve", "eve-pw").await);
        service.wait_for("no rule fits user \"eve\" of file");
        is_refused(world.password("nobody", "x").await);
        service.wait_for("no provider knows these credentials");
        is_refused(world.password("alice", "").await);

        let guest = world.password("guest", "guest-pw").await.expect("the guest is let in");
        assert_eq!(place(&guest).await.0, "GUESTS");
    }
}

#[tokio::test]
async fn questions_and_answers_can_be_sealed() {
    for server in servers() {
        let world = World::open(&server, &asking(&format!("xkey: {}", curve().public())));
        users(&world, &[("alice", "s3cret", "sales")]);
        world.write("box.nk", curve().seed().expose());
        world.config("callout.toml", "xkey = \"file:box.nk\"", RULES);
        world.config("open.toml", "", RULES);
        {
            let mut keyless = world.serve("open.toml");
            // Nobody answers, so the server lets alice wait until her time is over.
            let waiting = world.password("alice", "s3cret");
            assert!(tokio::time::timeout(std::time::Duration::from_millis(500), waiting).await.is_err());
            keyless.wait_for("the question is sealed, and we have no curve key: callout.xkey is missing");
        }
        let _service = world.serve("callout.toml");
        world.password("alice", "s3cret").await.expect("alice is let in");
    }
}

#[tokio::test]
async fn several_instances_share_the_work_and_one_may_go() {
    let server = servers().remove(0);
    let world = World::open(&server, &asking(""));
    users(&world, &[("alice", "s3cret", "sales")]);
    for name in ["one.toml", "two.toml"] {
        world.config(name, "[monitor]\nlisten = \"127.0.0.1:0\"\n", RULES);
    }
    let start = |config: &str| {
        let mut service = crate::world::Running::start(&mut world.command(&["-c", config]));
        let line = service.wait_for("health and figures on http://");
        let address = line.rsplit('/').next().expect("an address").to_owned();
        service.wait_for("ready, deciding logins");
        (service, address)
    };
    let ((one, first), (_two, second)) = (start("one.toml"), start("two.toml"));
    for _ in 0..16 {
        world.password("alice", "s3cret").await.expect("alice is let in");
    }
    let admitted = |address: &str| {
        let text = http_get(address, "/metrics");
        let line = text
            .lines()
            .find(|line| line.starts_with("nats_callout_requests_total{result=\"admitted\"}"))
            .map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).expect("a counter")
    };
    let (by_one, by_two) = (admitted(&first), admitted(&second));
    assert_eq!(by_one + by_two, 16, "each question is answered once");
    assert!(by_one > 0 && by_two > 0, "{by_one} and {by_two}");
    assert!(http_get(&first, "/healthz").starts_with("HTTP/1.1 200"), "it is healthy");
    assert!(http_get(&first, "/nothing").starts_with("HTTP/1.1 404"));

    one.signal("-TERM");
    assert_eq!(one.end().0, Some(0));
    for _ in 0..4 {
        world.password("alice", "s3cret").await.expect("the other one decides");
    }
}

#[tokio::test]
async fn rules_and_users_are_read_again_and_a_mistake_changes_nothing() {
    let server = servers().remove(0);
    let world = World::open(&server, &asking(""));
    users(&world, &[("alice", "s3cret", "sales")]);
    world.config("callout.toml", "", RULES);
    let mut service = world.serve("callout.toml");
    is_refused(world.password("bob", "b0b-pw").await);
    users(&world, &[("bob", "b0b-pw", "sales")]);
    service.signal("-HUP");
    service.wait_for("providers and rules were read again");
    world.password("bob", "b0b-pw").await.expect("bob is new");
    is_refused(world.password("alice", "s3cret").await);
    world.write("users.toml", "[users.bob]\npassword = \"plain\"\n");
    service.signal("-HUP");
    service.wait_for("nothing changes, because");
    world.password("bob", "b0b-pw").await.expect("bob is still there");
}

#[test]
fn a_configuration_is_tested_and_mistakes_are_named() {
    let world = World::open(&servers().remove(0), "");
    users(&world, &[("alice", "s3cret", "sales")]);
    let test = |rest: &str| {
        world.config("callout.toml", "", rest);
        let done = world.command(&["-t", "-c", "callout.toml"]).output().expect("it runs");
        (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (is_fine, said) = test(RULES);
    assert!(is_fine && said.contains("is valid"), "{said}");
    for (odd, wanted) in [
        (RULES.replace("groups =", "group ="), "unknown field `group`"),
        (RULES.replace("users.toml", "none.toml"), "could not read"),
        (RULES.replace("{{name}}", "{{nam}}"), "unknown template \"nam\""),
        (
            format!(
                "{RULES}\n[[provider]]\nkind = \"ldap\"\nurl = \"ldap://ldap.example.com\"\nuser_dn = \"uid={{user}}\"\n"
            ),
            "in the clear",
        ),
        (
            format!("{RULES}\n[[provider]]\nkind = \"oidc\"\nissuer = \"http://id.example.com\"\naudience = [\"x\"]\n"),
            "is not https",
        ),
    ] {
        let (is_fine, said) = test(&odd);
        assert!(!is_fine && said.contains(wanted), "{wanted}: {said}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_nats-callout")).arg("--help").output().expect("it runs");
    assert!(String::from_utf8_lossy(&help.stdout).contains("--config"));
}
