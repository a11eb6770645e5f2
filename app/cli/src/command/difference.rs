//! What two configurations differ in, and editing one as a text.

use std::fmt::Write;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use crate::parse::words;

/// A line for each value that is gone (`-`) and each that is new (`+`); nothing when there is no difference. The order
/// of names in lists does not matter.
pub(crate) fn differences(before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let mut keys: Vec<_> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut text = String::new();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if is_same(old, new) {
            continue;
        }
        for (mark, value) in [('-', old), ('+', new)] {
            if let Some(value) = value {
                let _ = writeln!(text, "{mark} {key}: {value}");
            }
        }
    }
    text
}

/// Missing and empty are the same.
fn is_same(old: Option<&Value>, new: Option<&Value>) -> bool {
    let plain = |value: Option<&Value>| match value {
        Some(Value::Array(list)) => {
            let mut texts: Vec<_> = list.iter().map(Value::to_string).collect();
            texts.sort();
            texts.join(",")
        }
        Some(Value::Bool(false)) | None | Some(Value::Null) => String::new(),
        Some(value) if value == "" || *value == 0 || value.as_object().is_some_and(Map::is_empty) => String::new(),
        Some(value) => value.to_string(),
    };
    plain(old) == plain(new)
}

/// Lets a person change a configuration in their editor, as JSON.
pub(crate) fn edited(config: &Map<String, Value>) -> Result<Map<String, Value>> {
    let editor = std::env::var("EDITOR").unwrap_or_default();
    let command = words(&editor).map_err(|error| anyhow::anyhow!("could not parse EDITOR: {error}"))?;
    let Some((program, arguments)) = command.split_first() else {
        bail!("set EDITOR environment variable to your chosen editor");
    };
    let path = std::env::temp_dir().join(format!("nats-edit-{}.json", crate::template::random_letters(12)));
    std::fs::write(&path, serde_json::to_string_pretty(config)?).context("could not create temporary file")?;
    let status = std::process::Command::new(program).args(arguments).arg(&path).status();
    let text = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    if !status.with_context(|| format!("could not run the editor {program:?}"))?.success() {
        bail!("the editor failed, nothing was changed");
    }
    serde_json::from_str(&text?).context("the edited configuration is not valid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn only_real_changes_are_told() {
        let before = map(json!({"a": 1, "subjects": ["x", "y"], "flag": false, "gone": "g"}));
        let after = map(json!({"a": 2, "subjects": ["y", "x"], "new": true}));
        assert_eq!(differences(&before, &after), "- a: 1\n+ a: 2\n- gone: \"g\"\n+ new: true\n");
        assert_eq!(differences(&before, &before), "");
    }
}
