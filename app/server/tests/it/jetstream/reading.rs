//! What users read from streams is what they may subscribe to.

use super::house::{House, Peer};

const STREAM: &str = r#"{"name":"S","subjects":["open.>","secret.>"],"allow_direct":true,"allow_msg_schedules":true}"#;

/// `boss` may everything, `clerk` must not have `secret.>`, `inbox` has inboxes only, as is common.
fn accounts() -> String {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { subscribe: { deny: ["secret.>"] } } }
        { user: inbox, password: inbox, permissions: { publish: ["$JS.API.>", "$JS.ACK.>"], subscribe: ["_I.>"] } }
    ]"#;
    format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}")
}

fn login(name: &str) -> String {
    format!(",\"user\":\"{name}\",\"pass\":\"{name}\"")
}

/// A house with one open and two secret messages, in this order: secret, open, secret.
fn furnished(block: &str) -> (House, super::house::Server) {
    let house = House::new(block, &accounts());
    let server = house.start();
    let mut boss = server.peer(&login("boss"));
    boss.call("STREAM.CREATE.S", STREAM);
    for (seq, subject) in (1..).zip(["secret.a", "open.a", "secret.b"]) {
        assert_eq!(boss.store(subject, &format!("body of {subject}")), seq);
    }
    (house, server)
}

