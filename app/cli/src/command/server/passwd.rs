//! `nats server passwd`: hashes passwords for server configurations.

use anyhow::{Result, bail};
use clap::Args;
use console::Term;
use secret::Secret;

use crate::show::{is_interactive, outln};

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@#_-%^&()";
const GENERATED_CHARS: usize = 22;
const SHORTEST: usize = 10;

/// Hash a password for a server configuration
#[derive(Args)]
pub(crate) struct Passwd {
    /// The password; asked for when left out
    #[arg(long, short = 'p', env = "PASSWORD", hide_env_values = true)]
    pass: Option<String>,
    /// Cost of the hash
    #[arg(long, short = 'c', default_value_t = 11, value_parser = clap::value_parser!(u32).range(4..=31))]
    cost: u32,
    /// Make up a password
    #[arg(long, short = 'g')]
    generate: bool,
}

impl std::fmt::Debug for Passwd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwd").field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl Passwd {
    pub(crate) fn run(&self) -> Result<()> {
        let given = self.pass.as_ref().filter(|pass| !pass.is_empty());
        let is_generated = given.is_none() && self.generate;
        let password = match given {
            Some(given) => Secret::new(given.clone()),
            None if self.generate => generated(),
            None => asked()?,
        };
        if password.expose().len() < SHORTEST {
            bail!("password should be at least {SHORTEST} characters long");
        }
        let hash = bcrypt::hash_with_result(password.expose(), self.cost)?.format_for_version(bcrypt::Version::TwoA);
        if is_generated {
            outln!("Generated password: {}\n       bcrypt hash: {hash}", password.expose());
        } else {
            outln!("{hash}");
        }
        Ok(())
    }
}

fn generated() -> Secret<String> {
    let letter = || LETTERS[crate::template::random_below(LETTERS.len() as u64) as usize];
    Secret::new((0..GENERATED_CHARS).map(|_| char::from(letter())).collect())
}

fn asked() -> Result<Secret<String>> {
    if !is_interactive() {
        bail!("could not read password: cannot prompt for user input without a terminal");
    }
    let term = Term::stderr();
    let ask = |question: &str| -> Result<Secret<String>> {
        term.write_str(question)?;
        Ok(Secret::new(term.read_secure_line()?))
    };
    let (first, second) = (ask("? Enter password ")?, ask("? Re-enter password ")?);
    if !first.is(second.expose().as_bytes()) {
        bail!("entered and re-entered passwords do not match");
    }
    Ok(first)
}
