//! `subsz`.

use std::collections::HashMap;

use api::monitoring::options::{Page, SubszOptions};
use api::monitoring::{SublistStats, SubscriptionDetail, Subsz};
use broker::{AccountState, SubscriptionFacts, Target};
use subject::Subject;

use super::{Fault, Observatory, PAGE_MAX};

/// What the look-up of an account's subscriptions has been through.
pub(super) fn stats_of(account: &AccountState) -> SublistStats {
    let turns = account.graph.turns();
    SublistStats {
        num_subscriptions: account.subscriptions() as u64,
        num_inserts: turns.entered,
        num_removes: turns.left,
        num_matches: turns.looked_up,
        max_fanout: turns.widest,
        avg_fanout: average(turns.reached as f64, turns.looked_up),
        ..SublistStats::default()
    }
}

fn average(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
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
                    // What other servers want is told where they are.
                    if subscription.target.is_listed()
                        && !matches!(subscription.target, Target::Remote(_))
                        && test.is_none_or(|test| subscription.grant.filter.matches(test))
                    {
                        gathering.meet(&name, || SubscriptionFacts::of(subscription));
                    }
                });
            }
        }
        subsz.total = usize::try_from(gathering.met).unwrap_or(usize::MAX);
        let mut tags = HashMap::new();
        let shown = |(account, facts): &(String, SubscriptionFacts)| {
            let tag = tags.entry(account.clone()).or_insert_with(|| self.tag_of(account));
            SubscriptionDetail { account_tag: Some(tag.clone()), ..detail(facts, Some(account)) }
        };
        subsz.subscriptions_list = gathering.list.iter().map(shown).collect();
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
    let reached = sum.avg_fanout * sum.num_matches as f64 + more.avg_fanout * more.num_matches as f64;
    sum.num_matches += more.num_matches;
    sum.max_fanout = sum.max_fanout.max(more.max_fanout);
    sum.avg_fanout = average(reached, sum.num_matches);
}
