//! `nats-server man` and `nats-server completion SHELL`: made from what `--help` says, so that neither can be out of date.

use crate::{tools, usage};

/// What stands between the name and the options.
const ABOUT: &str = "\
nats-server serves clients that speak the NATS protocol: accounts with a subject space each, permissions for each user, TLS on
each kind of link, streams that are sealed on disk. Without options it listens on port 4222 for anybody; with -c it does what
the configuration file says.";

/// What the server does when it gets a signal.
const SIGNALS: &[(&str, &str)] = &[
    ("SIGHUP", "reads the configuration again; a file with an error changes nothing"),
    ("SIGUSR1", "closes the log file and opens it again, for log rotation"),
    ("SIGUSR2", "lame duck: takes no more clients, sends those away that it has, one after the other, and ends"),
    ("SIGINT, SIGTERM", "ends"),
];

/// The manual page, for `man -l`.
pub fn page() -> String {
    let mut page =
        String::from(".TH nats-server 8\n.SH NAME\nnats-server \\- a messaging server with security at its heart\n");
    page.push_str(".SH SYNOPSIS\n\\fBnats-server\\fR [options]\n.SH DESCRIPTION\n");
    page.push_str(&escaped(ABOUT));
    page.push('\n');
    for block in usage::USAGE.split("\n\n").skip(1).chain(tools::USAGE.split("\n\n")) {
        section(&mut page, block);
    }
    page.push_str(".SH SIGNALS\n");
    for (signal, effect) in SIGNALS {
        page.push_str(&format!(".TP\n\\fB{signal}\\fR\n{}\n", escaped(effect)));
    }
    page.push_str(".SH SEE ALSO\n\\fBnats\\fR(1)\n");
    page
}

/// A block of the help: its first line is the heading if it ends with a colon, the rest keeps its columns.
fn section(page: &mut String, block: &str) {
    let (heading, body) = match block.split_once('\n') {
        Some((first, rest)) if first.ends_with(':') => (first.trim_end_matches(':'), rest),
        _ => ("Notes", block),
    };
    page.push_str(&format!(".SH {}\n.nf\n{}\n.fi\n", heading.to_uppercase(), escaped(body.trim_end())));
}

/// Text in which nothing is a request to the formatter.
fn escaped(text: &str) -> String {
    let escape = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// Every flag of the help, as it is written there.
fn flags() -> Vec<&'static str> {
    let texts = [usage::USAGE, tools::USAGE];
    let words = texts.into_iter().flat_map(|text| text.split(|c: char| c.is_whitespace() || "[]()|,=;".contains(c)));
    let is_flag = |word: &&str| word.len() > 1 && word.starts_with('-') && !word.ends_with('-');
    let mut flags: Vec<_> = words.filter(is_flag).collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}

/// The first words of the tools.
fn tool_names() -> Vec<&'static str> {
    let lines = tools::USAGE.lines().filter_map(|line| line.trim_start().strip_prefix("nats-server "));
    let mut names: Vec<_> = lines.filter_map(|line| line.split(' ').next()).collect();
    names.dedup();
    names
}

/// A completion script for a shell.
///
/// # Errors
/// If the shell is none that we know.
pub fn completion(shell: &str) -> Result<String, String> {
    let (flags, tools) = (flags().join(" "), tool_names().join(" "));
    match shell {
        "bash" => Ok(format!(
            "_nats_server() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}}\n    case $word in\n        -*) \
             COMPREPLY=($(compgen -W '{flags}' -- \"$word\")) ;;\n        *) COMPREPLY=($(compgen -f -- \"$word\"))\n            \
             [ \"$COMP_CWORD\" -eq 1 ] && COMPREPLY+=($(compgen -W '{tools}' -- \"$word\")) ;;\n    esac\n}}\n\
             complete -o filenames -F _nats_server nats-server\n"
        )),
        "zsh" => Ok(format!(
            "#compdef nats-server\nif [[ $words[CURRENT] == -* ]]; then\n    compadd -- {flags}\nelse\n    _files\n    \
             (( CURRENT == 2 )) && compadd -- {tools}\nfi\n"
        )),
        "fish" => Ok(format!(
            "complete -c nats-server -n 'string match -q -- \"-*\" (commandline -ct)' -f -a '{flags}'\n\
             complete -c nats-server -n __fish_use_subcommand -a '{tools}'\n"
        )),
        _ => Err(format!("no completion for {shell:?}; there is one for bash, zsh and fish")),
    }
}
