//! In the steady state a message costs no heap allocation.

use crate::conversation::Conversation;

/// Allocations of one batch of so many messages, once everything is warm. The harness itself allocates per batch, so
/// two batch sizes are compared: what grows with the messages is what a message costs.
fn allocations(subscribers: usize, messages: usize) -> u64 {
    let mut broker = Conversation::open();
    let publisher = broker.guest();
    let all: Vec<_> = (0..subscribers).map(|_| broker.guest()).collect();
    for client in &all {
        broker.says(client, "SUB orders.* 1\r\nSUB q grp 2\r\n");
        broker.discards(client);
    }
    let batch = "PUB orders.eu 16\r\n0123456789abcdef\r\nPUB q 2\r\nok\r\n\
                 HPUB q 38 40\r\nNATS/1.0\r\nNats-Msg-Id: 1\r\ntrace: b\r\n\r\nok\r\n"
        .repeat(messages);
    for _ in 0..20 {
        broker.says(&publisher, &batch);
    }
    allocation_counter::measure(|| broker.says(&publisher, &batch)).count_total
}

#[test]
fn one_to_one_and_fan_out_allocate_nothing_per_message() {
    for subscribers in [1, 10, 100] {
        let (few, many) = (allocations(subscribers, 10), allocations(subscribers, 500));
        assert_eq!(few, many, "{subscribers} subscribers: 490 more messages, {} more allocations", many - few);
    }
}
