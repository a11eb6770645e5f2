//! `nats context`, and what contexts do to other commands.

use crate::publish::STORY;
use crate::scene::{Scene, finish};

fn alice(scene: &Scene) {
    let (url, user) = (scene.url.clone(), ["--user", "alice", "--password", "s3cret"]);
    let mut args = vec!["context", "add", "shop", "--description", "The shop", "-s", &url];
    args.extend(user);
    scene.nats(&args).fine();
}

#[test]
fn a_context_is_a_file_with_all_keys() {
    let scene = Scene::configured(STORY);
    alice(&scene);
    let path = scene.path("config/nats/context/shop.json");
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("the file is there")).expect("JSON");
    assert_eq!((json["url"].as_str(), json["user"].as_str()), (Some(scene.url.as_str()), Some("alice")));
    assert_eq!(json["creds"], "");
    assert_eq!(json["tls_first"], false);
}

#[test]
fn a_selected_context_logs_in_and_can_be_left_out() {
    let scene = Scene::configured(STORY);
    alice(&scene);
    scene.nats(&["pub", "orders.a", "x", "--context", "shop"]).fine();
    scene.nats(&["pub", "orders.a", "x"]).failed(1);
    scene.nats(&["context", "select", "shop"]).fine();
    assert_eq!(std::fs::read_to_string(scene.path("config/nats/context.txt")).expect("selected"), "shop");
    scene.nats(&["pub", "orders.a", "x"]).fine();
    scene.nats(&["pub", "orders.a", "x", "--no-context"]).failed(1);
    let done = scene.nats(&["ctx", "unselect"]).fine();
    assert_eq!(done.stdout, "Unselected the \"shop\" context\n");
    assert_eq!(scene.nats(&["ctx", "unselect"]).fine().stdout, "No context currently selected\n");
}

#[test]
fn contexts_are_listed_as_table_names_and_json() {
    let scene = Scene::configured(STORY);
    assert_eq!(scene.nats(&["context", "ls"]).fine().stdout, "No known contexts\n");
    alice(&scene);
    scene.nats(&["context", "copy", "shop", "other", "--select"]).fine();
    let table = scene.nats(&["context", "ls"]).fine().stdout;
    assert!(table.contains("Known Contexts") && table.contains("│ other* │ The shop    │"), "{table}");
    assert_eq!(scene.nats(&["context", "ls", "--names"]).fine().stdout, "other\nshop\n");
    assert_eq!(scene.nats(&["context", "ls", "--completion"]).fine().stdout, "other*:The shop\nshop:The shop\n");
    let json: serde_json::Value =
        serde_json::from_str(&scene.nats(&["context", "ls", "--json"]).fine().stdout).expect("JSON");
    assert_eq!(json[0]["name"], "other");
    assert_eq!(
        scene.nats(&["context", "copy", "shop", "other"]).failed(1).stderr,
        "nats: error: context \"other\" already exist\n"
    );
    assert_eq!(scene.nats(&["context", "cp", "nope", "x"]).failed(1).stderr, "nats: error: unknown context \"nope\"\n");
}

#[test]
fn info_shows_labels_and_hides_the_password() {
    let scene = Scene::configured(STORY);
    alice(&scene);
    let done = scene.nats(&["context", "info", "shop", "--connect"]).fine();
    let text = &done.stdout;
    assert!(text.starts_with("NATS Configuration Context \"shop\"\n\n"), "{text}");
    for line in ["  Description: The shop", "     Username: alice", "     Password: ******", "   Connection: OK"] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert!(!text.contains("s3cret"));
    assert!(text.contains("WARNING: Shell environment overrides in place using NATS_URL"), "{text}");
}

#[test]
fn validation_finds_missing_files() {
    let scene = Scene::alone();
    scene.nats(&["context", "add", "bad", "--creds", "/no/such.creds"]).fine();
    let done = scene.nats(&["context", "validate"]).failed(1);
    assert!(done.stdout.contains("Credentials: /no/such.creds (ERROR)"), "{}", done.stdout);
    assert_eq!(done.stderr, "nats: error: validation failed\n");
}

#[test]
fn the_previous_context_comes_back() {
    let scene = Scene::alone();
    for name in ["a", "b"] {
        scene.nats(&["context", "add", name, "--select"]).fine();
    }
    assert!(scene.nats(&["context", "previous"]).fine().stdout.contains("Context \"a\""));
    assert!(scene.nats(&["context", "-"]).fine().stdout.contains("Context \"b\""));
}

