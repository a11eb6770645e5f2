//! `nats top`: what is going on now, sorted, painted anew every second.

mod keys;
mod sample;
mod sheet;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::command::wait::interrupted;
use crate::invocation::Invocation;
use crate::link::Link;
use crate::show::{is_interactive, print_json};
use keys::{Key, Keys};
use sample::Subjects;
use sheet::{Sheet, View};

/// Show what is going on now: servers, accounts, connections, streams, subjects or JetStream
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// What to look at first; keys 1 to 6 change it
    #[arg(default_value = "connections")]
    look: Look,
    /// Sort by the column of this name at first; the arrow keys change it
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Look again after so many seconds
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    delay: Duration,
    /// Of subjects, only those this filter matches
    #[arg(long, default_value = ">", value_name = "FILTER")]
    filter: String,
    /// Show at most so many rows
    #[arg(long, default_value_t = 1000)]
    rows: usize,
    /// Look twice, print the difference and end
    #[arg(long)]
    once: bool,
    /// Print JSON; only with --once
    #[arg(long, short = 'j', requires = "once")]
    json: bool,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Look {
    /// Servers
    Servers,
    /// Accounts
    Accounts,
    /// Connections
    Connections,
    /// Streams
    Streams,
    /// Subjects of messages that we may read
    Subjects,
    /// JetStream on each server
    Jetstream,
}

impl Look {
    const ALL: [Self; 6] =
        [Self::Servers, Self::Accounts, Self::Connections, Self::Streams, Self::Subjects, Self::Jetstream];

    const fn view(self) -> &'static View {
        match self {
            Self::Servers => &sample::SERVERS,
            Self::Accounts => &sample::ACCOUNTS,
            Self::Connections => &sample::CONNECTIONS,
            Self::Streams => &sample::STREAMS,
            Self::Subjects => &sample::SUBJECTS,
            Self::Jetstream => &sample::JETSTREAM,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err("the delay must be between 0.1 and 3600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

impl Top {
    /// The same as if it had been typed.
    pub(crate) fn at(look: Look, sort: Option<String>, rows: usize) -> Self {
        Self { look, sort, delay: Duration::from_secs(1), filter: ">".to_owned(), rows, once: false, json: false }
    }

    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        if !self.once && !is_interactive() {
            bail!("nats top needs a terminal; with --once it prints what it sees and ends");
        }
        let mut sheet = Sheet::new(self.look.view(), self.sort.as_deref())?;
        let link = invocation.connect().await?;
        let mut subjects = Subjects::default();
        if self.once {
            return self.once(invocation, &link, &mut sheet, &mut subjects).await;
        }
        self.watch(invocation, &link, &mut sheet, &mut subjects).await
    }

    async fn once(
        &self,
        invocation: &Invocation,
        link: &Link,
        sheet: &mut Sheet,
        subjects: &mut Subjects,
    ) -> Result<()> {
        sheet.take(self.look(self.look, invocation, link, subjects).await?);
        tokio::time::sleep(self.delay).await;
        sheet.take(self.look(self.look, invocation, link, subjects).await?);
        if self.json {
            return print_json(&json!({ "rows": sheet.json(self.rows) }));
        }
        sheet.print(self.rows);
        Ok(())
    }

    async fn watch(
        &self,
        invocation: &Invocation,
        link: &Link,
        sheet: &mut Sheet,
        subjects: &mut Subjects,
    ) -> Result<()> {
        let mut keys = Keys::listen();
        let mut stop = std::pin::pin!(interrupted());
        let mut look = self.look;
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = &mut stop => break,
                key = keys.next() => match key {
                    Key::Quit => break,
                    Key::View(number) => {
                        if let Some(chosen) = Look::ALL.get(number).filter(|chosen| **chosen != look) {
                            look = *chosen;
                            *sheet = Sheet::new(look.view(), None)?;
                            next = Instant::now();
                        }
                    }
                    Key::Column(step) => sheet.sort_by_next(step),
                    Key::Reverse => sheet.reverse(),
                },
                () = sleep_until(next) => {
                    sheet.take(self.look(look, invocation, link, subjects).await?);
                    next = Instant::now() + self.delay;
                }
            }
            sheet.paint(self.rows);
        }
        sheet::leave();
        Ok(())
    }

    async fn look(
        &self,
        look: Look,
        invocation: &Invocation,
        link: &Link,
        subjects: &mut Subjects,
    ) -> Result<Vec<sheet::Row>> {
        match look {
            Look::Servers => sample::servers(invocation, link).await,
            Look::Accounts => sample::accounts(invocation, link).await,
            Look::Connections => sample::connections(invocation, link).await,
            Look::Streams => sample::streams(invocation, link).await,
            Look::Subjects => subjects.look(link, &self.filter).await,
            Look::Jetstream => sample::jetstream(invocation, link).await,
        }
    }
}
