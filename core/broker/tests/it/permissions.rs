//! Tenants, logins and permissions with everything in between.

use std::time::Duration;

use auth::settings::Settings;
use wire::CloseReason;

use crate::conversation::Conversation;
use crate::fixtures::tenants;

fn tenants_broker() -> Conversation {
    Conversation::with(&tenants(), |_| {})
}

#[test]
fn tenants_never_hear_each_other() {
    let mut broker = tenants_broker();
    let (back, teller) = (broker.login("back"), broker.login("teller"));
    broker.says(&teller, "SUB > 1\r\nSUB orders.> q 2\r\n");
    broker.says(&back, "SUB > 1\r\nPUB orders.new 1\r\nx\r\n");
    assert_eq!(broker.hears(&teller), "");
    assert_eq!(broker.hears(&back), "MSG orders.new 1 1\r\nx\r\n");
}

#[test]
fn a_publish_outside_the_allow_list_is_refused_by_its_name() {
    let mut broker = tenants_broker();
    let (clerk, back) = (broker.login("clerk"), broker.login("back"));
    broker.says(&back, "SUB > 1\r\n");
    broker.says(
        &clerk,
        "PUB orders.new 1\r\n1\r\nPUB users.signup 1\r\n2\r\nPUB users.list 1\r\n3\r\nPUB billing 1\r\n4\r\n",
    );
    assert_eq!(broker.hears(&back), "MSG orders.new 1 1\r\n1\r\nMSG users.signup 1 1\r\n2\r\n");
    assert_eq!(
        broker.hears(&clerk),
        "-ERR 'Permissions Violation for Publish to \"users.list\"'\r\n\
         -ERR 'Permissions Violation for Publish to \"billing\"'\r\n"
    );
    assert_eq!(broker.closed(&clerk), None);
}

#[test]
fn a_wide_subscription_never_receives_what_is_denied() {
    let mut broker = tenants_broker();
    let (clerk, back) = (broker.login("clerk"), broker.login("back"));
    broker.says(&clerk, "SUB events.> 1\r\nSUB events.audit.> 2\r\nSUB events.audit.x 3\r\nSUB > 4\r\n");
    let refused = broker.hears(&clerk);
    assert_eq!(refused.matches("-ERR 'Permissions Violation for Subscription to").count(), 3, "{refused}");
    broker.says(&back, "PUB events.audit.login 1\r\nx\r\nPUB events.sale 1\r\ny\r\n");
    assert_eq!(broker.hears(&clerk), "MSG events.sale 1 1\r\ny\r\n");
}

#[test]
fn cve_2022_29946_a_queue_member_is_not_picked_for_what_it_must_not_have() {
    let mut broker = tenants_broker();
    let (clerk, back, other) = (broker.login("clerk"), broker.login("back"), broker.login("back"));
    broker.says(&clerk, "SUB events.> q 1\r\n");
    broker.says(&other, "SUB events.> q 1\r\n");
    broker.says(&back, "PUB events.audit.login 1\r\nx\r\n".repeat(100));
    assert_eq!(broker.hears(&clerk), "");
    assert_eq!(broker.hears(&other).matches("MSG events.audit.login").count(), 100);
}

#[test]
fn who_was_asked_may_answer_once_and_only_there() {
    let mut broker = tenants_broker();
    let (service, back) = (broker.login("service"), broker.login("back"));
    broker.says(&service, "SUB svc.> 1\r\n");
    broker.says(&back, "SUB _INBOX.> 1\r\nPUB svc.time _INBOX.7 0\r\n\r\n");
    assert_eq!(broker.hears(&service), "MSG svc.time 1 _INBOX.7 0\r\n\r\n");
    broker.says(&service, "PUB _INBOX.7 4\r\nnoon\r\nPUB _INBOX.7 4\r\nnoon\r\nPUB _INBOX.8 1\r\nx\r\n");
    assert_eq!(broker.hears(&back), "MSG _INBOX.7 1 4\r\nnoon\r\n");
    assert_eq!(
        broker.hears(&service),
        "-ERR 'Permissions Violation for Publish to \"_INBOX.7\"'\r\n\
         -ERR 'Permissions Violation for Publish to \"_INBOX.8\"'\r\n"
    );
}

