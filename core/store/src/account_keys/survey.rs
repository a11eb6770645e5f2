//! Opening a store: what lies in the directory of keys, compared with what the metadata says.
//!
//! | the metadata says | a file that opens | a file that does not | no file |
//! |---|---|---|---|
//! | in use | use it | the account is out of service; named | the account is out of service; named |
//! | in use, by another account | the account is out of service; named | as above | as above |
//! | to go | go on with that | go on with that | go on with that |
//! | destroyed | it was put back: destroyed again; named | destroyed again; named | – |
//! | nothing | use it, if its account has no other: the metadata was lost, or not yet written | left alone; named | – |
//!
//! A file that does not open is wrapped by a server key that was not given, is another store's or another number's, or neither
//! copy of it is whole. It is never changed: what it seals may be opened again by a file that is put back.

use super::KeyNo;
use super::file::{self, Found, Opened, Stray};
use super::keyring::{Destroyed, Keyring, Wrap};
use super::register::{self, Entry};
use crate::error::{Damage, Finding, StoreError};
use crate::meta::MetaLog;
use crate::root::Root;
use crate::seal::StreamId;
use crate::tail::Context;
use std::collections::{BTreeMap, BTreeSet};

/// What lies in the directory, before the metadata is read. What opens is in the vault already.
pub(crate) struct Survey {
    keys: BTreeMap<KeyNo, Lies>,
    unfinished: Vec<String>,
    strangers: Vec<String>,
}

/// What a file is.
enum Lies {
    Good(Good),
    Unusable(Damage),
}

/// A file that opens.
struct Good {
    account: String,
    wrap: Wrap,
    /// The copy of it that does not say the same.
    stray: Option<Stray>,
}

/// What is to be done about a key.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Use,
    Register,
    GoOn,
    DestroyAgain,
    OutOfService(Damage),
    LeaveAlone(Damage),
    Nothing,
}

/// The keyring of a store that was opened, and the keys whose going was gone on with.
pub(crate) struct Settled {
    pub keyring: Keyring,
    pub finished: Vec<Destroyed>,
}

impl Survey {
    /// Reads all files. Changes nothing.
    pub(crate) fn of(context: &Context) -> Result<Survey, StoreError> {
        let listed = file::list(&*context.disk)?;
        let mut keys = BTreeMap::new();
        for no in listed.keys {
            let lies = match file::read(context, no)? {
                Found::Good(opened) => Lies::Good(admit(context, no, opened)),
                Found::Unknown => Lies::Unusable(Damage::WrongKey),
                Found::Foreign => Lies::Unusable(Damage::NotTheKey),
                Found::Damaged => Lies::Unusable(Damage::KeyDamaged),
            };
            keys.insert(no, lies);
        }
        Ok(Survey { keys, unfinished: listed.unfinished, strangers: listed.strangers })
    }

    /// Compares it with what the metadata says, and goes on with what is to go.
    pub(crate) fn settle(
        self,
        root: &mut Root,
        meta: &mut MetaLog,
        findings: &mut Vec<Finding>,
    ) -> Result<Settled, StoreError> {
        let said: BTreeMap<KeyNo, Entry> = register::read_all(meta.range(register::BEGINNING)).into_iter().collect();
        let mut settled = Settled { keyring: Keyring::default(), finished: Vec::new() };
        let numbers: BTreeSet<KeyNo> = said.keys().chain(self.keys.keys()).copied().collect();
        let is_gone = |entry: &Entry| matches!(entry, Entry::Destroyed { .. });
        if !self.keys.is_empty() || !self.unfinished.is_empty() || !said.values().all(is_gone) {
            root.may_have_account_keys()?;
        }
        let mut taken: BTreeSet<String> = said.values().filter_map(in_use).map(str::to_owned).collect();
        for no in numbers {
            let (entry, lies) = (said.get(&no), self.keys.get(&no));
            let is_free = matches!(lies, Some(Lies::Good(good)) if taken.insert(good.account.clone()));
            let decision = decide(entry, lies, is_free);
            carry_out(decision, no, (entry, lies), (root, meta), &mut settled, findings)?;
        }
        name_closed(meta, &said, findings);
        let unfinished = self.unfinished.iter();
        unfinished.into_iter().try_for_each(|path| file::destroy(&*root.context().disk, path))?;
        findings.extend(self.strangers.into_iter().map(|path| finding(path, Damage::Unknown)));
        meta.commit()?;
        Ok(settled)
    }
}

