//! `nats auth doctor`: the whole chain, link by link.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use jwt::{Common, Issues};
use serde::Serialize;
use serde_json::Value;

use crate::command::auth::desk::{Chosen, Desk, now};
use crate::command::auth::live::{self, Target};
use crate::command::auth::plan::Publishing;
use crate::command::auth::show::moment;
use crate::command::dig::Dig;
use crate::command::gather::{Question, ask_servers};
use crate::failure::Ended;
use crate::link::Link;
use crate::parse::duration;
use crate::show::{Table, cells, humanize, outln, print_json};
use crate::vault::{Form, Place};

/// Clocks that differ by more make claims early or late.
const MAX_CLOCK_SECS: i64 = 2;

/// Check the whole chain: keys, claims, clocks, servers
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Operator to check
    operator: Option<String>,
    /// Warn of what expires sooner
    #[arg(long, value_parser = duration, value_name = "DURATION", default_value = "30d")]
    expiry: Duration,
    /// Do not ask the servers
    #[arg(long)]
    offline: bool,
    /// Produce JSON output
    #[arg(long, short = 'j')]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Broken,
}

#[derive(Serialize)]
struct Finding {
    verdict: Verdict,
    what: String,
    finding: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

/// What was found so far.
#[derive(Default)]
struct Chart(Vec<Finding>);

impl Chart {
    fn ok(&mut self, what: &str, finding: impl Into<String>) {
        self.note(Verdict::Ok, what, finding, "");
    }

    fn warn(&mut self, what: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.note(Verdict::Warning, what, finding, remedy);
    }

    fn broken(&mut self, what: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.note(Verdict::Broken, what, finding, remedy);
    }

    fn note(&mut self, verdict: Verdict, what: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { verdict, what: what.to_owned(), finding: finding.into(), remedy: remedy.into() });
    }

    fn worst(&self) -> Verdict {
        self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
    }

    fn print(&self) {
        let mut table = Table::new("", &["", "What", "Finding", "Remedy"]);
        for finding in &self.0 {
            let mark = match finding.verdict {
                Verdict::Ok => "✓",
                Verdict::Warning => "!",
                Verdict::Broken => "X",
            };
            table.row(cells![mark, finding.what, finding.finding, finding.remedy]);
        }
        table.print();
        let count = |verdict| self.0.iter().filter(|finding| finding.verdict == verdict).count();
        outln!(
            "{} fine, {} to look at, {} broken",
            count(Verdict::Ok),
            count(Verdict::Warning),
            count(Verdict::Broken)
        );
    }
}

impl Doctor {
    pub(crate) async fn run(self, desk: &Desk<'_>) -> Result<()> {
        let operator = desk.operator(self.operator.as_deref())?;
        let mut chart = Chart::default();
        self.look_at_keystore(desk, &mut chart)?;
        self.look_at_operator(desk, &operator, &mut chart)?;
        let mut accounts = Vec::new();
        for name in desk.vault.library.accounts(&operator)? {
            match desk.account(Some(&operator), Some(&name)) {
                Ok(chosen) => {
                    self.look_at_account(desk, &chosen, &mut chart)?;
                    accounts.push(chosen);
                }
                Err(error) => {
                    chart.broken(&format!("account {name}"), format!("{error:#}"), "restore its token from a backup")
                }
            }
        }
        if !self.offline {
            self.look_at_servers(desk, &operator, &accounts, &mut chart).await;
        }
        match self.json {
            true => print_json(&chart.0)?,
            false => chart.print(),
        }
        if chart.worst() == Verdict::Broken { Err(Ended(1).into()) } else { Ok(()) }
    }

    fn look_at_keystore(&self, desk: &Desk<'_>, chart: &mut Chart) -> Result<()> {
        let keys = &desk.vault.keys;
        let bare = keys.names()?.iter().filter(|(_, is_sealed)| !is_sealed).count();
        match keys.form()? {
            Form::New => chart.warn("keystore", "holds no keys", "import them with nats auth keystore add"),
            Form::Plain => {
                chart.warn("keystore", format!("{bare} seed(s) lie bare on disk"), "nats auth keystore seal")
            }
            Form::Sealed if bare > 0 => {
                chart.warn("keystore", format!("{bare} of the seeds lie bare on disk"), "nats auth keystore seal")
            }
            Form::Sealed => chart.ok("keystore", "sealed"),
        }
        Ok(())
    }

