//! `nats auth account add`, `edit`, `suspend` and `expire`: what an account may use.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jwt::{AccountClaims, ClusterTraffic, JetStreamLimits, NO_LIMIT};
use nkeys::Role;

use crate::command::auth::account::print;
use crate::command::auth::desk::{Desk, now};
use crate::command::auth::operator::tag;
use crate::command::auth::plan::{Ended, Publishing};
use crate::command::auth::show;
use crate::failure::advise;
use crate::parse::{duration, signed_size};
use crate::show::{ask, is_interactive};
use crate::vault::{Place, check_name};

/// The limits of an account; what is not typed stays as it is.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Allows bearer tokens
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    bearer: Option<bool>,
    /// Maximum allowed connections
    #[arg(long, allow_negative_numbers = true)]
    connections: Option<i64>,
    /// How long this account should be valid for as a duration
    #[arg(long, value_parser = duration, value_name = "DURATION")]
    expiry: Option<Duration>,
    /// Maximum allowed exports
    #[arg(long, allow_negative_numbers = true)]
    exports: Option<i64>,
    /// Maximum allowed imports
    #[arg(long, allow_negative_numbers = true)]
    imports: Option<i64>,
    /// Enables JetStream
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    jetstream: Option<bool>,
    /// Sets the maximum Consumers any Stream in the account can have
    #[arg(long, allow_negative_numbers = true)]
    js_consumers: Option<i64>,
    /// Sets a Disk Storage quota
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_negative_numbers = true)]
    js_disk: Option<i64>,
    /// Sets the maximum size a Disk Storage stream may be
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_negative_numbers = true)]
    js_disk_stream: Option<i64>,
    /// Default Max Ack Pending for Tier 0 limits
    #[arg(long, value_name = "MESSAGES", allow_negative_numbers = true)]
    js_max_pending: Option<i64>,
    /// Sets a Memory Storage quota
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_negative_numbers = true)]
    js_memory: Option<i64>,
    /// Sets the maximum size a Memory Storage stream may be
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_negative_numbers = true)]
    js_memory_stream: Option<i64>,
    /// Requires Streams to have a maximum size declared
    #[arg(long)]
    js_stream_size_required: bool,
    /// Sets the maximum Streams the account can have
    #[arg(long, allow_negative_numbers = true)]
    js_streams: Option<i64>,
    /// Sets the account used for JetStream cluster traffic
    #[arg(long, value_parser = ["owner", "system"], value_name = "ACCOUNT")]
    js_cluster_traffic: Option<String>,
    /// Maximum allowed Leafnode connections
    #[arg(long, allow_negative_numbers = true)]
    leafnodes: Option<i64>,
    /// Maximum allowed payload
    #[arg(long, value_parser = signed_size, value_name = "BYTES", allow_negative_numbers = true)]
    payload: Option<i64>,
    /// Maximum allowed subscriptions
    #[arg(long, allow_negative_numbers = true)]
    subscriptions: Option<i64>,
    /// For people
    #[arg(long)]
    description: Option<String>,
    /// Tags to assign to this Account
    #[arg(long)]
    tags: Vec<String>,
}

impl Limits {
    fn apply(&self, claims: &mut AccountClaims) -> Result<()> {
        let set = |field: &mut i64, given: Option<i64>| given.into_iter().for_each(|value| *field = value);
        set(&mut claims.limits.account.conn, self.connections);
        set(&mut claims.limits.account.exports, self.exports);
        set(&mut claims.limits.account.imports, self.imports);
        set(&mut claims.limits.account.leaf, self.leafnodes);
        set(&mut claims.limits.nats.payload, self.payload);
        set(&mut claims.limits.nats.subs, self.subscriptions);
        if let Some(is_allowed) = self.bearer {
            claims.limits.account.disallow_bearer = !is_allowed;
        }
        if let Some(span) = self.expiry {
            claims.common.expires = after(span);
        }
        if let Some(text) = &self.description {
            claims.description.clone_from(text);
        }
        match self.js_cluster_traffic.as_deref() {
            Some("owner") => claims.cluster_traffic = ClusterTraffic::Owner,
            Some(_) => claims.cluster_traffic = ClusterTraffic::System,
            None => {}
        }
        tag(&mut claims.common.tags, &self.tags, &[]);
        self.apply_jetstream(claims)
    }

    fn apply_jetstream(&self, claims: &mut AccountClaims) -> Result<()> {
        if self.jetstream == Some(false) {
            claims.limits.jetstream = JetStreamLimits::default();
            claims.limits.tiers.clear();
            return Ok(());
        }
        let is_on = show::has_jetstream(claims);
        if self.jetstream.is_none() && !is_on {
            if self.names_storage() {
                return Err(advise("storage limits without JetStream", "add --jetstream"));
            }
            return Ok(());
        }
        if !claims.limits.tiers.is_empty() && self.names_storage() {
            bail!(
                "the storage limits of this account stand in tiers ({}), which these flags do not reach",
                claims.limits.tiers.keys().cloned().collect::<Vec<_>>().join(", ")
            );
        }
        if !is_on {
            claims.limits.jetstream =
                JetStreamLimits { streams: NO_LIMIT, consumer: NO_LIMIT, ..JetStreamLimits::default() };
            claims.limits.jetstream.disk_storage = quota(self.js_disk, "Disk", "--js-disk")?;
            claims.limits.jetstream.mem_storage = quota(self.js_memory, "Memory", "--js-memory")?;
        }
        let js = &mut claims.limits.jetstream;
        let set = |field: &mut i64, given: Option<i64>| given.into_iter().for_each(|value| *field = value);
        set(&mut js.disk_storage, self.js_disk);
        set(&mut js.mem_storage, self.js_memory);
        set(&mut js.disk_max_stream_bytes, self.js_disk_stream);
        set(&mut js.mem_max_stream_bytes, self.js_memory_stream);
        set(&mut js.consumer, self.js_consumers);
        set(&mut js.streams, self.js_streams);
        set(&mut js.max_ack_pending, self.js_max_pending);
        js.max_bytes_required |= self.js_stream_size_required;
        Ok(())
    }

