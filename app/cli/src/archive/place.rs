//! Where in an archive an answer belongs, and the tags that say so.

use anyhow::{Result, bail};

use crate::archive::Tag;

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Health,
    Variables,
    ExpVariables,
    Connections,
    Routes,
    Gateways,
    Leafs,
    Subs,
    JetStream,
    Accounts,
    AccountConnections,
    AccountLeafs,
    AccountSubs,
    AccountJetStream,
    AccountInfo,
    AccountRaft,
    AccountIpqueues,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Variables => "variables",
            Self::ExpVariables => "exp_variables",
            Self::Connections => "connections",
            Self::Routes => "routes",
            Self::Gateways => "gateways",
            Self::Leafs => "leafs",
            Self::Subs => "subs",
            Self::JetStream => "jetstream_info",
            Self::Accounts => "accounts",
            Self::AccountConnections => "account_connections",
            Self::AccountLeafs => "account_leafs",
            Self::AccountSubs => "account_subs",
            Self::AccountJetStream => "account_jetstream_info",
            Self::AccountInfo => "account_info",
            Self::AccountRaft => "account_raftz",
            Self::AccountIpqueues => "account_ipqueues",
        }
    }
}

/// Where an answer belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    Server { cluster: &'a str, server: &'a str, kind: Kind },
    Profile { cluster: &'a str, server: &'a str, profile: &'a str },
    Account { cluster: &'a str, server: &'a str, account: &'a str, kind: Kind },
    Stream { cluster: &'a str, server: &'a str, account: &'a str, stream: &'a str },
    Special { name: &'a str, extension: &'a str },
}

impl Place<'_> {
    pub(super) fn tags(&self) -> Vec<Tag> {
        let of_server = |cluster, server, kind| {
            vec![Tag::new("cluster", cluster), Tag::new("server", server), Tag::new("artifact_type", kind)]
        };
        match *self {
            Self::Server { cluster, server, kind } => of_server(cluster, server, kind.name()),
            Self::Profile { cluster, server, profile } => {
                [of_server(cluster, server, "profile"), vec![Tag::new("profile_name", profile)]].concat()
            }
            Self::Account { cluster, server, account, kind } => {
                [of_server(cluster, server, kind.name()), vec![Tag::new("account", account)]].concat()
            }
            Self::Stream { cluster, server, account, stream } => {
                let stream = vec![Tag::new("account", account), Tag::new("stream", stream)];
                [of_server(cluster, server, "stream_info"), stream].concat()
            }
            Self::Special { name, .. } => vec![Tag::new("special", name)],
        }
    }

    /// The path of the only entry, or of the folder in which pages are numbered.
    pub(super) fn path(&self) -> String {
        match *self {
            Self::Server { cluster, server, kind } => format!("capture/clusters/{cluster}/{server}/{}", kind.name()),
            Self::Profile { cluster, server, profile } => {
                format!("capture/profiles/{cluster}/{server}__{profile}.prof")
            }
            Self::Account { cluster, server, account, kind } => {
                format!("capture/accounts/{account}/servers/{cluster}__{server}/{}", kind.name())
            }
            Self::Stream { cluster, server, account, stream } => {
                format!("capture/accounts/{account}/streams/{stream}/replicas/{cluster}__{server}/stream_info")
            }
            Self::Special { name, extension } => format!("capture/misc/{name}.{extension}"),
        }
    }

    pub(super) const fn is_paged(&self) -> bool {
        !matches!(self, Self::Profile { .. } | Self::Special { .. })
    }

    /// Fails when a name would not be one part of a path.
    pub(super) fn check(&self) -> Result<()> {
        for Tag { name, value } in self.tags() {
            if value.is_empty() || value == "." || value == ".." || value.contains(['/', '\\', '\0']) {
                bail!("{value:?} cannot be the {name} of an entry in an archive");
            }
        }
        Ok(())
    }
}
