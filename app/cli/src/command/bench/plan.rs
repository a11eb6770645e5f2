//! The flags that measurements share, and the messages they send.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::command::sender::header_map;
use crate::global::negatable;
use crate::link::{Outgoing, encode_message};
use crate::parse::{duration, existing_file, size};
use crate::show::{comma, humanize, ibytes};
use crate::template::random_below;

negatable! {
    /// Show a progress bar for each client
    Progress, "progress", "no-progress", true
}

/// How much is measured, and how the result is shown.
#[derive(Args, Clone, Debug)]
pub(crate) struct Plan {
    /// Clients that work at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) clients: u32,
    /// Messages in all
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) msgs: u64,
    #[command(flatten)]
    pub(crate) progress: Progress,
    /// Save the figures to a CSV file
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Show the figures as JSON
    #[arg(long, short = 'j')]
    pub(crate) json: bool,
    /// Draw how the latencies are distributed
    #[arg(long)]
    pub(crate) histogram: bool,
    /// Size of the messages
    #[arg(long, default_value = "128B", value_parser = size)]
    pub(crate) size: u64,
}

/// How fast to send.
#[derive(Args, Clone, Debug)]
pub(crate) struct Tempo {
    /// Pause after each message
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    pub(crate) sleep: Duration,
    /// Messages per second of all clients together; 0 is as fast as possible
    #[arg(long, default_value_t = 0)]
    pub(crate) throughput: u64,
    /// Send for about this long; needs --throughput and wins over --msgs
    #[arg(long, default_value = "0s", value_parser = duration, value_name = "DURATION")]
    pub(crate) duration: Duration,
}

/// What to send.
#[derive(Args, Clone, Debug)]
pub(crate) struct Content {
    /// File with the body of the messages
    #[arg(long, value_parser = existing_file, value_name = "FILE")]
    payload: Option<String>,
    /// Add a header, may be given several times
    #[arg(long = "header", short = 'H', value_name = "K:V")]
    headers: Vec<String>,
}

/// Whether each message has a subject of its own.
#[derive(Args, Clone, Debug)]
pub(crate) struct Subjects {
    /// Publish each message to a subject that ends with its number
    #[arg(long)]
    pub(crate) multisubject: bool,
    /// At most so many subjects; 0 is no limit
    #[arg(long, default_value_t = 100_000)]
    pub(crate) multisubjectmax: u64,
    /// Take the subjects at random
    #[arg(long)]
    pub(crate) multisubjectrandomize: bool,
}

/// The arguments of a measurement as the banner shows them.
pub(crate) type Arguments = Vec<(&'static str, String)>;

impl Plan {
    /// Fewer clients than messages, and as many messages as the tempo asks for.
    pub(crate) fn settle(&mut self, tempo: &Tempo) -> Result<()> {
        if !tempo.duration.is_zero() {
            if tempo.throughput == 0 {
                bail!("--duration requires --throughput to be set");
            }
            self.msgs = (tempo.throughput as f64 * tempo.duration.as_secs_f64()).round() as u64;
            if self.msgs == 0 {
                bail!("the combination of --throughput and --duration results in zero messages");
            }
        }
        self.clients = self.clients.min(u32::try_from(self.msgs).unwrap_or(u32::MAX));
        Ok(())
    }

    /// How many messages each client has, and the number of its first.
    pub(crate) fn shares(&self) -> Vec<(u64, u64)> {
        let clients = u64::from(self.clients);
        let (each, more) = (self.msgs / clients, self.msgs % clients);
        (0..clients).map(|at| (each + u64::from(at < more), each * at + at.min(more))).collect()
    }

    /// `Starting X benchmark [a=1, b=2]`, the arguments in order.
    pub(crate) fn banner(&self, label: &str, mut arguments: Arguments, tempo: Option<&Tempo>) -> String {
        arguments.push(("msgs", comma(self.msgs)));
        arguments.push(("msg-size", ibytes(self.size)));
        arguments.push(("clients", comma(self.clients)));
        if let Some(tempo) = tempo.filter(|tempo| tempo.throughput > 0) {
            arguments.push(("throughput", comma(tempo.throughput)));
            if !tempo.duration.is_zero() {
                arguments.push(("duration", humanize(tempo.duration)));
            }
        }
        arguments.sort();
        let arguments: Vec<_> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Starting {label} benchmark [{}]", arguments.join(", "))
    }
}

impl Tempo {
    /// One client's share of the rate.
    pub(crate) fn share(&self, clients: u32) -> f64 {
        self.throughput as f64 / f64::from(clients.max(1))
    }
}

impl Content {
    pub(crate) fn body(&self, size: u64) -> Result<Vec<u8>> {
        match &self.payload {
            Some(path) => std::fs::read(path).with_context(|| format!("reading the payload file {path}")),
            None => Ok(vec![0; usize::try_from(size)?]),
        }
    }

    pub(crate) fn headers(&self) -> Result<async_nats::HeaderMap> {
        header_map(&self.headers, 0)
    }

    /// A message as it goes over the wire.
    pub(crate) fn encoded(&self, subject: &str, size: u64, max_payload: u64) -> Result<Vec<u8>> {
        let (headers, body) = (self.headers()?, self.body(size)?);
        encode_message(&Outgoing { subject, reply: None, headers: &headers, body: &body }, max_payload)
    }
}

impl Subjects {
    /// What a subscriber has to listen on.
    pub(crate) fn filter(&self, subject: &str) -> String {
        if self.multisubject { format!("{subject}.*") } else { subject.to_owned() }
    }

    /// The subject of one message.
    pub(crate) fn subject(&self, subject: &str, number: u64) -> String {
        let width = self.multisubjectmax.to_string().len();
        match self.multisubjectmax {
            _ if !self.multisubject => subject.to_owned(),
            0 => format!("{subject}.{number}"),
            max if self.multisubjectrandomize => format!("{subject}.{:0width$}", random_below(max)),
            max => format!("{subject}.{:0width$}", number % max),
        }
    }

    pub(crate) fn arguments(&self, subject: &str) -> Arguments {
        vec![
            ("subject", self.filter(subject)),
            ("multi-subject", self.multisubject.to_string()),
            ("multi-subject-max", comma(self.multisubjectmax)),
            ("multi-subject-randomize", self.multisubjectrandomize.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        plan: Plan,
        #[command(flatten)]
        tempo: Tempo,
        #[command(flatten)]
        subjects: Subjects,
    }

    fn typed(args: &[&str]) -> Typed {
        <Typed as clap::Parser>::parse_from([&["bench"], args].concat())
    }

    #[test]
    fn messages_are_shared_out() {
        let plan = typed(&["--msgs", "10", "--clients", "4"]).plan;
        assert_eq!(plan.shares(), [(3, 0), (3, 3), (2, 6), (2, 8)]);
    }

    #[test]
    fn a_duration_with_a_rate_is_a_number_of_messages() {
        let mut typed = typed(&["--throughput", "500", "--duration", "2s"]);
        typed.plan.settle(&typed.tempo).unwrap();
        assert_eq!(typed.plan.msgs, 1000);
    }

    #[test]
    fn a_duration_without_a_rate_is_refused() {
        let mut typed = typed(&["--duration", "2s"]);
        assert!(typed.plan.settle(&typed.tempo).is_err());
    }

    #[test]
    fn subjects_have_numbers_of_the_same_width() {
        let typed = typed(&["--multisubject", "--multisubjectmax", "1000"]);
        assert_eq!(typed.subjects.filter("a"), "a.*");
        assert_eq!(typed.subjects.subject("a", 1007), "a.0007");
    }
}
