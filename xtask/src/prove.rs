//! Long runs: what the tests show in seconds, shown with hours. The outcome goes to `docs/proofs/AREA.md`.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::Failure;
use crate::shell::{self, cargo_program, root, said, text};

/// One proof: its name, what it shows, the environment that makes it long, and what cargo runs.
struct Area {
    name: &'static str,
    shows: &'static str,
    environment: &'static [(&'static str, &'static str)],
    arguments: &'static [&'static str],
}

const AREAS: [Area; 4] = [
    Area {
        name: "subject-algebra",
        shows: "`matches`, `covers` and `overlaps` agree with brute force for every filter and subject of the enumeration.",
        environment: &[("PROPTEST_CASES", "200000")],
        arguments: &["test", "--release", "--locked", "-p", "bulwark-subject"],
    },
    Area {
        name: "permissions",
        shows: "100,000 random rule sets, queue forms included: delivered if and only if the oracle of twenty lines says so.",
        environment: &[("BULWARK_RULE_SETS", "100000"), ("PROPTEST_CASES", "100000")],
        arguments: &["test", "--release", "--locked", "-p", "bulwark-auth"],
    },
    Area {
        name: "store-crash",
        shows: "Any prefix of writes reopens to a legal state, from 20,000 seeds.",
        environment: &[("CRASH_SEEDS", "20000")],
        arguments: &["test", "--release", "--locked", "-p", "bulwark-store"],
    },
    Area {
        name: "wire",
        shows: "Parsing in any pieces gives the same operations, and what is encoded is read back.",
        environment: &[("PROPTEST_CASES", "200000")],
        arguments: &["test", "--release", "--locked", "-p", "bulwark-wire"],
    },
];

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let unknown: Vec<_> = words.iter().filter(|word| !AREAS.iter().any(|area| area.name == **word)).collect();
    if !unknown.is_empty() {
        let known: Vec<_> = AREAS.iter().map(|area| area.name).collect();
        return Err(format!("no proof {unknown:?}; there are {known:?}"));
    }
    let mut chosen = AREAS.iter().filter(|area| words.is_empty() || words.contains(&area.name));
    chosen.try_for_each(prove)
}

fn prove(area: &Area) -> Result<(), Failure> {
    println!("== proving {}: {}", area.name, area.shows);
    let begin = Instant::now();
    let mut command = Command::new(cargo_program());
    let output = command.args(area.arguments).envs(area.environment.iter().copied()).current_dir(root()).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{}: {}", area.name, said(&output)));
    }
    let results: Vec<String> = text(&output.stdout).lines().filter(|line| counts(line)).map(str::to_owned).collect();
    write(area, &results, begin.elapsed().as_secs())
}

fn counts(line: &str) -> bool {
    line.starts_with("test result:") && !line.contains(" 0 passed")
}

fn write(area: &Area, results: &[String], seconds: u64) -> Result<(), Failure> {
    let commit = shell::read(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    let settings: String = area.environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let page = format!(
        "# {}\n\n{}\n\n* commit: {}\n* command: `{settings}cargo {}`\n* time: {seconds} s\n\n```text\n{}\n```\n",
        area.name,
        area.shows,
        commit.trim(),
        area.arguments.join(" "),
        results.join("\n"),
    );
    let folder = root().join("docs").join("proofs");
    let path = folder.join(format!("{}.md", area.name));
    fs::create_dir_all(&folder).and_then(|()| fs::write(&path, page)).map_err(|error| error.to_string())?;
    println!("== proven in {seconds} s, written to docs/proofs/{}.md", area.name);
    Ok(())
}
