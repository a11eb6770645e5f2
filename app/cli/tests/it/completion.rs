//! Completion scripts and the manual page.

use crate::scene::{Scene, finish};

#[test]
fn shells_get_their_scripts() {
    let scene = Scene::alone();
    for shell in ["bash", "zsh", "fish"] {
        let script = scene.nats(&["completion", shell]).fine().stdout;
        assert!(script.contains("subscribe") && script.contains("tlscert"), "{shell}");
    }
    scene.nats(&["completion", "nosuchshell"]).failed(1);
}

#[test]
fn the_manual_page_names_the_commands() {
    let page = Scene::alone().nats(&["man"]).fine().stdout;
    assert!(page.contains(".TH nats 1") && page.contains("nats\\-publish"), "{page}");
}

#[test]
fn every_page_of_help_ends_with_examples() {
    let scene = Scene::alone();
    for (args, example) in [
        (&["stream", "add", "--help"][..], "  nats stream add ORDERS --subjects 'orders.>' --max-age 1y --defaults\n"),
        (&["sub", "-h"], "  nats sub 'orders.>' --queue workers\n"),
    ] {
        let text = scene.nats(args);
        assert!(text.stdout.contains(example), "{args:?}: {text:?}");
    }
    let help = scene.nats(&["stream", "get", "--help"]).fine().stdout;
    assert!(help.contains("\nExamples:\n  nats stream get ORDERS 17\n"), "{help}");
    let page = scene.nats(&["man", "stream", "add"]).fine().stdout;
    assert!(page.contains(".TH nats-stream-add 1") && page.contains("Examples:"), "{page}");
    let none = scene.nats(&["man", "stream", "fly"]).failed(1).stderr;
    assert!(none.contains("nats stream --help shows those there are"), "{none}");
}

#[test]
fn machines_get_a_guide() {
    let scene = Scene::alone();
    let guide = scene.nats(&["kv", "--help-llm"]).fine().stdout;
    assert!(guide.starts_with("## nats kv\n") && guide.contains("### nats kv put\n"), "{guide}");
    assert!(guide.contains("Tags: scope:user, impact:rw") && guide.contains("    nats kv put "), "{guide}");
    let whole = scene.nats(&["--help-llm"]).fine().stdout;
    assert!(whole.contains("### nats server list\n") && whole.contains("#### nats auth account add\n"), "{whole}");
}

#[cfg(unix)]
#[test]
fn a_program_in_the_path_is_a_command() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::alone();
    std::fs::write(scene.path("nats-shop"), "#!/bin/sh\necho \"shop $* $NATS_URL\"\nexit 3\n").expect("written");
    std::fs::set_permissions(scene.path("nats-shop"), PermissionsExt::from_mode(0o755)).expect("runnable");
    let typed = |args: &[&str]| {
        let mut command = scene.command(args);
        let path = format!("{}:{}", scene.home.path().display(), std::env::var("PATH").expect("a path"));
        command.env("PATH", path);
        finish(&mut command, None)
    };
    assert_eq!(typed(&["shop", "open", "--late"]).failed(3).stdout, "shop open --late nats://127.0.0.1:1\n");
    let unknown = typed(&["shup"]).failed(1).stderr;
    assert!(unknown.contains("unrecognized subcommand 'shup'"), "{unknown}");
}