    fn look_at_operator(&self, desk: &Desk<'_>, name: &str, chart: &mut Chart) -> Result<()> {
        let what = format!("operator {name}");
        let claims = desk.vault.library.operator(name)?;
        self.judge(&what, &claims.validate(now()), &claims.common, chart);
        if claims.common.issuer != claims.common.subject {
            chart.broken(
                &what,
                format!("signed by {}, which is not its own key", claims.common.issuer),
                "restore its token from a backup",
            );
        }
        let holds = |key: &nkeys::PublicKey| desk.vault.keys.has(&key.to_string());
        let signers = claims.signing_keys.iter().filter(|key| holds(key)).count();
        match (signers, holds(&claims.common.subject), claims.strict_signing_key_usage) {
            (0, false, _) | (0, true, true) => {
                chart.warn(&what, "no key here that signs accounts", "use --sign-request, or nats auth keystore add")
            }
            (0, true, false) => chart.warn(
                &what,
                "accounts are signed by the identity key, which cannot be replaced",
                "nats auth operator keys add",
            ),
            (count, ..) => chart.ok(&what, format!("{count} signing key(s) here")),
        }
        match claims.system_account {
            None => chart.broken(
                &what,
                "no system account, so nothing can be pushed",
                "nats auth operator edit --system-account ACCOUNT",
            ),
            Some(key) if desk.name_of(name, &key) == key.to_string() => {
                chart.broken(
                    &what,
                    format!("the system account {key} is not kept here"),
                    "restore its token from a backup",
                );
            }
            Some(key) => chart.ok(&what, format!("system account {}", desk.name_of(name, &key))),
        }
        Ok(())
    }

    fn look_at_account(&self, desk: &Desk<'_>, chosen: &Chosen, chart: &mut Chart) -> Result<()> {
        let what = format!("account {}", chosen.account);
        let (claims, operator) = (&chosen.claims, desk.vault.library.operator(&chosen.operator)?);
        self.judge(&what, &claims.validate(now()), &claims.common, chart);
        if !operator.may_sign(&claims.common.issuer) {
            let again = format!("sign it again with nats auth account edit {}", chosen.account);
            chart.broken(
                &what,
                format!("signed by {}, which the operator does not know (any more)", claims.common.issuer),
                again,
            );
        }
        for import in &claims.imports {
            let from = desk.name_of(&chosen.operator, &import.account);
            let Ok(exporter) = desk.vault.library.account(&chosen.operator, &from) else { continue };
            let subject = import.exported_subject();
            let is_offered = exporter.exports.iter().any(|export| {
                let parsed =
                    (subject::Filter::parse(export.subject.as_bytes()), subject::Filter::parse(subject.as_bytes()));
                export.sharing == import.sharing && matches!(parsed, (Ok(export), Ok(import)) if export.covers(&import))
            });
            if !is_offered {
                chart.broken(
                    &what,
                    format!("imports {subject:?}, which account {from} does not export"),
                    "nats auth account exports add",
                );
            }
        }
        for user in desk.vault.library.users(&chosen.operator, &chosen.account)? {
            self.look_at_user(desk, chosen, &user, operator.strict_signing_key_usage, chart);
        }
        Ok(())
    }

    fn look_at_user(&self, desk: &Desk<'_>, chosen: &Chosen, name: &str, is_strict: bool, chart: &mut Chart) {
        let what = format!("user {name} of {}", chosen.account);
        let claims = match desk.vault.library.user(&chosen.operator, &chosen.account, name) {
            Ok(claims) => claims,
            Err(error) => return chart.broken(&what, format!("{error:#}"), "restore its token from a backup"),
        };
        self.judge(&what, &claims.validate(now()), &claims.common, chart);
        let issuer = claims.common.issuer;
        if !chosen.claims.may_sign(&issuer) {
            chart.broken(
                &what,
                format!("signed by {issuer}, which the account does not know (any more)"),
                "nats auth user rm, then add",
            );
        } else if is_strict && issuer == chosen.claims.common.subject {
            chart.broken(
                &what,
                "signed by the account's identity key, and the operator wants signing keys",
                "nats auth user rm, then add --key ROLE",
            );
        }
        if chosen.claims.revocations.hit(&claims.common.subject, claims.common.issued_at) {
            chart.warn(&what, "revoked", "nats auth user rotate gives a new key, nats auth user rm forgets it");
        }
        let creds = desk.vault.keys.creds_path(&chosen.operator, &chosen.account, name);
        if creds.is_file() {
            chart.warn(
                &what,
                format!("its credentials lie bare in {}", creds.display()),
                "remove the file when nsc is not used any more",
            );
        }
    }

