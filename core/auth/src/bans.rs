//! Who is kept out for a time, whatever credentials say: networks, users, accounts.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jwt::Network;
use moment::Timestamp;
use subject::Quoted;

use crate::verdict::Admission;

/// Bans at the same time. One more is refused: whoever needs so many needs a firewall.
pub const BANS_MAX: usize = 10_000;

/// Who is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Banned {
    /// Whoever comes from here.
    Network(Network),
    /// A user, of one account or of any.
    User {
        /// The account; any if absent.
        account: Option<String>,
        /// The name or public key.
        user: String,
    },
    /// Everybody of this account.
    Account(String),
}

impl Banned {
    /// Reads an address as a network of one.
    ///
    /// # Errors
    /// If it is neither an address nor a network.
    pub fn network(text: &str) -> Result<Self, jwt::NotANetwork> {
        let bits = |address: IpAddr| if address.is_ipv4() { 32 } else { 128 };
        let whole = text.parse().map(|address: IpAddr| format!("{address}/{}", bits(address)));
        whole.as_deref().unwrap_or(text).parse().map(Self::Network)
    }

    fn is_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Network(network) if network.contains(address))
    }

    fn is_user(&self, of: &str, name: &str) -> bool {
        match self {
            Self::Network(_) => false,
            Self::User { account, user } => user == name && account.as_ref().is_none_or(|account| account == of),
            Self::Account(account) => account == of,
        }
    }
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "address {network}"),
            Self::User { account: None, user } => write!(f, "user {}", Quoted(user.as_bytes())),
            Self::User { account: Some(account), user } => {
                write!(f, "user {} of account {}", Quoted(user.as_bytes()), Quoted(account.as_bytes()))
            }
            Self::Account(account) => write!(f, "account {}", Quoted(account.as_bytes())),
        }
    }
}

/// One ban.
#[derive(Debug)]
pub struct Ban {
    /// Who.
    pub who: Banned,
    /// Until when.
    pub until: Timestamp,
    /// Since when.
    pub since: Timestamp,
    /// Why, as the administrator put it.
    pub reason: String,
    /// How often it has kept somebody out.
    pub refused: AtomicU64,
}

impl Ban {
    /// Somebody was kept out by it.
    pub fn count(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// The bans that are in force. Immutable but for the counts; a change makes a new set.
#[derive(Debug, Clone, Default)]
pub struct Bans {
    all: Vec<Arc<Ban>>,
}

/// So many bans are in force that there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyBans;

impl Bans {
    /// Nobody is kept out.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The bans that are in force, newest first.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Ban>> {
        self.all.iter().rev().filter(move |ban| ban.until > now)
    }

    /// The same with one more, in the place of an older one of the same; those that are over are gone.
    ///
    /// # Errors
    /// If there are too many.
    pub fn with(&self, ban: Arc<Ban>, now: Timestamp) -> Result<Self, TooManyBans> {
        let mut bans = self.without(&ban.who, now);
        if bans.all.len() >= BANS_MAX {
            return Err(TooManyBans);
        }
        bans.all.push(ban);
        Ok(bans)
    }

    /// The same without this one; those that are over are gone.
    #[must_use]
    pub fn without(&self, who: &Banned, now: Timestamp) -> Self {
        Self { all: self.all.iter().filter(|ban| ban.who != *who && ban.until > now).cloned().collect() }
    }

    /// Whether it is in force.
    pub fn holds(&self, who: &Banned, now: Timestamp) -> bool {
        self.in_force(now).any(|ban| ban.who == *who)
    }

    /// What keeps an address out. It is counted.
    pub fn on_address(&self, address: IpAddr, now: Timestamp) -> Option<&Arc<Ban>> {
        self.find(now, |ban| ban.is_address(address)).inspect(|ban| ban.count())
    }

    /// What keeps somebody out who would be admitted otherwise.
    pub fn on_admission(&self, address: IpAddr, admission: &Admission, now: Timestamp) -> Option<&Arc<Ban>> {
        let (account, user) = (admission.account.name.as_str(), admission.user.name());
        self.find(now, |ban| ban.is_address(address) || ban.is_user(account, user))
    }

    /// Whether somebody who is here is kept out.
    pub fn concerns(&self, address: IpAddr, account: &str, user: &str, now: Timestamp) -> bool {
        self.in_force(now).any(|ban| ban.who.is_address(address) || ban.who.is_user(account, user))
    }

    fn find(&self, now: Timestamp, is_meant: impl Fn(&Banned) -> bool) -> Option<&Arc<Ban>> {
        self.in_force(now).find(|ban| is_meant(&ban.who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ban(who: Banned, until: i64) -> Arc<Ban> {
        let (since, refused) = (Timestamp::EPOCH, AtomicU64::new(0));
        Arc::new(Ban { who, until: Timestamp::from_secs(until), since, reason: String::new(), refused })
    }

    fn user(account: Option<&str>, user: &str) -> Banned {
        Banned::User { account: account.map(str::to_owned), user: user.to_owned() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    #[test]
    fn a_ban_ends_by_itself_and_a_later_one_of_the_same_takes_its_place() {
        let bans = Bans::default().with(ban(user(None, "joe"), 10), at(0)).unwrap();
        let address = "10.1.2.3".parse().unwrap();
        assert!(bans.concerns(address, "A", "joe", at(9)));
        assert!(!bans.concerns(address, "A", "joe", at(10)));
        let bans = bans.with(ban(user(None, "joe"), 5), at(0)).unwrap();
        assert!(!bans.concerns(address, "A", "joe", at(6)));
        assert_eq!(bans.in_force(at(0)).count(), 1);
    }

    #[test]
    fn who_is_meant_and_who_is_not() {
        let bans = [Banned::network("10.0.0.0/8").unwrap(), user(Some("A"), "joe"), Banned::Account("B".to_owned())];
        let bans = bans.into_iter().fold(Bans::default(), |bans, who| bans.with(ban(who, 10), at(0)).unwrap());
        let (inside, outside) = ("::ffff:10.9.9.9".parse().unwrap(), "11.0.0.1".parse().unwrap());
        assert!(bans.concerns(inside, "C", "ann", at(1)));
        assert!(!bans.concerns(outside, "C", "ann", at(1)));
        assert!(bans.concerns(outside, "A", "joe", at(1)) && !bans.concerns(outside, "C", "joe", at(1)));
        assert!(bans.concerns(outside, "B", "ann", at(1)));
        assert!(bans.on_address(inside, at(1)).is_some() && bans.on_address(outside, at(1)).is_none());
        let counted = bans.in_force(at(1)).last().unwrap().refused.load(Ordering::Relaxed);
        assert_eq!(counted, 1);
    }

    #[test]
    fn there_are_not_too_many_and_those_that_are_over_make_room() {
        let mut bans = Bans::default();
        for number in 0..BANS_MAX {
            bans.all.push(ban(user(None, &number.to_string()), 10));
        }
        assert!(bans.with(ban(user(None, "joe"), 10), at(1)).is_err());
        assert!(bans.with(ban(user(None, "7"), 10), at(1)).is_ok(), "the same again");
        assert!(bans.with(ban(user(None, "joe"), 20), at(10)).is_ok());
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        assert_eq!(Banned::network("10.0.0.1").unwrap().to_string(), "address 10.0.0.1/32");
        assert_eq!(Banned::network("::1").unwrap().to_string(), "address ::1/128");
        assert!(Banned::network("here").is_err() && Banned::network("10.0.0.1/33").is_err());
    }
}
