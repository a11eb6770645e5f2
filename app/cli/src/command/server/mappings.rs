//! `nats server mappings`: shows what a subject mapping makes of a subject.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use subject::Subject;
use subject::transform::Transform;

use crate::show::{ask, is_interactive, outln};
use crate::template::random_below;

/// Show what a subject mapping makes of a subject
#[derive(Args, Debug)]
pub(crate) struct Mappings {
    /// What the mapping takes in
    source: Option<String>,
    /// What the mapping makes of it
    dest: Option<String>,
    /// Subject to map; asked for when left out
    subject: Option<String>,
}

impl Mappings {
    pub(crate) fn run(&self) -> Result<()> {
        let source = given_or_asked(&self.source, "Source subject pattern")?;
        let dest = given_or_asked(&self.dest, "Destination subject pattern")?;
        let transform = Transform::new(source.as_bytes(), dest.as_bytes()).map_err(|error| anyhow!("{error}"))?;
        if let Some(subject) = &self.subject {
            show(&transform, subject);
            return Ok(());
        }
        outln!("Enter subjects to test, empty subject terminates.\n");
        outln!("NOTE: This only tests mappings, it does not add them to the server\n");
        loop {
            let subject = ask("Subject", "")?;
            if subject.is_empty() {
                return Ok(());
            }
            show(&transform, &subject);
        }
    }
}

fn given_or_asked(given: &Option<String>, question: &str) -> Result<String> {
    match given {
        Some(text) => Ok(text.clone()),
        None if is_interactive() => ask(question, ""),
        None => bail!("give a source and a destination: nats server mappings SOURCE DEST SUBJECT"),
    }
}

fn show(transform: &Transform, text: &str) {
    match Subject::parse(text.as_bytes()) {
        Ok(subject) if transform.matches(subject) => {
            let chance = u32::try_from(random_below(u64::from(u32::MAX))).unwrap_or(0);
            outln!("{}\n", String::from_utf8_lossy(&transform.apply(subject, chance)));
        }
        Ok(_) => outln!("Error: no matching transforms available\n\n"),
        Err(error) => outln!("Error: {error}\n\n"),
    }
}