    fn names_storage(&self) -> bool {
        let given = [
            self.js_disk,
            self.js_memory,
            self.js_disk_stream,
            self.js_memory_stream,
            self.js_consumers,
            self.js_streams,
            self.js_max_pending,
        ];
        self.js_stream_size_required || given.iter().any(Option::is_some)
    }
}

/// JetStream is on where a quota is; a person without one is asked.
fn quota(given: Option<i64>, kind: &str, flag: &str) -> Result<i64> {
    match given {
        Some(bytes) => Ok(bytes),
        None if is_interactive() => {
            signed_size(&ask(&format!("Maximum JetStream {kind} Storage"), "1GB")?).map_err(anyhow::Error::msg)
        }
        None => Err(advise(
            format!("JetStream requires maximum {kind} usage set"),
            format!("add {flag} BYTES; -1 is unlimited"),
        )),
    }
}

/// The second that is so far away.
pub(crate) fn after(span: Duration) -> i64 {
    now().saturating_add(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
}

#[derive(Args, Debug)]
pub(crate) struct Add {
    /// Unique name for this Account
    account: Option<String>,
    /// The operator's public key to sign the account with
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// Accept default values without prompting
    #[arg(long)]
    defaults: bool,
    #[command(flatten)]
    publishing: Publishing,
}

impl Add {
    pub(crate) async fn run(mut self, desk: &Desk<'_>) -> Result<()> {
        let operator = desk.operator(None)?;
        let name = match self.account.take() {
            Some(name) => name,
            None => ask("Account Name", "")?,
        };
        check_name("account", &name)?;
        if desk.vault.library.has(&operator, &Place::Account(name.clone())) {
            bail!("account {name} already exist");
        }
        if !self.defaults && is_interactive() {
            self.ask()?;
        }
        let mut plan = desk.plan(&operator);
        let claims = desk.vault.library.operator(&operator)?;
        let issuer = match &self.key {
            None => desk.account_signer(&claims),
            Some(key) => claims
                .signing_keys
                .iter()
                .chain([&claims.common.subject])
                .find(|k| k.to_string() == *key)
                .copied()
                .ok_or_else(|| {
                    advise(
                        format!("{key} is no key of operator {operator}"),
                        "list them with: nats auth operator keys ls",
                    )
                })?,
        };
        let mut claims = AccountClaims::new(plan.new_key(Role::Account)?, issuer);
        name.clone_into(&mut claims.common.name);
        claims.limits.account.disallow_bearer = true;
        self.limits.apply(&mut claims)?;
        plan.edit_account_by(&name, claims, issuer)?;
        match plan.commit(&self.publishing).await? {
            Ended::Done => print(desk, &operator, &name),
            Ended::Pending => Ok(()),
        }
    }

    fn ask(&mut self) -> Result<()> {
        if self.limits.connections.is_none() {
            self.limits.connections = Some(ask("Maximum Connections", "-1")?.parse()?);
        }
        if self.limits.subscriptions.is_none() {
            self.limits.subscriptions = Some(ask("Maximum Subscriptions", "-1")?.parse()?);
        }
        if self.limits.payload.is_none() {
            self.limits.payload =
                Some(signed_size(&ask("Maximum Message Payload", "-1")?).map_err(anyhow::Error::msg)?);
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// Account to edit
    account: Option<String>,
    #[command(flatten)]
    limits: Limits,
    /// Tags to remove from this Account
    #[arg(long)]
    no_tags: Vec<String>,
    #[command(flatten)]
    publishing: Publishing,
}

impl Edit {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        change(desk, self.account.as_deref(), &self.publishing, |claims| {
            tag(&mut claims.common.tags, &[], &self.no_tags);
            self.limits.apply(claims)
        })
        .await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Suspend {
    /// Account to suspend
    account: String,
    #[command(flatten)]
    publishing: Publishing,
}

impl Suspend {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        change(desk, Some(&self.account), &self.publishing, |claims| {
            claims.limits.account.conn = 0;
            claims.limits.account.leaf = 0;
            Ok(())
        })
        .await
    }
}

#[derive(Args, Debug)]
pub(crate) struct Expire {
    /// Account to end
    account: String,
    /// When, from now on; 0 for never
    #[arg(value_parser = duration)]
    span: Duration,
    #[command(flatten)]
    publishing: Publishing,
}

impl Expire {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        change(desk, Some(&self.account), &self.publishing, |claims| {
            claims.common.expires = if self.span.is_zero() { 0 } else { after(self.span) };
            Ok(())
        })
        .await
    }
}

/// Changes an account and shows it.
async fn change(
    desk: &Desk<'_>,
    account: Option<&str>,
    publishing: &Publishing,
    change: impl FnOnce(&mut AccountClaims) -> Result<()>,
) -> Result<()> {
    let mut chosen = desk.account(None, account)?;
    change(&mut chosen.claims)?;
    match chosen.keep(desk, publishing).await? {
        Ended::Done => print(desk, &chosen.operator, &chosen.account),
        Ended::Pending => Ok(()),
    }
}
