//! The protocol, as clients meet it.

use std::time::Duration;

use wire::CloseReason;

use crate::conversation::Conversation;

#[test]
fn a_message_reaches_who_asked_for_it() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB orders.* 7\r\n");
    broker.says(&alice, "PUB orders.eu 5\r\nhello\r\nPUB billing 1\r\nx\r\n");
    assert_eq!(broker.hears(&bob), "MSG orders.eu 7 5\r\nhello\r\n");
    assert_eq!(broker.hears(&alice), "");
}

#[test]
fn bytes_in_any_pieces_mean_the_same() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.spells(&bob, "SUB a 1\r\n");
    broker.spells(&alice, "PUB a b 5\r\nhello\r\nHPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_eq!(broker.hears(&bob), "MSG a 1 b 5\r\nhello\r\nHMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
}

#[test]
fn a_message_larger_than_any_buffer_arrives_whole() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\n");
    let payload: String = ('a'..='z').cycle().take(700_000).collect();
    broker.says(&alice, format!("PUB a 700000\r\n{payload}\r\nPUB a 2\r\nok\r\n"));
    assert_eq!(broker.hears(&bob), format!("MSG a 1 700000\r\n{payload}\r\nMSG a 1 2\r\nok\r\n"));
}

#[test]
fn borrowed_payloads_of_every_size_around_the_threshold_arrive_whole() {
    let mut broker = Conversation::open();
    let (alice, bob, carol) = (broker.guest(), broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\n");
    broker.says(&carol, "SUB > 22\r\n");
    let (mut said, mut bob_hears, mut carol_hears) = (String::new(), String::new(), String::new());
    for size in (1000..1050).chain([4096, 16_384, 20_000]) {
        let payload = "x".repeat(size);
        said += &format!("PUB a {size}\r\n{payload}\r\n");
        bob_hears += &format!("MSG a 1 {size}\r\n{payload}\r\n");
        carol_hears += &format!("MSG a 22 {size}\r\n{payload}\r\n");
    }
    broker.says(&alice, said);
    assert_eq!(broker.hears(&bob), bob_hears);
    assert_eq!(broker.hears(&carol), carol_hears);
}

#[test]
fn a_client_without_headers_gets_the_payload_alone() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    let plain = broker.connect();
    broker.says(&plain, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
    broker.says(&alice, "HPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_eq!(broker.hears(&plain), "MSG a 1 r 2\r\nhi\r\n");
}

#[test]
fn one_member_of_each_queue_group_gets_a_message() {
    let mut broker = Conversation::open();
    let (alice, bob, carol) = (broker.guest(), broker.guest(), broker.guest());
    broker.says(&bob, "SUB a q 1\r\nSUB a r 2\r\n");
    broker.says(&carol, "SUB a q 3\r\n");
    broker.says(&alice, "PUB a 0\r\n\r\n".repeat(200));
    let (bob, carol) = (broker.hears(&bob), broker.hears(&carol));
    let count = |text: &str, sid: &str| text.matches(&format!("MSG a {sid} 0")).count();
    assert_eq!(count(&bob, "2"), 200);
    assert_eq!(count(&bob, "1") + count(&carol, "3"), 200);
    assert!(count(&bob, "1") > 50 && count(&carol, "3") > 50, "both members work");
}

#[test]
fn who_wants_no_echo_hears_others_only() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.connect(), broker.guest());
    broker.says(&alice, "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB a 1\r\nSUB a q 2\r\nPUB a 1\r\nx\r\n");
    assert_eq!(broker.hears(&alice), "");
    broker.says(&bob, "PUB a 1\r\ny\r\n");
    let heard = broker.hears(&alice);
    assert!(heard.contains("MSG a 1 1\r\ny\r\n") && heard.contains("MSG a 2 1\r\ny\r\n"), "{heard}");
}

#[test]
fn verbose_mode_answers_each_operation_and_pedantic_mode_checks_subjects() {
    let mut broker = Conversation::open();
    let alice = broker.connect();
    broker.says(&alice, "CONNECT {\"verbose\":true,\"pedantic\":true}\r\nSUB a 1\r\nPUB q.* 1\r\nx\r\nUNSUB 9\r\n");
    assert_eq!(broker.hears(&alice), "+OK\r\n+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\n+OK\r\n");
}

