//! Power cuts while keys of accounts are drawn, wrapped again, destroyed and given up.

use crate::house::*;
use bulwark_store::*;
use moment::Timestamp;
use std::collections::BTreeSet;
use testkit::CrashDisk;

const STEPS: u64 = 100;

/// Stops a change after each of its operations, with several images of what is left, until it goes through.
fn at_each_step(
    furnish: impl Fn(&CrashDisk) -> Tenants,
    change: impl Fn(&mut Tenants) -> Result<(), StoreError>,
    check: impl Fn(&CrashDisk, bool, &str),
) {
    for stop in 0..STEPS {
        let disk = CrashDisk::new(stop);
        let mut tenants = furnish(&disk);
        disk.power_off_after(stop);
        let is_done = change(&mut tenants).is_ok();
        for seed in 0..8 {
            check(&disk.crash_with(seed), is_done, &format!("stopped after {stop}, image {seed}"));
        }
        if is_done {
            return;
        }
    }
    panic!("it takes more than {STEPS} operations");
}

fn reopen(disk: &CrashDisk, sealing: &Sealing, when: &str) -> Tenants {
    let opened = Tenants::open(disk, sealing).unwrap_or_else(|error| panic!("{when}: {error}"));
    let unexpected: Vec<&Finding> =
        opened.findings.iter().filter(|finding| !finding.what.is_expected_after_a_crash()).collect();
    assert!(unexpected.is_empty(), "{when}: {unexpected:?}");
    assert_eq!(opened.keyring.all_lost().count(), 0, "{when}");
    opened
}

fn both() -> Sealing {
    with_account_keys(Cipher::Aes)
}

#[test]
fn a_key_that_is_drawn_is_there_before_anything_takes_it() {
    let furnish = |disk: &CrashDisk| {
        let mut tenants = Tenants::open(disk, &both()).expect("opens");
        tenants.add("OTHER", 2).expect("works");
        tenants
    };
    at_each_step(
        furnish,
        |tenants| tenants.add("ACME", 1),
        |disk, is_done, when| {
            let mut after = reopen(disk, &both(), when);
            after.assert_whole("OTHER", 2);
            if is_done {
                after.assert_whole("ACME", 1);
            }
            // Whatever was left, the account goes on with one key.
            after.add("ACME", 3).unwrap_or_else(|error| panic!("{when}: {error}"));
            reopen(&after.disk.kill(), &both(), when).assert_whole("ACME", 3);
            assert_eq!(after.keyring.in_use().count(), 2, "{when}");
        },
    );
}

#[test]
fn destroying_ends_with_everything_there_or_nothing_wherever_it_stops() {
    at_each_step(
        |disk| Tenants::furnished(disk, Cipher::Aes),
        |tenants| tenants.destroy("ACME", 1).map(drop),
        |disk, is_done, when| {
            // And again while the rest is being done.
            let second = disk.crash_with(3);
            second.power_off_after(5);
            let _ = Tenants::open(&second, &both());
            for disk in [disk.kill(), second.crash_with(9)] {
                let after = reopen(&disk, &both(), when);
                after.assert_whole("OTHER", 2);
                if after.keyring.of("ACME").is_some() {
                    assert!(!is_done && after.keyring.destroyed().is_empty(), "{when}");
                    after.assert_whole("ACME", 1);
                } else {
                    assert_eq!(after.keyring.destroyed().len(), 1, "{when}");
                    assert_eq!(after.root.stream_ids().expect("lists"), [StreamId(2)], "{when}");
                    assert!(after.meta.range(b"s\0ACME").next().is_none(), "{when}");
                    assert_eq!(disk.files().iter().filter(|path| path.starts_with("keys/")).count(), 1, "{when}");
                }
                let once_more = reopen(&disk.kill(), &both(), when);
                assert_eq!(once_more.destroyed, [], "{when}: it is done once");
            }
        },
    );
}

#[test]
fn a_new_server_key_wraps_keys_of_accounts_and_wherever_it_stops_both_open_everything() {
    let new = Sealing { key: Some("new".into()), previous_key: Some("the server key".into()), ..both() };
    at_each_step(
        |disk| Tenants::furnished(disk, Cipher::Aes),
        |tenants| rotate(tenants, &new),
        |disk, is_done, when| {
            let after = reopen(disk, &new, when);
            after.assert_whole("ACME", 1);
            after.assert_whole("OTHER", 2);
            if is_done {
                let alone = Sealing { previous_key: None, ..new.clone() };
                reopen(&disk.kill(), &alone, when).assert_whole("ACME", 1);
                assert!(matches!(Tenants::open(&disk.kill(), &both()), Err(StoreError::WrongKey { .. })), "{when}");
            }
        },
    );
}

fn rotate(tenants: &mut Tenants, sealing: &Sealing) -> Result<(), StoreError> {
    tenants.root.rekey(sealing)?;
    let context = tenants.root.context();
    tenants.meta.adopt(context.vault.clone())?;
    for no in tenants.keyring.to_rewrap(&context) {
        tenants.keyring.rewrap(&context, no)?;
    }
    for (account, id) in [("ACME", 1), ("OTHER", 2)] {
        reseal(tenants, account, id)?;
    }
    tenants.root.only_present_key()
}

