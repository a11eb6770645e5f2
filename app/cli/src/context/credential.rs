//! Where a credential comes from: a file, another program, the environment, or the text itself.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};
use data_encoding::BASE64;
use secret::{Secret, Zeroize, Zeroizing};
use serde::Deserialize;

/// The largest credential that is read.
const MAX_CREDENTIAL_BYTES: u64 = 2 << 20;

/// The scheme of a reference, if it is one of those that are understood.
pub(crate) fn scheme_of(reference: &str) -> Option<&'static str> {
    let (scheme, _) = reference.split_once(':')?;
    ["file", "op", "nsc", "env", "data"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))
}

/// Environment variables and the home directory in a path.
pub(crate) fn expand(path: &str) -> String {
    let path = expand_variables(path);
    match (path.strip_prefix('~'), std::env::home_dir()) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", home.display()),
        _ => path,
    }
}

fn expand_variables(path: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let (name, left) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some(found) => found,
            None => after.split_at(after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len())),
        };
        if name.is_empty() {
            text.push('$');
        }
        text.push_str(&std::env::var(name).unwrap_or_default());
        rest = left;
    }
    text + rest
}

/// The bytes behind a reference; without a scheme it is a path.
pub(crate) fn read_bytes(reference: &str) -> Result<Secret<Vec<u8>>> {
    let rest = reference.split_once(':').map_or("", |(_, rest)| rest).trim_start_matches("//");
    Ok(Secret::new(match scheme_of(reference) {
        None => read_file(&expand(reference))?,
        Some("file") => read_file(&expand(rest))?,
        Some("env") => read_variable(rest)?,
        Some("data") => read_data(rest)?,
        Some("op") => run("op", &["read", &format!("op://{rest}")])?,
        Some(_) => read_file(&nsc_profile(rest)?.user_creds.context("nsc output did not include user_creds")?)?,
    }))
}

/// A text that stands for itself unless it has a scheme or is the path of a file.
pub(crate) fn read_text(reference: &str) -> Result<Secret<String>> {
    if scheme_of(reference).is_none() && !Path::new(&expand(reference)).is_file() {
        return Ok(Secret::new(reference.to_owned()));
    }
    let bytes = read_bytes(reference)?;
    let text = std::str::from_utf8(bytes.expose()).context("the credential is not text")?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_file(path: &str) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).with_context(|| format!("could not read {path}"))?.len();
    if size > MAX_CREDENTIAL_BYTES {
        bail!("{path} is too large for a credential: {size} bytes");
    }
    std::fs::read(path).with_context(|| format!("could not read {path}"))
}

fn read_variable(name: &str) -> Result<Vec<u8>> {
    if name.is_empty() {
        bail!("env: missing variable name");
    }
    match std::env::var(name) {
        Ok(value) if value.is_empty() => bail!("env: variable {name:?} is empty"),
        Ok(value) => Ok(value.into_bytes()),
        Err(_) => bail!("env: variable {name:?} is not set"),
    }
}

fn read_data(rest: &str) -> Result<Vec<u8>> {
    let (header, payload) = rest.split_once(',').context("data: reference is missing the ',' separator")?;
    if !header.split(';').any(|part| part.trim() == "base64") {
        bail!("data: reference must declare ';base64' encoding");
    }
    BASE64.decode(payload.as_bytes()).map_err(|error| anyhow!("data: base64 decode failed: {error}"))
}

/// What `nsc` knows of a user.
#[derive(Deserialize)]
pub(crate) struct Profile {
    pub(crate) user_creds: Option<String>,
    #[serde(default)]
    operator: Operator,
}

#[derive(Default, Deserialize)]
struct Operator {
    #[serde(default)]
    service: Vec<String>,
}

impl Profile {
    pub(crate) fn url(&self) -> String {
        self.operator.service.join(",")
    }
}

pub(crate) fn nsc_profile(reference: &str) -> Result<Profile> {
    let path = reference.strip_prefix("nsc:").unwrap_or(reference).trim_start_matches("//");
    let output = run("nsc", &["generate", "profile", &format!("nsc://{path}")])?;
    serde_json::from_slice(&output).context("could not parse nsc output")
}

/// Runs a program that holds credentials; its complaint becomes part of the error.
fn run(program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::piped())
        .output()
        .with_context(|| format!("cannot run '{program}', is it installed and in PATH?"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut stdout = Zeroizing::new(output.stdout);
    stdout.zeroize();
    bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_says_where_its_value_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        std::fs::write(&path, "from file\n").unwrap();
        let path = path.to_str().unwrap();
        for (reference, value) in [
            ("plain", "plain"),
            (path, "from file"),
            (&format!("file://{path}"), "from file"),
            ("data:;base64,aGVsbG8=", "hello"),
        ] {
            assert_eq!(read_text(reference).unwrap().expose(), value, "{reference}");
        }
    }

    #[test]
    fn a_broken_reference_is_an_error() {
        for reference in [
            "env://",
            "env://NO_SUCH_VARIABLE_HERE",
            "data:;base64",
            "data:text,xx",
            "data:;base64,!!",
            "file:///no/such/file",
        ] {
            assert!(read_text(reference).is_err(), "{reference}");
        }
    }
}
