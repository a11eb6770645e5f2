//! What was refused lately, for whoever looks at the dashboard.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use api::monitoring::{BanDetail, CertificateDetail, RefusalDetail, Trustz};
use audit::{Class, Record};
use moment::Timestamp;

/// Refusals that are remembered.
const RECENT_MAX: usize = 100;

/// Refusals since the start.
#[derive(Default)]
pub struct Trust {
    refused_logins: AtomicU64,
    denials: AtomicU64,
    pinned_account_fails: AtomicU64,
    recent: Mutex<VecDeque<(Timestamp, Record)>>,
}

impl Trust {
    /// Notes something that was refused.
    pub fn note(&self, record: Record, now: Timestamp) {
        let count = if record.class == Class::Login { &self.refused_logins } else { &self.denials };
        count.fetch_add(1, Ordering::Relaxed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(RECENT_MAX - 1);
        recent.push_front((now, record.bounded()));
    }

    /// A login was refused because its account is not among the pinned ones.
    pub fn note_not_pinned(&self) {
        self.pinned_account_fails.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of these there were.
    pub fn pinned_account_fails(&self) -> u64 {
        self.pinned_account_fails.load(Ordering::Relaxed)
    }

    /// The document, with the certificates and bans that it does not know.
    pub fn document(&self, certificates: Vec<CertificateDetail>, bans: Vec<BanDetail>) -> Trustz {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Trustz {
            refused_logins: self.refused_logins.load(Ordering::Relaxed),
            denials: self.denials.load(Ordering::Relaxed),
            recent: recent.iter().map(|(time, record)| detail(*time, record.clone())).collect(),
            bans,
            certificates,
        }
    }
}

fn detail(time: Timestamp, record: Record) -> RefusalDetail {
    let Record { class, account, user, from, what, rule, .. } = record;
    RefusalDetail { time: time.to_string(), class: class.word(), account, user, from, what, rule }
}

#[cfg(test)]
mod tests {
    use audit::Outcome;

    use super::*;

    #[test]
    fn the_newest_come_first_and_no_more_than_there_is_room_for() {
        let trust = Trust::default();
        let refused = |user: String| Record { user, ..Record::new(Class::Login, Outcome::Refused) };
        (0..250).for_each(|user| trust.note(refused(user.to_string()), Timestamp::EPOCH));
        trust.note(Record::new(Class::Denial, Outcome::Refused), Timestamp::EPOCH);
        let document = trust.document(Vec::new(), Vec::new());
        assert_eq!((document.refused_logins, document.denials, document.recent.len()), (250, 1, RECENT_MAX));
        assert_eq!((document.recent[0].class, document.recent[1].user.as_str()), ("denial", "249"));
    }
}