#[test]
fn a_subscription_ends_after_its_last_message() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\nUNSUB 1 2\r\n");
    broker.says(&alice, "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n");
    assert_eq!(broker.hears(&bob), "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n");
    broker.says(&bob, "SUB a 1\r\n");
    broker.says(&alice, "PUB a 1\r\n4\r\n");
    assert_eq!(broker.hears(&bob), "MSG a 1 1\r\n4\r\n", "the id is free again");
}

#[test]
fn an_end_that_is_reached_already_ends_at_once() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB a 1\r\n");
    broker.says(&alice, "PUB a 1\r\n1\r\nPUB a 1\r\n2\r\n");
    broker.says(&bob, "UNSUB 1 2\r\n");
    broker.says(&alice, "PUB a 1\r\n3\r\n");
    assert_eq!(broker.hears(&bob), "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n");
}

#[test]
fn a_known_id_keeps_its_first_subscription() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    broker.says(&alice, "SUB a 1\r\nSUB b 1\r\nPUB b 1\r\nx\r\nPUB a 1\r\ny\r\n");
    assert_eq!(broker.hears(&alice), "MSG a 1 1\r\ny\r\n");
}

#[test]
fn a_request_that_nobody_hears_is_answered_with_503() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    broker.says(&alice, "SUB _I.* 1\r\nPUB nobody _I.2 0\r\n\r\n");
    assert_eq!(broker.hears(&alice), "HMSG _I.2 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n");
}

#[test]
fn the_first_ping_is_answered_with_what_the_client_is() {
    let mut broker = Conversation::open();
    let alice = broker.connect();
    broker.says(&alice, "CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\nPING\r\n");
    let heard = broker.hears(&alice);
    assert!(heard.starts_with("PONG\r\nINFO {") && heard.ends_with("PONG\r\n"), "{heard}");
    assert!(heard.contains("\"connect_info\":true,\"remote_account\":\"$G\""), "{heard}");
}

#[test]
fn a_second_connect_ends_earlier_subscriptions() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    broker.says(&alice, "SUB a 1\r\nCONNECT {\"verbose\":false}\r\nPUB a 1\r\nx\r\n");
    assert_eq!(broker.hears(&alice), "");
    assert_eq!(broker.closed(&alice), None);
}

#[test]
fn nonsense_is_answered_and_ends_the_connection_while_others_stay() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    broker.says(&alice, "FOO\r\n");
    assert_eq!(broker.hears(&alice), "-ERR 'Unknown Protocol Operation'\r\n");
    assert!(broker.closed(&alice).is_some());
    broker.says(&bob, "SUB a 1\r\nPUB a 1\r\nx\r\n");
    assert_eq!(broker.hears(&bob), "MSG a 1 1\r\nx\r\n");
}

#[test]
fn cve_2019_13126_a_size_beyond_all_numbers_harms_nobody() {
    for line in ["PUB a 2147483648\r\n", "PUB a 9999999999999999999\r\n", "PUB a -1\r\n", "HPUB a 5 3\r\nabc\r\n"] {
        let mut broker = Conversation::open();
        let alice = broker.guest();
        broker.says(&alice, line);
        assert!(broker.closed(&alice).is_some(), "{line}");
        let bob = broker.guest();
        broker.says(&bob, "PING\r\n");
        assert_eq!(broker.hears(&bob), "PONG\r\n");
    }
}

#[test]
fn who_goes_away_gets_nothing_more_and_leaves_nothing() {
    let mut broker = Conversation::open();
    let (alice, bob) = (broker.guest(), broker.guest());
    let subscriptions =
        |broker: &Conversation| broker.hub.accounts().iter().map(|account| account.graph.len()).sum::<usize>();
    let before = subscriptions(&broker);
    broker.says(&bob, "SUB a 1\r\nSUB b.> q 2\r\n");
    assert_eq!(subscriptions(&broker), before + 2);
    broker.hangs_up(&bob);
    broker.says(&alice, "PUB a 1\r\nx\r\n");
    assert_eq!(broker.hears(&bob), "");
    assert_eq!(subscriptions(&broker), before);
    assert_eq!(broker.hub.client_counts(), (1, 2));
}

#[test]
fn a_silent_client_is_pinged_and_then_stale() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    broker.advance(Duration::from_millis(2500));
    assert_eq!(broker.hears(&alice), "PING\r\n");
    broker.advance(Duration::from_secs(120));
    assert_eq!(broker.hears(&alice), "PING\r\n");
    broker.advance(Duration::from_secs(120));
    assert_eq!(broker.hears(&alice), "-ERR 'Stale Connection'\r\n");
    assert_eq!(broker.closed(&alice), Some(CloseReason::StaleConnection));
}
