//! `subsz`.

use api::monitoring::options::{Page, SubszOptions};
use api::monitoring::{SublistStats, SubscriptionDetail, Subsz};
use broker::{AccountState, SubscriptionFacts};
use subject::Subject;

use super::{Fault, Observatory, PAGE_MAX};

/// What the look-up of an account's subscriptions has been through.
pub(super) fn stats_of(account: &AccountState) -> SublistStats {
    let (entered, left, looked_up) = account.graph.turnover();
    SublistStats {
        num_subscriptions: account.subscriptions() as u64,
        num_inserts: entered,
        num_removes: left,
        num_matches: looked_up,
        ..SublistStats::default()
    }
}

/// A subscription as it is shown.
pub(super) fn detail(facts: &SubscriptionFacts, account: Option<&str>) -> SubscriptionDetail {
    SubscriptionDetail {
        account: account.map(str::to_owned),
        account_tag: account.map(str::to_owned),
        subject: facts.filter.to_string(),
        qgroup: facts.queue.as_ref().map(ToString::to_string),
        sid: String::from_utf8_lossy(&facts.sid).into_owned(),
        msgs: facts.delivered,
        max: facts.max,
        cid: facts.connection,
    }
}

/// A page of a list that is met one by one.
struct Gathering {
    page: Page,
    met: u64,
    list: Vec<(String, SubscriptionFacts)>,
}

impl Gathering {
    fn meet(&mut self, account: &str, facts: impl FnOnce() -> SubscriptionFacts) {
        let most = usize::try_from(self.page.limit).unwrap_or(usize::MAX).min(PAGE_MAX);
        if self.met >= self.page.offset && self.list.len() < most {
            self.list.push((account.to_owned(), facts()));
        }
        self.met += 1;
    }
}

impl Observatory {
    /// The subscriptions of the server, or a page of them.
    ///
    /// # Errors
    /// If what is asked for makes no sense.
    pub fn subsz(&self, options: &SubszOptions) -> Result<Subsz, Fault> {
        let SubszOptions { page, subscriptions: shows, account, .. } = options;
        let (page, shows) = (*page, *shows);
        let test = tested(&options.test)?;
        let mut subsz = Subsz {
            server_id: self.server_id(),
            now: self.now(),
            offset: page.offset,
            limit: page.limit,
            ..Subsz::default()
        };
        let mut gathering = Gathering { page, met: 0, list: Vec::new() };
        for state in self.hub.accounts() {
            let name = state.settings().name.to_string();
            if !account.is_empty() && name != *account {
                continue;
            }
            add(&mut subsz.stats, &stats_of(&state));
            if shows {
                state.graph.for_each(&mut |subscription| {
                    if subscription.target.is_listed()
                        && test.is_none_or(|test| subscription.grant.filter.matches(test))
                    {
                        gathering.meet(&name, || SubscriptionFacts::of(subscription));
                    }
                });
            }
        }
        subsz.total = usize::try_from(gathering.met).unwrap_or(usize::MAX);
        subsz.subscriptions_list = gathering.list.iter().map(|(account, facts)| detail(facts, Some(account))).collect();
        Ok(subsz)
    }
}

/// The subject whose subscriptions are asked for.
fn tested(text: &str) -> Result<Option<Subject<'_>>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    match Subject::parse(text.as_bytes()) {
        Ok(subject) if subject.is_literal() => Ok(Some(subject)),
        _ => Err(Fault(format!("invalid test subject, must be valid publish subject: {text}"))),
    }
}

fn add(sum: &mut SublistStats, more: &SublistStats) {
    sum.num_subscriptions += more.num_subscriptions;
    sum.num_inserts += more.num_inserts;
    sum.num_removes += more.num_removes;
    sum.num_matches += more.num_matches;
}
