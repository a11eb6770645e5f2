//! Random rules, subscriptions and messages against the oracle. `BULWARK_RULE_SETS=100000` asks for more of them.

use crate::rules::{Dice, matches};
use crate::{filter, queue, subject};

fn rule_sets() -> u64 {
    std::env::var_os("BULWARK_RULE_SETS").and_then(|text| text.to_str()?.parse().ok()).unwrap_or(2_000)
}

/// The advisories of 2026 on denies that overlap a wildcard and on queue rules that override a plain deny.
#[test]
fn advisory_2026_17_and_18_a_message_is_delivered_exactly_if_the_oracle_says_so() {
    let (mut delivered, mut withheld, mut refused) = (0_u64, 0_u64, 0_u64);
    for seed in 1..=rule_sets() {
        let mut dice = Dice::new(seed);
        let lists = dice.lists(true);
        let permissions = lists.for_subscribing();
        for _ in 0..8 {
            let (tokens, group) = (dice.filter(), dice.queue());
            let wanted = filter(&tokens.join("."));
            let grant = permissions.subscribe(wanted, group.map(queue).as_ref());
            assert_eq!(grant.is_ok(), lists.admit(&tokens, group), "{lists:?} on {tokens:?} {group:?}");
            let Ok(grant) = grant else {
                refused += 1;
                continue;
            };
            for _ in 0..8 {
                let message = dice.subject();
                let text = message.join(".");
                let reached = grant.filter.matches(subject(&text)) && grant.delivers(subject(&text));
                let expected = lists.deliver(&tokens, group, &message);
                assert_eq!(reached, expected, "{lists:?} on {tokens:?} {group:?}, message {text}");
                // A withheld message is one of a subscription that says so, and names the rule.
                if !reached && matches(&tokens, &message) {
                    withheld += 1;
                    assert!(grant.is_filtered() && !grant.withheld().is_empty());
                }
                delivered += u64::from(reached);
                // Nothing reaches a user under an allow list that no entry of it speaks of.
                if let (true, Some(allow)) = (reached, &lists.allow) {
                    assert!(allow.iter().any(|entry| matches(&entry.0, &message)), "{lists:?} let {text} through");
                }
            }
        }
    }
    let enough = rule_sets() / 2;
    assert!(delivered > enough && withheld > enough && refused > enough, "{delivered} {withheld} {refused}");
}

#[test]
fn publishing_is_allowed_exactly_if_the_oracle_says_so() {
    for seed in 1..=rule_sets() {
        let mut dice = Dice::new(seed);
        let lists = dice.lists(false);
        let permissions = lists.for_publishing();
        for _ in 0..16 {
            let tokens = dice.subject();
            let text = tokens.join(".");
            let verdict = permissions.publish(subject(&text));
            assert_eq!(verdict.is_ok(), lists.publish(&tokens), "{lists:?} on {text}: {verdict:?}");
        }
    }
}
