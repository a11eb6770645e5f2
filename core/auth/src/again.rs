//! Judging again: whoever proved who it is need not prove it anew because something else has changed.
//!
//! A reload has every connection judged again. Where users have hashed passwords or keys, that would be a hash or a
//! signature for each, on threads that have logins to judge; and until its turn came a connection would keep what it may
//! no longer do. What was proven still holds if what it was compared with is the same in both directories.

use crate::attempt::{Attempt, UserLabel};
use crate::authenticate::{admit, may_connect};
use crate::directory::Directory;
use crate::verdict::{Admission, Proof, Refusal, Verdict};

/// The verdict about an attempt that the older directory admitted, if it can be had without proving anything anew.
/// Nothing where it cannot: then [`authenticate`](crate::authenticate) decides.
pub fn authenticate_again(
    directory: &Directory,
    older: &Directory,
    attempt: &Attempt,
    admitted: &Admission,
) -> Option<Verdict> {
    let is_plain =
        |directory: &Directory| directory.operators.is_none() && directory.callout.is_none() && !directory.has_single();
    let said = &attempt.credentials;
    let is_simple = is_plain(directory) && is_plain(older) && said.proxy_signature.is_none() && !said.names_account;
    if !is_simple || !directory.requires_auth_of(attempt.kind) {
        return None;
    }
    let found = match (&admitted.by, &admitted.user) {
        (Proof::Signature, UserLabel::Nkey(nkey)) => by_nkey(directory, attempt, nkey)?,
        (Proof::Password, UserLabel::User(name)) => by_password(directory, older, attempt, name)?,
        _ => return None,
    };
    Some(found.map_or_else(Verdict::Refuse, Verdict::Admit))
}

/// The key is the user's name: it is the one that was proven.
fn by_nkey(directory: &Directory, attempt: &Attempt, nkey: &str) -> Option<Result<Admission, Refusal>> {
    let user = directory.nkeys.get(nkey)?;
    if directory.is_anonymous(nkey, attempt.kind) || attempt.credentials.nkey.as_deref() != Some(nkey) {
        return None;
    }
    let label = UserLabel::Nkey(nkey.to_owned());
    let may = may_connect(&user.common, &label, attempt, false);
    Some(may.map(|()| admit(&user.common, label, Proof::Signature)))
}

fn by_password(
    directory: &Directory,
    older: &Directory,
    attempt: &Attempt,
    name: &str,
) -> Option<Result<Admission, Refusal>> {
    // Whoever shows more than a name and a password may be somebody else by now.
    let shows_more = attempt.credentials.nkey.is_some() || attempt.certificate.is_some();
    let (user, before) = (directory.users.get(name)?, older.users.get(name)?);
    if shows_more || !user.password().is_same_hash(before.password()) || directory.maps_certificates(attempt.kind) {
        return None;
    }
    let label = UserLabel::User(name.to_owned());
    let may = may_connect(&user.common, &label, attempt, false);
    Some(may.map(|()| admit(&user.common, label, Proof::Password)))
}

#[cfg(test)]
mod tests {
    use account::AccountIds;
    use moment::Timestamp;
    use secret::Secret;

    use super::*;
    use crate::kind::ConnectionKind;
    use crate::settings::{Settings, UserSettings};

    fn directory(users: Vec<(&str, String)>) -> Directory {
        let user = |(name, password): (&str, String)| UserSettings {
            user: Some(name.into()),
            password: Some(Secret::new(password)),
            ..UserSettings::default()
        };
        let mut settings = Settings::default();
        settings.authorization.users = Some(users.into_iter().map(user).collect());
        Directory::build(&settings, &mut AccountIds::default()).unwrap()
    }

    fn shown(name: &str, password: &str) -> Attempt {
        let mut attempt = Attempt::silent(ConnectionKind::Standard);
        attempt.credentials.user = Some(name.into());
        attempt.credentials.password = Some(Secret::new(password.to_owned()));
        attempt
    }

    fn again(older: &Directory, newer: &Directory, attempt: &Attempt) -> Option<bool> {
        let admitted = crate::authenticate(older, attempt, Timestamp::EPOCH).admitted().expect("is admitted at first");
        let verdict = authenticate_again(newer, older, attempt, &admitted)?;
        // Whatever is said without proof is what proof would have said.
        let slow = crate::authenticate(newer, attempt, Timestamp::EPOCH);
        assert_eq!(matches!(verdict, Verdict::Admit(_)), matches!(slow, Verdict::Admit(_)));
        Some(verdict.admitted().is_some())
    }

    #[test]
    fn a_password_whose_hash_is_the_same_is_not_hashed_again() {
        let (old, new) = (bcrypt::hash("pass", 4).unwrap(), bcrypt::hash("pass", 4).unwrap());
        let before = directory(vec![("ann", old.clone())]);
        let attempt = shown("ann", "pass");
        assert_eq!(again(&before, &directory(vec![("ann", old.clone()), ("bob", "x".into())]), &attempt), Some(true));
        assert_eq!(again(&before, &directory(vec![("ann", new)]), &attempt), None);
        assert_eq!(again(&before, &directory(vec![("bob", old)]), &attempt), None);
        assert_eq!(again(&before, &directory(vec![("ann", "pass".into())]), &attempt), None);
    }

    #[test]
    fn whoever_shows_more_than_a_password_proves_it_anew() {
        let hash = bcrypt::hash("pass", 4).unwrap();
        let before = directory(vec![("ann", hash)]);
        let mut attempt = shown("ann", "pass");
        attempt.credentials.nkey = Some("U".into());
        assert_eq!(again(&before, &before, &attempt), None);
    }
}
