//! Files of mappings: JSON, or the little of YAML that the same takes.
//!
//! ```yaml
//! orders.new:            # the source
//!   - subject: orders.v2 # a target
//!     weight: 10
//!     cluster: east
//! ```

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

/// A target of a mapping, as a file says it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    pub(super) subject: String,
    #[serde(default)]
    pub(super) weight: u8,
    #[serde(default)]
    pub(super) cluster: String,
}

pub(super) type Targets = BTreeMap<String, Vec<Target>>;

/// Reads what begins with a brace as JSON and everything else as YAML.
pub(super) fn read(content: &[u8]) -> Result<Targets> {
    let text = std::str::from_utf8(content).context("the file is not a text")?;
    if text.trim_start().starts_with('{') {
        return Ok(serde_json::from_str(text)?);
    }
    read_yaml(text)
}

fn read_yaml(text: &str) -> Result<Targets> {
    let mut found = Targets::new();
    let mut source = None;
    for (at, line) in text.lines().enumerate() {
        let line = without_comment(line);
        let fault = |what: &str| anyhow!("line {}: {what}", at + 1);
        if line.trim().is_empty() || line == "---" {
            continue;
        }
        if !line.starts_with([' ', '-']) {
            let name = line.trim_end().strip_suffix(':').ok_or_else(|| fault("a source ends with a colon"))?;
            let name = unquoted(name);
            found.entry(name.clone()).or_default();
            source = Some(name);
            continue;
        }
        let targets = source.as_ref().and_then(|source| found.get_mut(source));
        let targets = targets.ok_or_else(|| fault("a target stands below a source"))?;
        put(line.trim(), targets).map_err(|error| fault(&format!("{error:#}")))?;
    }
    match found.iter().find(|(_, targets)| targets.iter().any(|target| target.subject.is_empty())) {
        Some((source, _)) => bail!("a target of {source} has no subject"),
        None => Ok(found),
    }
}

/// One `key: value` of a target; a dash begins the next target.
fn put(line: &str, targets: &mut Vec<Target>) -> Result<()> {
    let field = match line.strip_prefix('-') {
        Some(first) => {
            targets.push(Target { subject: String::new(), weight: 0, cluster: String::new() });
            first.trim()
        }
        None => line,
    };
    let (key, value) = field.split_once(':').context("expected a name, a colon and a value")?;
    let target = targets.last_mut().context("a target begins with a dash")?;
    let value = unquoted(value);
    match key.trim() {
        "subject" => target.subject = value,
        "weight" => target.weight = value.parse().with_context(|| format!("{value:?} is not a weight"))?,
        "cluster" => target.cluster = value,
        other => bail!("a target has subject, weight and cluster, not {other:?}"),
    }
    Ok(())
}

fn without_comment(line: &str) -> &str {
    let end = line.match_indices('#').find(|(at, _)| *at == 0 || line.as_bytes().get(at - 1) == Some(&b' '));
    end.map_or(line, |(at, _)| line.get(..at).unwrap_or(line)).trim_end()
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    inner.unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "---\n# ours\n'orders.*':   # quoted\n  - subject: \"orders.{{wildcard(1)}}.a\"\n    weight: 60\n  - weight: 40\n    subject: orders.b\n    cluster: east\nplain:\n- subject: other\n";

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = r#"{"orders.*": [{"subject": "orders.{{wildcard(1)}}.a", "weight": 60},
            {"subject": "orders.b", "weight": 40, "cluster": "east"}], "plain": [{"subject": "other"}]}"#;
        assert_eq!(read(YAML.as_bytes()).unwrap(), read(json.as_bytes()).unwrap());
    }

    #[test]
    fn mistakes_have_a_line() {
        for (text, said) in [
            ("a:\n  - subject: b\n    height: 3\n", "line 3: a target has subject, weight and cluster, not \"height\""),
            ("a:\n  - subject: b\n    weight: much\n", "line 3: \"much\" is not a weight"),
            ("a\n", "line 1: a source ends with a colon"),
            ("  - subject: b\n", "line 1: a target stands below a source"),
            ("a:\n  subject: b\n", "line 2: a target begins with a dash"),
            ("a:\n  - weight: 3\n", "a target of a has no subject"),
        ] {
            let error = format!("{:#}", read(text.as_bytes()).unwrap_err());
            assert!(error.starts_with(said), "{text:?}: {error}");
        }
    }
}
