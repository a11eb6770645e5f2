//! `start-order`: which functions a start runs, for the linker (`docs/adr/0035`). Wants valgrind and nm, and a release build.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::shell::{self, root, target};

/// What the linker reads.
const SCRIPT: &str = "app/server/start.ld";
/// Accounts of the directory that the server starts with: enough for a tree and a sort.
const ACCOUNTS: &str = "200";
/// Under the instrument a start takes seconds.
const START_TIME_MAX: Duration = Duration::from_secs(300);

const HEAD: &str = "\
/* The functions that a start of the server runs, side by side, so that they take few pages (docs/adr/0035).
   Written by `cargo xtask start-order`. What is not there any more does no harm. */
SECTIONS
{
  .text.start :
  {
";
const FOOT: &str = "  }\n}\nINSERT BEFORE .text;\n";

/// Writes the linker's script anew.
pub(crate) fn run() -> Result<(), Failure> {
    shell::cargo(&["build", "--release", "--locked", "--package", "bulwark-server", "--package", "bulwark-bench"])?;
    let release = target().join("release");
    let (server, folder) = (release.join("nats-server"), std::env::temp_dir().join("bulwark-start-order"));
    let failed = |error: std::io::Error| error.to_string();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(failed)?;
    shell::read(Command::new(release.join("natsload")).args(["accounts", "mint"]).arg(&folder).arg(ACCOUNTS))?;
    let profile = profile(&server, &folder)?;
    let symbols = shell::read(Command::new("nm").arg("--defined-only").arg(&server))?;
    let patterns = patterns(&profile, &symbols);
    if patterns.is_empty() {
        return Err("no function was seen".to_owned());
    }
    let mut script = HEAD.to_owned();
    for pattern in &patterns {
        let _ = writeln!(script, "    *(.text.{pattern} .text.unlikely.{pattern})");
    }
    script.push_str(FOOT);
    fs::write(root().join(SCRIPT), script).map_err(failed)?;
    println!("{} functions in {SCRIPT}", patterns.len());
    fs::remove_dir_all(&folder).map_err(failed)
}

/// Starts the server under callgrind, ends it when it listens, and gives what was written of it.
fn profile(server: &Path, folder: &Path) -> Result<String, Failure> {
    let (ports, written) = (folder.join("ports"), folder.join("profile"));
    let failed = |error: std::io::Error| error.to_string();
    fs::create_dir_all(&ports).map_err(failed)?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--demangle=no", "--quiet"]);
    command.arg(format!("--callgrind-out-file={}", written.display()));
    command.arg(server).args(["-a", "127.0.0.1", "-p", "-1", "-c"]).arg(folder.join("accounts.conf"));
    command.arg("--ports_file_dir").arg(&ports);
    let mut child = command.spawn().map_err(|error| format!("valgrind: {error}"))?;
    let begin = Instant::now();
    while fs::read_dir(&ports).map_err(failed)?.next().is_none() {
        if begin.elapsed() > START_TIME_MAX || child.try_wait().map_err(failed)?.is_some() {
            let _ = child.kill();
            return Err("the server did not start under valgrind".to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    shell::read(Command::new("kill").args(["-INT", &child.id().to_string()]))?;
    child.wait().map_err(failed)?;
    fs::read_to_string(written).map_err(failed)
}

/// The linker's patterns for the functions of the program that a profile names, in the order of their names.
fn patterns(profile: &str, symbols: &str) -> BTreeSet<String> {
    let own: BTreeSet<&str> = symbols.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let seen = profile.lines().filter_map(|line| line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")));
    // `(number) name`, and behind a recursion its depth.
    let names = seen.filter_map(|line| line.split_once(' ')).map(|(_, name)| name.split('\'').next().unwrap_or(name));
    names.filter(|name| own.contains(name)).map(pattern).collect()
}

/// A function's name without what differs from build to build. A sign that means something to the linker is any sign.
fn pattern(name: &str) -> String {
    let (name, is_local) = name.split_once(".llvm.").map_or((name, false), |(name, _)| (name, true));
    let hash = name.rfind("17h").filter(|at| name.ends_with('E') && name.len() == at + "17h".len() + 16 + 1);
    match hash {
        Some(at) => name[..at + "17h".len()].to_owned() + "*",
        None => name.to_owned() + if is_local { "*" } else { "" },
    }
    .replace('$', "?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_build_to_build_is_left_out() {
        let profile = "fl=(1) a.rs\nfn=(3) _ZN3log4Log$LT$T$GT$4open17h0123456789abcdefE\n1 2\ncfn=(4) memcpy\n\
                       cfn=(5) _ZN1a1b17hfedcba9876543210E.llvm.77'2\ncfn=(5)\nfn=(6) _RNvCs1_3std2io.llvm.12\n\
                       fn=(7) sha256_block\n";
        let symbols = "00 t _ZN3log4Log$LT$T$GT$4open17h0123456789abcdefE\n00 t _ZN1a1b17hfedcba9876543210E.llvm.77\n\
                       00 t _RNvCs1_3std2io.llvm.12\n00 T sha256_block\n U memcpy\n";
        let patterns: Vec<String> = patterns(profile, symbols).into_iter().collect();
        assert_eq!(patterns, ["_RNvCs1_3std2io*", "_ZN1a1b17h*", "_ZN3log4Log?LT?T?GT?4open17h*", "sha256_block"]);
    }
}
