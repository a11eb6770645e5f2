//! From one account into another: requests go in by service imports, answers come back.
//!
//! Whatever crosses is published in the account where it arrives, with a right that follows from the one it was
//! published with, and by a plan of its own. What has crossed once is not carried on by stream imports.

use std::rc::Rc;
use std::sync::Arc;

use account::ServiceImport;
use auth::{Moved, Passage};
use subject::Filter;
use wire::client::Publish;
use wire::headers;

use super::answers::{Answer, Name, Reply};
use super::latency::{self, Measured, Outcome};
use super::latency_far;
use super::requester::{HEADER, Requester, Told};
use super::shadows::everything;
use crate::account_state::AccountState;
use crate::delivery::{Nobody, Renaming};
use crate::engine::Engine;
use crate::internal::{Importer, Rights};
use crate::links::crossing::Whence;
use crate::plan::{Entered, Plan};
use crate::publish::{Sending, Source};
use crate::subscription::Target;
use crate::trace::{Trace, Watching};

/// Accounts one message may cross, one after the other. Imports that form a circle are refused before, but mappings could
/// close one.
const CROSSINGS_MAX: usize = 32;

/// Replies on which a stream's consumers are acknowledged: they are not changed, as they say where to.
const ACK_REPLY: &[u8] = b"$JS.ACK.";

/// A way out of the account at this subject.
pub(crate) struct Door {
    pub(crate) import: Arc<ServiceImport>,
    pub(crate) exporter: Arc<AccountState>,
    /// The right to publish there.
    pub(crate) right: Passage,
}

/// When a mapping that depends on chance decides.
pub(crate) enum Chance {
    /// Before the rights of the publisher are asked.
    BeforeRights,
    /// The message is permitted already.
    AfterRights(Passage),
}

/// What a subject leads to beside the subscriptions of its account.
#[derive(Default)]
pub(crate) struct Beyond {
    /// Mappings by chance decide anew about each message.
    pub(crate) chance: Option<Chance>,
    pub(crate) doors: Vec<Door>,
    /// Answers to requests from outside come in here.
    pub(crate) answers: bool,
    /// A part of the server is asked that answers with what was counted.
    pub(crate) counts: bool,
}

/// A message on its way through accounts.
#[derive(Clone, Copy)]
pub(crate) struct Journey<'a> {
    requester: Requester<'a>,
    told: Told<'a>,
    passed: Option<&'a Passed<'a>>,
}

/// What a request that crosses says about its trace.
enum Traced<'a> {
    /// It has none.
    No,
    /// Nobody behind the import follows it.
    NoFurther,
    /// Servers that it goes on to report there, which leads back.
    To(&'a Reply),
}

/// An import that was passed, and those before it.
struct Passed<'a> {
    import: &'a ServiceImport,
    before: Option<&'a Passed<'a>>,
}

impl<'a> Journey<'a> {
    /// The message is where it was published.
    pub(crate) fn of(requester: Requester<'a>) -> Self {
        Self { requester, told: Told::default(), passed: None }
    }

    /// Whether the message has been through this export, or through too many.
    fn is_over(&self, import: &ServiceImport) -> bool {
        let all = std::iter::successors(self.passed, |passed| passed.before);
        let same = |passed: &Passed<'_>| {
            passed.import.exporter() == import.exporter() && passed.import.exported() == import.exported()
        };
        all.clone().any(same) || all.count() >= CROSSINGS_MAX
    }
}

impl Engine {
    /// Sends a message in its account and beyond. Whether anybody is reached.
    pub(crate) fn send_far(
        &mut self,
        sending: &Sending<'_>,
        plan: &Rc<Plan>,
        journey: &Journey<'_>,
        mut trace: Option<&mut Trace>,
    ) -> bool {
        let Some(beyond) = plan.beyond() else { return self.send_here(sending, plan, trace) };
        if let Some(Chance::AfterRights(right)) = &beyond.chance {
            return self.send_moved(sending, plan.entered(), right, journey, trace);
        }
        let mut reached = self.send_here(sending, plan, trace.as_deref_mut());
        for door in &beyond.doors {
            reached |= self.request(sending, plan, door, journey, trace.as_deref_mut());
        }
        if beyond.answers {
            reached |= self.bring_answer(sending, plan, journey, trace);
        }
        reached
    }

