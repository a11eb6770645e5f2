//! Completion scripts and the manual page.

use crate::scene::Scene;

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
