//! `nats errors`: what the numbers in errors of JetStream mean.

mod constants;

use anyhow::{Result, bail};
use api::errors::{ALL, ErrorKind};
use clap::{Args, Subcommand, ValueEnum};
use regex::{Regex, RegexBuilder};

use crate::failure::advise;
use crate::show::{Columns, Table, cells};

/// Look up the errors of JetStream
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Errors {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List errors
    #[command(visible_alias = "list")]
    Ls(Ls),
    /// Show an error
    #[command(visible_aliases = ["find", "get", "l", "view", "show"])]
    Lookup(Lookup),
}

/// List errors
#[derive(Args, Debug)]
struct Ls {
    /// Only errors that match this regular expression
    #[arg(value_name = "MATCH", value_parser = any_case)]
    wanted: Option<Regex>,
    /// Sort by this
    #[arg(default_value = "code")]
    sort: Key,
    /// Sort the other way round
    #[arg(long, short = 'R')]
    reverse: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    Code,
    Http,
    #[value(aliases = ["descr", "desc", "d"])]
    Description,
}

/// Show an error
#[derive(Args, Debug)]
struct Lookup {
    /// The number of the error
    code: u16,
}

fn any_case(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).build()
}

impl Errors {
    pub(crate) fn run(&self) -> Result<()> {
        match &self.command {
            Command::Ls(command) => command.run(),
            Command::Lookup(command) => command.run(),
        }
    }
}

impl Ls {
    fn run(&self) -> Result<()> {
        let found = self.select();
        if found.is_empty() {
            let wanted = self.wanted.as_ref().map(Regex::as_str).unwrap_or_default();
            bail!("no errors found matching regular expression {wanted}");
        }
        let mut table = Table::new("NATS Errors", &["NATS Code", "HTTP Error Code", "Description", "Go Constant"]);
        for error in found {
            table.row(cells![
                error.err_code.to_string(),
                error.code.to_string(),
                error.text,
                constants::of(error.err_code)
            ]);
        }
        table.print();
        Ok(())
    }

    fn select(&self) -> Vec<&'static ErrorKind> {
        let fits = |error: &&ErrorKind| {
            self.wanted.as_ref().is_none_or(|wanted| {
                wanted.is_match(error.text)
                    || wanted.is_match(&error.err_code.to_string())
                    || wanted.is_match(&error.code.to_string())
                    || wanted.is_match(constants::of(error.err_code))
            })
        };
        let mut found: Vec<_> = ALL.iter().filter(fits).collect();
        match self.sort {
            Key::Code => found.sort_by_key(|error| error.err_code),
            Key::Http => found.sort_by_key(|error| error.code),
            Key::Description => found.sort_by_key(|error| error.text),
        }
        if self.reverse {
            found.reverse();
        }
        found
    }
}

impl Lookup {
    fn run(&self) -> Result<()> {
        let Some(error) = ALL.iter().find(|error| error.err_code == self.code) else {
            return Err(advise(format!("no error matches code {}", self.code), "nats errors ls shows them all"));
        };
        Columns::new(format!("NATS Error Code: {}", error.err_code))
            .row("Description", error.text)
            .row("HTTP Code", error.code.to_string())
            .row_not_empty("Go Index Constant", constants::of(error.err_code))
            .print();
        Ok(())
    }
}