fn reseal(tenants: &Tenants, account: &str, id: u64) -> Result<(), StoreError> {
    let context = tenants.root.context().of_account(tenants.keyring.of(account));
    let mut stream = FileStream::open(context, &stream_dir(StreamId(id)), StreamId(id), small(), 1)?.stream;
    stream.blocks_to_reseal()?.into_iter().try_for_each(|block| stream.reseal(block).map(drop))
}

#[test]
fn keys_of_accounts_are_switched_on_for_what_is_there_and_wherever_that_stops_nothing_is_lost() {
    at_each_step(plain, switch_on, |disk, is_done, when| {
        for sealing in [both(), sealing(Cipher::Aes)] {
            let after = reopen(&disk.kill(), &sealing, when);
            after.assert_whole("ACME", 1);
            after.assert_whole("OTHER", 2);
        }
        if is_done {
            let without = disk.kill();
            let after = reopen(&without, &both(), when);
            without.lose(&after.key_path("ACME"));
            let after = Tenants::open(&without, &both()).expect("opens");
            assert!(after.meta.range(b"s\0ACME").next().is_none(), "{when}: its names can be read");
            assert!(after.stream(1, "ACME").is_err(), "{when}: it opens without its key");
        }
    });
}

/// A store of two accounts that have no keys of their own.
fn plain(disk: &CrashDisk) -> Tenants {
    let mut tenants = Tenants::open(disk, &sealing(Cipher::Aes)).expect("opens");
    for (account, id) in [("ACME", 1_u64), ("OTHER", 2)] {
        tenants.meta.put(&entry(account, &format!("planted-{id}")), &id.to_le_bytes()).expect("works");
        tenants.meta.commit().expect("works");
        let (id, dir) = (StreamId(id), stream_dir(StreamId(id)));
        let mut stream = FileStream::create(tenants.root.context(), &dir, id, small(), 1).expect("fresh");
        for n in 0..20_u8 {
            let time = Timestamp::from_secs(n.into());
            let draft = Draft { subject: b"planted.subject", headers: b"", payload: &[n; 1000], time };
            stream.stage(&draft).expect("works");
        }
        stream.commit().and_then(|()| stream.close()).expect("works");
    }
    tenants
}

fn switch_on(tenants: &mut Tenants) -> Result<(), StoreError> {
    tenants.root.rekey(&both())?;
    let context = tenants.root.context();
    tenants.meta.adopt(context.vault.clone())?;
    for account in ["ACME", "OTHER"] {
        let key = tenants.keyring.draw(&context, &mut tenants.meta, account)?;
        assert!(tenants.meta.seal_beginning(&entry(account, ""), Some(key)));
    }
    tenants.meta.reseal()?;
    reseal(tenants, "ACME", 1)?;
    reseal(tenants, "OTHER", 2)
}

#[test]
fn keys_of_accounts_are_switched_off_and_wherever_that_stops_nothing_is_lost() {
    at_each_step(
        |disk| Tenants::furnished(disk, Cipher::Aes),
        switch_off,
        |disk, is_done, when| {
            for sealing in [sealing(Cipher::Aes), both()] {
                let disk = disk.kill();
                let after = reopen(&disk, &sealing, when);
                after.assert_whole("ACME", 1);
                after.assert_whole("OTHER", 2);
                if is_done && !sealing.account_keys {
                    assert_eq!(after.root.version(), 3, "{when}");
                    assert!(!disk.files().iter().any(|path| path.starts_with("keys/")), "{when}");
                }
            }
        },
    );
}

fn switch_off(tenants: &mut Tenants) -> Result<(), StoreError> {
    tenants.root.rekey(&sealing(Cipher::Aes))?;
    let context = tenants.root.context();
    tenants.meta.adopt(context.vault.clone())?;
    let mut used = BTreeSet::new();
    for (account, id) in [("ACME", 1_u64), ("OTHER", 2)] {
        assert!(tenants.meta.seal_beginning(&entry(account, ""), None));
        let mut stream = FileStream::open(context.clone(), &stream_dir(StreamId(id)), StreamId(id), small(), 1)?.stream;
        stream.blocks_to_reseal()?.into_iter().try_for_each(|block| stream.reseal(block).map(drop))?;
        used.extend(tenants.root.account_keys_in(StreamId(id))?);
    }
    tenants.meta.reseal()?;
    let gone = tenants.keyring.retire((&mut tenants.root, &mut tenants.meta), &used, Timestamp::EPOCH)?;
    assert_eq!(gone, ["ACME", "OTHER"]);
    Ok(())
}

#[test]
fn destroying_while_blocks_still_take_the_server_key_alone_takes_their_own_keys() {
    let disk = CrashDisk::new(1);
    let mut tenants = plain(&disk);
    tenants.root.rekey(&both()).expect("works");
    let context = tenants.root.context();
    tenants.meta.adopt(context.vault.clone()).expect("works");
    tenants.keyring.draw(&context, &mut tenants.meta, "ACME").expect("works");
    let path = disk.files().into_iter().find(|path| path.starts_with(DIR)).expect("a block");
    let before = disk.bytes(&path);
    tenants.destroy("ACME", 1).expect("works");
    // The disk of a scene shows what lies in a file that was removed if the removal is undone.
    let shown = (0..64).find_map(|seed| {
        let image = disk.crash_with(seed);
        image.files().contains(&path).then(|| image.bytes(&path))
    });
    assert!(shown.is_none_or(|bytes| bytes[..140] != before[..140]), "the head is there");
    let after = reopen(&disk.kill(), &both(), "after");
    after.assert_whole("OTHER", 2);
}
