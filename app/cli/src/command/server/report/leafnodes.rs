//! Leaf nodes.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::command::dig::Dig;
use crate::command::server::report::{Desk, short_account};
use crate::show::{Table, cells, ibytes};

/// Show leaf nodes
#[derive(Args, Debug)]
pub(crate) struct Leafnodes {
    /// Wait for so many servers
    limit: Option<usize>,
    /// Only this account
    #[arg(long)]
    account: Option<String>,
    /// Sort by this
    #[arg(long, default_value = "server", value_name = "KEY")]
    sort: Key,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    Server,
    Name,
    Account,
    Subs,
    InBytes,
    OutBytes,
    InMsgs,
    OutMsgs,
}

impl Leafnodes {
    pub(crate) async fn run(&self, desk: &Desk<'_>) -> Result<()> {
        let body = self.account.as_ref().map_or(Value::Null, |account| json!({"account": account}));
        let answers = desk.ask("LEAFZ", body, self.limit).await?;
        let mut leafs: Vec<(&Value, &Value)> = answers
            .iter()
            .flat_map(|answer| answer.list("data.leafs").iter().map(move |leaf| (answer, leaf)))
            .collect();
        desk.sort(&mut leafs, |(answer, leaf)| self.key(answer, leaf));
        let header = [
            "Server",
            "Name",
            "Account",
            "Address",
            "RTT",
            "Msgs In",
            "Msgs Out",
            "Bytes In",
            "Bytes Out",
            "Subs",
            "Compressed",
            "Spoke",
        ];
        let mut table = Table::new("Leafnode Report", &header);
        for (answer, leaf) in leafs {
            table.row(cells![
                answer.text("server.name"),
                leaf.text("name"),
                short_account(leaf.text("account")),
                format!("{}:{}", leaf.text("ip"), leaf.whole("port")),
                leaf.text("rtt"),
                leaf.whole("in_msgs"),
                leaf.whole("out_msgs"),
                ibytes(leaf.whole("in_bytes")),
                ibytes(leaf.whole("out_bytes")),
                leaf.whole("subscriptions"),
                leaf.text("compression"),
                leaf.flag("is_spoke"),
            ]);
        }
        table.print();
        Ok(())
    }

    fn key(&self, answer: &Value, leaf: &Value) -> (u64, String) {
        match self.sort {
            Key::Server => (0, answer.text("server.name").to_owned()),
            Key::Name => (0, leaf.text("name").to_owned()),
            Key::Account => (0, leaf.text("account").to_owned()),
            Key::Subs => (leaf.whole("subscriptions"), String::new()),
            Key::InBytes => (leaf.whole("in_bytes"), String::new()),
            Key::OutBytes => (leaf.whole("out_bytes"), String::new()),
            Key::InMsgs => (leaf.whole("in_msgs"), String::new()),
            Key::OutMsgs => (leaf.whole("out_msgs"), String::new()),
        }
    }
}
