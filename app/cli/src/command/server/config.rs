//! `nats server config reload`.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::command::confirmed::confirmed;
use crate::command::dig::Dig;
use crate::command::gather::{Question, ask_servers, check};
use crate::command::server::info;
use crate::command::server::source::Source;
use crate::invocation::Invocation;

/// Look after the configuration of servers
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a server read its configuration again
    Reload(Reload),
}

/// Make a server read its configuration again
#[derive(Args, Debug)]
struct Reload {
    /// Id of the server
    id: String,
    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

impl Config {
    pub(crate) async fn run(&self, invocation: &Invocation) -> Result<()> {
        let Command::Reload(reload) = &self.command;
        reload.run(invocation).await
    }
}

impl Reload {
    async fn run(&self, invocation: &Invocation) -> Result<()> {
        let link = invocation.connect().await?;
        let ask = async |what: &str| {
            let subject = format!("$SYS.REQ.SERVER.{}.{what}", self.id);
            ask_servers(invocation, &link, &Question { subject: &subject, body: Value::Null, expect: 1 }).await
        };
        if !self.force {
            let answer = ask("VARZ").await?;
            let (name, id, host) =
                (answer[0].text("server.name"), answer[0].text("server.id"), answer[0].text("server.host"));
            if !confirmed(false, &format!("Really reload configuration for {name} ({id}) on {host}"))? {
                return Ok(());
            }
        }
        let answers = ask("RELOAD").await?;
        let [answer] = answers.as_slice() else { bail!("invalid response from {} servers", answers.len()) };
        check(answer)?;
        info::show(&Source::Servers { invocation, link }, &self.id).await
    }
}
