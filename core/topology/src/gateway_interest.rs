//! Who wants what in another cluster, per account, seen from both ends of a gateway.
//!
//! Old servers are *optimistic*: they send until they are told that nobody wants it. Since that leaks traffic and costs
//! memory, servers say in INFO that they are in *interest-only* mode from the start.

use std::collections::{BTreeMap, BTreeSet};

use subject::{Filter, Subject};

/// Subjects nobody wants that are remembered for an account. Beyond it the account goes to interest-only mode.
pub const MAX_NO_INTEREST: usize = 1000;

/// How interest of an account is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterestMode {
    /// Sent unless refused.
    Optimistic,
    /// All interest is on its way.
    Transitioning,
    /// Sent only if asked for.
    InterestOnly,
}

/// Plain interest or that of a queue group.
pub type QueueName = Option<Box<[u8]>>;

/// A filter, and the queue group that wants it.
type Key = (Box<[u8]>, QueueName);

/// What the sending end knows of one account over there.
#[derive(Clone, Debug)]
pub struct OutboundAccount {
    mode: InterestMode,
    nobody_wants: BTreeSet<Box<[u8]>>,
    wanted: BTreeMap<Key, (Filter, u32)>,
}

/// What the sending end knows of a whole gateway.
#[derive(Clone, Debug)]
pub struct OutboundInterest {
    interest_only: bool,
    /// `None`: the account wants nothing at all.
    accounts: BTreeMap<String, Option<OutboundAccount>>,
}

/// Whether a message is to be sent over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Somebody outside queue groups wants it, or may want it.
    pub plain: bool,
    /// The queue groups that want it.
    pub queues: Vec<Box<[u8]>>,
}

impl OutboundInterest {
    /// Nothing known. `interest_only` is what the peer said in its INFO.
    pub const fn new(interest_only: bool) -> Self {
        Self { interest_only, accounts: BTreeMap::new() }
    }

    /// `A+`: the account may want something again.
    pub fn account_wants(&mut self, account: &str) {
        let has_queues = self.accounts.get(account).is_some_and(|known| known.as_ref().is_some_and(has_queues));
        if !has_queues {
            self.accounts.remove(account);
        }
    }

    /// `A-`: the account wants nothing, queue groups excepted.
    pub fn account_wants_nothing(&mut self, account: &str) {
        match self.accounts.get_mut(account) {
            Some(Some(known)) if has_queues(known) => known.nobody_wants.clear(),
            _ => {
                self.accounts.insert(account.to_owned(), None);
            }
        }
    }

    /// `RS+`. `true` if something new is wanted.
    pub fn subscribe(&mut self, account: &str, filter: Filter, queue: QueueName, weight: u32) -> bool {
        if queue.is_none() && !matches!(self.accounts.get(account), Some(Some(_))) {
            if self.interest_only {
                self.accounts.insert(account.to_owned(), Some(OutboundAccount::new(InterestMode::InterestOnly)));
            } else {
                // Without an entry the account is optimistic already.
                return false;
            }
        }
        let mode = if self.interest_only { InterestMode::InterestOnly } else { InterestMode::Optimistic };
        let entry = self.accounts.entry(account.to_owned()).or_default();
        let known = entry.get_or_insert_with(|| OutboundAccount::new(mode));
        if queue.is_none() && known.mode == InterestMode::Optimistic {
            known.wants_again(&filter);
            return false;
        }
        known.wanted.insert((filter.as_bytes().into(), queue), (filter, weight)).is_none()
    }

    /// `RS-`. `true` if something is no longer wanted.
    pub fn unsubscribe(&mut self, account: &str, subject: &[u8], queue: QueueName) -> bool {
        let optimistic = !self.interest_only && queue.is_none();
        let known = match self.accounts.get_mut(account) {
            Some(Some(known)) => known,
            Some(None) => return false,
            None if optimistic => {
                let fresh = OutboundAccount::new(InterestMode::Optimistic);
                match self.accounts.entry(account.to_owned()).or_insert(Some(fresh)) {
                    Some(known) => known,
                    None => return false,
                }
            }
            None => return false,
        };
        if optimistic && known.mode == InterestMode::Optimistic {
            return known.nobody_wants_subject(subject);
        }
        known.wanted.remove(&(subject.into(), queue)).is_some()
    }

    /// All interest of the account follows.
    pub fn all_follows(&mut self, account: &str) {
        let known = self.accounts.entry(account.to_owned()).or_default();
        known.get_or_insert_with(|| OutboundAccount::new(InterestMode::Transitioning)).mode =
            InterestMode::Transitioning;
    }

    /// All interest of the account was sent.
    pub fn all_sent(&mut self, account: &str) {
        if let Some(Some(known)) = self.accounts.get_mut(account) {
            known.mode = InterestMode::InterestOnly;
            known.nobody_wants.clear();
        }
    }

