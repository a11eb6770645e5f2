//! Hops of messages that are part of a distributed trace.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use auth::settings::Settings;
use broker::{HOP_STEPS_MAX, HOP_TEXT_BYTES_MAX, Hop, HopTaker, LinkKind, StepTo};
use moment::Timestamp;

use crate::conversation::{Client, Conversation};
use crate::fixtures::tenants;
use crate::sharing::{Sharing, among, tenant};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PUBLISHER: &str = "00f067aa0ba902b7";

/// Takes hops while there is room; its clock goes on by one with each look.
struct Collector {
    hops: Mutex<Vec<Hop>>,
    room: AtomicUsize,
    clock: AtomicI64,
}

impl HopTaker for Collector {
    fn opens(&self, _: &str) -> Option<Timestamp> {
        let taken = self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| room.checked_sub(1));
        taken.ok().map(|_| self.now())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock.fetch_add(1, Ordering::Relaxed))
    }

    fn take(&self, hop: Hop) {
        self.hops.lock().unwrap().push(hop);
    }
}

impl Collector {
    fn of(broker: &Conversation, room: usize) -> Arc<Self> {
        let collector = Self { hops: Mutex::default(), room: room.into(), clock: AtomicI64::new(1) };
        let collector = Arc::new(collector);
        broker.hub.tell_hops(Some(collector.clone()));
        collector
    }

