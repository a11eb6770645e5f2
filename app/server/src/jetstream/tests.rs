//! Questions about streams, while the thread that knows the answers is busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use account::AccountIds;
use api::monitoring::options::{HealthzOptions, JszOptions};
use broker::{ClientSettings, LoginDesk, LoginJob, Mailbox, NobodyWatches};
use config::{Support, World};

use super::*;
use crate::compose;
use crate::system::SystemRandom;

/// Nobody logs in here.
struct NoLogins;

impl LoginDesk for NoLogins {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        Err(job)
    }
}

/// A configuration with streams for account `A`, in a folder.
fn settings(folder: &std::path::Path, more: &str) -> Settings {
    let text = format!(
        "jetstream {{ store_dir: {folder:?}, max_mem: 1MB, max_file: 10MB {more} }}\n\
         accounts {{ A {{ jetstream: enabled, users: [{{ user: a, password: a }}] }} }}"
    );
    let outside = World { environment: &|_| None, read_file: &|path| Err(path.to_owned()) };
    config::load_text("scene.conf", &text, outside, &Support::everything()).unwrap().settings
}

/// Those streams.
fn streams(folder: &std::path::Path) -> Arc<JetStream> {
    let settings = settings(folder, "");
    let directory = Directory::build(&settings.auth, &mut AccountIds::default()).unwrap();
    let mailboxes: Arc<[Mailbox]> = Arc::new([Mailbox::new(Box::new(|| {}))]);
    let (watcher, logins, chance) = (Arc::new(NobodyWatches), Arc::new(NoLogins), Arc::new(SystemRandom));
    let hub = Hub::new(mailboxes, directory, ClientSettings::default(), watcher, logins, chance, 1);
    let log = Arc::new(Log::open(compose::log_settings(&settings)).unwrap());
    let audit = Auditor::start(None, &log).unwrap();
    JetStream::start(&settings, &hub, &log, &audit, "one", Instant::now()).unwrap()
}

/// The question is put while the thread is busy; whether it was answered once the thread was free again.
fn asked_of_a_busy_thread(question: fn(&JetStream) -> bool) -> bool {
    asked_until_free(move |jetstream, _| question(jetstream))
}

/// The same; the question may look whether the thread is free by now.
fn asked_until_free(question: impl Fn(&JetStream, &AtomicBool) -> bool + Send + 'static) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let jetstream = streams(folder.path());
    let (hand, watch) = (jetstream.hand().unwrap(), jetstream.hand().unwrap());
    let (free, until_free) = channel::<()>();
    let (begun, has_begun) = channel();
    let busy = thread::spawn(move || {
        hand.ask(move |_, _| {
            begun.send(()).unwrap();
            until_free.recv().unwrap_err();
        })
    });
    has_begun.recv().unwrap();
    let (asked, is_free) = (jetstream.clone(), Arc::new(AtomicBool::new(false)));
    let sees = is_free.clone();
    let asker = thread::spawn(move || question(&asked, &sees));
    while watch.waiting() == 0 && !asker.is_finished() {
        thread::yield_now();
    }
    // Logins, `accountz` and claims that come ask this. Were the lock held, they would wait until nobody waits for the answer
    // any more.
    assert_eq!(jetstream.serves("A"), Some(true));
    assert!(!asker.is_finished(), "whoever asked waits still");
    is_free.store(true, Ordering::SeqCst);
    drop(free);
    busy.join().unwrap();
    asker.join().unwrap()
}

#[test]
fn who_asks_about_streams_keeps_nobody_else_waiting() {
    assert!(asked_of_a_busy_thread(|jetstream| jetstream.shown(&JszOptions::default()).is_ok()), "jsz");
    let one = |jetstream: &JetStream| jetstream.shown_account("A", &JszOptions::default()).is_ok();
    assert!(asked_of_a_busy_thread(one), "jsz of one account");
    assert!(asked_of_a_busy_thread(|jetstream| jetstream.troubles(&HealthzOptions::default()).is_empty()), "healthz");
}

#[test]
fn accounts_that_come_and_keys_that_change_keep_nobody_else_waiting() {
    let comes = |jetstream: &JetStream| {
        let coming = jetstream.account_comes(&jetstream.hub.directory(), "A");
        coming.map(|coming| jetstream.admitted(coming)).is_some()
    };
    assert!(asked_of_a_busy_thread(comes), "an account comes");
    let changed = |jetstream: &JetStream| {
        jetstream.accounts_changed();
        true
    };
    assert!(asked_of_a_busy_thread(changed), "accounts changed");
    let rekeyed = |jetstream: &JetStream| {
        let settings = settings(std::path::Path::new("."), ", key: \"a new key\"");
        jetstream.rekey(&settings).is_ok()
    };
    assert!(asked_of_a_busy_thread(rekeyed), "other keys");
}

#[test]
fn who_logs_in_to_an_account_that_is_on_its_way_comes_in_when_it_is_there() {
    let there = |jetstream: &JetStream, is_free: &AtomicBool| {
        let coming = jetstream.account_comes(&jetstream.hub.directory(), "A").unwrap();
        thread::scope(|scope| {
            let waits = scope.spawn(|| {
                jetstream.account_is_there("A");
                is_free.load(Ordering::SeqCst)
            });
            jetstream.admitted(coming);
            waits.join().unwrap()
        })
    };
    assert!(asked_until_free(there), "not before");
}
