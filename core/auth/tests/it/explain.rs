//! Why may somebody, or why not: the sentence for the operator.

use auth::Wish;
use testkit::accounts::{compiled, shop};

use crate::{filter, queue, subject};

#[test]
fn an_explanation_names_user_wish_and_rule() {
    let shop = compiled(&shop());
    let say = |user: &str, wish: Wish<'_>| shop.explain(user, wish).map(|said| said.to_string()).unwrap_or_default();
    assert_eq!(
        say("clerk", Wish::Publish(subject("orders.new"))),
        "SHOP/clerk may publish to \"orders.new\": allowed: allow \"orders.>\" (shop.conf:3:10)"
    );
    assert_eq!(
        say("clerk", Wish::Publish(subject("billing"))),
        "SHOP/clerk may not publish to \"billing\": denied: no allow entry speaks of it"
    );
    assert_eq!(
        say("clerk", Wish::Subscribe { filter: &filter("orders.>"), queue: None }),
        "SHOP/clerk may subscribe to \"orders.>\": allowed: allow \"orders.>\" (shop.conf:3:30); \
         withheld: deny \"orders.*.card\" (shop.conf:3:40)"
    );
    assert_eq!(
        say("worker", Wish::Subscribe { filter: &filter("jobs.new"), queue: Some(&queue("w2")) }),
        "SHOP/worker may not subscribe to \"jobs.new\" in queue \"w2\": denied: allow \"jobs.> w1\" (shop.conf:5:10) is \
         for another queue"
    );
    assert_eq!(
        say("owner", Wish::Reply(b"_R_.x")),
        "SHOP/owner may not ask for answers on \"_R_.x\": denied: replies \"_R_.\" are reserved for servers"
    );
    let sent = |user, to| say(user, Wish::Deliver { to: subject(to), queue: None });
    assert_eq!(
        sent("clerk", "orders.new"),
        "SHOP/clerk may have messages sent to \"orders.new\": allowed: allow \"orders.>\" (shop.conf:3:10)"
    );
    assert_eq!(
        sent("alice", "_INBOX.x.1"),
        "SHOP/alice may have messages sent to \"_INBOX.x.1\": allowed: allow \"_INBOX.>\" (shop.conf:2:20)"
    );
    assert_eq!(
        sent("clerk", "events.x"),
        "SHOP/clerk may not have messages sent to \"events.x\": denied: no allow entry speaks of it"
    );
    assert_eq!(
        say("owner", Wish::Publish(subject("a"))),
        "SHOP/owner may publish to \"a\": allowed: no list restricts it"
    );
    assert_eq!(say("nobody", Wish::Publish(subject("a"))), "");
}
