//! Examples below the help of a command: those of the cheat sheets, and some for commands that no sheet mentions.

use clap::Command;

use crate::command::cheat;
use crate::parse::words;

/// A command of the tree, by the names on the way to it: `["stream", "add"]`.
pub(crate) type Path<'a> = Vec<&'a str>;

/// The command that words on a command line lead to, as far as they are names of commands. Flags are passed over.
pub(crate) fn path_of<'a>(tree: &'a Command, words: impl IntoIterator<Item = &'a str>) -> (Path<'a>, &'a Command) {
    let (mut path, mut here) = (Vec::new(), tree);
    for word in words {
        if let Some(next) = here.find_subcommand(word) {
            path.push(next.get_name());
            here = next;
        }
    }
    (path, here)
}

/// The examples of one command, in the order of the sheets.
pub(crate) fn of(tree: &Command, path: &[&str]) -> Vec<&'static str> {
    all().filter(|example| leads_to(tree, example, path)).collect()
}

/// The text below a page of help; nothing when there are no examples.
pub(crate) fn below_help(tree: &Command, path: &[&str]) -> String {
    let examples = of(tree, path);
    if examples.is_empty() {
        return String::new();
    }
    let lines: String = examples.iter().map(|example| format!("  {example}\n")).collect();
    format!("\nExamples:\n{lines}")
}

fn all() -> impl Iterator<Item = &'static str> {
    cheat::examples().chain(MORE.lines().filter(|line| !line.is_empty()))
}

fn leads_to(tree: &Command, example: &str, path: &[&str]) -> bool {
    let Ok(typed) = words(example) else { return false };
    let (found, _) = path_of(tree, typed.iter().skip(1).map(String::as_str));
    found == path
}

/// Examples of commands that no sheet mentions, one a line.
const MORE: &str = include_str!("examples.list");

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands that do something themselves, with their paths.
    fn leaves<'a>(here: &'a Command, path: &[&'a str], found: &mut Vec<Path<'a>>) {
        let mut is_leaf = true;
        for next in here.get_subcommands().filter(|next| !next.is_hide_set()) {
            is_leaf = false;
            leaves(next, &[path, &[next.get_name()]].concat(), found);
        }
        if is_leaf {
            found.push(path.to_vec());
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let tree = crate::command();
        let mut found = Vec::new();
        leaves(&tree, &[], &mut found);
        let without: Vec<String> =
            found.iter().filter(|path| of(&tree, path).is_empty()).map(|path| path.join(" ")).collect();
        assert!(without.is_empty(), "without examples:\n{}", without.join("\n"));
    }

    #[test]
    fn every_further_example_and_those_of_the_page_are_commands() {
        let tree = crate::command();
        let documented = include_str!("../../../../docs/cli.md").lines().filter(|line| line.starts_with("nats "));
        for example in MORE.lines().filter(|line| !line.is_empty()).chain(documented) {
            let parsed = tree.clone().try_get_matches_from(words(example).unwrap());
            let trouble = parsed.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(trouble.is_empty() || trouble.contains("does not exist"), "{example}: {trouble}");
        }
    }
}