    fn hop(&self) -> Hop {
        let mut hops = std::mem::take(&mut *self.hops.lock().unwrap());
        assert_eq!(hops.len(), 1, "{hops:?}");
        hops.remove(0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message with these header lines and the parent of the publisher.
fn sampled(subject: &str, more: &str) -> String {
    let block = format!("NATS/1.0\r\ntraceparent: 00-{TRACE}-{PUBLISHER}-01\r\n{more}\r\n");
    format!("HPUB {subject} {} {}\r\n{block}hello\r\n", block.len(), block.len() + 5)
}

fn guests(room: usize) -> (Conversation, Client, Client, Arc<Collector>) {
    let mut broker = Conversation::open();
    let (publisher, listener) = (broker.guest(), broker.guest());
    let collector = Collector::of(&broker, room);
    (broker, publisher, listener, collector)
}

#[test]
fn a_hop_says_where_it_came_from_where_it_went_and_when_and_the_message_bears_its_span() {
    let (mut broker, publisher, listener, collector) = guests(9);
    broker.says(&listener, "SUB x.> 1\r\nSUB x.y group 2\r\n");
    broker.says(&publisher, sampled("x.y", "Other: 1\r\n"));
    let hop = collector.hop();
    assert_eq!((hex(&hop.trace), hop.parent.map(|parent| hex(&parent))), (TRACE.into(), Some(PUBLISHER.into())));
    assert_eq!(
        (hop.kind, hop.connection, hop.account.as_str(), hop.subject.as_str()),
        (LinkKind::Client, 1, "$G", "x.y")
    );
    assert!(hop.received < hop.begun && hop.begun < hop.decided && hop.decided < hop.delivered, "{hop:?}");
    assert!(hop.steps.iter().all(|step| hop.decided < step.at && step.at < hop.delivered), "{hop:?}");
    let met = |filter: &str, queue: Option<&str>| StepTo::Client {
        connection: 2,
        name: String::new(),
        account: "$G".into(),
        filter: filter.into(),
        queue: queue.map(Into::into),
        missed: None,
    };
    let steps: Vec<StepTo> = hop.steps.into_iter().map(|step| step.to).collect();
    assert_eq!(steps, [met("x.>", None), met("x.y", Some("group"))]);
    let came = sampled("x.y", "Other: 1\r\n").replace(PUBLISHER, &hex(&hop.span));
    let both = [1, 2].map(|sid| came.replace("HPUB x.y", &format!("HMSG x.y {sid}"))).concat();
    assert_eq!(broker.hears(&listener), both, "nothing but the digits of the span has changed");
}

#[test]
fn whoever_has_no_room_changes_nothing() {
    let (mut broker, publisher, listener, collector) = guests(1);
    broker.says(&listener, "SUB x 1\r\n");
    broker.says(&publisher, sampled("x", "").repeat(2));
    let span = hex(&collector.hop().span);
    let plain = sampled("x", "").replace("HPUB x", "HMSG x 1");
    assert_eq!(broker.hears(&listener), plain.replace(PUBLISHER, &span) + &plain);
    broker.hub.tell_hops(None);
    broker.says(&publisher, sampled("x", ""));
    assert_eq!(broker.hears(&listener), plain);
}

#[test]
fn however_many_it_reaches_and_however_long_they_are_a_hop_is_bounded() {
    let (mut broker, publisher, listener, collector) = guests(1);
    let long = "x".repeat(2 * HOP_TEXT_BYTES_MAX);
    let subscriptions: String = (0..HOP_STEPS_MAX + 5).map(|sid| format!("SUB {long} {sid}\r\n")).collect();
    broker.says(&listener, subscriptions);
    broker.says(&publisher, sampled(&long, ""));
    let hop = collector.hop();
    assert_eq!((hop.steps.len(), hop.steps_left_out), (HOP_STEPS_MAX, 5));
    assert_eq!(hop.subject.len(), HOP_TEXT_BYTES_MAX);
    let StepTo::Client { filter, .. } = &hop.steps[0].to else { panic!("{hop:?}") };
    assert_eq!(filter.len(), HOP_TEXT_BYTES_MAX);
    assert_eq!(broker.hears(&listener).matches("HMSG").count(), HOP_STEPS_MAX + 5);
}

#[test]
fn a_refusal_is_a_hop_that_went_nowhere_and_names_its_rule() {
    let mut broker = Conversation::with(&tenants(), |_| {});
    let clerk = broker.login("clerk");
    let collector = Collector::of(&broker, 9);
    broker.says(&clerk, sampled("billing.x", ""));
    let hop = collector.hop();
    let refused = hop.refused.unwrap();
    assert_eq!((refused.what, refused.because.as_str()), ("publish denied", "no allow entry speaks of it"));
    assert_eq!((hop.account.as_str(), hop.steps.len()), ("SHOP", 0));
    broker.says(&clerk, sampled("orders.x", "Nats-Trace-Dest: elsewhere\r\n"));
    assert_eq!(collector.hop().refused.unwrap().what, "trace denied");
}

#[test]
fn a_message_that_is_too_large_is_a_refusal_too() {
    let mut broker = Conversation::with(&Settings::default(), |clients| clients.max_payload_bytes = Some(40));
    let publisher = broker.guest();
    let collector = Collector::of(&broker, 9);
    broker.says(&publisher, sampled("x", ""));
    assert_eq!(collector.hop().refused.unwrap().what, "maximum payload exceeded");
}

#[test]
fn an_import_that_lets_no_trace_through_hides_what_is_behind_it_from_the_publisher_and_not_from_hops() {
    let (mut broker, [exporter, importer]) = among([tenant("A").serves("svc"), tenant("B").asks("A", "svc", "svc")]);
    let collector = Collector::of(&broker, 9);
    broker.says(&exporter, "SUB svc 1\r\n");
    broker.says(&importer, "SUB trace.to 1\r\n");
    broker.says(&importer, sampled("svc", "Nats-Trace-Dest: trace.to\r\n"));
    let report = broker.hears(&importer);
    assert!(report.contains("\"type\":\"si\"") && !report.contains("\"type\":\"eg\""), "{report}");
    assert!(report.contains(PUBLISHER), "the report shows what came: {report}");
    let hop = collector.hop();
    let steps: Vec<&StepTo> = hop.steps.iter().map(|step| &step.to).collect();
    let [StepTo::Service { account, from, to }, StepTo::Client { account: at, filter, .. }] = &steps[..] else {
        panic!("{hop:?}")
    };
    assert_eq!([account, from, to, at, filter].map(String::as_str), ["A", "svc", "svc", "A", "svc"]);
    let got = broker.hears(&exporter);
    assert!(got.contains(&hex(&hop.span)) && got.contains("Nats-Trace-Dest: trace disabled"), "{got}");
}
