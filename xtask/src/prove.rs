//! Long runs: what the tests show in seconds, shown with hours. The outcome goes to `docs/proofs/AREA.md`.

use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::shell::{self, cargo_program, root, said, text};
use crate::{Failure, reference};

/// One proof.
struct Area {
    name: &'static str,
    /// What it shows.
    shows: &'static str,
    /// Packages whose programs have to be built before.
    needs: &'static [&'static str],
    runs: &'static [Run],
    /// What follows; says in lines what came out.
    then: Option<fn() -> Result<String, Failure>>,
}

/// Tests of a release build, and the environment that makes them long.
struct Run {
    environment: &'static [(&'static str, &'static str)],
    packages: &'static [&'static str],
    /// One of their test programs; otherwise all of them.
    suite: Option<&'static str>,
    /// Which tests, and how.
    words: &'static [&'static str],
}

const AREAS: &[Area] = &[
    Area {
        name: "subject-algebra",
        shows: "`matches`, `covers` and `overlaps` agree with brute force for every filter and subject of the enumeration.",
        needs: &[],
        runs: &[Run {
            environment: &[("PROPTEST_CASES", "200000")],
            packages: &["bulwark-subject"],
            suite: None,
            words: &[],
        }],
        then: None,
    },
    Area {
        name: "permissions",
        shows: "100,000 random rule sets, queue forms included: delivered if and only if the oracle of twenty lines says so. For \
                10,000 random users, rules and subjects `explain` says, by the configuration and of the running server, what a live \
                connection experiences.",
        needs: &[],
        runs: &[
            Run {
                environment: &[("BULWARK_RULE_SETS", "100000"), ("PROPTEST_CASES", "100000")],
                packages: &["bulwark-auth"],
                suite: None,
                words: &[],
            },
            Run {
                environment: &[("PROPTEST_CASES", "10000")],
                packages: &["bulwark-broker"],
                suite: Some("it"),
                words: &["explain::", "--nocapture"],
            },
        ],
        then: None,
    },
    Area {
        name: "store-crash",
        shows: "Any prefix of writes reopens to a legal state, from 20,000 seeds.",
        needs: &[],
        runs: &[Run {
            environment: &[("CRASH_SEEDS", "20000")],
            packages: &["bulwark-store"],
            suite: None,
            words: &[],
        }],
        then: None,
    },
    Area {
        name: "cluster",
        shows: "1,000 deployments (clusters, super-clusters, leaf nodes) in one thread, each from a seed: servers crash, wires are \
                cut, go dead or get slow, servers are cut off; nothing comes twice, interest converges, nothing is left over.",
        needs: &[],
        runs: &[Run {
            environment: &[("SIM_SEEDS", "1000")],
            packages: &["bulwark-sim"],
            suite: None,
            words: &["--nocapture"],
        }],
        then: None,
    },
    Area {
        name: "mixed",
        shows: "Deployments with the reference (`REFERENCE_NATS_SERVER`) in every position: clusters of three, chains of three leaf nodes, \
                two clusters of two; plain, encrypted, pinned, compressed, with passwords and all at once. Messages, headers, large \
                payloads, queue groups, requests, no responders, streams and services imported from another account, and nothing in a \
                third one: what is heard is the same in all, and where all is the reference.",
        needs: &[],
        runs: &[],
        then: Some(mixed),
    },
    Area {
        name: "sharing",
        shows: "100,000 random graphs of accounts that import of each other, with mappings, queue groups and permissions: a message \
                is delivered if and only if the oracle says so, and no import stands that nobody agreed to or that is part of a \
                circle.",
        needs: &[],
        runs: &[Run {
            environment: &[("BULWARK_GRAPHS", "100000"), ("PROPTEST_CASES", "20000")],
            packages: &["bulwark-broker", "bulwark-account"],
            suite: None,
            words: &["isolation", "sharing"],
        }],
        then: None,
    },
    Area {
        name: "reload",
        shows: "1,000 random changes of the configuration under load: nobody who stays loses a message, nobody gets one after the \
                right to it is gone, and a refused reload changes nothing.",
        needs: &[],
        runs: &[Run {
            environment: &[("BULWARK_RELOADS", "1000")],
            packages: &["bulwark-server"],
            suite: Some("it"),
            words: &["reload::", "--nocapture"],
        }],
        then: None,
    },
    Area {
        name: "tls",
        shows: "Fifty renewals of certificate, roots and list under load: no valid client refused, no revoked one admitted. Five \
                thousand stalled and broken handshakes: bounded memory, honest clients served. Every pair of TLS options, and every \
                refusal alone, with openssl, async-nats and nats-py: the same here and at the reference, or decided.",
        needs: &[],
        runs: &[Run {
            environment: &[("BULWARK_ROTATIONS", "50"), ("BULWARK_CROWD", "5000")],
            packages: &["bulwark-server"],
            suite: Some("it"),
            words: &["attack", "renewal"],
        }],
        then: Some(tls_matrix),
    },
    Area {
        name: "callout",
        shows: "docs/callout.md runs as written, against Debian's slapd and npm's oidc-provider (`.ci/providers`); the service works \
                with our server and with the reference. Nothing is left out.",
        needs: &["bulwark-server", "bulwark-cli"],
        runs: &[Run {
            environment: &[("BULWARK_ALL_PROVIDERS", "1")],
            packages: &["bulwark-callout"],
            suite: None,
            words: &[],
        }],
        then: None,
    },
    Area {
        name: "limits",
        shows: "A thousand users with eleven different rates publish without end for ten seconds: each is within five percent of what \
                it may. An account shares its rate evenly among eight that flood. The flood of one tenant, limited or not, hurts the \
                others' tail less than it does at the reference (`REFERENCE_NATS_SERVER`). What a tenant asks of its streams, and how long its \
                neighbour's publishers wait meanwhile, is measured beside the reference. Under a flood of refusals a trail takes at most five percent \
                from those who behave, and the disk holds what it may.",
        needs: &[],
        runs: &[Run {
            environment: &[
                ("BULWARK_LIMITED_USERS", "1000"),
                ("BULWARK_LIMITED_SECONDS", "10"),
                ("BULWARK_FLOOD_ROUNDS", "9"),
                ("BULWARK_TAIL_ROUNDS", "9"),
            ],
            packages: &["bulwark-server"],
            suite: Some("it"),
            words: &[
                "limits::",
                "audit_flood::",
                "--skip",
                "jetstream",
                "--nocapture",
                "--test-threads=1",
                "--include-ignored",
            ],
        }],
        then: None,
    },
    Area {
        name: "jetstream",
        shows: "Streams and consumers on a disk that keeps synced bytes only, tears sectors and forgets renames, from 10,000 seeds, \
                and a server killed 200 times under load: every acknowledged message is there once, in order, no sequence is used \
                twice, and what was confirmed as acknowledged does not come again. Words planted in messages, names and \
                configurations are in no file of an encrypted store. Whatever is flipped, swapped, cut, put back or taken away is \
                named, kept, and costs nothing else.",
        needs: &[],
        runs: &[
            Run {
                environment: &[("CRASH_SEEDS", "10000")],
                packages: &["bulwark-jetstream-host"],
                suite: Some("it"),
                words: &["crash::", "--nocapture"],
            },
            Run {
                environment: &[("BULWARK_KILL_ROUNDS", "200")],
                packages: &["bulwark-server"],
                suite: Some("it"),
                words: &["jetstream::crash", "jetstream::sealing", "jetstream::tools", "--nocapture"],
            },
            Run {
                environment: &[],
                packages: &["bulwark-store"],
                suite: Some("it"),
                words: &["tamper::", "rotation::", "meta::"],
            },
        ],
        then: None,
    },
    Area {
        name: "wire",
        shows: "Parsing in any pieces gives the same operations, and what is encoded is read back.",
        needs: &[],
        runs: &[Run {
            environment: &[("PROPTEST_CASES", "200000")],
            packages: &["bulwark-wire"],
            suite: None,
            words: &[],
        }],
        then: None,
    },
    Area {
        name: "clients",
        shows: "The test suite of async-nats as it is published passes with our server in the place of the one it was written for, but for \
                what `test/suites/async-nats.list` leaves out, each with its reason.",
        needs: &["bulwark-server"],
        runs: &[],
        then: Some(crate::prove_clients::suites),
    },
    Area {
        name: "dashboard",
        shows: "The dashboard in Chromium, on a server under load, light and dark: what it shows, keyboard, axe, no other host, no \
                broken policy; each stream's sealing and durability, each link a row and on the map. Wants node, npm, openssl, tmux and Chromium \
                (`CHROMIUM`, or `/usr/bin/chromium`).",
        needs: &["bulwark-server", "bulwark-cli"],
        runs: &[],
        then: Some(crate::prove_dashboard::checks),
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
    for package in area.needs {
        shell::cargo(&["build", "--release", "--locked", "--package", package])?;
    }
    println!("== proving {}: {}", area.name, area.shows);
    let begin = Instant::now();
    let mut results = Vec::new();
    for run in area.runs {
        results.push(format!("$ {}", run.line()));
        results.extend(run.results().map_err(|error| format!("{}: {error}", area.name))?);
    }
    if let Some(then) = area.then {
        results.push(then()?);
    }
    write(area, &results, begin.elapsed().as_secs())
}

impl Run {
    fn line(&self) -> String {
        let settings: String = self.environment.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        format!("{settings}cargo {}", self.arguments().join(" "))
    }

    fn arguments(&self) -> Vec<&'static str> {
        let mut arguments = vec!["test", "--release", "--locked"];
        arguments.extend(self.packages.iter().flat_map(|package| ["-p", *package]));
        arguments.extend(self.suite.iter().flat_map(|suite| ["--test", *suite]));
        if !self.words.is_empty() {
            arguments.push("--");
            arguments.extend(self.words);
        }
        arguments
    }

    fn command(&self) -> Command {
        let mut command = Command::new(cargo_program());
        command.args(self.arguments()).envs(self.environment.iter().copied()).current_dir(root());
        command
    }

    fn results(&self) -> Result<Vec<String>, Failure> {
        results_of(&mut self.command())
    }
}

