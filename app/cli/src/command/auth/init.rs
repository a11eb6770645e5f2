//! `nats auth init`: from nothing to a server that trusts an operator, in one step.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use jwt::{AccountClaims, JetStreamLimits, NO_LIMIT, Scope, UserClaims, UserRights};
use nkeys::Role;

use crate::command::auth::account::RightsArgs;
use crate::command::auth::config::{self, Resolver};
use crate::command::auth::desk::Desk;
use crate::command::auth::operator;
use crate::command::auth::plan::Publishing;
use crate::command::auth::user::write_creds;
use crate::context::{Record, Shelf};
use crate::global::negatable;
use crate::show::outln;
use crate::vault::{Place, check_name, select, write_new};

negatable! {
    /// Make contexts for the user and for the system account
    MakeContexts, "contexts", "no-contexts", true
}

/// Make an operator, a system account, an account, a user and a server configuration in one step
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// Name of the operator
    #[arg(default_value = "operator")]
    name: String,
    /// Name of the first account
    #[arg(default_value = "APP")]
    account: String,
    /// Name of the first user
    #[arg(default_value = "app")]
    user: String,
    /// Name of the system account
    #[arg(long, default_value = "SYSTEM")]
    system_account: String,
    /// Bind the first user to a role; its rights are those given here
    #[arg(long)]
    role: Option<String>,
    #[command(flatten)]
    rights: RightsArgs,
    /// Directory for the server's configuration and the credentials
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Address that the server listens on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4222")]
    listen: String,
    /// URL at which clients and tools find the server
    #[arg(long, value_name = "URL")]
    service: Vec<String>,
    /// How servers come by accounts
    #[arg(long, value_enum, default_value_t = Resolver::Full)]
    resolver: Resolver,
    /// Let the account store streams
    #[arg(long)]
    jetstream: bool,
    #[command(flatten)]
    contexts: MakeContexts,
}

