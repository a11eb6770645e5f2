//! The commands, one file each.

mod account;
mod api;
mod audit;
mod auth;
mod bench;
mod body;
mod cheat;
mod completion;
mod confirmed;
mod consumer;
mod context;
mod counter;
mod delivery;
mod difference;
mod dig;
mod errors;
mod events;
pub(crate) mod examples;
mod external;
mod gather;
pub(crate) mod guide;
mod kv;
mod latency;
mod leadership;
mod live;
mod object;
mod publish;
mod reader;
mod reply;
mod request;
mod rtt;
mod sender;
mod server;
mod service;
mod stored;
mod stream;
mod subscribe;
mod top;
mod trace;
mod wait;

pub(crate) use completion::{Completion, asked_for_script};
pub(crate) use external::External;

use anyhow::Result;
use clap::Subcommand;

use crate::invocation::Invocation;

/// Everything `nats` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Publish messages
    #[command(visible_alias = "pub")]
    Publish(publish::Publish),
    /// Subscribe to subjects and show what arrives
    #[command(visible_alias = "sub")]
    Subscribe(subscribe::Subscribe),
    /// Send a request and show the replies
    #[command(visible_alias = "req")]
    Request(request::Request),
    /// Answer requests
    Reply(reply::Reply),
    /// Measure how fast messages go through a server
    Bench(bench::Bench),
    /// Measure the round-trip time to servers
    Rtt(rtt::Rtt),
    /// Manage contexts: named sets of connection settings
    #[command(visible_alias = "ctx")]
    Context(context::Contexts),
    /// Look after streams
    #[command(visible_aliases = ["str", "st", "ms", "s"])]
    Stream(stream::Streams),
    /// Look after consumers
    #[command(visible_aliases = ["con", "obs", "c"])]
    Consumer(consumer::Consumers),
    /// Keep values under keys
    Kv(kv::KeyValue),
    /// Keep files
    #[command(visible_alias = "obj")]
    Object(object::Objects),
    /// Keep numbers to which publishers add
    #[command(visible_alias = "ctr")]
    Counter(counter::Counters),
    /// Show the account we are in
    #[command(visible_alias = "a")]
    Account(account::Account),
    /// Gather what servers tell into an archive, and check it
    Audit(audit::Audit),
    /// Look after operators, accounts, users and their keys
    Auth(Box<auth::Auth>),
    /// Show what servers and JetStream announce
    #[command(visible_aliases = ["event", "e"])]
    Events(events::Events),
    /// Measure how long messages take from one server to another
    #[command(visible_alias = "lat")]
    Latency(latency::Latency),
    /// Find services and ask them
    #[command(visible_alias = "micro")]
    Service(service::Service),
    /// Show the way of a message through servers
    Trace(trace::Trace),
    /// Show what is going on now: servers, accounts, connections, streams, subjects or JetStream
    Top(top::Top),
    /// Look after servers
    #[command(visible_aliases = ["srv", "sys", "system"])]
    Server(server::Server),
    /// Look up the errors of JetStream
    #[command(visible_aliases = ["err", "error"])]
    Errors(errors::Errors),
    /// Show examples of the common commands
    Cheat(cheat::Cheat),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Print the manual page
    #[command(hide = true)]
    Man(completion::Man),
}

impl Command {
    pub(crate) async fn run(self, invocation: &Invocation) -> Result<()> {
        match self {
            Self::Publish(command) => command.run(invocation).await,
            Self::Subscribe(command) => command.run(invocation).await,
            Self::Request(command) => command.run(invocation).await,
            Self::Reply(command) => command.run(invocation).await,
            Self::Bench(command) => command.run(invocation).await,
            Self::Rtt(command) => command.run(invocation).await,
            Self::Context(command) => command.run(invocation).await,
            Self::Stream(command) => command.run(invocation).await,
            Self::Consumer(command) => command.run(invocation).await,
            Self::Kv(command) => command.run(invocation).await,
            Self::Object(command) => command.run(invocation).await,
            Self::Counter(command) => command.run(invocation).await,
            Self::Account(command) => command.run(invocation).await,
            Self::Audit(command) => command.run(invocation).await,
            Self::Auth(command) => command.run(invocation).await,
            Self::Events(command) => command.run(invocation).await,
            Self::Latency(command) => command.run(invocation).await,
            Self::Service(command) => command.run(invocation).await,
            Self::Trace(command) => command.run(invocation).await,
            Self::Top(command) => command.run(invocation).await,
            Self::Server(command) => command.run(invocation).await,
            Self::Errors(command) => command.run(),
            Self::Cheat(command) => command.run(),
            Self::Completion(command) => command.run(),
            Self::Man(command) => command.run(),
        }
    }
}
