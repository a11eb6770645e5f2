//! The test suite of a client, run against our server: async-nats as it is published, with everything it tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::metadata::Metadata;
use crate::shell::{self, cargo_program, root, said, text};

const CLIENT: &str = "async-nats";

/// Test programs that need no server.
const LEFT_OUT: [&str; 1] = ["subject_validation_test"];

/// Runs every test of the client but those on the list, which has to be right: what is left out must be there.
pub(crate) fn suites() -> Result<String, Failure> {
    let folder = unpacked()?;
    let server = shell::target().join("release").join("nats-server");
    let left_out = left_out()?;
    let mut passed = 0;
    let mut missing: Vec<&str> = left_out.keys().map(String::as_str).collect();
    for program in programs(&folder)? {
        let outcome = run(&folder, &program, &server, left_out.keys())?;
        missing.retain(|name| !outcome.names.iter().any(|there| there == name));
        passed += outcome.passed;
        println!("== {program}: {} passed", outcome.passed);
    }
    if !missing.is_empty() {
        return Err(format!("the list of what is left out names tests that are not there: {missing:?}"));
    }
    Ok(format!(
        "{CLIENT} {}: all {passed} tests passed; {} left out",
        Metadata::read()?.version(CLIENT)?,
        left_out.len()
    ))
}

/// A copy of the client that can be built with its tests.
fn unpacked() -> Result<PathBuf, Failure> {
    let source = Metadata::read()?.folder(CLIENT)?;
    let folder = shell::target().join("suites").join(CLIENT);
    fs::remove_dir_all(&folder).ok();
    copy(&source, &folder).map_err(|error| format!("{}: {error}", source.display()))?;
    let launcher = root().join("test").join("suites").join("nats-server");
    let manifest = folder.join("Cargo.toml");
    let more =
        format!("\n[dev-dependencies.nats-server]\npath = {:?}\n\n[workspace]\n", launcher.display().to_string());
    let whole = fs::read_to_string(&manifest).map_err(|error| error.to_string())? + &more;
    fs::write(&manifest, whole).map_err(|error| error.to_string())?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// Names of tests that are left out, with the reasons.
fn left_out() -> Result<BTreeMap<String, String>, Failure> {
    let path = root().join("test").join("suites").join(format!("{CLIENT}.list"));
    let list = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(' ') {
            Some((name, reason)) if !reason.trim().is_empty() => Ok((name.to_owned(), reason.trim().to_owned())),
            _ => Err(format!("{}: {line:?} gives no reason", path.display())),
        })
        .collect()
}

fn programs(folder: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(folder.join("tests")).map_err(|error| error.to_string())?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut programs: Vec<String> = names.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect();
    programs.retain(|program| !LEFT_OUT.contains(&program.as_str()));
    programs.sort();
    Ok(programs)
}

struct Outcome {
    names: Vec<String>,
    passed: usize,
}

fn run<'a>(
    folder: &Path,
    program: &str,
    server: &Path,
    left_out: impl Iterator<Item = &'a String>,
) -> Result<Outcome, Failure> {
    let command = |words: &[&str]| {
        let mut command = Command::new(cargo_program());
        command.args(["test", "--quiet", "--test", program, "--"]).args(words);
        command.current_dir(folder).env("NATS_SERVER", server);
        command
    };
    let names = shell::read(&mut command(&["--list", "--format", "terse"]))?;
    let names = names.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    let mut tests = command(&["--exact", "--test-threads=2"]);
    tests.args(left_out.flat_map(|name| ["--skip", name]));
    let output = tests.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(said(&output));
    }
    let results = text(&output.stdout);
    let passed = results
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok());
    Ok(Outcome { names, passed: passed.sum() })
}
