//! Narrowing an allow list or adding a deny never turns a denial into a grant, and never delivers more.

use auth::settings::PermissionsSettings;
use proptest::prelude::*;

use crate::rules::{Dice, Lists, compile};
use crate::{filter, queue, subject};

/// The lists with less allowed and more denied.
fn narrowed(lists: &Lists, dice: &mut Dice) -> Lists {
    let other = dice.lists(true);
    let mut narrower = lists.clone();
    narrower.deny.extend(other.deny);
    match &mut narrower.allow {
        // Queue entries are kept: removing one can make a plain entry count for its queue, which is how queue entries
        // are meant to work.
        Some(allow) => allow.retain(|entry| entry.1.is_some() || dice.below(2) == 0),
        none => *none = other.allow,
    }
    narrower
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn less_is_never_more(seed in 1_u64..) {
        let mut dice = Dice::new(seed);
        let wide = dice.lists(true);
        let narrow = narrowed(&wide, &mut dice);
        let (before, after) = (wide.for_subscribing(), narrow.for_subscribing());
        for _ in 0..8 {
            let (wanted, group) = (filter(&dice.filter().join(".")), dice.queue().map(queue));
            let (Ok(new), old) = (after.subscribe(wanted.clone(), group.as_ref()), before.subscribe(wanted, group.as_ref())) else {
                continue;
            };
            let old = old.expect("a narrower list grants only what the wider one grants");
            let kept = new.withheld();
            prop_assert!(old.withheld().iter().all(|rule| kept.contains(rule)), "a deny was lost");
            for _ in 0..8 {
                let text = dice.subject().join(".");
                prop_assert!(!new.delivers(subject(&text)) || old.delivers(subject(&text)));
            }
        }
    }

    #[test]
    fn who_may_less_has_no_more_sent(seed in 1_u64..) {
        let mut dice = Dice::new(seed);
        let (publish, subscribe) = (dice.lists(false), dice.lists(true));
        let of = |publish: &Lists, subscribe: &Lists| {
            let (publish, subscribe) = (publish.settings(), subscribe.settings());
            compile(PermissionsSettings { publish, subscribe, ..Default::default() })
        };
        let before = of(&publish, &subscribe);
        let mut narrow = publish.clone();
        narrow.deny.extend(dice.lists(false).deny);
        let after = of(&narrow, &narrowed(&subscribe, &mut dice));
        for _ in 0..16 {
            let (mut tokens, group) = (dice.subject(), dice.queue().map(queue));
            if dice.below(2) == 0 {
                tokens.insert(0, "_");
            }
            let text = tokens.join(".");
            let sent = |by: &auth::Permissions| by.deliver(subject(&text), group.as_ref()).is_ok();
            prop_assert!(!sent(&after) || sent(&before));
        }
    }

    #[test]
    fn less_to_publish_is_never_more(seed in 1_u64..) {
        let mut dice = Dice::new(seed);
        let wide = dice.lists(false);
        let mut narrow = wide.clone();
        narrow.deny.extend(dice.lists(false).deny);
        if let Some(allow) = &mut narrow.allow {
            allow.retain(|_| dice.below(2) == 0);
        }
        let (before, after) = (wide.for_publishing(), narrow.for_publishing());
        for _ in 0..16 {
            let text = dice.subject().join(".");
            prop_assert!(after.publish(subject(&text)).is_err() || before.publish(subject(&text)).is_ok());
        }
    }
}
