//! Two servers and one link between them, for scenes that ask the same of each kind of link.

use crate::fleet::{Make, Server};

const LISTEN: &str = "listen: \"127.0.0.1:-1\"";

/// Servers of these makes and names, each with the same accounts.
pub(crate) struct Pair<'a> {
    pub(crate) makes: [Make; 2],
    pub(crate) names: [&'a str; 2],
    pub(crate) accounts: &'a str,
}

impl Pair<'_> {
    fn start(&self, at: usize, more: &str) -> Server {
        Server::start(self.makes[at], &format!("server_name: {}\n{}\n{more}", self.names[at], self.accounts))
    }

    /// A cluster. The second goes to the first.
    pub(crate) fn by_route(&self) -> [Server; 2] {
        let first = self.start(0, &format!("cluster {{ name: C, {LISTEN} }}"));
        let route = first.route_url("");
        let second = self.start(1, &format!("cluster {{ name: C, {LISTEN}, routes: [\"{route}\"] }}"));
        [first, second]
    }

    /// Two clusters. The second knows the first.
    pub(crate) fn by_gateway(&self) -> [Server; 2] {
        let first = self.start(0, &format!("gateway {{ name: C1, {LISTEN} }}"));
        let remote = format!("gateways: [{{ name: C1, url: \"{}\" }}]", first.gateway_url(""));
        let second = self.start(1, &format!("gateway {{ name: C2, {LISTEN}, {remote} }}"));
        [first, second]
    }

    /// A hub and its leaf node, joined in these accounts by users of these names.
    pub(crate) fn by_leaf(&self, joined: &[(&str, &str)]) -> [Server; 2] {
        let hub = self.start(0, &format!("leafnodes {{ {LISTEN} }}"));
        let remote = |(user, account): &(&str, &str)| {
            format!("{{ url: \"{}\", account: {account} }}", hub.leaf_url(&format!("{user}:{user}")))
        };
        let remotes: Vec<String> = joined.iter().map(remote).collect();
        let spoke = self.start(1, &format!("leafnodes {{ remotes: [{}] }}", remotes.join(", ")));
        [hub, spoke]
    }
}
