//! Requests to streams, as anybody may send them.

use std::sync::Arc;
use std::time::Duration;

use jetstream::{Incoming, Now};
use jetstream_host::{AccountSettings, Arrival, Desk, DeskSettings, Door, Outgoing, Port, Report};
use moment::{Instant, Timestamp};
use subject::Filter;
use testkit::{CrashDisk, SeededEntropy};

/// Lines of one input that are taken.
const LINES_MAX: usize = 64;

/// Everybody listens, and nobody looks.
struct Everybody;

impl Port for Everybody {
    fn publish<'a>(&self, _: &str, messages: &mut dyn Iterator<Item = Outgoing<'a>>) {
        for message in messages {
            assert!(message.headers.is_empty() || message.headers.ends_with(b"\r\n\r\n"), "a block of headers ends");
        }
    }
    fn is_wanted(&self, _: &str, _: &[u8]) -> bool {
        true
    }
    fn listen(&self, _: &str, _: Door, _: &Filter) {}
    fn unlisten(&self, _: &str, _: Door, _: &Filter) {}
    fn report(&self, report: Report) {
        assert!(!matches!(report, Report::StoreFailed { .. }), "the disk does what it is told: {report:?}");
    }
}

fn account() -> AccountSettings {
    AccountSettings {
        account: "A".to_owned(),
        domain: String::new(),
        server_name: "SERVER".to_owned(),
        version: "2.15.1".to_owned(),
        limits: jetstream::Limits::default(),
        mode: api::Mode::Strict,
        max_duplicate_window: 0,
        default_max_consumers: 1000,
        max_ack_pending: 0,
        max_request_batch: 0,
        max_batch_bytes: 1 << 20,
        batches: jetstream::BatchLimits::default(),
    }
}

/// Each line is a message: a subject, a blank, a body. `>` before the subject means a subject of a stream, `+` an
/// acknowledgement; every other one is what follows `$JS.API.`. A whole desk takes them, on a disk in memory.
pub(crate) fn bodies(bytes: &[u8]) {
    let at = |millis: u64| Now {
        wall: Timestamp::from_secs(1_795_000_000) + Duration::from_millis(millis),
        tick: Instant::START + Duration::from_millis(millis),
    };
    let (disk, entropy) = (Arc::new(CrashDisk::new(1)), Arc::new(SeededEntropy::new(1)));
    let opened = Desk::open(disk, entropy, DeskSettings::default(), vec![account()], Arc::new(Everybody), at(0));
    let mut desk = opened.expect("an empty disk opens").desk;
    let name: Arc<str> = "A".into();
    for (line, number) in bytes.split(|&byte| byte == b'\n').take(LINES_MAX).zip(1..) {
        let cut = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
        let (word, payload) = (&line[..cut], line.get(cut + 1..).unwrap_or_default());
        let (door, subject) = match word.split_first() {
            Some((b'>', subject)) => (Door::Streams, subject.to_vec()),
            Some((b'+', subject)) => (Door::Answers, [b"$JS.", subject].concat()),
            _ => (Door::Requests, [b"$JS.API.", word].concat()),
        };
        let message = Incoming { subject: &subject, reply: Some(b"_INBOX.1"), headers: b"", payload };
        desk.round([Arrival { account: &name, door, message, asker: None, follower: None }], at(number * 200));
    }
    desk.round([], at(100_000));
}
