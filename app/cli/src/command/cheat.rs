//! `nats cheat`: examples of the common commands, a sheet for each subject.

use anyhow::Result;
use clap::Args;

use crate::failure::advise;
use crate::show::out;

/// Show examples of the common commands
#[derive(Args, Debug)]
pub(crate) struct Cheat {
    /// What the examples are about; a list of them when left out
    topic: Option<String>,
}

impl Cheat {
    pub(crate) fn run(&self) -> Result<()> {
        let Some(topic) = &self.topic else {
            out!("Examples are there for: {}\n\nShow some with: nats cheat TOPIC\n", topics());
            return Ok(());
        };
        match SHEETS.iter().find(|(name, _)| name == topic) {
            Some((_, sheet)) => out!("{sheet}"),
            None => {
                return Err(advise(
                    format!("there are no examples for {topic:?}"),
                    format!("there are some for: {}", topics()),
                ));
            }
        }
        Ok(())
    }
}

/// All examples, sheet by sheet.
pub(crate) fn examples() -> impl Iterator<Item = &'static str> {
    SHEETS.iter().flat_map(|(_, sheet)| sheet.lines()).filter(|line| line.starts_with("nats "))
}

fn topics() -> String {
    SHEETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Subject and examples.
const SHEETS: [(&str, &str); 18] = [
    (
        "account",
        "# Who we are, where we are connected, and what we may use
nats account info

# Connections of the account, those with the most traffic first
nats account report connections --sort out-bytes --top 10

# All streams with their consumers into a directory, and back
nats account backup /var/backups/nats
nats account restore /var/backups/nats

# When the certificates of the server end
nats account tls --no-pem
",
    ),
    (
        "auth",
        "# An operator, a system account, an account, a user and a server configuration in one step
nats auth init

# A user who may publish below orders, and a file to log in with
nats auth user add alice APP --pub-allow 'orders.>'
nats auth user credential alice.creds alice APP

# Keys, and signatures with them
nats auth nkey gen user
nats auth doctor
",
    ),
    (
        "bench",
        "# How fast one client publishes, then how fast four do
nats bench pub test --msgs 1000000 --size 16B
nats bench pub test --clients 4 --size 1KB

# Publishers and subscribers: start the subscribers first
nats bench sub test --clients 2
nats bench pub test --clients 2

# A service, and who asks it
nats bench service serve help --clients 2
nats bench service request help --clients 4

# A stream: fill it, then receive it in three ways
nats bench js pub async test --create --purge
nats bench js ordered
nats bench js consume --clients 4
nats bench js fetch --batch 100 --acks none

# Keys and values
nats bench kv put --msgs 10000
nats bench kv get --msgs 10000 --randomize 10000
",
    ),
    (
        "consumer",
        "# A consumer that is pulled, one that gets messages pushed, with defaults for the rest
nats consumer add ORDERS NEW --pull --ack explicit --defaults
nats consumer add ORDERS WATCH --target monitor.orders --ack none --defaults

# One message, then more
nats consumer next ORDERS NEW
nats consumer next ORDERS NEW --count 10 --ack

# What a consumer does, and all of a stream
nats consumer info ORDERS NEW
nats consumer report ORDERS

# Halt it for an hour, and go on
nats consumer pause ORDERS NEW 1h --force
nats consumer resume ORDERS NEW --force
",
    ),
    (
        "context",
        "# Save how to connect under a name, and use it from now on
nats context add prod --server nats://nats.example.net --creds prod.creds --select

# Use another one once, or go back to the one before
nats account info --context lab
nats context previous

# What is saved, and whether it works
nats context ls
nats context info prod --connect
nats context validate
",
    ),
    (
        "counter",
        "# A stream that counts
nats stream add COUNTERS --subjects 'hits.>' --allow-counter --allow-direct --defaults

# Count, and look
nats counter increment hits.home 1
nats counter decrement hits.home 1
nats counter get hits.home
nats counter list --stream COUNTERS
",
    ),
    (
        "errors",
        "# What a number in an error means
nats errors lookup 10059

# All errors that speak of consumers
nats errors ls consumer
",
    ),
    (
        "events",
        "# Everything that servers and JetStream announce, a line each (system account)
nats events --all --short

# Advisories of JetStream as JSON
nats events --js-advisory --no-srv-advisory --json
",
    ),
    (
        "kv",
        "# A bucket that keeps ten values of each key
nats kv add CONFIG --history 10

# Store, read, delete
nats kv put CONFIG app.port 8080
nats kv get CONFIG app.port --raw
nats kv del CONFIG app.port --force

# Only when nobody else was first
nats kv create CONFIG app.lock me
nats kv update CONFIG app.port 9090 3

# What is there, what was, and what happens
nats kv ls CONFIG --verbose
nats kv history CONFIG app.port
nats kv watch CONFIG 'app.>'
",
    ),
    (
        "latency",
        "# How long messages take from one server to another
nats latency --server nats://a.example.net --server-b nats://b.example.net --rate 5000 --duration 10s
",
    ),
    (
        "object",
        "# A bucket for files, a file in, the same file out
nats object add FILES
nats object put FILES report.pdf --name reports/today.pdf
nats object get FILES reports/today.pdf --output today.pdf

# What is there, and what happens
nats object ls FILES
nats object watch FILES
",
    ),
    (
        "publish",
        "# One message, one with headers, one whose body comes from a file
nats pub orders.new hello
nats pub orders.new hello -H Trace:17 -H Source:web
nats pub orders.new --force-stdin

# Numbered messages, one each second
nats pub orders.new 'number {{Count}} at {{Time}}' --count 10 --sleep 1s

# Into a stream, with its acknowledgement
nats pub orders.new hello --jetstream
",
    ),
    (
        "reply",
        "# Send back what comes
nats reply echo --echo

# Answer with the output of a command
nats reply 'weather.*' --command 'curl -s wttr.in/{{1}}?format=3'

# Ask
nats request weather.london ''
",
    ),
    (
        "request",
        "# The first answer, or all answers that come within two seconds
nats request help hello
nats request help hello --replies 0 --timeout 2s
",
    ),
    (
        "server",
        "# What servers there are, and how they are (system account)
nats server list
nats server ping
nats server info
nats server report connections --sort out-bytes
nats server report jetstream

# For monitoring systems
nats server check connection
nats server check stream --stream ORDERS --msgs-warn 1000 --msgs-critical 10
nats server check consumer --stream ORDERS --consumer NEW --unprocessed-critical 10000
nats server check jetstream --format prometheus

# The whole document of each server
nats server request variables
nats server request connections --filter-account APP
",
    ),
    (
        "service",
        "# A service that echoes, found and asked
nats service serve echo
nats service list
nats service info echo
nats service request echo echo hello
nats service stats echo
",
    ),
    (
        "stream",
        "# A stream, with defaults for what is not said
nats stream add ORDERS --subjects 'orders.>' --max-age 1y --defaults

# What is in it
nats stream info ORDERS
nats stream subjects ORDERS
nats stream get ORDERS 17
nats stream view ORDERS --since 1h

# Change it; remove messages
nats stream edit ORDERS --max-msgs 1000000 --force
nats stream purge ORDERS --subject orders.test --force

# A copy on disk, and back
nats stream backup ORDERS ./orders
nats stream restore ./orders

# Those that match
nats stream find --empty --idle 1w
nats stream report
",
    ),
    (
        "subscribe",
        "# Everything below orders; members of a group share the messages
nats sub 'orders.>'
nats sub 'orders.>' --queue workers

# Requests together with their replies
nats sub help --match-replies

# A stream from its beginning, then end
nats sub --stream ORDERS --all --terminate-at-end

# Which subjects have the most messages
nats sub '>' --report-subjects
",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::words;

    #[test]
    fn every_example_is_a_command() {
        let tree = crate::command();
        for (topic, sheet) in SHEETS {
            let examples: Vec<_> = sheet.lines().filter(|line| line.starts_with("nats ")).collect();
            assert!(!examples.is_empty(), "{topic}");
            for example in examples {
                let parsed = tree.clone().try_get_matches_from(words(example).unwrap());
                let trouble = parsed.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(trouble.is_empty() || trouble.contains("does not exist"), "{example}: {trouble}");
            }
        }
    }

    #[test]
    fn topics_stand_in_order() {
        assert!(SHEETS.is_sorted_by_key(|(topic, _)| *topic));
    }
}
