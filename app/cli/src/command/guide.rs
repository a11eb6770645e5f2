//! `--help-llm`: a command and everything below it as Markdown, for machines that are to use it.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::command::examples;

/// Words for commands that change something. What is not here only reads.
const WRITES: [&str; 39] = [
    "publish",
    "reply",
    "request",
    "bench",
    "add",
    "edit",
    "copy",
    "rm",
    "purge",
    "seal",
    "put",
    "create",
    "update",
    "del",
    "revert",
    "compact",
    "increment",
    "decrement",
    "backup",
    "restore",
    "rmm",
    "reset",
    "pause",
    "resume",
    "unpin",
    "next",
    "sub",
    "step-down",
    "balance",
    "peer-remove",
    "reload",
    "kick",
    "destroy-key",
    "push",
    "import",
    "select",
    "init",
    "serve",
    "unselect",
];
/// Commands below `nats server` that do without the system account.
const OF_USERS: [&str; 3] = ["passwd", "mappings", "check"];

/// The page of one command, and of those below it.
pub(crate) fn page(tree: &Command, path: &[&str]) -> String {
    let here = path.iter().try_fold(tree, |here, name| here.find_subcommand(name)).unwrap_or(tree);
    let mut text = String::new();
    describe(tree, here, path, &mut text);
    text
}

fn describe(tree: &Command, here: &Command, path: &[&str], text: &mut String) {
    let name = ["nats"].into_iter().chain(path.iter().copied()).collect::<Vec<_>>().join(" ");
    let about = here.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "{} {name}\n\n{about}\n\n", "#".repeat(path.len().min(5) + 1));
    let below: Vec<&Command> = here.get_subcommands().filter(|next| !next.is_hide_set()).collect();
    if below.is_empty() {
        let _ = write!(text, "Tags: {}\n\n", tags(path).join(", "));
    }
    let aliases: Vec<&str> = here.get_visible_aliases().collect();
    if !aliases.is_empty() {
        let _ = write!(text, "Aliases: {}\n\n", aliases.join(", "));
    }
    arguments(here, path.is_empty(), text);
    for example in examples::of(tree, path) {
        let _ = writeln!(text, "    {example}");
    }
    for next in below {
        text.push('\n');
        describe(tree, next, &[path, &[next.get_name()]].concat(), text);
    }
}

/// Flags that every command takes are told once, at the top.
fn arguments(here: &Command, is_top: bool, text: &mut String) {
    let shown: Vec<String> = here
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && (is_top || !argument.is_global_set()))
        .map(line)
        .collect();
    if !shown.is_empty() {
        let _ = write!(text, "{}\n\n", shown.join("\n"));
    }
}

fn line(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string).unwrap_or_default();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let mut name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => String::new(),
    };
    if takes_value {
        name = if name.is_empty() { value } else { format!("{name} {value}") };
    }
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
    let defaults = defaults.collect::<Vec<_>>().join(" ");
    let default = if defaults.is_empty() || !takes_value { String::new() } else { format!(" (default {defaults})") };
    let required = if argument.is_required_set() { " (required)" } else { "" };
    format!("- `{name}`: {help}{default}{required}")
}

/// Who may use a command, and whether it changes something.
fn tags(path: &[&str]) -> [&'static str; 2] {
    let needs_system = path.first() == Some(&"server") && !path.get(1).is_some_and(|name| OF_USERS.contains(name));
    let writes = path.last().is_some_and(|name| WRITES.contains(name)) || path.first() == Some(&"bench");
    let scope = if needs_system || path.first() == Some(&"audit") { "scope:system" } else { "scope:user" };
    [scope, if writes { "impact:rw" } else { "impact:ro" }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_with_its_flags_tags_and_examples() {
        let tree = crate::command();
        let told = page(&tree, &["stream", "add"]);
        assert!(told.starts_with("### nats stream add\n\nCreate a stream"), "{told}");
        for part in
            ["Tags: scope:user, impact:rw", "Aliases: create, new", "- `--max-age", "    nats stream add ORDERS"]
        {
            assert!(told.contains(part), "{part} in {told}");
        }
        let server = page(&tree, &["server"]);
        assert!(
            server.contains("### nats server list\n") && server.contains("Tags: scope:system, impact:ro"),
            "{server}"
        );
        assert!(page(&tree, &[]).contains("- `-s, --server URL`"));
    }

    #[test]
    fn every_word_for_a_change_is_a_command() {
        fn names<'a>(here: &'a Command, found: &mut Vec<&'a str>) {
            for next in here.get_subcommands() {
                found.push(next.get_name());
                names(next, found);
            }
        }
        let tree = crate::command();
        let mut found = Vec::new();
        names(&tree, &mut found);
        let strange: Vec<&&str> = WRITES.iter().chain(&OF_USERS).filter(|word| !found.contains(*word)).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }
}