    /// Sends a message to those who are in its account. Whether anybody is.
    pub(crate) fn send_here(&mut self, sending: &Sending<'_>, plan: &Rc<Plan>, trace: Option<&mut Trace>) -> bool {
        match self.stages.log.clone() {
            None if trace.is_none() && sending.shown.is_none() => self.send(sending, plan, &mut Nobody),
            None if trace.is_none() => self.send(sending, plan, &mut Renaming),
            log => self.send_watched(sending, plan, &mut Watching { trace, log: log.as_deref() }),
        }
        !(plan.reaches_nobody() || sending.no_echo && plan.reaches_only(sending.link.slot))
    }

    /// Sends a message whose mapping depends on chance.
    fn send_moved(
        &mut self,
        sending: &Sending<'_>,
        entered: Entered,
        right: &Passage,
        journey: &Journey<'_>,
        trace: Option<&mut Trace>,
    ) -> bool {
        let (settings, hub) = (sending.account.settings(), self.hub.settings());
        let chance = self.chance.next();
        let cluster = hub.greeting.cluster.as_deref();
        let moved = right.publish().map(|publish| publish.moved(&settings.mappings, cluster, chance));
        let moved = match &moved {
            Some(Moved::Stays) => right,
            Some(Moved::To(moved)) => moved,
            Some(Moved::Nowhere) | None => return false,
        };
        let (account, entered) = (sending.account, entered.moved());
        let plan = match sending.arrived {
            None => self.plans.inside(account, Whence { entered, ..Whence::HERE }, moved),
            // From one of many links: nothing goes back there.
            Some(arrived) => {
                let cluster = std::str::from_utf8(arrived.origin).unwrap_or_default();
                let whence = Whence { place: arrived.place, slot: sending.link.slot, cluster, entered };
                self.plans.once(account, whence, moved)
            }
        };
        let publish = Publish { subject: moved.subject(), body: sending.publish.body.clone(), ..*sending.publish };
        self.send_far(&Sending { publish: &publish, ..*sending }, &plan, journey, trace)
    }

    /// Takes a request into the account that exports the service.
    fn request(
        &mut self,
        sending: &Sending<'_>,
        plan: &Plan,
        door: &Door,
        journey: &Journey<'_>,
        mut trace: Option<&mut Trace>,
    ) -> bool {
        let Door { import, exporter, right } = door;
        let publish = sending.publish;
        let body = sending.source.bytes.get(publish.body.clone()).unwrap_or_default();
        let Some((block, payload)) = body.split_at_checked(publish.header_len) else { return false };
        if journey.is_over(import) {
            return false;
        }
        if let Some(trace) = trace.as_deref_mut() {
            let name = exporter.settings().name.clone();
            trace.entered(name.as_str(), plan.routed(publish.subject), right.subject());
        }
        let may_trace = import.allows_trace();
        if trace.as_ref().is_some_and(|trace| trace.is_only()) && !may_trace {
            return false;
        }
        let home = sending.account.settings().name.clone();
        let told = self.told(journey, import, &home);
        let measured = self.measured(import, block, journey);
        let (reply, name) = match publish.reply {
            None => (None, None),
            Some(reply) if reply.starts_with(ACK_REPLY) => (Some(reply.to_vec()), None),
            Some(reply) => {
                let Some((name, own)) = self.expect(sending.account, door, reply, measured.clone(), false) else {
                    return false;
                };
                (Some(own), Some(name))
            }
        };
        if let (None, Some(latency), Some(measured)) = (&reply, import.latency(), &measured) {
            latency::tell_failure(&self.hub, exporter, latency, measured, Outcome::NoReply, self.wall);
        }
        let followed = trace.as_deref_mut().and_then(Trace::told);
        let is_followed = followed.is_some();
        let reports = followed.filter(|_| may_trace).map(|told| (told.destination().to_vec(), told.hops()));
        let reports = reports.and_then(|(destination, hops)| {
            self.expect(sending.account, door, &destination, None, true).map(|(name, own)| (name, own, hops))
        });
        let traced = match &reports {
            Some((_, own, _)) => Traced::To(own),
            None if is_followed => Traced::NoFurther,
            None => Traced::No,
        };
        let mut bytes = std::mem::take(&mut self.crossing);
        bytes.clear();
        let header_len = self.head_of_request(&mut bytes, block, journey, told, &traced);
        bytes.extend_from_slice(payload);
        let body = 0..bytes.len();
        bytes.extend_from_slice(b"\r\n");
        let crossed = Publish { subject: right.subject(), reply: reply.as_deref(), header_len, body };
        let source = Source { lender: None, bytes: &bytes };
        let importer = publish.reply.map(|reply| Importer { rights: sending.rights, reply });
        let sent = Sending {
            account: exporter,
            arrived: None,
            publish: &crossed,
            source,
            rights: sending.rights.across(importer.as_ref()),
            ..*sending
        };
        let passed = Passed { import, before: journey.passed };
        let further = Journey { told, passed: Some(&passed), ..*journey };
        // Who may not follow it there hears no more of it; what is told of hops goes to whoever runs the server.
        let hidden = trace.as_deref_mut().filter(|_| !may_trace).and_then(Trace::hide);
        let before = match (trace.as_deref_mut().and_then(Trace::told), &reports) {
            (Some(told), Some((_, own, _))) => Some(told.divert(own.as_slice().into())),
            _ => None,
        };
        let reached = self.send_crossed(&sent, right, &further, trace.as_deref_mut());
        if let Some(trace) = trace.as_deref_mut() {
            trace.show(hidden);
        }
        if let (Some(told), Some(before), Some((name, _, hops))) = (trace.and_then(Trace::told), before, reports) {
            told.divert(before);
            if told.hops() == hops {
                // No other server has anything to report.
                exporter.answers.close(&name);
            }
        }
        self.crossing = bytes;
        if let (false, Some(name)) = (reached, name) {
            self.not_asked(door, &name);
        }
        reached
    }

