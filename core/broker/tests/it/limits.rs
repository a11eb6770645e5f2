//! Users and accounts under limits.

use std::num::NonZeroU64;
use std::time::Duration;

use auth::WrittenLimits;
use auth::settings::Settings;
use wire::CloseReason;

use crate::conversation::{Client, Conversation};
use crate::fixtures::tenants;

const TENTH: Duration = Duration::from_millis(100);

fn messages(per_second: u64) -> WrittenLimits {
    WrittenLimits { messages_per_second: NonZeroU64::new(per_second), ..WrittenLimits::default() }
}

/// Two tenants, and limits for the first user of the first.
fn limited(limits: WrittenLimits) -> Settings {
    let mut settings = tenants();
    settings.accounts[0].users[0].limits = Some(Box::new(limits));
    settings
}

fn heard(broker: &mut Conversation, reader: &Client) -> usize {
    broker.hears(reader).matches("MSG ").count()
}

#[test]
fn whoever_says_too_much_is_read_more_slowly_and_nothing_is_lost() {
    let mut broker = Conversation::with(&limited(messages(100)), |_| ());
    let (back, reader) = (broker.login("back"), broker.login("service"));
    broker.says(&reader, "SUB svc.> 1\r\n");
    let all: String = (0..250).map(|n| format!("PUB svc.a 3\r\n{n:03}\r\n")).collect();
    broker.says(&back, &all);
    assert_eq!(heard(&mut broker, &reader), 10, "the burst comes at once");
    let mut come = String::new();
    for _ in 0..24 {
        broker.advance(TENTH);
        come += &broker.hears(&reader);
    }
    assert_eq!(come.matches("MSG ").count(), 240);
    assert!(come.trim_end().ends_with("249"), "in order, to the last one");
    let bodies: Vec<_> = come.lines().filter(|line| line.len() == 3).collect();
    assert!(bodies.is_sorted());
}

#[test]
fn what_is_no_message_waits_behind_those_that_are_and_a_ping_is_answered_in_its_turn() {
    let mut broker = Conversation::with(&limited(messages(100)), |_| ());
    let back = broker.login("back");
    broker.says(&back, "PUB a 0\r\n\r\n".repeat(15) + "PING\r\n");
    assert_eq!(broker.hears(&back), "");
    broker.advance(TENTH);
    assert!(broker.hears(&back).contains("PONG\r\n"));
}

#[test]
fn a_limit_holds_from_the_first_byte_on_and_for_all_connections_of_the_user() {
    let mut broker = Conversation::with(&limited(messages(100)), |_| ());
    let reader = broker.login("service");
    broker.says(&reader, "SUB svc.> 1\r\n");
    // Login and flood come in one read, again and again.
    let flood = "PUB svc.a 0\r\n\r\n".repeat(100);
    for _ in 0..5 {
        let client = broker.connect();
        let connect = r#"CONNECT {"user":"back","pass":"back","verbose":false}"#;
        broker.says(&client, format!("{connect}\r\n{flood}"));
        broker.hangs_up(&client);
    }
    let taken = heard(&mut broker, &reader);
    assert!(taken <= 10, "{taken}");
    let other = broker.login("clerk");
    broker.says(&other, "PUB orders.a 0\r\n\r\nPING\r\n");
    assert!(broker.hears(&other).contains("PONG"), "others of the account are not concerned");
}

#[test]
fn an_account_shares_what_it_may_publish() {
    let mut settings = tenants();
    settings.accounts[0].limits.rates = messages(100).rates();
    let mut broker = Conversation::with(&settings, |_| ());
    let reader = broker.login("service");
    broker.says(&reader, "SUB svc.> 1\r\n");
    let floods: Vec<_> = (0..4).map(|_| broker.login("back")).collect();
    for (number, flood) in floods.iter().enumerate() {
        broker.says(flood, format!("PUB svc.{number} 0\r\n\r\n").repeat(500));
    }
    // The burst, and the time to become even.
    (0..50).for_each(|_| broker.advance(TENTH / 10));
    broker.hears(&reader);
    let mut heard = String::new();
    for _ in 0..1_000 {
        broker.advance(TENTH / 10);
        heard += &broker.hears(&reader);
    }
    let all = heard.matches("MSG ").count();
    assert!((990..=1_010).contains(&all), "{all}");
    for number in 0..4 {
        let own = heard.matches(&format!("MSG svc.{number} ")).count();
        assert!((230..=270).contains(&own), "connection {number} had {own} of {all}");
    }
}