    /// The claims themselves: what is wrong, what ends soon.
    fn judge(&self, what: &str, issues: &Issues, common: &Common, chart: &mut Chart) {
        for issue in issues.iter() {
            match issue.severity {
                jwt::Severity::Warning => chart.warn(what, issue.text.as_str(), ""),
                _ => {
                    chart.broken(what, issue.text.as_str(), "change the claims, or sign them again with a new --expiry")
                }
            }
        }
        let left = common.expires.saturating_sub(now());
        if common.expires > 0 && left > 0 {
            let span = Duration::from_secs(left.unsigned_abs());
            let text = format!("expires in {} ({})", humanize(span), moment(common.expires));
            if span < self.expiry {
                chart.warn(what, text, "give it a later end before that")
            } else {
                chart.ok(what, text)
            }
        } else if !issues.is_blocking_now() {
            chart.ok(what, "valid, does not expire");
        }
        if common.issued_at > now() + MAX_CLOCK_SECS {
            chart.warn(
                what,
                format!("issued in the future ({})", moment(common.issued_at)),
                "set this machine's clock",
            );
        }
    }

    async fn look_at_servers(&self, desk: &Desk<'_>, operator: &str, accounts: &[Chosen], chart: &mut Chart) {
        let settings = match Target::of(desk, operator, &Publishing::default()) {
            Target::Servers(settings) => settings,
            Target::Nowhere(why) => {
                return chart.warn("servers", format!("not asked: {why}"), "--server URL, or --offline");
            }
        };
        match live::connect(desk, operator, &settings).await {
            Err(error) => chart.broken("servers", format!("{error:#}"), "--offline leaves them out"),
            Ok(link) => {
                look_at_clocks(desk, &link, chart).await;
                for chosen in accounts {
                    look_at_live(desk, &link, chosen, chart).await;
                }
            }
        }
    }
}

async fn look_at_clocks(desk: &Desk<'_>, link: &Link, chart: &mut Chart) {
    let question = Question { subject: "$SYS.REQ.SERVER.PING", body: Value::Null, expect: 0 };
    match ask_servers(desk.invocation, link, &question).await {
        Err(error) => chart.broken("servers", format!("{error:#}"), "log in as a user of the system account"),
        Ok(answers) => {
            for answer in &answers {
                let what = format!("server {}", answer.text("server.name"));
                let Some(at) = answer.time("server.time") else { continue };
                let apart = at.as_second() - now();
                if apart.abs() > MAX_CLOCK_SECS {
                    chart.broken(
                        &what,
                        format!("its clock is {apart} s apart from this machine's"),
                        "set the clocks: claims are judged by time",
                    );
                } else {
                    chart.ok(&what, format!("version {}, clock agrees", answer.text("server.ver")));
                }
            }
        }
    }
}

async fn look_at_live(desk: &Desk<'_>, link: &Link, chosen: &Chosen, chart: &mut Chart) {
    let what = format!("account {}", chosen.account);
    let push = format!("nats auth account push {}", chosen.account);
    let place = Place::Account(chosen.account.clone());
    let Ok(kept) = desk.vault.library.token(&chosen.operator, &place) else { return };
    match live::look_up(desk, link, &chosen.claims.common.subject.to_string()).await {
        Err(error) => chart.broken(&what, format!("servers: {error:#}"), ""),
        Ok(None) => {
            chart.warn(&what, "the servers keep no claims of it, or read accounts from their configuration", push)
        }
        Ok(Some(live)) if live == kept => chart.ok(&what, "the servers have what is kept here"),
        Ok(Some(live)) => {
            let at = |token: &str| jwt::Glance::of(token).map_or(0, |glance| glance.issued_at);
            let (theirs, ours) = (at(&live), at(&kept));
            if theirs > ours {
                chart.broken(
                    &what,
                    format!("the servers have newer claims ({}) than are kept here ({})", moment(theirs), moment(ours)),
                    format!("nats auth account query {} shows them", chosen.account),
                );
            } else {
                chart.broken(
                    &what,
                    format!("the servers have older claims ({}) than are kept here ({})", moment(theirs), moment(ours)),
                    push,
                );
            }
        }
    }
}
