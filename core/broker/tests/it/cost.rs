//! What a message costs with everything on, beside everything off: the same batch, to be counted by callgrind.
//!
//! Run by itself it checks that both halves deliver the same. To count instructions, build the test in release and run each half
//! under `valgrind --tool=callgrind --toggle-collect='*counted_batch*'`.

use std::num::NonZeroU64;
use std::sync::Arc;

use auth::WrittenLimits;
use auth::settings::{PermissionsSettings, Settings, SideSettings};
use broker::{ConnectionLabel, Event, Link, Observer};

use crate::conversation::Conversation;
use crate::fixtures::tenants;

/// Messages of a batch.
const MESSAGES: usize = 20_000;

/// Looks at everything that happens, as the trail does.
struct Onlooker;

impl Observer for Onlooker {
    fn event(&self, link: &Arc<Link>, label: &ConnectionLabel, event: &Event<'_>) {
        if let Event::Denied { denial, .. } = event {
            std::hint::black_box((link.address, &label.member, denial.to_string()));
        }
    }
}

/// A user under rules and limits, in an account under limits. The limits are wide: what is counted is asking, not waiting.
fn everything() -> Settings {
    let mut settings = tenants();
    let wide = NonZeroU64::new(1 << 40);
    let limits = WrittenLimits { messages_per_second: wide, bytes_per_second: wide, ..WrittenLimits::default() };
    settings.accounts[0].limits.rates = limits.rates();
    let rules = |allow: &[&str], deny: &[&str]| SideSettings {
        allow: Some(allow.iter().map(|text| (*text).into()).collect()),
        deny: Some(deny.iter().map(|text| (*text).into()).collect()),
    };
    let user = &mut settings.accounts[0].users[0];
    user.limits = Some(Box::new(limits));
    user.permissions = Some(Box::new(PermissionsSettings {
        publish: rules(&["svc.>", "orders.>"], &["svc.secret.>"]),
        subscribe: rules(&["svc.>", "_INBOX.>"], &["svc.secret.>"]),
        ..PermissionsSettings::default()
    }));
    settings
}

/// The batch. What is counted is this function and what it calls.
#[inline(never)]
fn counted_batch(broker: &mut Conversation, publisher: &crate::conversation::Client, bytes: &[u8]) {
    for _ in 0..MESSAGES / 500 {
        broker.says(publisher, bytes);
    }
}

fn delivered(mut broker: Conversation) -> usize {
    let (publisher, reader) = (broker.login("back"), broker.login("back"));
    broker.says(&reader, "SUB svc.> 1\r\n");
    broker.discards(&reader);
    let batch: String = (0..500).map(|n| format!("PUB svc.{} 64\r\n{}\r\n", n % 8, "x".repeat(64))).collect();
    // What is made once is made before.
    broker.says(&publisher, &batch);
    counted_batch(&mut broker, &publisher, batch.as_bytes());
    let numbers = broker.with_connection(&reader, |_, connection| connection.link().stats.numbers());
    numbers.out_msgs as usize
}

#[test]
fn everything_off_delivers_a_batch() {
    assert_eq!(delivered(Conversation::with(&tenants(), |_| ())), MESSAGES + 500);
}

#[test]
fn everything_on_delivers_the_same() {
    let broker = Conversation::watched(&everything(), |_| (), Arc::new(Onlooker));
    assert_eq!(delivered(broker), MESSAGES + 500);
}