#[test]
fn the_selected_context_is_not_removed_without_force() {
    let scene = Scene::alone();
    scene.nats(&["context", "add", "a", "--select"]).fine();
    let done = scene.nats(&["context", "rm", "a"]).failed(1);
    assert!(done.stderr.contains("cannot remove the selected context"), "{}", done.stderr);
    scene.nats(&["context", "rm", "a", "-f"]).fine();
    assert_eq!(scene.nats(&["context", "ls"]).fine().stdout, "No known contexts\n");
    scene.nats(&["context", "add", "b"]).fine();
    let done = scene.nats(&["context", "rm", "b"]).failed(1);
    assert!(done.stderr.contains("cannot ask for confirmation without a terminal"), "{}", done.stderr);
}

#[test]
fn a_selected_context_that_is_gone_is_told_and_unselected() {
    let scene = Scene::open();
    scene.nats(&["context", "add", "gone", "--select"]).fine();
    std::fs::remove_file(scene.path("config/nats/context/gone.json")).expect("removed");
    let done = scene.nats(&["pub", "a", "x"]).failed(1);
    assert!(
        done.stdout.starts_with("The selected context \"gone\" was not found, unselecting it\n"),
        "{}",
        done.stdout
    );
    scene.nats(&["pub", "a", "x"]).fine();
}

#[test]
fn an_unknown_context_is_an_error_that_names_the_known_ones() {
    let scene = Scene::alone();
    scene.nats(&["context", "add", "known"]).fine();
    let done = scene.nats(&["pub", "a", "x", "--context", "nope"]).failed(1);
    assert!(done.stderr.contains("context not found: \"nope\"") && done.stderr.contains("known contexts: known"));
}

#[test]
fn a_context_may_be_a_file_anywhere() {
    let scene = Scene::configured(STORY);
    let json = format!(r#"{{"url":"{}","user":"alice","password":"env://SHOP_PASSWORD"}}"#, scene.url);
    std::fs::write(scene.path("here.json"), json).expect("written");
    let mut command = scene.command(&["pub", "orders.a", "x", "--context", "here.json"]);
    finish(command.env("SHOP_PASSWORD", "s3cret"), None).fine();
}

#[test]
fn a_context_is_edited_in_the_editor() {
    let scene = Scene::alone();
    scene.nats(&["context", "add", "e", "--description", "before"]).fine();
    let mut command = scene.command(&["context", "edit", "e"]);
    finish(command.env("EDITOR", "sed -i 's/\"before\"/after that/'"), None).fine();
    assert!(scene.nats(&["context", "info", "e"]).fine().stdout.contains("Description: after that"));
    let mut broken = scene.command(&["context", "edit", "e"]);
    let done = finish(broken.env("EDITOR", "sed -i 's/^url:/urll:/'"), None).failed(1);
    assert!(done.stderr.contains("unknown key \"urll\""), "{}", done.stderr);
    let mut none = scene.command(&["context", "edit", "e"]);
    let done = finish(none.env_remove("EDITOR"), None).failed(1);
    assert!(done.stderr.contains("set EDITOR environment variable"), "{}", done.stderr);
}

#[test]
fn credentials_can_be_embedded() {
    let scene = Scene::alone();
    std::fs::write(scene.path("seed.nk"), "SUAPLANTED").expect("written");
    scene.nats(&["context", "add", "e", "--nkey", "seed.nk", "--embed"]).fine();
    let text = std::fs::read_to_string(scene.path("config/nats/context/e.json")).expect("there");
    assert!(text.contains("data:;base64,U1VBUExBTlRFRA=="), "{text}");
    assert!(scene.nats(&["context", "info", "e"]).fine().stdout.contains("NKey: embedded data"));
}

#[cfg(unix)]
#[test]
fn a_user_of_nsc_brings_credentials_and_servers() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::open();
    let url = &scene.url;
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'generate profile nsc://O/A/U' ] || exit 1\necho '{{\"user_creds\":\"\",\"operator\":{{\"service\":[\"{url}\"]}}}}'\n"
    );
    std::fs::write(scene.path("nsc"), script).expect("written");
    std::fs::set_permissions(scene.path("nsc"), PermissionsExt::from_mode(0o755)).expect("runnable");
    let folder = scene.path("config/nats/context");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("old.json"), r#"{"nsc": "nsc://O/A/U"}"#).expect("written");
    std::fs::write(folder.join("gone.json"), r#"{"nsc": "nsc://O/A/nobody"}"#).expect("written");
    let typed = |context: &str| {
        let mut command = scene.command(&["pub", "a", "hello", "--context", context]);
        let path = format!("{}:{}", scene.home.path().display(), std::env::var("PATH").expect("a path"));
        command.env("PATH", path).env_remove("NATS_URL");
        finish(&mut command, None)
    };
    typed("old").fine();
    let failed = typed("gone").failed(1).stderr;
    assert!(failed.contains("nsc failed"), "{failed}");
}