    /// What this crossing tells the exporter: what was agreed to at the first one, and the server where a later one, or
    /// the system account, may know more.
    fn told<'t>(&self, journey: &Journey<'t>, import: &ServiceImport, home: &'t account::AccountName) -> Told<'t> {
        let is_system = self.hub.directory().accounts().system().name == *import.exporter();
        let more = import.shares() || is_system;
        match journey.passed {
            None => Told { all: import.shares(), server: is_system, service: None },
            Some(_) => Told { service: Some(home), server: journey.told.server || more, ..journey.told },
        }
    }

    /// Writes the headers of a request: its own, without forgeries, and who asks. How long they are.
    fn head_of_request(
        &self,
        bytes: &mut Vec<u8>,
        block: &[u8],
        journey: &Journey<'_>,
        told: Told<'_>,
        traced: &Traced<'_>,
    ) -> usize {
        let mut info = Vec::with_capacity(96);
        journey.requester.write(&mut info, told, &self.hub);
        let marked;
        let block = match traced {
            Traced::No => block,
            Traced::NoFurther => {
                marked = crate::trace::disabled(block);
                &marked
            }
            Traced::To(own) => {
                marked = crate::trace::with_destination(block, own);
                &marked
            }
        };
        let written = match block {
            [] => headers::append(bytes, block, HEADER, &info),
            _ => headers::set(bytes, block, HEADER, &info),
        };
        written.expect("the key is a word");
        bytes.len()
    }

    /// What has to be known to tell how long the answer takes, if it is to be told.
    fn measured(&mut self, import: &ServiceImport, block: &[u8], journey: &Journey<'_>) -> Option<Arc<Measured>> {
        let headers = latency::sampled(import.latency()?, block, &mut self.chance)?;
        let mut requester = Vec::new();
        let told = Told { all: import.shares(), ..Told::default() };
        journey.requester.write(&mut requester, told, &self.hub);
        let (at, wall, rtt) = (self.now, self.wall, journey.requester.rtt());
        Some(Arc::new(Measured { at, wall, requester, rtt, headers }))
    }

    /// Opens a request in the exporter's account: its name there, and the reply that leads back.
    fn expect(
        &mut self,
        home: &Arc<AccountState>,
        door: &Door,
        reply: &[u8],
        measured: Option<Arc<Measured>>,
        reports: bool,
    ) -> Option<(Name, Reply)> {
        let Door { import, exporter, right } = door;
        let hub = self.hub.clone();
        if let Some(filter) = exporter.answers.filter(|| self.names.draw(&*hub.secure)) {
            let stages = &mut self.stages;
            exporter.enter(everything(filter), Target::Answers, &mut |link| stages.touch(link));
        }
        let (to, right, import) = (home.clone(), right.answer(reply), import.clone());
        let is_measured = measured.is_some();
        let behind = if is_measured { latency_far::tag(&hub.settings().greeting.server_name) } else { Vec::new() };
        let answer = Answer { to, right, import, measured, far: None, at: self.now, reports };
        let (name, own) = exporter.answers.open(|| self.names.draw(&*hub.secure), &behind, answer)?;
        if is_measured {
            home.waits.add(reply, exporter, name);
        }
        Some((name, own))
    }

