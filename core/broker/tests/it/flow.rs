//! Peers that do not keep up.

use std::time::Duration;

use wire::CloseReason;

use crate::conversation::Conversation;
use crate::fixtures::tenants;

fn message(size: usize) -> String {
    format!("PUB a {size}\r\n{}\r\n", "x".repeat(size))
}

#[test]
fn what_a_full_transport_refuses_is_sent_later_in_order() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\n");
    for room in [0, 1, 7, 30, 5000] {
        broker.takes_only(&bob, room);
        let said: String = (0..5).map(|size| message(size * 700)).collect();
        broker.says(&alice, &said);
        broker.says(&alice, &said);
        broker.takes_all(&bob);
        let expected = said.replace("PUB a ", "MSG a 1 ").repeat(2);
        assert_eq!(broker.hears(&bob), expected, "with room for {room}");
        assert_eq!(broker.pending(&bob), 0);
    }
}

#[test]
fn a_publisher_to_a_slow_peer_is_held_up_and_others_are_not() {
    let mut broker = Conversation::open();
    let (alice, bob, carol) = (broker.guest(), broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\n");
    broker.takes_only(&bob, 0);
    broker.says(&alice, message(1_000_000));
    broker.says(&alice, message(600_000));
    broker.with_connection(&carol, |_, _| ());
    assert!(broker.pending(&bob) > 1 << 20);
    let stalls = |who| broker.with_connection(who, |_, connection| connection.link().stalls());
    assert_eq!([&alice, &bob, &carol].map(stalls), [0, 1, 0], "it is told of whoever was waited for");
    broker.says(&carol, "PUB other 1\r\nx\r\n");
    assert_eq!(broker.closed(&bob), None);
}

#[test]
fn a_peer_with_too_much_pending_is_a_slow_consumer() {
    let mut broker = Conversation::with(&tenants(), |clients| clients.max_pending_bytes = 100_000);
    let (back, slow) = (broker.login("back"), broker.login("back"));
    broker.says(&slow, "SUB a 1\r\n");
    broker.takes_only(&slow, 0);
    broker.says(&back, message(60_000));
    assert_eq!(broker.closed(&slow), None);
    broker.says(&back, message(60_000));
    assert_eq!(broker.closed(&slow), Some(CloseReason::SlowConsumerPendingBytes));
    assert_eq!(broker.pending(&slow), 0, "nothing is kept for it");
    broker.says(&back, "PING\r\n");
    assert!(broker.hears(&back).starts_with("PONG\r\n"));
}

#[test]
fn a_peer_that_takes_nothing_within_the_write_deadline_is_a_slow_consumer() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\n");
    broker.takes_only(&bob, 0);
    broker.says(&alice, message(10));
    broker.advance(Duration::from_secs(1));
    broker.advance(Duration::from_secs(9));
    assert_eq!(broker.closed(&bob), None);
    broker.advance(Duration::from_secs(2));
    assert_eq!(broker.closed(&bob), Some(CloseReason::SlowConsumerWriteDeadline));
}

#[test]
fn where_publishers_are_never_held_up_a_full_peer_misses_messages_and_stays() {
    let mut broker = Conversation::with(&tenants(), |clients| {
        clients.max_pending_bytes = 100_000;
        clients.never_stall = true;
    });
    let (back, slow) = (broker.login("back"), broker.login("back"));
    broker.says(&slow, "SUB a 1\r\n");
    broker.takes_only(&slow, 0);
    for _ in 0..10 {
        broker.says(&back, message(40_000));
    }
    assert_eq!(broker.closed(&slow), None);
    broker.takes_all(&slow);
    assert_eq!(broker.hears(&slow).matches("MSG a 1").count(), 2);
}
