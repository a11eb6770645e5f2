//! What a peer gets to read, word for word.

use auth::{Binding, Denial, Permissions, publish_denied_text, reply_denied_text};

use crate::rules::compile;
use crate::{filter, queue, subject};

fn closed() -> Permissions {
    let nothing = auth::settings::SideSettings { allow: Some(Vec::new()), deny: None };
    compile(auth::settings::PermissionsSettings { publish: nothing.clone(), subscribe: nothing, ..Default::default() })
}

#[test]
fn denials_have_the_standard_texts() {
    let publish = closed().publish(subject("a.b")).unwrap_err();
    assert_eq!(publish.wire_text(), "Permissions Violation for Publish to \"a.b\"");
    assert_eq!(publish.violation(None), "Publish Violation - Subject \"a.b\"");

    let reply = Permissions::unrestricted(Binding::default()).reply(b"_R_.x").unwrap_err();
    assert_eq!(reply.wire_text(), "Permissions Violation for Publish with Reply of \"_R_.x\"");
    assert_eq!(reply.violation(None), "Publish Violation - Reply \"_R_.x\"");

    let plain = closed().subscribe(filter("a.>"), None).unwrap_err();
    assert_eq!(plain.wire_text(), "Permissions Violation for Subscription to \"a.>\"");
    assert_eq!(plain.wire_text_removed(b"2"), "Permissions Violation for Subscription to \"a.>\" (sid \"2\")");
    assert_eq!(plain.violation(Some(b"9")), "Subscription Violation - Subject \"a.>\", SID 9");

    let queued = closed().subscribe(filter("a"), Some(&queue("q"))).unwrap_err();
    assert_eq!(queued.wire_text(), "Permissions Violation for Subscription to \"a\" using queue \"q\"");
    assert_eq!(
        queued.wire_text_removed(b"x"),
        "Permissions Violation for Subscription to \"a\" using queue \"q\" (sid \"x\")"
    );
    assert_eq!(queued.violation(Some(b"9")), "Subscription Violation - Subject \"a\", Queue: \"q\", SID 9");

    let tokens = Denial::too_many_tokens(&filter("a.b.c"), Some(&queue("q")), 2);
    assert_eq!(tokens.wire_text(), "Permissions Violation for Subscription to \"a.b.c\", too many tokens");
    assert_eq!(
        tokens.to_string(),
        "Subscription Violation Too Many Tokens - Subject \"a.b.c\", Queue: \"q\": more than 2 tokens"
    );
}

#[test]
fn what_a_peer_wrote_is_quoted_and_cannot_end_the_line() {
    assert_eq!(publish_denied_text(b"a\"b"), r#"Permissions Violation for Publish to "a\"b""#);
    assert_eq!(publish_denied_text(b"a\r\n-ERR"), r#"Permissions Violation for Publish to "a\r\n-ERR""#);
    assert_eq!(publish_denied_text(b"\xff"), r#"Permissions Violation for Publish to "\xff""#);
    assert_eq!(reply_denied_text("ß".as_bytes()), "Permissions Violation for Publish with Reply of \"ß\"");
}

#[test]
fn a_denial_never_tells_the_peer_the_rule() {
    let denial = closed().publish(subject("a")).unwrap_err();
    assert!(!denial.wire_text().contains("allow") && denial.to_string().contains("allow"));
}