fn consumer(name: &str, more: &str) -> String {
    format!(r#"{{"stream_name":"S","config":{{"durable_name":"{name}","ack_policy":"explicit"{more}}}}}"#)
}

/// The answer to a direct read.
fn direct(peer: &mut Peer, body: &str) -> String {
    let heard = peer.ask("$JS.API.DIRECT.GET.S", body);
    format!("{}{}", heard.headers.lines().next().unwrap_or_default(), heard.body)
}

#[test]
fn a_consumer_never_reads_what_its_user_is_denied() {
    let (_house, mut server) = furnished("");
    let mut clerk = server.peer(&login("clerk"));
    assert_eq!(clerk.refused("CONSUMER.CREATE.S.c", &consumer("c", r#","filter_subject":"secret.a""#)), 19_001);
    let line = server.logged("Subscription Violation - Subject \"secret.a\"");
    assert!(line.contains("\"A/user:clerk\"") && line.contains("deny \"secret.>\""), "{line}");
    assert_eq!(
        clerk.refused("CONSUMER.CREATE.S.c", &consumer("c", r#","filter_subjects":["open.a","secret.*"]"#)),
        19_001
    );

    let made = clerk.call("CONSUMER.CREATE.S.c", &consumer("c", ""));
    assert_eq!(made["num_pending"], 1, "what is withheld is not counted");
    let message = clerk.pull("S", "c");
    assert_eq!((message.subject.as_str(), message.body.as_str()), ("open.a", "body of open.a"));
    assert!(message.reply.ends_with(".0"), "it is the last one: {}", message.reply);
    let nothing = clerk.pull("S", "c");
    assert!(nothing.headers.starts_with("NATS/1.0 404"), "{nothing:?}");
}

#[test]
fn what_bound_a_consumer_binds_it_after_a_restart_and_for_everybody() {
    let (house, server) = furnished("");
    let mut clerk = server.peer(&login("clerk"));
    clerk.call("CONSUMER.CREATE.S.c", &consumer("c", ""));
    drop(clerk);
    server.stop();
    let server = house.start();
    let mut boss = server.peer(&login("boss"));
    assert_eq!(boss.pull("S", "c").subject, "open.a");
    assert!(boss.pull("S", "c").headers.starts_with("NATS/1.0 404"));
    boss.call("CONSUMER.CREATE.S.c", &consumer("c", r#","max_deliver":9"#));
    assert!(boss.pull("S", "c").headers.starts_with("NATS/1.0 404"), "a change by somebody else does not unbind it");
}

#[test]
fn a_pull_is_bound_by_what_the_puller_may_read() {
    let (_house, mut server) = furnished("");
    let mut boss = server.peer(&login("boss"));
    boss.call("CONSUMER.CREATE.S.all", &consumer("all", ""));
    boss.call("CONSUMER.CREATE.S.secret", &consumer("secret", r#","filter_subject":"secret.>""#));
    let mut clerk = server.peer(&login("clerk"));
    for name in ["all", "secret"] {
        let refused = clerk.pull("S", name);
        assert!(refused.headers.starts_with("NATS/1.0 409 Permissions Violation"), "{name}: {refused:?}");
        let line = server.logged("Subscription Violation");
        let what = if name == "all" { "secret.a" } else { "secret.>" };
        assert!(line.contains("\"A/user:clerk\"") && line.contains(&format!("Subject \"{what}\"")), "{line}");
    }
    let first = boss.pull("S", "all");
    assert_eq!(first.subject, "secret.a", "it was not lost");
    assert_eq!(clerk.pull("S", "all").subject, "open.a");
    let refused = clerk.ask(&first.reply, "+NXT");
    assert!(refused.headers.starts_with("NATS/1.0 409 Permissions Violation"), "{refused:?}");
}

#[test]
fn single_messages_that_are_denied_are_as_if_they_were_not_there() {
    let (_house, server) = furnished("");
    let mut clerk = server.peer(&login("clerk"));
    for body in [r#"{"seq":1}"#, r#"{"last_by_subj":"secret.b"}"#] {
        assert_eq!(clerk.refused("STREAM.MSG.GET.S", body), 10037);
        assert_eq!(direct(&mut clerk, body), "NATS/1.0 404 Message Not Found");
    }
    assert!(clerk.ask("$JS.API.DIRECT.GET.S.secret.b", "").headers.starts_with("NATS/1.0 404"));
    assert!(direct(&mut clerk, r#"{"seq":2}"#).ends_with("body of open.a"));
    let lasts = clerk.ask("$JS.API.DIRECT.GET.S", r#"{"multi_last":[">"]}"#);
    assert_eq!(lasts.body, "body of open.a");
    assert!(clerk.heard().unwrap().headers.starts_with("NATS/1.0 204 EOB"));
    let batch = clerk.ask("$JS.API.DIRECT.GET.S", r#"{"seq":1,"batch":10}"#);
    assert_eq!(batch.body, "body of open.a");
    assert!(clerk.heard().unwrap().headers.starts_with("NATS/1.0 204 EOB"));
    let info = clerk.call("STREAM.INFO.S", r#"{"subjects_filter":">"}"#);
    assert_eq!(info["state"]["subjects"], serde_json::json!({"open.a": 1}));
}

#[test]
fn no_copy_leads_around_it() {
    let (_house, server) = furnished("");
    let mut clerk = server.peer(&login("clerk"));
    let copies = [
        r#"{"name":"T","mirror":{"name":"S"}}"#,
        r#"{"name":"T","mirror":{"name":"S","filter_subject":"secret.a"}}"#,
        r#"{"name":"T","sources":[{"name":"S","subject_transforms":[{"src":"secret.>","dest":"plain.>"}]}]}"#,
        r#"{"name":"T","sources":[{"name":"not-there-yet"}]}"#,
        r#"{"name":"T","subjects":["secretly.>"],"republish":{"src":"secret.>","dest":"plain.>"}}"#,
        r#"{"name":"T","subjects":["x.>"],"subject_transform":{"src":"secret.>","dest":"plain.>"}}"#,
    ];
    for config in copies {
        assert_eq!(clerk.refused("STREAM.CREATE.T", config), 19_001, "{config}");
    }
    assert_eq!(clerk.refused("STREAM.SNAPSHOT.S", r#"{"deliver_subject":"_I.x"}"#), 19_001);
    clerk.call("STREAM.CREATE.T", r#"{"name":"T","sources":[{"name":"S","filter_subject":"open.>"}]}"#);
    let headers = "NATS/1.0\r\nNats-Schedule: @every 1s\r\nNats-Schedule-Target: open.b\r\nNats-Schedule-Source: secret.a\r\n\r\n";
    let inbox = clerk.inbox();
    let len = headers.len();
    clerk.send(&format!("HPUB open.schedule {inbox} {len} {len}\r\n{headers}\r\n"));
    assert!(clerk.heard().unwrap().body.contains("19001"));
}

#[test]
fn users_with_inboxes_only_go_on_reading_unless_the_operator_wants_it_otherwise() {
    let (_house, server) = furnished("");
    let mut inbox = server.peer(&login("inbox"));
    inbox.call("CONSUMER.CREATE.S.c", &consumer("c", ""));
    assert_eq!(inbox.pull("S", "c").subject, "secret.a");
    assert!(direct(&mut inbox, r#"{"seq":1}"#).ends_with("body of secret.a"));

    let (_house, server) = furnished("subscribe_permissions: all");
    let mut inbox = server.peer(&login("inbox"));
    assert_eq!(inbox.refused("CONSUMER.CREATE.S.c", &consumer("c", "")), 19_001);
    assert_eq!(direct(&mut inbox, r#"{"seq":2}"#), "NATS/1.0 404 Message Not Found");
    let mut boss = server.peer(&login("boss"));
    boss.call("CONSUMER.CREATE.S.c", &consumer("c", ""));
    assert_eq!(boss.pull("S", "c").subject, "secret.a");
}

#[test]
fn a_reload_changes_which_permissions_bind() {
    let (mut house, mut server) = furnished("subscribe_permissions: \"off\"");
    let mut clerk = server.peer(&login("clerk"));
    assert!(direct(&mut clerk, r#"{"seq":1}"#).ends_with("body of secret.a"));
    house.configure("", &accounts());
    house.reload(&mut server);
    assert_eq!(direct(&mut clerk, r#"{"seq":1}"#), "NATS/1.0 404 Message Not Found");
}

/// Advisories name who asked. Who calls the API in its own account has no say in that.
#[test]
fn who_asks_cannot_be_forged_in_advisories() {
    let (_house, server) = furnished("");
    let mut boss = server.peer(&login("boss"));
    boss.send("SUB $JS.EVENT.ADVISORY.API 77\r\n");
    let headers =
        "NATS/1.0\r\nnats-request-info: {\"user\":\"mallory\"}\r\nNats-Request-Info: {\"user\":\"mallory\"}\r\n\r\n";
    let inbox = boss.inbox();
    boss.send(&format!("HPUB $JS.API.STREAM.NAMES {inbox} {0} {0}\r\n{headers}\r\n", headers.len()));
    let both = [boss.heard().unwrap(), boss.heard().unwrap()];
    let event = both.iter().find(|heard| heard.subject == "$JS.EVENT.ADVISORY.API").unwrap();
    let event: serde_json::Value = serde_json::from_str(&event.body).unwrap();
    let client = &event["client"];
    assert_eq!((&client["acc"], &client["user"], &client["kind"]), (&"A".into(), &"boss".into(), &"Client".into()));
    assert!(!event.to_string().contains("mallory"));
}

#[test]
fn who_rolls_up_subjects_with_wildcards_may_publish_to_all_of_them() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { publish: { allow: ["k.>", "$JS.API.>"], deny: ["k.h.secret"] } } }
    ]"#;
    let house = House::new("", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let server = house.start();
    let relaxed = |name: &str| login(name) + ",\"pedantic\":false";
    let (mut boss, mut clerk) = (server.peer(&relaxed("boss")), server.peer(&relaxed("clerk")));
    boss.call("STREAM.CREATE.K", r#"{"name":"K","subjects":["k.>"],"allow_rollup_hdrs":true}"#);
    for (seq, subject) in (1..).zip(["k.h.secret", "k.h.open", "k.i.open"]) {
        assert_eq!(boss.store(subject, "body"), seq);
    }
    let refused = clerk.ask_with("k.h.*", "Nats-Rollup: sub", "");
    assert!(refused.body.contains("10111") && refused.body.contains("rollup not permitted"), "{refused:?}");
    assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["messages"], 3);
    let taken = clerk.ask_with("k.i.*", "Nats-Rollup: sub", "");
    assert!(taken.body.contains(r#""seq":4"#), "{taken:?}");
    let taken = boss.ask_with("k.h.*", "Nats-Rollup: sub", "");
    assert!(taken.body.contains(r#""seq":5"#), "{taken:?}");
    assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["messages"], 2);
}

#[test]
fn what_a_message_has_a_stream_remove_or_publish_its_sender_may_publish_to() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { publish: ["k.mine", "s.mine", "$JS.API.>"] } }
        { user: owner, password: owner, permissions: { publish: ["k.>", "$JS.API.>"] } }
    ]"#;
    let house = House::new("", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let mut server = house.start();
    let (mut boss, mut clerk) = (server.peer(&login("boss")), server.peer(&login("clerk")));
    let mut owner = server.peer(&login("owner"));
    boss.call("STREAM.CREATE.K", r#"{"name":"K","subjects":["k.>"],"allow_rollup_hdrs":true}"#);
    boss.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"],"allow_msg_schedules":true}"#);
    assert_eq!(boss.store("k.other", "body"), 1);
    let refused = clerk.ask_with("k.mine", "Nats-Rollup: all", "");
    assert!(refused.body.contains("10111"), "{refused:?}");
    let line = server.logged("Publish Violation - Subject \"k.>\"");
    assert!(line.contains("\"A/user:clerk\"") && line.contains("k.mine"), "{line}");
    assert!(clerk.ask_with("k.mine", "nats-rollup: sub", "").body.contains(r#""seq":2"#));
    assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["messages"], 2);
    assert!(owner.ask_with("k.mine", "Nats-Rollup: all", "").body.contains(r#""seq":3"#));
    assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["messages"], 1);

    let schedule = |target: &str| format!("Nats-Schedule: @at 2035-01-01T00:00:00Z\r\nNats-Schedule-Target: {target}");
    let refused = clerk.ask_with("s.mine", &schedule("s.other"), "");
    assert!(refused.body.contains("10190"), "{refused:?}");
    assert!(boss.ask_with("s.mine", &schedule("s.other"), "").body.contains(r#""seq":1"#));
    let ends = "Nats-Schedule-Next: purge\r\nNats-Scheduler: s.boss";
    let refused = clerk.ask_with("s.mine", ends, "");
    assert!(refused.body.contains("10212"), "{refused:?}");
}

#[test]
fn a_rollup_of_everything_needs_the_right_to_every_subject_of_the_stream() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { publish: ["k.>", "$JS.API.>"] } }
        { user: owner, password: owner, permissions: { publish: ["k.>", "l.*", "m", "$JS.API.>"] } }
        { user: copyist, password: copyist, permissions: { publish: ["l.x.y"] } }
    ]"#;
    for rule in ["deny", "all", "\"off\""] {
        let house = House::new(
            &format!("subscribe_permissions: {rule}"),
            &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"),
        );
        let mut server = house.start();
        let (mut boss, mut clerk) = (server.peer(&login("boss")), server.peer(&login("clerk")));
        let mut owner = server.peer(&login("owner"));
        boss.call("STREAM.CREATE.K", r#"{"name":"K","subjects":["k.>","l.*","m"],"allow_rollup_hdrs":true}"#);
        assert_eq!((boss.store("l.other", "body"), boss.store("k.other", "body")), (1, 2));
        let refused = clerk.ask_with("k.mine", "Nats-Rollup: ALL", "");
        assert!(refused.body.contains("10111") && refused.body.contains("rollup not permitted"), "{refused:?}");
        let line = server.logged("Publish Violation - Subject \"l.*\"");
        assert!(line.contains("\"A/user:clerk\""), "{line}");
        assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["messages"], 2);
        assert!(clerk.ask_with("k.mine", "Nats-Rollup: sub", "").body.contains(r#""seq":3"#));
        assert!(owner.ask_with("k.mine", "Nats-Rollup: all", "").body.contains(r#""seq":4"#));
        assert_eq!(boss.call("STREAM.INFO.K", "")["state"]["messages"], 1);
        // What is copied bears other subjects than those that are listed.
        boss.call(
            "STREAM.CREATE.C",
            r#"{"name":"C","subjects":["l.x.y"],"sources":[{"name":"K"}],"allow_rollup_hdrs":true}"#,
        );
        let mut user = server.peer(&login("copyist"));
        let refused = user.ask_with("l.x.y", "Nats-Rollup: all", "");
        assert!(refused.body.contains("10111"), "{refused:?}");
    }
}

/// What is told is whether the expectation holds, and not what was stored that may not be read.
#[test]
fn a_refusal_does_not_tell_the_last_of_what_may_not_be_read() {
    let (_house, server) = furnished("");
    let (mut boss, mut clerk) = (server.peer(&login("boss")), server.peer(&login("clerk")));
    let expects = |filter: &str| match filter {
        "" => "Nats-Expected-Last-Subject-Sequence: 77".to_owned(),
        _ => {
            format!("Nats-Expected-Last-Subject-Sequence: 77\r\nNats-Expected-Last-Subject-Sequence-Subject: {filter}")
        }
    };
    let refused = |peer: &mut Peer, subject: &str, filter: &str| {
        let body = peer.ask_with(subject, &expects(filter), "").body;
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let error = &answer["error"];
        (error["err_code"].as_u64().unwrap(), error["description"].as_str().unwrap().to_owned())
    };
    let hidden = || (10_164, "wrong last sequence".to_owned());
    let told = |seq: u64| (10_071, format!("wrong last sequence: {seq}"));
    for (subject, filter, by_clerk, seq) in [
        ("secret.b", "", hidden(), 3),
        ("open.a", "", told(2), 2),
        ("open.a", "secret.*", hidden(), 3),
        ("open.a", ">", hidden(), 3),
        ("open.a", "secret.a", hidden(), 1),
        ("open.a", "open.*", told(2), 2),
        ("open.a", "secret.none", hidden(), 0),
    ] {
        assert_eq!(refused(&mut clerk, subject, filter), by_clerk, "{subject} by {filter}");
        assert_eq!(refused(&mut boss, subject, filter), told(seq), "{subject} by {filter}");
    }
    let by_id = |peer: &mut Peer| peer.ask_with("open.a", "Nats-Expected-Last-Msg-Id: x", "").body;
    let inbox = boss.ask_with("secret.a", "Nats-Msg-Id: of-a-secret", "");
    assert!(inbox.body.contains(r#""seq":4"#), "{inbox:?}");
    assert!(by_id(&mut boss).contains("wrong last msg ID: of-a-secret"));
    let said = by_id(&mut clerk);
    assert!(said.contains("10070") && !said.contains("secret"), "{said}");
}

#[test]
fn a_batch_tells_no_more_than_its_messages_would_alone() {
    let house = House::new("", &accounts());
    let server = house.start();
    let mut boss = server.peer(&login("boss"));
    boss.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["open.>","secret.>"],"allow_atomic":true}"#);
    assert_eq!(boss.store("secret.a", "body"), 1);
    for (name, code) in [("clerk", 10_164), ("boss", 10_071)] {
        let mut peer = server.peer(&login(name));
        let batch = |n: u32| format!("Nats-Batch-Id: {name}\r\nNats-Batch-Sequence: {n}\r\n");
        let first = batch(1) + "Nats-Expected-Last-Subject-Sequence: 77";
        assert_eq!(peer.ask_with("secret.a", &first, "").body, "");
        let refused = peer.ask_with("open.a", &(batch(2) + "Nats-Batch-Commit: 1"), "").body;
        assert!(refused.contains(&format!("\"err_code\":{code}")), "{name}: {refused}");
    }
}

/// To add nothing to a counter is to read it.
#[test]
fn a_counter_is_not_told_to_whoever_may_not_read_it() {
    let house = House::new("", &accounts());
    let server = house.start();
    let (mut boss, mut clerk) = (server.peer(&login("boss")), server.peer(&login("clerk")));
    let counting = r#""allow_msg_counter":true,"allow_atomic":true"#;
    boss.call("STREAM.CREATE.C", &format!(r#"{{"name":"C","subjects":["open.>","secret.>"],{counting}}}"#));
    for subject in ["open.n", "secret.n"] {
        assert!(boss.ask_with(subject, "Nats-Incr: +7", "").body.contains("\"val\":\"7\""));
        let batch = "Nats-Incr: +0\r\nNats-Batch-Id: one\r\nNats-Batch-Sequence: 1\r\nNats-Batch-Commit: 1";
        for header in ["Nats-Incr: +0", batch] {
            let (by_boss, by_clerk) =
                (boss.ask_with(subject, header, "").body, clerk.ask_with(subject, header, "").body);
            assert!(by_boss.contains("\"val\":\"7\""), "{by_boss}");
            assert!(by_clerk.contains("\"seq\":"), "it is counted: {by_clerk}");
            assert_eq!(by_clerk.contains("\"val\""), subject == "open.n", "{header}: {by_clerk}");
        }
    }
}

/// Buckets of another domain are written to through its interface, under other subjects than they are kept by.
#[test]
fn what_a_message_has_a_bucket_remove_or_publish_its_sender_may_publish_to_by_the_interface_too() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { publish: { allow: ["$JS.hub.API.$KV.B.>"], deny: ["$JS.hub.API.$KV.B.h.secret"] } } }
    ]"#;
    let house = House::new("domain: hub", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let server = house.start();
    let relaxed = |name: &str| login(name) + ",\"pedantic\":false";
    let (mut boss, mut clerk) = (server.peer(&relaxed("boss")), server.peer(&relaxed("clerk")));
    let taking = r#""allow_rollup_hdrs":true,"allow_msg_schedules":true"#;
    boss.call("STREAM.CREATE.KV_B", &format!(r#"{{"name":"KV_B","subjects":["$KV.B.>"],{taking}}}"#));
    assert_eq!((boss.store("$KV.B.h.secret", "kept"), boss.store("$KV.B.h.open", "kept")), (1, 2));
    let schedule =
        |target: &str| format!("Nats-Schedule: @at 2035-01-01T00:00:00Z\r\nNats-Schedule-Target: $KV.B.{target}");
    for (key, header, code) in [
        ("h.*", "Nats-Rollup: sub".to_owned(), 10_111),
        ("h.open", "Nats-Rollup: all".to_owned(), 10_111),
        ("h.open", schedule("h.secret"), 10_190),
        ("h.open", "Nats-Schedule-Next: purge\r\nNats-Scheduler: $KV.B.h.secret".to_owned(), 10_212),
    ] {
        let refused = clerk.ask_with(&format!("$JS.hub.API.$KV.B.{key}"), &header, "").body;
        assert!(refused.contains(&format!("\"err_code\":{code}")), "{key} {header}: {refused}");
        assert_eq!(boss.call("STREAM.INFO.KV_B", "")["state"]["messages"], 2);
    }
    assert!(clerk.ask_with("$JS.hub.API.$KV.B.h.open", "Nats-Rollup: sub", "").body.contains("\"seq\":3"));
    assert!(clerk.ask_with("$JS.hub.API.$KV.B.h.open", &schedule("h.other"), "").body.contains("\"seq\":4"));
}

#[test]
fn nobody_has_the_server_repeat_messages_where_he_may_not_publish() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: clerk, password: clerk, permissions: { publish: ["mine.>", "to.*.me", "$JS.API.>"] } }
    ]"#;
    let house = House::new("", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let server = house.start();
    let (mut boss, mut clerk) = (server.peer(&login("boss")), server.peer(&login("clerk")));
    let config =
        |dest: &str| format!(r#"{{"name":"M","subjects":["mine.*"],"republish":{{"src":"mine.*","dest":"{dest}"}}}}"#);
    for dest in ["orders.$1", "to.$1", "$1.to.me", "to.{{split(1,-)}}.me"] {
        assert_eq!(clerk.refused("STREAM.CREATE.M", &config(dest)), 19_001, "{dest}");
    }
    clerk.call("STREAM.CREATE.M", &config("to.{{wildcard(1)}}.me"));
    clerk.call("STREAM.UPDATE.M", &config("to.$1.me"));
    assert_eq!(clerk.refused("STREAM.UPDATE.M", &config("orders.$1")), 19_001);
    boss.call("STREAM.UPDATE.M", &config("orders.$1"));
    clerk.call("STREAM.UPDATE.M", &config("orders.$1"));
    // Nor does anybody have it repeat what it has repeated.
    for dest in ["$1.$1", "mine.$1", "{{split(1,-)}}.x"] {
        assert_ne!(boss.refused("STREAM.UPDATE.M", &config(dest)), 19_001, "{dest}");
    }
}

/// Somebody's own messages, with whatever headers, would come as the server's where he may not publish.
#[test]
fn stored_messages_go_where_whoever_asks_may_publish_and_to_its_inboxes() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: low, password: low, permissions: { publish: ["mine.>", "$JS.API.>", "$JS.ACK.>"], subscribe: ["_I.>", "mine.>"] } }
        { user: clerk, password: clerk, permissions: { publish: { deny: ["orders.>", "_I.>"] } } }
        { user: reader, password: reader, permissions: { publish: ["$JS.API.>", "$JS.ACK.>"], subscribe: ["_I.>", "mine.>", "orders.>"] } }
        { user: wide, password: wide, permissions: { publish: ["$JS.API.>", "$JS.ACK.>"] } }
    ]"#;
    for rule in ["deny", "all", "\"off\""] {
        let accounts = format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}");
        let house = House::new(&format!("subscribe_permissions: {rule}"), &accounts);
        let mut server = house.start();
        let mut boss = server.peer(&login("boss"));
        boss.call("STREAM.CREATE.M", r#"{"name":"M","subjects":["mine.>"],"allow_direct":true}"#);
        boss.call("STREAM.CREATE.O", r#"{"name":"O","subjects":["orders.>"]}"#);
        boss.call(
            "CONSUMER.CREATE.M.c",
            r#"{"stream_name":"M","config":{"durable_name":"c","ack_policy":"explicit"}}"#,
        );
        (1..=9).for_each(|seq| assert_eq!(boss.store("mine.a", "an order"), seq));
        for name in ["low", "clerk", "reader", "wide"] {
            let mut peer = server.peer(&login(name));
            let reply = boss.pull("M", "c").reply;
            for (to, body) in [("$JS.API.DIRECT.GET.M", "{\"seq\":1}"), (reply.as_str(), "+NXT")] {
                peer.send(&format!("PUB {to} orders.new {}\r\n{body}\r\n", body.len()));
                if rule != "\"off\"" {
                    peer.is_not_answered_on("orders.new");
                }
                let answered = peer.ask("$JS.API.DIRECT.GET.M", "{\"seq\":1}");
                assert_eq!(answered.body, "an order", "{name} is answered itself: {answered:?}");
            }
            if rule != "\"off\"" {
                let line = server.logged("Publish Violation - Reply \"orders.new\"");
                assert!(line.contains(&format!("\"A/user:{name}\"")), "{line}");
            }
        }
        let mut low = server.peer(&login("low"));
        low.send("PUB $JS.API.DIRECT.GET.M mine.heard 9\r\n{\"seq\":1}\r\n");
        low.ask("$JS.API.DIRECT.GET.M", "{\"seq\":1}");
        let orders = boss.call("STREAM.INFO.O", "")["state"]["messages"].as_u64().unwrap();
        assert_eq!(orders > 0, rule == "\"off\"", "{rule}");
        assert_eq!(boss.call("STREAM.INFO.M", "")["state"]["messages"], 10, "where one publishes one may have it said");
    }
}

#[test]
fn what_is_acknowledged_without_a_right_to_its_reply_is_acknowledged_and_not_answered() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: low, password: low, permissions: { publish: ["mine.>", "$JS.ACK.>", "$JS.API.CONSUMER.MSG.NEXT.>"] } }
    ]"#;
    let house = House::new("", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let mut server = house.start();
    let (mut boss, mut low) = (server.peer(&login("boss")), server.peer(&login("low")));
    boss.call("STREAM.CREATE.M", r#"{"name":"M","subjects":["mine.>"],"retention":"workqueue"}"#);
    boss.call("STREAM.CREATE.O", r#"{"name":"O","subjects":["orders.>"]}"#);
    boss.call("CONSUMER.CREATE.M.c", r#"{"stream_name":"M","config":{"durable_name":"c","ack_policy":"explicit"}}"#);
    low.send("PUB mine.a orders.new 1\r\na\r\n");
    low.is_not_answered_on("orders.new");
    assert_eq!(low.store("mine.b", "b"), 2, "who has an inbox is told");
    let line = server.logged("Publish Violation - Reply \"orders.new\"");
    assert!(line.contains("\"A/user:low\""), "{line}");
    let message = low.pull("M", "c");
    assert_eq!(message.body, "a");
    low.send(&format!("PUB {} orders.done 4\r\n+ACK\r\n", message.reply));
    low.is_not_answered_on("orders.done");
    assert_eq!(low.pull("M", "c").body, "b");
    assert_eq!(boss.call("STREAM.INFO.M", "")["state"]["messages"], 1);
    assert_eq!(boss.call("STREAM.INFO.O", "")["state"]["messages"], 0);
}

/// Who it is a user may ask without any stream, and is answered under the same rule.
#[test]
fn who_one_is_is_told_to_oneself() {
    let users = r#"users: [
        { user: boss, password: boss }
        { user: low, password: low, permissions: { publish: ["mine.>", "$SYS.REQ.USER.>"] } }
    ]"#;
    let house = House::new("", &format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}"));
    let mut server = house.start();
    let (mut boss, mut low) = (server.peer(&login("boss")), server.peer(&login("low")));
    boss.call("STREAM.CREATE.M", r#"{"name":"M","subjects":["mine.>"]}"#);
    boss.call("STREAM.CREATE.O", r#"{"name":"O","subjects":["orders.>"]}"#);
    for (question, body) in [("INFO", ""), ("EXPLAIN", r#"{"publish":"mine.x"}"#)] {
        for reply in ["orders.info", "mine.info"] {
            low.send(&format!("PUB $SYS.REQ.USER.{question} {reply} {}\r\n{body}\r\n", body.len()));
        }
        low.is_not_answered_on("orders.info");
        let answered = low.ask(&format!("$SYS.REQ.USER.{question}"), body).body;
        assert!(answered.contains("mine.") && !answered.contains("error"), "{question}: {answered}");
    }
    server.logged("Publish Violation - Reply \"orders.info\"");
    assert_eq!(boss.call("STREAM.INFO.M", "")["state"]["messages"], 2);
    assert_eq!(boss.call("STREAM.INFO.O", "")["state"]["messages"], 0);
}

#[test]
fn nobody_has_the_server_deliver_where_he_is_denied_to_publish() {
    let users = r#"users: [
        { user: maker, password: maker, permissions: { publish: ["$JS.API.>"], subscribe: ["_I.>"] } }
        { user: clerk, password: clerk, permissions: { publish: { deny: ["vault.>", "_I.>"] } } }
    ]"#;
    for (rule, for_others) in [("deny", true), ("all", false), ("\"off\"", true)] {
        let accounts = format!("accounts {{ A {{ jetstream: enabled\n{users} }} }}");
        let house = House::new(&format!("subscribe_permissions: {rule}"), &accounts);
        let server = house.start();
        let (mut maker, mut clerk) = (server.peer(&login("maker")), server.peer(&login("clerk")));
        clerk.call("STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>", "_I.s"]}"#);
        let make = |peer: &mut Peer, name: &str, deliver: &str| {
            let config =
                format!(r#"{{"durable_name":"{name}","deliver_subject":"{deliver}","filter_subject":"_I.s"}}"#);
            let body = format!(r#"{{"stream_name":"S","config":{config}}}"#);
            !peer.ask(&format!("$JS.API.CONSUMER.CREATE.S.{name}"), &body).body.contains("19001")
        };
        assert_eq!(make(&mut clerk, "a", "vault.x"), rule == "\"off\"", "{rule}");
        assert!(make(&mut clerk, "b", "open.x") && make(&mut clerk, "c", "_I.x"), "{rule}");
        assert_eq!(make(&mut clerk, "b", "vault.x"), rule == "\"off\"", "by a change: {rule}");
        // Whoever makes consumers for others need not be among them.
        assert_eq!(make(&mut maker, "d", "workers.x"), for_others, "{rule}");
        assert!(make(&mut maker, "e", "_I.y"), "{rule}");
        let snapshot = clerk.ask("$JS.API.STREAM.SNAPSHOT.S", r#"{"deliver_subject":"vault.x"}"#).body;
        assert_eq!(snapshot.contains("19001"), rule != "\"off\"", "{rule}: {snapshot}");
    }
}

/// What the exporter stores is not written by whoever imports its interface where he may not publish. What a service answers goes
/// wherever it was asked to, as ever.
#[test]
fn who_asks_by_an_import_is_answered_with_what_is_stored_where_he_may_publish_at_home() {
    let config = r#"accounts {
        A { jetstream: enabled, users: [
            { user: boss, password: boss }
            { user: low, password: low, permissions: { publish: ["b.>", "mine.>"], subscribe: ["_I.>"] } } ]
            imports: [{ service: { account: B, subject: "$JS.API.>" }, to: "b.api.>" }
                { service: { account: B, subject: "m.*" }, to: "b.m.*" }, { service: { account: B, subject: "svc" }, to: "b.svc" }] }
        B { jetstream: enabled, users: [{ user: other, password: other }]
            exports: [{ service: "$JS.API.>", response_type: stream }, { service: "m.*" }, { service: "svc" }] }
    }"#;
    for rule in ["deny", "\"off\""] {
        let house = House::new(&format!("subscribe_permissions: {rule}"), config);
        let mut server = house.start();
        let (mut boss, mut low, mut other) =
            (server.peer(&login("boss")), server.peer(&login("low")), server.peer(&login("other")));
        boss.call("STREAM.CREATE.O", r#"{"name":"O","subjects":["orders.>"]}"#);
        other.call("STREAM.CREATE.M", r#"{"name":"M","subjects":["m.*"],"allow_direct":true}"#);
        assert_eq!(other.store("m.a", "an order"), 1);
        let orders = |boss: &mut Peer| boss.call("STREAM.INFO.O", "")["state"]["messages"].as_u64().unwrap();

        let get = r#"{"last_by_subj":"m.a"}"#;
        low.send(&format!("PUB b.api.DIRECT.GET.M orders.new {}\r\n{get}\r\n", get.len()));
        let is_free = rule == "\"off\"";
        if !is_free {
            low.is_not_answered_on("orders.new");
            let line = server.logged("Publish Violation - Reply \"orders.new\"");
            assert!(line.contains("\"A/user:low\""), "{line}");
        }
        assert_eq!(low.ask("b.api.DIRECT.GET.M", get).body, "an order", "its inbox is open");
        assert_eq!(orders(&mut boss), u64::from(is_free), "{rule}");
        low.send("PUB b.m.b orders.new 0\r\n\r\n");
        if !is_free {
            low.is_not_answered_on("orders.new");
        }
        assert!(low.ask("b.m.c", "").body.contains("\"seq\":3"), "it is stored");
        assert_eq!(orders(&mut boss), 2 * u64::from(is_free), "{rule}");
        boss.send(&format!("PUB b.api.DIRECT.GET.M orders.new {}\r\n{get}\r\n", get.len()));
        assert_eq!(boss.ask("b.api.DIRECT.GET.M", get).body, "an order");
        assert_eq!(orders(&mut boss), 1 + 2 * u64::from(is_free), "who may publish there has it said");

        other.send("SUB svc 9\r\nPING\r\n");
        assert_eq!(other.line().unwrap(), "PONG");
        low.send("PUB b.svc orders.new 0\r\n\r\n");
        let asked = other.heard().unwrap();
        other.send(&format!("PUB {} 2\r\nhi\r\nPING\r\n", asked.reply));
        assert_eq!(other.line().unwrap(), "PONG");
        assert_eq!(orders(&mut boss), 2 + 2 * u64::from(is_free), "a service answers as in the reference");
    }
}