    /// Nobody was there to take a request.
    #[cold]
    fn not_asked(&self, door: &Door, name: &Name) {
        let closed = door.exporter.answers.close(name).and_then(|answer| answer.measured);
        if let (Some(measured), Some(latency)) = (closed, door.import.latency()) {
            latency::tell_failure(&self.hub, &door.exporter, latency, &measured, Outcome::Nobody, self.wall);
        }
    }

    /// Sends what has crossed in the account where it is now.
    fn send_crossed(
        &mut self,
        sent: &Sending<'_>,
        right: &Passage,
        journey: &Journey<'_>,
        trace: Option<&mut Trace>,
    ) -> bool {
        let plan = self.plans.inside(sent.account, Whence::IMPORT, right);
        if sent.rights.withhold(plan.routed(sent.publish.subject)) {
            return false;
        }
        self.send_far(sent, &plan, journey, trace)
    }

    /// Brings an answer back to the account where it is waited for.
    fn bring_answer(
        &mut self,
        sending: &Sending<'_>,
        plan: &Plan,
        journey: &Journey<'_>,
        trace: Option<&mut Trace>,
    ) -> bool {
        let (exporter, publish) = (sending.account, sending.publish);
        let reply = plan.routed(publish.subject);
        let halves = exporter.halves.in_hand(reply);
        let Some((name, answer)) = exporter.answers.answered(reply, self.now) else { return false };
        if journey.is_over(&answer.import) {
            return false;
        }
        self.answer_measured(sending, journey.requester, (name, &answer), halves);
        // Whoever answers may be answered.
        let back = Door { import: answer.import.clone(), exporter: answer.to.clone(), right: answer.right.clone() };
        let reply = match publish.reply {
            Some(reply) if !reply.starts_with(ACK_REPLY) => {
                self.expect(exporter, &back, reply, None, false).map(|(_, own)| own)
            }
            reply => reply.map(<[u8]>::to_vec),
        };
        let crossed = Publish {
            subject: answer.right.subject(),
            reply: reply.as_deref(),
            header_len: publish.header_len,
            body: publish.body.clone(),
        };
        // Where it goes the requester has said: an answer from elsewhere is no order.
        let sent =
            Sending { account: &answer.to, arrived: None, publish: &crossed, rights: Rights::Passing, ..*sending };
        let passed = Passed { import: &answer.import, before: journey.passed };
        let further = Journey { passed: Some(&passed), ..*journey };
        let reached = self.send_crossed(&sent, &answer.right, &further, trace);
        if !answer.is_single() && (!reached || publish.body.is_empty()) {
            exporter.answers.close(&name);
        }
        reached
    }

    /// A subscription has ended, and with it the wait for answers that only it would have got.
    pub(crate) fn no_longer_waits(&self, account: &AccountState, filter: &Filter) {
        for (exporter, answer) in account.waits.lost(filter, |reply| account.graph.reaches(reply)) {
            if let (Some(measured), Some(latency)) = (answer.measured, answer.import.latency()) {
                latency::tell_failure(&self.hub, &exporter, latency, &measured, Outcome::Lost, self.wall);
            }
        }
    }

    /// Gives up requests that nobody has answered in time.
    pub(crate) fn give_up_requests(&mut self) {
        for account in self.hub.accounts() {
            account.waits.prune();
            self.tell_halves(&account);
            for answer in account.answers.overdue(self.now) {
                if let (Some(measured), Some(latency)) = (answer.measured, answer.import.latency()) {
                    latency::tell_failure(&self.hub, &account, latency, &measured, Outcome::TooLate, self.wall);
                }
            }
        }
    }
}

impl AccountState {
    /// Requests from outside that it has not answered yet.
    pub fn open_requests(&self) -> usize {
        self.answers.count()
    }
}