#[test]
fn a_wrong_password_and_an_unknown_user_hear_the_same() {
    for connect in [
        "CONNECT {\"user\":\"back\",\"pass\":\"wrong\"}\r\n",
        "CONNECT {\"user\":\"nobody\",\"pass\":\"back\"}\r\n",
        "CONNECT {}\r\n",
        "PING\r\n",
        "SUB > 1\r\n",
        "PUB a 1\r\nx\r\n",
        "nonsense\r\n",
        "CONNECT {\"user\":\"back\",\"pass\":\"back\",\"account\":\"BANK\"}\r\n",
    ] {
        let mut broker = tenants_broker();
        let stranger = broker.connect();
        broker.says(&stranger, connect);
        assert_eq!(broker.hears(&stranger), "-ERR 'Authorization Violation'\r\n", "{connect}");
        assert_eq!(broker.closed(&stranger), Some(CloseReason::AuthenticationFailure), "{connect}");
    }
}

#[test]
fn no_login_within_the_time_ends_the_connection() {
    let mut broker = Conversation::with(&tenants(), |clients| {
        clients.handshake.auth_timeout = Some(Duration::from_secs(2));
    });
    let stranger = broker.connect();
    broker.advance(Duration::from_millis(1999));
    assert_eq!(broker.closed(&stranger), None);
    broker.advance(Duration::from_millis(1));
    assert_eq!(broker.hears(&stranger), "-ERR 'Authentication Timeout'\r\n");
    assert_eq!(broker.closed(&stranger), Some(CloseReason::AuthenticationTimeout));
}

#[test]
fn a_second_connect_never_changes_who_a_connection_is() {
    let mut broker = tenants_broker();
    let back = broker.login("back");
    broker.says(&back, "CONNECT {\"verbose\":false,\"user\":\"back\",\"pass\":\"back\"}\r\nPING\r\n");
    assert!(broker.hears(&back).starts_with("PONG\r\n"));
    broker.says(&back, "CONNECT {\"verbose\":false,\"user\":\"teller\",\"pass\":\"teller\"}\r\n");
    assert_eq!(broker.hears(&back), "-ERR 'Authorization Violation'\r\n");
    assert!(broker.closed(&back).is_some());
}

#[test]
fn a_reload_takes_rights_back_and_leaves_the_rest_alone() {
    let mut broker = tenants_broker();
    let (clerk, back, teller) = (broker.login("clerk"), broker.login("back"), broker.login("teller"));
    broker.says(&clerk, "SUB events.> 1\r\nSUB _INBOX.x 2\r\n");
    let mut after = tenants();
    after.accounts[0].users[1].permissions.as_mut().unwrap().subscribe.allow =
        Some(vec!["events.sale".into(), "_INBOX.>".into()]);
    after.accounts[1].users.clear();
    reload(&mut broker, &after);
    assert_eq!(broker.hears(&clerk), "-ERR 'Permissions Violation for Subscription to \"events.>\" (sid \"1\")'\r\n");
    assert!(broker.closed(&teller).is_some(), "the user is gone");
    broker.says(&back, "PUB events.sale 1\r\nx\r\nPUB _INBOX.x 1\r\ny\r\n");
    assert_eq!(broker.hears(&clerk), "MSG _INBOX.x 2 1\r\ny\r\n");
}

fn reload(broker: &mut Conversation, settings: &Settings) {
    reconfigure(&broker.hub, settings);
    broker.round();
}

fn reconfigure(hub: &broker::Hub, settings: &Settings) {
    let directory = auth::Directory::build(settings, &mut account::AccountIds::default()).unwrap();
    let clients = broker::ClientSettings::clone(&hub.settings());
    hub.reconfigure(directory, clients);
}

/// The tenants, whose passwords are hashed: every login takes more than a worker's time.
fn hashed() -> Settings {
    let mut settings = tenants();
    for user in settings.accounts.iter_mut().flat_map(|account| &mut account.users) {
        let password = user.password.take().unwrap();
        user.password = Some(secret::Secret::new(bcrypt::hash(password.expose(), 4).unwrap()));
    }
    settings
}

#[test]
fn a_login_judged_before_a_reload_is_judged_again() {
    let settings = hashed();
    let mut broker = Conversation::with(&settings, |_| {});
    let mut after = settings.clone();
    after.accounts[1].users.clear();
    broker.meanwhile(move |hub| reconfigure(hub, &after));
    let teller = broker.connect();
    broker.says(&teller, "CONNECT {\"verbose\":false,\"user\":\"teller\",\"pass\":\"teller\"}\r\nSUB > 1\r\n");
    assert_eq!(broker.hears(&teller), "-ERR 'Authorization Violation'\r\n");
    assert!(broker.closed(&teller).is_some() && broker.judged == 2);
}