/// The lines that say how much was done.
fn results_of(command: &mut Command) -> Result<Vec<String>, Failure> {
    let output = command.output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(text(&output.stdout).lines().filter(|line| counts(line)).map(str::to_owned).collect()),
        false => Err(said(&output)),
    }
}

/// Scenes of deployments in which some servers are the reference.
const MIXED: Run = Run {
    environment: &[("BULWARK_ALL_LINKS", "1")],
    packages: &["bulwark-server"],
    suite: Some("it"),
    words: &["link_mixed::", "--nocapture", "--test-threads=1"],
};

fn mixed() -> Result<String, Failure> {
    let mut command = MIXED.command();
    let results = results_of(command.env("REFERENCE_NATS_SERVER", reference::server()?))?;
    Ok(format!("$ REFERENCE_NATS_SERVER=nats-server {}\n{}", MIXED.line(), results.join("\n")))
}

/// Runs the whole matrix, which writes `test/tls-matrix/matrix.txt`. `PYTHON` names a Python with nats-py.
fn tls_matrix() -> Result<String, Failure> {
    let packages = ["--package", "bulwark-tls-matrix", "--package", "bulwark-server"];
    shell::cargo(&[&["build", "--release", "--locked", "--bins"], packages.as_slice()].concat())?;
    let folder = shell::target().join("release");
    let mut command = Command::new(folder.join("tls-matrix"));
    let line = shell::read(command.arg(folder.join("nats-server")).arg(reference::server()?))?;
    Ok(line.trim().to_owned())
}

fn counts(line: &str) -> bool {
    let is_result = line.starts_with("test result:") && !line.contains(" 0 passed");
    // Without threads of the test runner, what a test says stands behind its name.
    is_result || line.contains("measured: ") || line.contains(", all ")
}

fn write(area: &Area, results: &[String], seconds: u64) -> Result<(), Failure> {
    let commit = shell::read(Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root()))?;
    let page = format!(
        "# {}\n\n{}\n\n* commit: {}\n* command: `cargo xtask prove {}`\n* time: {seconds} s\n\n```text\n{}\n```\n",
        area.name,
        area.shows,
        commit.trim(),
        area.name,
        results.join("\n"),
    );
    let folder = root().join("docs").join("proofs");
    let path = folder.join(format!("{}.md", area.name));
    fs::create_dir_all(&folder).and_then(|()| fs::write(&path, page)).map_err(|error| error.to_string())?;
    println!("== proven in {seconds} s, written to docs/proofs/{}.md", area.name);
    Ok(())
}
