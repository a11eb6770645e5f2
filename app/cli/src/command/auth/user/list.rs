//! `nats auth user info` and `ls`.

use anyhow::Result;
use clap::Args;

use crate::command::auth::desk::Desk;
use crate::command::auth::show;
use crate::show::{Table, cells, comma, outln, print_json};

#[derive(Args, Debug)]
pub(crate) struct Info {
    /// Name of the user
    name: Option<String>,
    /// Account to query
    account: Option<String>,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Ls {
    /// Account to query
    account: Option<String>,
    /// Show just the user names
    #[arg(long)]
    names: bool,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

impl Info {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let name = desk.user(&chosen, self.name.as_deref())?;
        let claims = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
        if self.json {
            return print_json(&claims.to_json());
        }
        show::user(&name, &claims, &chosen.claims).print();
        Ok(())
    }
}

impl Ls {
    pub(crate) fn run(self, desk: &Desk<'_>) -> Result<()> {
        let chosen = desk.account(None, self.account.as_deref())?;
        let names = desk.vault.library.users(&chosen.operator, &chosen.account)?;
        if self.json {
            return print_json(&names);
        }
        if names.is_empty() {
            outln!("No users found");
            return Ok(());
        }
        if self.names {
            names.iter().for_each(|name| outln!("{name}"));
            return Ok(());
        }
        let header = &["Name", "Subject", "Scoped", "Sub Perms", "Pub Perms", "Max Subscriptions", "Revoked"];
        let mut table = Table::new(format!("Users in account {}", chosen.account), header);
        for name in names {
            let user = desk.vault.library.user(&chosen.operator, &chosen.account, &name)?;
            let scope = chosen.claims.signing_keys.get(&user.common.issuer).flatten();
            let rights = scope.map_or(&user.rights, |scope| &scope.template);
            let mark = |is_so: bool| if is_so { "✓" } else { "" };
            let has = |one: &jwt::Permission| mark(!one.allow.is_empty() || !one.deny.is_empty());
            let subs = jwt::bound(rights.limits.subs).map_or_else(|| "Unlimited".to_owned(), comma);
            let is_revoked = chosen.claims.revocations.hit(&user.common.subject, user.common.issued_at);
            table.row(cells![
                name,
                user.common.subject.to_string(),
                scope.is_some(),
                has(&rights.permissions.subscribe),
                has(&rights.permissions.publish),
                subs,
                mark(is_revoked),
            ]);
        }
        table.print();
        Ok(())
    }
}