#[test]
fn a_message_larger_than_what_may_come_at_once_takes_its_time() {
    let limits = WrittenLimits { bytes_per_second: NonZeroU64::new(10_000), ..WrittenLimits::default() };
    let mut broker = Conversation::with(&limited(limits), |_| ());
    let (back, reader) = (broker.login("back"), broker.login("service"));
    broker.says(&reader, "SUB svc.> 1\r\n");
    broker.says(&back, format!("PUB svc.a 200000\r\n{}\r\n", "x".repeat(200_000)));
    broker.advance(Duration::from_secs(19));
    assert_eq!(heard(&mut broker, &reader), 0);
    broker.advance(Duration::from_secs(1));
    assert_eq!(heard(&mut broker, &reader), 1);
    assert_eq!(broker.closed(&back), None);
}

#[test]
fn a_user_has_as_many_connections_as_it_may() {
    let limits = WrittenLimits { max_connections: Some(2), ..WrittenLimits::default() };
    let mut broker = Conversation::with(&limited(limits), |_| ());
    let (first, _second) = (broker.login("back"), broker.login("back"));
    let connect = "CONNECT {\"user\":\"back\",\"pass\":\"back\",\"verbose\":false}\r\n";
    let third = broker.connect();
    broker.says(&third, connect);
    assert!(broker.hears(&third).contains("-ERR 'maximum user active connections exceeded'"));
    assert_eq!(broker.closed(&third), Some(CloseReason::MaxConnectionsExceeded));
    broker.login("clerk");
    broker.hangs_up(&first);
    broker.login("back");
}

#[test]
fn a_user_may_have_fewer_subscriptions_than_its_account_allows() {
    let limits = WrittenLimits { max_subscriptions: Some(1), max_payload: Some(5), ..WrittenLimits::default() };
    let mut broker = Conversation::with(&limited(limits), |_| ());
    let back = broker.login("back");
    broker.says(&back, "SUB a 1\r\nSUB b 2\r\n");
    assert!(broker.hears(&back).contains("maximum subscriptions exceeded"));
    let back = broker.login("back");
    broker.says(&back, "PUB a 6\r\n123456\r\n");
    assert_eq!(broker.closed(&back), Some(CloseReason::MaxPayloadExceeded));
}

#[test]
fn a_reload_changes_limits_of_those_who_are_there_and_of_those_who_wait() {
    let mut broker = Conversation::with(&limited(messages(1)), |_| ());
    let (back, reader) = (broker.login("back"), broker.login("service"));
    broker.says(&reader, "SUB svc.> 1\r\n");
    broker.says(&back, "PUB svc.a 0\r\n\r\n".repeat(200));
    assert_eq!(heard(&mut broker, &reader), 1);
    let reload = |broker: &mut Conversation, settings: &Settings| {
        let directory = auth::Directory::build(settings, &mut account::AccountIds::default()).unwrap();
        broker.hub.reconfigure(directory, broker::ClientSettings::default());
        broker.round();
        broker.advance(Duration::from_millis(1));
    };
    reload(&mut broker, &limited(messages(1_000)));
    assert_eq!(heard(&mut broker, &reader), 100, "a burst of the new rate");
    reload(&mut broker, &tenants());
    assert_eq!(heard(&mut broker, &reader), 99, "no limit any more");
    reload(&mut broker, &limited(messages(1)));
    broker.says(&back, "PUB svc.a 0\r\n\r\n".repeat(5));
    assert_eq!(heard(&mut broker, &reader), 0, "what was handed out under this limit is not handed out again");
    broker.advance(Duration::from_secs(2));
    assert!((1..=2).contains(&heard(&mut broker, &reader)));
}
