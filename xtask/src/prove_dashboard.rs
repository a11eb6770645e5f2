//! The dashboard in a real browser, and `nats top` in a real terminal. Wants node, npm, openssl, tmux and Chromium
//! (`CHROMIUM`, or `/usr/bin/chromium`). The pictures in `docs/images` are made anew.

use std::process::Command;

use crate::Failure;
use crate::shell::{self, root, said, text};

/// Where the script is, and what it needs.
const FOLDER: &str = "test/browser";

/// Runs the script and gives the checks that held.
pub(crate) fn checks() -> Result<String, Failure> {
    let done = |command: &mut Command, what: &str| -> Result<String, Failure> {
        let output = command.current_dir(root()).output().map_err(|error| format!("{what}: {error}"))?;
        let out = text(&output.stdout).to_owned();
        if output.status.success() { Ok(out) } else { Err(format!("{what}: {}\n{}", out, said(&output))) }
    };
    done(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--prefix", FOLDER]), "npm ci")?;
    let script = format!("{FOLDER}/dashboard.mjs");
    let out = done(
        Command::new("node")
            .arg(script)
            .env("SERVER", shell::target().join("release/nats-server"))
            .env("IMAGES", "docs/images"),
        "the browser",
    )?;
    let release = |program: &str| shell::target().join("release").join(program);
    let mut top = Command::new("node");
    top.arg(format!("{FOLDER}/top.mjs")).env("SERVER", release("nats-server")).env("NATS", release("nats"));
    done(&mut top, "the picture of nats top")?;
    let checks: Vec<&str> = out.lines().filter(|line| line.starts_with("ok ")).collect();
    Ok(format!("{}\n{} checks", checks.join("\n"), checks.len()))
}