impl Init {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        self.check(desk)?;
        let service = if self.service.is_empty() {
            vec![format!("nats://{}", reachable(&self.listen))]
        } else {
            self.service.clone()
        };
        self.sign(desk, &service).await?;
        select(&self.name)?;
        self.write(desk)?;
        if self.contexts.is_on() {
            self.make_contexts(&service.join(","))?;
        }
        self.tell();
        Ok(())
    }

    /// Everything that could fail is found before anything is made.
    fn check(&self, desk: &Desk<'_>) -> Result<()> {
        for (kind, name) in [
            ("operator", &self.name),
            ("account", &self.account),
            ("account", &self.system_account),
            ("user", &self.user),
        ] {
            check_name(kind, name)?;
        }
        if self.account == self.system_account {
            bail!("the system account needs another name than the first account");
        }
        if desk.vault.library.has(&self.name, &Place::Operator) {
            bail!("operator {} already exist", self.name);
        }
        if !self.dir.is_dir() {
            bail!("directory {} does not exist", self.dir.display());
        }
        for path in [self.config_path(), self.creds_path(), self.system_creds_path()] {
            if path.exists() {
                bail!("file {} already exist", path.display());
            }
        }
        if !self.listen.contains(':') {
            bail!("--listen wants HOST:PORT, found {:?}", self.listen);
        }
        Ok(())
    }

    async fn sign(&self, desk: &Desk<'_>, service: &[String]) -> Result<()> {
        let mut plan = desk.plan(&self.name).quiet(true);
        let operator = operator::draft(&mut plan, &self.name, &self.system_account, true, |claims| {
            claims.operator_service_urls = service.to_vec();
        })?;
        let key = plan.new_key(Role::Account)?;
        let mut account = AccountClaims::new(key, operator.common.subject);
        self.account.clone_into(&mut account.common.name);
        account.limits.account.disallow_bearer = true;
        if self.jetstream {
            account.limits.jetstream = JetStreamLimits {
                mem_storage: NO_LIMIT,
                disk_storage: NO_LIMIT,
                streams: NO_LIMIT,
                consumer: NO_LIMIT,
                ..JetStreamLimits::default()
            };
        }
        let subject = plan.new_key(Role::User)?;
        let mut user = match &self.role {
            None => {
                let mut user = UserClaims::new(subject, key);
                self.rights.apply(&mut user.rights);
                user
            }
            Some(role) => {
                let signer = plan.new_key(Role::Account)?;
                let mut template = UserRights::unlimited();
                self.rights.apply(&mut template);
                account
                    .signing_keys
                    .add(signer, Some(Scope { role: role.clone(), description: String::new(), template }));
                UserClaims::scoped(subject, signer, key)
            }
        };
        self.user.clone_into(&mut user.common.name);
        plan.edit_account(&self.account, account)?;
        plan.edit_user(&self.account, &self.user, user)?;

        let system = operator.system_account.unwrap_or(key);
        let admin = plan.new_key(Role::User)?;
        let mut admin = UserClaims::new(admin, system);
        "sys".clone_into(&mut admin.common.name);
        plan.edit_user(&self.system_account, "sys", admin)?;
        plan.commit(&Publishing { no_push: true, ..Publishing::default() }).await.map(drop)
    }

    fn write(&self, desk: &Desk<'_>) -> Result<()> {
        let mut text =
            String::from("# Made by nats auth init. Accounts and users come and go without a change here.\n");
        let _ = writeln!(text, "listen: {:?}\n", self.listen);
        if self.jetstream {
            let _ = writeln!(text, "jetstream {{ store_dir: {:?} }}\n", absolute(&self.dir.join("jetstream")));
        }
        text.push_str(&config::text(
            desk,
            &self.name,
            self.resolver,
            Path::new(&absolute(&self.dir.join("jwt"))),
            true,
        )?);
        write_new(&self.config_path(), text.as_bytes(), false)?;
        for (account, user, path) in [
            (&self.account, self.user.as_str(), self.creds_path()),
            (&self.system_account, "sys", self.system_creds_path()),
        ] {
            let chosen = desk.account(Some(&self.name), Some(account))?;
            write_creds(desk, &chosen, user, &path, false, None)?;
        }
        Ok(())
    }

    fn make_contexts(&self, url: &str) -> Result<()> {
        let shelf = Shelf::open()?;
        for (name, path, what) in [
            (self.name.clone(), self.creds_path(), format!("user {} of account {}", self.user, self.account)),
            (format!("{}-sys", self.name), self.system_creds_path(), "the system account".to_owned()),
        ] {
            if shelf.knows(&name) {
                outln!("The context {name:?} is there already and stays as it is");
                continue;
            }
            let record = Record {
                description: format!("Operator {}, {what}", self.name),
                url: url.to_owned(),
                creds: absolute(&path),
                ..Record::default()
            };
            shelf.save(&name, &record)?;
        }
        Ok(())
    }

    fn tell(&self) {
        outln!(
            "Operator {} with system account {}, account {} and user {} is ready:\n",
            self.name,
            self.system_account,
            self.account,
            self.user
        );
        outln!("  {}   the server's configuration", self.config_path().display());
        outln!("  {}   credentials of {}", self.creds_path().display(), self.user);
        outln!("  {}   credentials of the system account", self.system_creds_path().display());
        outln!("\nnext:\n  nats-server -c {}", self.config_path().display());
        let login = match self.contexts.is_on() {
            true => format!("--context {}", self.name),
            false => format!("--creds {}", self.creds_path().display()),
        };
        outln!("  nats sub '>' {login}");
    }

    fn config_path(&self) -> PathBuf {
        self.dir.join("nats-server.conf")
    }

    fn creds_path(&self) -> PathBuf {
        self.dir.join(format!("{}.creds", self.user))
    }

    fn system_creds_path(&self) -> PathBuf {
        self.dir.join("sys.creds")
    }
}

/// Where a server on this machine is reached that listens everywhere.
fn reachable(listen: &str) -> String {
    listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
