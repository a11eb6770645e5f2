//! The server itself publishes and listens.

use std::sync::{Arc, Mutex};

use broker::{AccountState, House, HouseMessage, InternalSubscriber, Message, OwnMessage, Sender};
use moment::{Instant, Timestamp};
use subject::Filter;

use crate::conversation::Conversation;

/// Keeps what it was handed.
#[derive(Default)]
struct Listener(Mutex<Vec<String>>);

impl InternalSubscriber for Listener {
    fn deliver(&self, message: &Message<'_>, sender: &Sender<'_>) {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let name = sender.account.settings().name.to_string();
        self.0.lock().unwrap().push(format!("{name} {} {}", text(message.subject), text(message.payload)));
    }
}

fn global(broker: &Conversation) -> Arc<AccountState> {
    broker.hub.account_named("$G").unwrap()
}

#[test]
fn what_the_server_publishes_reaches_clients_in_order() {
    let mut broker = Conversation::open();
    let bob = broker.guest();
    broker.says(&bob, "SUB news.> 1\r\n");
    let account = global(&broker);
    let large = "x".repeat(3000);
    let with_headers = OwnMessage {
        reply: Some(b"back".to_vec()),
        headers: b"NATS/1.0\r\nA: b\r\n\r\n".to_vec(),
        ..OwnMessage::new(account.clone(), "news.b", large.as_str())
    };
    broker.hub.publish(vec![OwnMessage::new(account.clone(), "news.a", "one"), with_headers]);
    broker.round();
    let expected =
        format!("MSG news.a 1 3\r\none\r\nHMSG news.b 1 back 18 3018\r\nNATS/1.0\r\nA: b\r\n\r\n{large}\r\n");
    assert_eq!(broker.hears(&bob), expected);
}

#[test]
fn a_house_writes_straight_to_its_receivers_under_the_subject_it_shows() {
    let mut broker = Conversation::open();
    let (bob, carol) = (broker.guest(), broker.guest());
    broker.says(&bob, "SUB _INBOX.1 7\r\n");
    broker.says(&carol, "SUB orders.> 1\r\n");
    let account = global(&broker);
    let mut house = House::new(&broker.hub, 3);
    house.begin_round(Instant::START, Timestamp::EPOCH);
    let message = HouseMessage {
        to: b"_INBOX.1",
        shown: Some(b"orders.new"),
        reply: Some(b"$JS.ACK.1"),
        payload: b"hello",
        ..HouseMessage::default()
    };
    assert!(house.publish(&account, &message));
    assert!(house.publish(&account, &HouseMessage { whole: Some(b"hello\r\n"), ..message }));
    assert!(!house.publish(&account, &HouseMessage { to: b"nobody.listens", ..message }));
    house.flush();
    let once = "MSG orders.new 7 $JS.ACK.1 5\r\nhello\r\n";
    assert_eq!(broker.hears(&bob), [once, once].concat());
    assert_eq!(broker.hears(&carol), "", "it is routed by the inbox, not by what it shows");
}

#[test]
fn a_part_of_the_server_hears_what_it_listens_to_until_it_no_longer_does() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    let account = global(&broker);
    let listener = Arc::new(Listener::default());
    let filter = Filter::parse(b"svc.*").unwrap();
    assert!(!broker.hub.is_wanted(&account, b"svc.x"));
    let subscription = broker.hub.listen(&account, filter, None, listener.clone());
    assert!(broker.hub.is_wanted(&account, b"svc.x") && !broker.hub.is_wanted(&account, b"svc.x.y"));
    broker.says(&alice, "PUB svc.x 2\r\nhi\r\n");
    broker.hub.unlisten(&account, &subscription);
    broker.says(&alice, "PUB svc.x 2\r\nno\r\n");
    assert_eq!(*listener.0.lock().unwrap(), ["$G svc.x hi"]);
}

#[test]
fn a_copy_is_seen_by_clients_and_by_nobody_who_would_take_it_for_the_message() {
    let mut broker = Conversation::open();
    let bob = broker.guest();
    let account = global(&broker);
    let listener = Arc::new(Listener::default());
    broker.hub.listen(&account, Filter::parse(b"$JS.API.>").unwrap(), None, listener.clone());
    assert!(!broker.hub.is_shown(&account, b"$JS.API.INFO"), "no client listens");
    broker.says(&bob, "SUB $JS.> 1\r\nSUB $JS.> some 2\r\n");
    assert!(broker.hub.is_shown(&account, b"$JS.API.INFO") && !broker.hub.is_shown(&account, b"$KV.x"));
    let message = || OwnMessage::new(account.clone(), "$JS.API.INFO", "hi");
    broker.hub.publish(vec![OwnMessage { is_copy: true, ..message() }, message()]);
    broker.round();
    assert_eq!(broker.hears(&bob), "MSG $JS.API.INFO 1 2\r\nhi\r\nMSG $JS.API.INFO 2 2\r\nhi\r\n", "and no order");
    assert!(listener.0.lock().unwrap().is_empty());
}

#[test]
fn the_end_of_a_batch_is_told_once_and_to_who_asked_last() {
    let mut broker = Conversation::open();
    let alice = broker.guest();
    let account = global(&broker);
    let listener = Arc::new(Listener::default());
    broker.hub.listen(&account, Filter::parse(b"svc.*").unwrap(), None, listener.clone());
    broker.hub.on_batch_end(Box::new(|| panic!("somebody else asked after this")));
    let (heard, ends) = (listener.clone(), Arc::new(Mutex::new(Vec::new())));
    let noted = ends.clone();
    broker.hub.on_batch_end(Box::new(move || noted.lock().unwrap().push(heard.0.lock().unwrap().len())));
    broker.says(&alice, "PUB svc.x 2\r\nhi\r\nPUB svc.y 2\r\nho\r\n");
    broker.round();
    let ends = ends.lock().unwrap();
    assert!(!ends.contains(&1), "not between two messages that came together: {ends:?}");
    assert!(ends.contains(&2), "behind them: {ends:?}");
}
