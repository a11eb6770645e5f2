//! `docs/callout.md`, run as it stands there; only the ports are others.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::{free_port, leave_out};

/// A block of the page: what it is, and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else { continue };
        let text: String = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
        found.push((kind.to_owned(), text));
    }
    found
}

/// Lines that go on in the background are waited for until they say that they are ready.
fn script(text: &str, counter: &mut usize) -> String {
    let line = |line: &str| match line.strip_suffix(" &") {
        None => format!("{line}\n"),
        Some(command) => {
            *counter += 1;
            let log = format!("log.{counter}");
            format!(
                "{command} > {log} 2>&1 &\nfor i in $(seq 600); do grep -qi -E 'ready|starting' {log} && break; sleep 0.1; done\n\
                 grep -qi -E 'ready|starting' {log} || {{ cat {log}; exit 1; }}\n"
            )
        }
    };
    text.lines().map(line).collect()
}

fn is_there(kind: &str, oidc: Option<&PathBuf>) -> bool {
    match kind {
        "sh ldap" => Path::new("/usr/sbin/slapd").is_file(),
        "sh oidc" => oidc.is_some(),
        _ => true,
    }
}

#[test]
fn the_walk_through_runs_as_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut page = std::fs::read_to_string(root.join("docs/callout.md")).expect("the page");
    for port in ["4222", "9222", "3389", "3000"] {
        page = page.replace(port, &free_port().to_string());
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_nats-callout")).parent().expect("a directory").to_owned();
    if !binaries.join("nats").is_file() {
        leave_out("the nats tool is not built: cargo build -p bulwark-cli");
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    let oidc = crate::oidc::home();
    if let Some(home) = &oidc {
        std::fs::copy(root.join("app/callout/tests/oidc/provider.mjs"), folder.path().join("provider.mjs"))
            .expect("copied");
        std::os::unix::fs::symlink(home.join("node_modules"), folder.path().join("node_modules")).expect("linked");
    }
    let mut text = String::from("set -euo pipefail\nset -m\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    let (mut counter, mut ran) = (0, 0);
    for (kind, content) in blocks(&page) {
        match kind.as_str() {
            _ if !is_there(&kind, oidc.as_ref()) => leave_out(&format!("{kind}: what it needs is not installed")),
            "sh fails" => {
                text += &format!("if {}; then echo 'it should fail'; exit 1; fi\n", content.trim());
                ran += 1;
            }
            kind if kind.starts_with("sh") => {
                text += &script(&content, &mut counter);
                ran += 1;
            }
            kind => {
                let (_, name) = kind.split_once(' ').unwrap_or_else(|| panic!("the block {kind:?} has no file name"));
                std::fs::write(folder.path().join(name), content).expect("written");
            }
        }
    }
    assert!(ran >= 3, "the page has blocks to run");
    let server = crate::world::servers().remove(0);
    std::fs::create_dir(folder.path().join("bin")).expect("a directory");
    std::os::unix::fs::symlink(server.canonicalize().expect("the server"), folder.path().join("bin/nats-server"))
        .expect("linked");
    let path = format!(
        "{}:{}:{}",
        folder.path().join("bin").display(),
        binaries.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let done = Command::new("timeout")
        .args(["180", "bash", "-c", &text])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path().join("config"))
        .output()
        .expect("bash runs");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let logs: String =
        (1..=counter).filter_map(|at| std::fs::read_to_string(folder.path().join(format!("log.{at}"))).ok()).collect();
    assert!(done.status.success(), "{said}\n--- logs\n{logs}");
}