    /// How interest of an account is told.
    pub fn mode(&self, account: &str) -> InterestMode {
        let usual = if self.interest_only { InterestMode::InterestOnly } else { InterestMode::Optimistic };
        self.accounts.get(account).and_then(Option::as_ref).map_or(usual, |known| known.mode)
    }

    /// Who wants a message over there.
    pub fn wanted(&self, account: &str, subject: Subject<'_>) -> Wanted {
        match self.accounts.get(account) {
            Some(None) => Wanted::default(),
            None => Wanted { plain: !self.interest_only, queues: Vec::new() },
            Some(Some(known)) => known.wanted(subject, self.interest_only),
        }
    }
}

fn has_queues(known: &OutboundAccount) -> bool {
    known.wanted.keys().any(|(_, queue)| queue.is_some())
}

impl OutboundAccount {
    const fn new(mode: InterestMode) -> Self {
        Self { mode, nobody_wants: BTreeSet::new(), wanted: BTreeMap::new() }
    }

    /// A wildcard takes back every refusal it covers.
    fn wants_again(&mut self, filter: &Filter) {
        self.nobody_wants.retain(|subject| !Filter::parse(subject).is_ok_and(|refused| filter.covers(&refused)));
    }

    /// A peer that refuses more than it may is not remembered further: it gets messages it does not want.
    fn nobody_wants_subject(&mut self, subject: &[u8]) -> bool {
        self.nobody_wants.len() < 2 * MAX_NO_INTEREST && self.nobody_wants.insert(subject.into())
    }

    fn wanted(&self, subject: Subject<'_>, interest_only: bool) -> Wanted {
        let refusals_count = !interest_only && self.mode != InterestMode::InterestOnly;
        let mut wanted =
            Wanted { plain: refusals_count && !self.nobody_wants.contains(subject.as_bytes()), queues: Vec::new() };
        for ((_, queue), (filter, _)) in &self.wanted {
            if filter.matches(subject) {
                match queue {
                    None => wanted.plain = true,
                    Some(name) if !wanted.queues.contains(name) => wanted.queues.push(name.clone()),
                    Some(_) => {}
                }
            }
        }
        wanted
    }
}

/// What the receiving end has told of one account.
#[derive(Clone, Debug)]
enum Told {
    /// That it wants nothing.
    Nothing,
    /// That nobody wants these subjects.
    NotThese(BTreeSet<Box<[u8]>>),
    /// Everything it wants.
    All,
}

/// What the receiving end has told over one inbound connection.
#[derive(Clone, Debug, Default)]
pub struct InboundInterest {
    accounts: BTreeMap<String, Told>,
}

/// What the receiving end says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// `A+`.
    AccountWants,
    /// `A-`.
    AccountWantsNothing,
    /// `RS+`.
    Wants,
    /// `RS-`.
    WantsNot,
    /// All interest, between the two commands.
    AllInterest,
}

impl InboundInterest {
    /// The account is told in full from here on. `true` if it is not already.
    pub fn switch_to_interest_only(&mut self, account: &str) -> bool {
        !matches!(self.accounts.insert(account.to_owned(), Told::All), Some(Told::All))
    }

    /// A message came that nobody wants. `account_wants_any` tells whether the account has any interest at all.
    pub fn on_unwanted(&mut self, account: &str, subject: &[u8], account_wants_any: bool) -> Option<Tell> {
        match self.accounts.get_mut(account) {
            Some(Told::Nothing | Told::All) => None,
            None if !account_wants_any => {
                self.accounts.insert(account.to_owned(), Told::Nothing);
                Some(Tell::AccountWantsNothing)
            }
            None => {
                self.accounts.insert(account.to_owned(), Told::NotThese(BTreeSet::from([subject.into()])));
                Some(Tell::WantsNot)
            }
            Some(Told::NotThese(subjects)) => {
                if !subjects.insert(subject.into()) {
                    return None;
                }
                if subjects.len() > MAX_NO_INTEREST {
                    self.accounts.insert(account.to_owned(), Told::All);
                    return Some(Tell::AllInterest);
                }
                Some(Tell::WantsNot)
            }
        }
    }

    /// Interest outside queue groups came up (0 to 1) or went (1 to 0).
    pub fn on_change(&mut self, account: &str, filter: &Filter, added: bool) -> Option<Tell> {
        match (self.accounts.get_mut(account), added) {
            (Some(Told::All), true) => Some(Tell::Wants),
            (Some(Told::All), false) => Some(Tell::WantsNot),
            (Some(Told::Nothing), true) => {
                self.accounts.remove(account);
                Some(Tell::AccountWants)
            }
            (Some(Told::NotThese(subjects)), true) => {
                let before = subjects.len();
                subjects.retain(|subject| !Filter::parse(subject).is_ok_and(|refused| filter.covers(&refused)));
                (subjects.len() < before).then_some(Tell::Wants)
            }
            (_, _) => None,
        }
    }
}
