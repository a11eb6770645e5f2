//! `nats completion SHELL` and `nats man`: made from the tree of commands itself.

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use crate::command::examples;
use crate::failure::advise;
use crate::show::write_out;

/// Print a completion script for a shell
///
///   nats completion bash > ~/.local/share/bash-completion/completions/nats
///   nats completion zsh  > "${fpath[1]}/_nats"
///   nats completion fish > ~/.config/fish/completions/nats.fish
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completion {
    /// The shell to complete for
    shell: Shell,
}

/// The script that `--completion-script-bash` and `--completion-script-zsh` ask for, as the tool that people know does.
pub(crate) fn asked_for_script(flag: &std::ffi::OsStr) -> Option<Completion> {
    let shell = match flag.to_str()? {
        "--completion-script-bash" => Shell::Bash,
        "--completion-script-zsh" => Shell::Zsh,
        _ => return None,
    };
    Some(Completion { shell })
}

impl Completion {
    pub(crate) fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command(), "nats", &mut script);
        write_out(&script);
        Ok(())
    }
}

/// Print the manual page, of everything or of one command
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// The command
    command: Vec<String>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<()> {
        let mut tree = crate::command();
        tree.build();
        let (path, found) = examples::path_of(&tree, self.command.iter().map(String::as_str));
        if path.len() < self.command.len() {
            return Err(advise(
                format!("there is no command {:?}", self.command.join(" ")),
                format!("nats {} --help shows those there are", path.join(" ")),
            ));
        }
        let after = examples::below_help(&tree, &path).trim_start().to_owned();
        let page_of = found.clone().after_help(after);
        let mut page = Vec::new();
        clap_mangen::Man::new(page_of).render(&mut page)?;
        write_out(&page);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_files_of_shells_ask_with_a_flag() {
        let asked = |flag: &str| asked_for_script(flag.as_ref()).map(|script| script.shell);
        assert_eq!(asked("--completion-script-bash"), Some(Shell::Bash));
        assert_eq!(asked("--completion-script-zsh"), Some(Shell::Zsh));
        assert_eq!(asked("--completion-bash"), None);
    }
}
