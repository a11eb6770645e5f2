//! Questions about streams, while the thread that knows the answers is busy.

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

/// Streams for account `A`, in a folder.
fn streams(folder: &std::path::Path) -> Arc<JetStream> {
    let text = format!(
        "jetstream {{ store_dir: {folder:?}, max_mem: 1MB, max_file: 10MB }}\n\
         accounts {{ A {{ jetstream: enabled, users: [{{ user: a, password: a }}] }} }}"
    );
    let outside = World { environment: &|_| None, read_file: &|path| Err(path.to_owned()) };
    let settings = config::load_text("scene.conf", &text, outside, &Support::everything()).unwrap().settings;
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
    let asked = jetstream.clone();
    let asker = thread::spawn(move || question(&asked));
    while watch.waiting() == 0 && !asker.is_finished() {
        thread::yield_now();
    }
    // Logins, `accountz` and claims that come ask this. Were the lock held, they would wait until nobody waits for the answer
    // any more.
    assert_eq!(jetstream.serves("A"), Some(true));
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