#[test]
fn a_review_that_is_overtaken_by_a_reload_is_made_again() {
    let settings = hashed();
    let mut broker = Conversation::with(&settings, |_| {});
    let teller = broker.login("teller");
    // The first reload gives another hash of the same password, so that it has to be hashed again.
    let mut gone = hashed();
    gone.accounts[1].users.clear();
    broker.meanwhile(move |hub| reconfigure(hub, &gone));
    reload(&mut broker, &hashed());
    assert_eq!(broker.closed(&teller), Some(CloseReason::AuthenticationExpired));
}

#[test]
fn a_reload_hashes_no_password_that_is_the_same_and_takes_rights_back_at_once() {
    let settings = hashed();
    let mut broker = Conversation::with(&settings, |_| {});
    let (clerk, back) = (broker.login("clerk"), broker.login("back"));
    broker.says(&clerk, "SUB events.> 1\r\n");
    let judged = broker.judged;
    let mut after = settings;
    after.accounts[0].users[1].permissions.as_mut().unwrap().subscribe.allow = Some(vec!["_INBOX.>".into()]);
    after.accounts[1].users.clear();
    reload(&mut broker, &after);
    assert_eq!(broker.hears(&clerk), "-ERR 'Permissions Violation for Subscription to \"events.>\" (sid \"1\")'\r\n");
    assert!(broker.closed(&back).is_none());
    assert_eq!(broker.judged, judged, "nobody proved anything anew");
}

#[test]
fn an_account_takes_no_more_connections_than_it_may() {
    let mut settings = tenants();
    settings.accounts[1].limits.max_connections = Some(1);
    let mut broker = Conversation::with(&settings, |_| {});
    let first = broker.login("teller");
    let second = broker.connect();
    let connect = "CONNECT {\"verbose\":false,\"user\":\"teller\",\"pass\":\"teller\"}\r\n";
    broker.says(&second, connect);
    assert_eq!(broker.hears(&second), "-ERR 'maximum account active connections exceeded'\r\n");
    assert_eq!(broker.closed(&second), Some(CloseReason::MaxAccountConnectionsExceeded));
    broker.hangs_up(&first);
    broker.login("teller");
}

#[test]
fn a_connection_has_no_more_subscriptions_than_it_may() {
    let mut settings = tenants();
    settings.accounts[1].limits.max_subscriptions = Some(2);
    let mut broker = Conversation::with(&settings, |_| {});
    let teller = broker.login("teller");
    broker.says(&teller, "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB c 1\r\nx\r\n");
    assert_eq!(broker.hears(&teller), "-ERR 'maximum subscriptions exceeded'\r\n");
}

#[test]
fn whoever_is_refused_again_and_again_is_held_up_for_a_moment_and_loses_nothing() {
    let mut broker = Conversation::with(&tenants(), |_| {});
    let (clerk, back) = (broker.login("clerk"), broker.login("back"));
    let errors = |heard: &str| heard.matches("-ERR 'Permissions Violation").count();
    for wish in ["PUB billing 0\r\n\r\n", "SUB billing 1\r\n"] {
        broker.says(&clerk, wish.repeat(150) + "PING\r\n");
        let heard = broker.hears(&clerk);
        assert_eq!((errors(&heard), heard.contains("PONG")), (64, false), "{wish}");
        broker.says(&back, "PING\r\n");
        assert!(broker.hears(&back).starts_with("PONG\r\n"), "others have their turn");
        broker.advance(Duration::from_millis(10));
        assert_eq!(errors(&broker.hears(&clerk)), 64, "{wish}");
        broker.advance(Duration::from_millis(10));
        let heard = broker.hears(&clerk);
        assert_eq!((errors(&heard), heard.contains("PONG\r\n")), (22, true), "{wish}");
    }
    // A few refusals among what is permitted hold nobody up.
    broker.says(&clerk, "PUB billing 0\r\n\r\n".repeat(60) + "PING\r\n");
    assert!(broker.hears(&clerk).contains("PONG\r\n"));
}
