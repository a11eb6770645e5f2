//! Pages of help: brief ones with `-h`, whole ones with `--help`, and examples below both.
//!
//! The flags for connecting are the same for every command. A brief page leaves them out and says where they are, so
//! that a command's own flags can be seen.

use clap::builder::StyledStr;
use clap::{Arg, Command};

use crate::command::examples::{below_help, of, path_of};
use crate::show::may_paint;

/// The heading of flags that a brief page leaves out.
const CONNECTION: &str = "Connection";
const POINTER: &str = "Flags for connecting, such as --server, --creds, --context and --timeout, are shown by --help.";

/// The page for what was typed.
pub(crate) fn page(tree: &mut Command, typed: &[String]) -> StyledStr {
    tree.build();
    let words = || typed.iter().map(String::as_str);
    let (path, _) = path_of(tree, words());
    let path: Vec<String> = path.into_iter().map(str::to_owned).collect();
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    let examples = below_help(tree, &names);
    let is_brief = !names.is_empty() && !typed.iter().any(|word| word == "--help");
    let mut here = names.iter().fold(tree, |here, name| {
        // The path was found in this tree.
        here.find_subcommand_mut(name).expect("a command on the way")
    });
    let after = after(here, &examples, is_brief);
    let page = here.clone().after_help(after.clone()).after_long_help(after);
    let mut page = if is_brief { page.mut_args(hide_connection) } else { page };
    here = &mut page;
    if !is_brief && has_more_to_say(here) { here.render_long_help() } else { here.render_help() }
}

/// The page as it is written: with colours on a screen where they are welcome, and with an end to its last line.
pub(crate) fn painted(page: &StyledStr, is_screen: bool) -> String {
    let text = if is_screen && may_paint() { page.ansi().to_string() } else { page.to_string() };
    format!("{}\n", text.trim_end())
}

/// What a person may have meant who left something out.
pub(crate) fn example(tree: &Command, typed: &[String]) -> Option<&'static str> {
    let (path, _) = path_of(tree, typed.iter().map(String::as_str));
    of(tree, &path).first().copied()
}

fn after(here: &Command, examples: &str, is_brief: bool) -> String {
    let own = here.get_after_help().map(ToString::to_string).unwrap_or_default();
    let parts = [own.as_str(), examples.trim(), if is_brief { POINTER } else { "" }];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn hide_connection(argument: Arg) -> Arg {
    let is_connection = argument.is_global_set() && argument.get_help_heading() == Some(CONNECTION);
    if is_connection { argument.hide(true) } else { argument }
}

/// Whether a long page says more than a short one: only then is each flag worth lines of its own.
fn has_more_to_say(here: &Command) -> bool {
    here.get_long_about().is_some() || here.get_arguments().any(|argument| argument.get_long_help().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &[&str]) -> String {
        let typed: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        page(&mut crate::command(), &typed).to_string()
    }

    #[test]
    fn a_brief_page_has_the_flags_of_the_command_alone() {
        let brief = shown(&["stream", "get", "-h"]);
        assert!(brief.contains("--last-for") && !brief.contains("--tlsca"), "{brief}");
        assert!(brief.trim_end().ends_with("are shown by --help."), "{brief}");
        let whole = shown(&["stream", "get", "--help"]);
        assert!(whole.contains("--last-for") && whole.contains("--tlsca"), "{whole}");
        for text in [brief, whole, shown(&["stream", "get"])] {
            assert!(text.contains("Examples:\n  nats stream get ORDERS 17\n"), "{text}");
        }
    }

    #[test]
    fn a_page_is_plain_but_on_a_screen_and_ends_its_last_line() {
        let page = page(&mut crate::command(), &["stream".to_owned(), "-h".to_owned()]);
        let plain = painted(&page, false);
        assert!(!plain.contains('\x1b') && plain.ends_with("--help.\n"), "{plain:?}");
    }

    #[test]
    fn the_first_page_has_everything() {
        let first = shown(&["-h"]);
        assert!(first.contains("--tlsca") && first.contains("nats cheat") && first.contains("subscribe"), "{first}");
    }

    #[test]
    fn what_a_command_says_itself_stands_before_its_examples() {
        let find = shown(&["stream", "find", "-h"]);
        let at = |text: &str| find.find(text).unwrap_or_else(|| panic!("{text} in {find}"));
        assert!(at("Expressions are conditions") < at("Examples:"));
    }
}