fn admit(context: &Context, no: KeyNo, opened: Opened) -> Good {
    let Opened { account, key, cipher, server, stray, .. } = opened;
    context.vault.accounts().insert(no, key);
    Good { account, wrap: Wrap { cipher, server }, stray }
}

fn in_use(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::InUse(account) => Some(account),
        _ => None,
    }
}

/// The table above. `is_free`: the file opens, and its account has no other key.
fn decide(entry: Option<&Entry>, lies: Option<&Lies>, is_free: bool) -> Decision {
    match (entry, lies) {
        (Some(Entry::Leaving(_)), _) => Decision::GoOn,
        (Some(Entry::Destroyed { .. }), None) => Decision::Nothing,
        (Some(Entry::Destroyed { .. }), Some(_)) => Decision::DestroyAgain,
        (Some(Entry::InUse(account)), Some(Lies::Good(good))) if *account == good.account => Decision::Use,
        (Some(Entry::InUse(_)), Some(Lies::Good(_))) => Decision::OutOfService(Damage::NotTheKey),
        (Some(Entry::InUse(_)), Some(Lies::Unusable(what))) => Decision::OutOfService(*what),
        (Some(Entry::InUse(_)), None) => Decision::OutOfService(Damage::Missing),
        (None, Some(Lies::Good(_))) if is_free => Decision::Register,
        (None, Some(Lies::Good(_))) => Decision::LeaveAlone(Damage::Unknown),
        (None, Some(Lies::Unusable(what))) => Decision::LeaveAlone(*what),
        (None, None) => Decision::Nothing,
    }
}

fn carry_out(
    decision: Decision,
    no: KeyNo,
    (entry, lies): (Option<&Entry>, Option<&Lies>),
    (root, meta): (&mut Root, &mut MetaLog),
    settled: &mut Settled,
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    let (context, keyring) = (root.context(), &mut settled.keyring);
    if let (Some(Entry::Destroyed { account, at, streams }), false) = (entry, decision == Decision::GoOn) {
        keyring.remember(Destroyed { key: no, account: account.clone(), at: *at, streams: *streams });
    }
    match (decision, lies) {
        (Decision::Use, Some(Lies::Good(good))) => use_key(&context, keyring, (no, good), findings)?,
        (Decision::Register, Some(Lies::Good(good))) => {
            use_key(&context, keyring, (no, good), findings)?;
            meta.put(&register::key_of(no), &Entry::InUse(good.account.clone()).encode())?;
        }
        (Decision::GoOn, _) => {
            let before = keyring.destroyed().len();
            keyring.finish(root, meta, no)?;
            settled.finished.extend(keyring.destroyed().get(before..).unwrap_or_default().iter().cloned());
        }
        (Decision::DestroyAgain, _) => {
            file::destroy(&*context.disk, &file::path(no))?;
            keyring.drop_key(&context, no);
            meta.forget_account(no);
            meta.reseal()?;
            findings.push(finding(file::path(no), Damage::PutBack));
        }
        (Decision::OutOfService(what), _) => {
            keyring.drop_key(&context, no);
            keyring.miss(entry.map_or("", Entry::account), no);
            findings.push(finding(file::path(no), what));
        }
        (Decision::LeaveAlone(what), _) => findings.push(finding(file::path(no), what)),
        _ => {}
    }
    Ok(())
}

fn use_key(
    context: &Context,
    keyring: &mut Keyring,
    (no, good): (KeyNo, &Good),
    findings: &mut Vec<Finding>,
) -> Result<(), StoreError> {
    keyring.admit(&good.account, no, good.wrap);
    let Some(stray) = good.stray else { return Ok(()) };
    file::mend(&*context.disk, no, stray)?;
    if !stray.is_older {
        findings.push(finding(file::path(no), Damage::HalfHead));
    }
    Ok(())
}

/// Entries that need a key of which neither a file nor the metadata knows anything.
fn name_closed(meta: &MetaLog, said: &BTreeMap<KeyNo, Entry>, findings: &mut Vec<Finding>) {
    let unknown: BTreeSet<KeyNo> = meta.closed_accounts().filter(|no| !said.contains_key(no)).collect();
    findings.extend(unknown.into_iter().map(|no| finding(file::path(no), Damage::Missing)));
}

fn finding(file: String, what: Damage) -> Finding {
    Finding { stream: StreamId::METADATA, file, what, bytes: None, lost: None }
}
