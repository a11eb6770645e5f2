//! `/subsz`.

use api::monitoring::{SublistStats, SubscriptionDetail, Subsz};
use broker::{AccountState, SubscriptionFacts};
use subject::Subject;

use crate::answer::Answer;
use crate::pages::{House, PAGE_MAX};
use crate::query::{Fault, Page, Query};

/// What the look-up of an account's subscriptions has been through.
pub(super) fn stats_of(account: &AccountState) -> SublistStats {
    let (entered, left, looked_up) = account.graph.turnover();
    SublistStats {
        num_subscriptions: account.graph.len() as u64,
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

impl House {
    pub(super) fn subsz(&self, query: &Query) -> Result<Answer, Fault> {
        let shows = query.flag("subs")?;
        let page = query.page()?;
        let (account, test) = (query.text("acc"), query.text("test"));
        let test = tested(test)?;
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
            if !account.is_empty() && name != account {
                continue;
            }
            add(&mut subsz.stats, &stats_of(&state));
            if shows {
                state.graph.for_each(&mut |subscription| {
                    if test.is_none_or(|test| subscription.grant.filter.matches(test)) {
                        gathering.meet(&name, || SubscriptionFacts::of(subscription));
                    }
                });
            }
        }
        subsz.total = usize::try_from(gathering.met).unwrap_or(usize::MAX);
        subsz.subscriptions_list = gathering.list.iter().map(|(account, facts)| detail(facts, Some(account))).collect();
        Ok(Answer::document(&subsz))
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
