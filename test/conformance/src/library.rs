//! The scripts, transcripts and decided differences in the repository.

use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::Script;

/// The folder of this crate, where scripts and transcripts live.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names of all scripts, as `AREA/NAME`, sorted.
pub fn names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for area in fs::read_dir(root().join("scripts"))? {
        let area = area?.path();
        if area.is_dir() {
            for script in fs::read_dir(&area)? {
                names.extend(name_of(&area, &script?.path()));
            }
        }
    }
    names.sort();
    Ok(names)
}

fn name_of(area: &Path, script: &Path) -> Option<String> {
    let name = script.file_name()?.to_str()?.strip_suffix(".script")?;
    Some(format!("{}/{name}", area.file_name()?.to_str()?))
}

/// Reads a script.
pub fn script(name: &str) -> Result<Script, String> {
    let path = root().join("scripts").join(format!("{name}.script"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Script::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where the reference's transcript of a script is kept.
pub fn transcript_path(name: &str) -> PathBuf {
    root().join("transcripts").join(format!("{name}.txt"))
}

/// Where our own transcript is kept when we decided to differ.
pub fn decided_path(name: &str) -> PathBuf {
    root().join("decided").join(format!("{name}.txt"))
}

/// Where we decided to differ: script and reason, one a line, from `differences.list`.
pub fn differences() -> io::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(root().join("differences.list"))?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(split_difference).collect())
}

fn split_difference(line: &str) -> (String, String) {
    let (name, reason) = line.split_once(": ").unwrap_or((line, ""));
    (name.to_owned(), reason.to_owned())
}

/// What ours must answer: the decided transcript where there is one, else the reference's.
pub fn expected(name: &str) -> Result<String, String> {
    let decided = differences().map_err(|error| error.to_string())?.iter().any(|(known, _)| known == name);
    let path = if decided { decided_path(name) } else { transcript_path(name) };
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}; run `cargo xtask record`", path.display()))
}
