//! The host's loop without its thread: take, decide, make durable, send.

mod durable;
mod leaving;
mod saying;
mod turns;

use crate::barrier::guarded;
use crate::freeing::Freeing;
use crate::inlet::Arrival;
use crate::lanes::{Batch, Lanes};
use crate::ledger::{Bounds, Ledger};
use crate::opening::open_shelves;
use crate::shelf::{Shelving, half_gone};
use crate::syncing::Syncing;
use crate::upkeep::Upkeep;
use crate::{Port, Report};
use api::monitoring::JszAccount;
use api::monitoring::options::JszOptions;
pub(crate) use durable::Why;
use durable::{Outcome, SYNC_AWAITED, SYNC_EVERY_MIN};
use jetstream::{Door, Interest, KeptStream, Log as _, LogError, Now, Outbox, Settings, Surroundings, Tenant};
use moment::Instant;
use saying::Outboxes;
pub(crate) use saying::refuse_held;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{Disk, Entropy, FileSettings, Garbage, Root, Sealing, StoreError, StreamId};
use subject::Filter;
use turns::{Debts, TURN_UNITS};

/// Consumer states that nobody waits for are kept this often.
const KEEP_STATES_EVERY: Duration = Duration::from_millis(250);
/// After a failure the store is opened again: first after this, then ever later.
const REOPEN_FIRST: Duration = Duration::from_secs(1);
const REOPEN_MAX: Duration = Duration::from_secs(30);

/// How the store is kept.
#[derive(Clone, Debug)]
pub struct DeskSettings {
    /// Cipher and keys.
    pub sealing: Sealing,
    /// How streams lie in files.
    pub files: FileSettings,
    /// How often written bytes become durable, when not at once.
    pub sync_every: Duration,
    /// How much there may be.
    pub bounds: Bounds,
    /// Units of work that an account may do before it is the turn of others.
    pub turn_units: u64,
}

impl Default for DeskSettings {
    fn default() -> Self {
        let (sealing, files) = (Sealing::default(), FileSettings::default());
        let sync_every = Duration::from_secs(120);
        DeskSettings { sealing, files, sync_every, bounds: Bounds::default(), turn_units: TURN_UNITS }
    }
}

/// How JetStream is for one account.
pub type AccountSettings = Settings;

/// Everything the host runs.
pub struct Desk {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    pub(crate) settings: DeskSettings,
    pub(crate) root: Root,
    pub(crate) shelving: Shelving,
    pub(crate) tenants: BTreeMap<Arc<str>, Tenant<Shelving>>,
    pub(crate) accounts: BTreeMap<Arc<str>, Settings>,
    /// Streams that are kept and could not be put back, by account and name.
    pub(crate) unrecovered: BTreeSet<(String, String)>,
    pub(crate) port: Arc<dyn Port>,
    keep_states_at: Instant,
    sync_at: Instant,
    pub(crate) failed: Option<Failed>,
    /// Syncs that come now and then run on a thread of their own, and those that do.
    syncs_beside: bool,
    syncing: Option<Syncing>,
    has_more: bool,
    /// Files are still to be removed that streams left behind.
    is_leaving: bool,
    /// Which of memory and files were full when it was last looked.
    was_full: [bool; 2],
    pub(crate) upkeep: Upkeep,
    outboxes: Outboxes,
    lanes: Lanes,
    debts: Debts,
    freeing: Freeing,
}

/// The store failed; it is opened again at a moment.
pub(crate) struct Failed {
    reopen_at: Instant,
    wait: Duration,
}

/// A desk that was opened.
pub struct Opened {
    /// The desk.
    pub desk: Desk,
    /// Whether the store was made just now.
    pub is_new: bool,
    /// Streams found.
    pub streams: usize,
}

/// Interest in one account, as the port knows it.
struct InAccount<'a> {
    port: &'a dyn Port,
    account: &'a str,
}

impl Interest for InAccount<'_> {
    fn is_wanted(&self, subject: &[u8]) -> bool {
        self.port.is_wanted(self.account, subject)
    }

    fn is_heard(&self, subject: &[u8], group: &str) -> bool {
        self.port.is_heard(self.account, subject, group)
    }
}

impl Desk {
    /// Opens the store and every stream of the accounts.
    pub fn open(
        disk: Arc<dyn Disk>,
        entropy: Arc<dyn Entropy>,
        settings: DeskSettings,
        accounts: Vec<Settings>,
        port: Arc<dyn Port>,
        now: Now,
    ) -> Result<Opened, StoreError> {
        let (root, shelving, is_new) = open_shelves(&disk, &entropy, &settings, &*port)?;
        let mut desk = Desk {
            disk,
            entropy,
            settings,
            root,
            shelving,
            tenants: BTreeMap::new(),
            accounts: BTreeMap::new(),
            unrecovered: BTreeSet::new(),
            port,
            keep_states_at: now.tick + KEEP_STATES_EVERY,
            sync_at: now.tick,
            failed: None,
            syncs_beside: false,
            syncing: None,
            has_more: false,
            is_leaving: false,
            was_full: [false; 2],
            upkeep: Upkeep::new(now),
            outboxes: Outboxes::default(),
            lanes: Lanes::default(),
            debts: Debts::default(),
            freeing: Freeing::default(),
        };
        desk.finish_removals()?;
        let streams = desk.restore(accounts, now)?;
        desk.plan_resealing(now);
        Ok(Opened { desk, is_new, streams })
    }

    /// Puts back the streams of the accounts.
    fn restore(&mut self, accounts: Vec<Settings>, now: Now) -> Result<usize, StoreError> {
        let (kept, wrong) = KeptStream::read_all(self.shelving.meta.range(&[]));
        wrong
            .into_iter()
            .for_each(|what| self.port.report(Report::Finding(format!("metadata of {what} makes no sense"))));
        let known: HashSet<u64> = kept.iter().map(|(_, stream)| stream.id).collect();
        let mut by_account: BTreeMap<String, Vec<KeptStream>> = BTreeMap::new();
        let mut count = 0;
        for (account, stream) in kept {
            count += 1;
            by_account.entry(account).or_default().push(stream);
        }
        for settings in accounts {
            let streams = by_account.remove(&settings.account).unwrap_or_default();
            self.add_tenant(settings, streams, now)?;
        }
        for (account, streams) in by_account {
            let text =
                format!("{} streams of account {account}, which is not configured, are left alone", streams.len());
            self.port.report(Report::Finding(text));
        }
        self.report_unknown(&known)?;
        Ok(count)
    }

    fn report_unknown(&self, known: &HashSet<u64>) -> Result<(), StoreError> {
        for StreamId(id) in self.root.stream_ids()? {
            if !known.contains(&id) {
                let why = self.why_closed(StreamId(id))?.map_or(String::new(), |why| format!(" and {why}"));
                let text = format!("stream directory {id:016x} is not in the metadata{why}; it is left alone");
                self.port.report(Report::Finding(text));
            }
        }
        Ok(())
    }

    pub(crate) fn add_tenant(
        &mut self,
        settings: Settings,
        streams: Vec<KeptStream>,
        now: Now,
    ) -> Result<(), StoreError> {
        let account: Arc<str> = settings.account.as_str().into();
        if self.is_shut_out(&account)? {
            self.accounts.insert(account, settings);
            return Ok(());
        }
        let mut seed = [0; 8];
        self.entropy.fill(&mut seed);
        let mut tenant = Tenant::new(settings.clone(), u64::from_le_bytes(seed));
        let mut out = Outbox::default();
        for kept in streams {
            let opened = self.shelving.open(&account, kept.id, &kept.config);
            if let Err(error @ StoreError::NoAccountKey { .. }) = &opened {
                self.port.report(Report::Finding(format!("stream {account} > {}: {error}", kept.config.name)));
                self.unrecovered.insert((account.to_string(), kept.config.name));
                continue;
            }
            let (log, findings) = opened?;
            for finding in findings {
                self.port.report(Report::Finding(finding.to_string()));
            }
            let interest = InAccount { port: &*self.port, account: &account };
            let mut around = Surroundings::own(&mut self.shelving, now, &interest, &mut out);
            let (stream, consumers) = (kept.config.name.clone(), kept.consumers.len());
            let messages = log.state().messages;
            let restored = guarded(|| tenant.restore(kept, log, &mut around));
            match restored.unwrap_or_else(|why| Err(LogError::Failed(format!("stream {account} > {stream}: {why}")))) {
                Ok(()) => {
                    self.unrecovered.remove(&(account.to_string(), stream.clone()));
                    self.port.report(Report::Restored { account: account.to_string(), stream, messages, consumers })
                }
                Err(error) => {
                    self.unrecovered.insert((account.to_string(), stream));
                    self.port.report(Report::Finding(text_of(error)));
                }
            }
        }
        for (door, filter) in listened(&settings) {
            self.port.listen(&account, door, &filter);
        }
        self.tenants.insert(account.clone(), tenant);
        self.accounts.insert(account.clone(), settings);
        self.perform(&account, &mut out, &Outcome::default());
        Ok(())
    }

    /// Adds an account, or changes its settings.
    pub fn set_account(&mut self, settings: Settings, now: Now) -> Result<(), StoreError> {
        if let Some(tenant) = self.tenants.get_mut(settings.account.as_str()) {
            self.accounts.insert(settings.account.as_str().into(), settings.clone());
            tenant.reconfigure(settings);
            return Ok(());
        }
        let (kept, _) = KeptStream::read_all(self.shelving.meta.range(&[]));
        let streams = kept.into_iter().filter(|(account, _)| *account == settings.account).map(|(_, stream)| stream);
        let streams = streams.collect();
        self.add_tenant(settings, streams, now)?;
        self.plan_resealing(now);
        Ok(())
    }

    /// Takes an account away: nobody is heard in it any more. Its streams stay on the disk and come back with it.
    pub fn remove_account(&mut self, account: &str, now: Now) {
        self.keep_states_at = now.tick;
        self.keep_states(now);
        // A failure keeps the desk from answering anybody, so nothing more is to be said here.
        let _ = self.commit(now);
        self.unlisten(account);
        for stream in self.tenants.remove(account).iter_mut().flat_map(Tenant::streams_mut) {
            // One that fails is opened by reading its blocks.
            let _ = stream.log.close();
        }
        self.accounts.remove(account);
    }

    /// Takes messages, and does everything that follows from them and from the time, in as many rounds as it takes.
    pub fn round<'a>(&mut self, arrivals: impl IntoIterator<Item = Arrival<'a>>, now: Now) {
        self.step(arrivals, now);
        while self.has_waiting() {
            self.work(now, &mut |_| {});
        }
    }

    /// Takes messages and does one round, after which what was not done waits for the next one.
    pub fn step<'a>(&mut self, arrivals: impl IntoIterator<Item = Arrival<'a>>, now: Now) {
        self.take(arrivals);
        self.work(now, &mut |_| {});
    }

    /// Units of work that were done so far, for all accounts.
    pub fn units_done(&self) -> u64 {
        self.debts.units_done()
    }

    /// Whether messages wait for a turn, or for what follows from them.
    pub fn has_waiting(&self) -> bool {
        !self.lanes.is_empty() || self.tenants.values().any(|tenant| tenant.is_at_work() || tenant.holds_back())
    }

    /// Takes messages, which wait for the turns of their accounts.
    fn take<'a>(&mut self, arrivals: impl IntoIterator<Item = Arrival<'a>>) {
        let mut last: Option<(&Arc<str>, Batch)> = None;
        for arrival in arrivals {
            match &mut last {
                Some((account, batch)) if Arc::ptr_eq(account, arrival.account) => batch.push(&arrival),
                last => {
                    let mut batch = self.lanes.blank();
                    batch.push(&arrival);
                    if let Some((account, batch)) = last.replace((arrival.account, batch)) {
                        self.lanes.push(account, batch);
                    }
                }
            }
        }
        last.into_iter().for_each(|(account, batch)| self.lanes.push(account, batch));
        let _ = self.lanes.take_done();
    }

    /// What waits for its turn.
    pub(crate) fn lanes(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    /// One round: every account that waits has a turn, and what follows from that and from the time is done. `more` brings what came
    /// meanwhile.
    pub(crate) fn work(&mut self, now: Now, more: &mut dyn FnMut(&mut Lanes)) {
        self.reopen_if_due(now);
        self.shelving.begin_round();
        let mut outboxes = std::mem::take(&mut self.outboxes);
        self.give_turns(now, &mut outboxes, more);
        self.say_held(&mut outboxes);
        self.tick(now, &mut outboxes);
        self.keep_states(now);
        let outcome = self.commit(now);
        self.perform_all(&mut outboxes, &outcome);
        self.deliver(now, &mut outboxes);
        self.outboxes = outboxes;
        self.sync_now_and_then(now);
        self.remove_discarded(&outcome);
        self.keep_up(now);
        self.tell_drawn();
        self.settle();
        self.report_room();
        self.debts.pay(self.settings.turn_units);
    }

    fn report_room(&mut self) {
        for on_disk in [false, true] {
            let is_full = self.shelving.ledger.room(on_disk) < 0;
            if is_full && !self.was_full[usize::from(on_disk)] {
                self.port.report(Report::OutOfRoom { on_disk });
            }
            self.was_full[usize::from(on_disk)] = is_full;
        }
    }

    fn tick(&mut self, now: Now, outboxes: &mut Outboxes) {
        let mut broken = Vec::new();
        for (account, tenant) in &mut self.tenants {
            if tenant.deadline().is_none_or(|at| at > now.tick) {
                continue;
            }
            let interest = InAccount { port: &*self.port, account };
            let out = outboxes.of(account);
            let mut around = Surroundings::own(&mut self.shelving, now, &interest, out);
            tenant.begin_turn(self.settings.turn_units);
            if let Err(why) = guarded(|| tenant.tick(&mut around)) {
                broken.push((account.clone(), why));
            }
            self.debts.note(account, tenant.units_done(), self.settings.turn_units);
        }
        self.quarantine_all(broken, outboxes);
    }

    /// What they wanted done before they broke is not done.
    fn quarantine_all(&mut self, broken: Vec<(Arc<str>, String)>, outboxes: &mut Outboxes) {
        for (account, why) in broken {
            outboxes.by_account.remove(&account);
            self.quarantine(&account, &why);
        }
    }

    fn keep_states(&mut self, now: Now) {
        if now.tick < self.keep_states_at {
            return;
        }
        self.keep_states_at = now.tick + KEEP_STATES_EVERY;
        let mut broken = Vec::new();
        for (account, tenant) in &mut self.tenants {
            // A failure is noticed when the metadata is committed.
            if let Err(why) = guarded(|| drop(tenant.keep_states(&mut self.shelving))) {
                broken.push((account.clone(), why));
            }
        }
        self.quarantine_all(broken, &mut Outboxes::default());
    }

    /// What a failed write or sync left behind is only known by reading it: everything is opened anew.
    fn reopen_if_due(&mut self, now: Now) {
        let Some(failed) = &mut self.failed else { return };
        if now.tick < failed.reopen_at {
            return;
        }
        failed.wait = (failed.wait * 2).min(REOPEN_MAX);
        failed.reopen_at = now.tick + failed.wait;
        let Ok((root, shelving, _)) = open_shelves(&self.disk, &self.entropy, &self.settings, &*self.port) else {
            return;
        };
        let accounts: Vec<Settings> = self.accounts.values().cloned().collect();
        for (account, tenant) in &mut self.tenants {
            refuse_held(&*self.port, account, tenant);
        }
        self.tenants.keys().for_each(|account| self.unlisten(account));
        self.root = root;
        self.shelving = shelving;
        self.syncing = None;
        self.tenants.clear();
        if self.restore(accounts, now).is_ok() {
            self.failed = None;
            self.plan_resealing(now);
            self.port.report(Report::StoreRecovered);
        }
    }

    pub(crate) fn unlisten(&self, account: &str) {
        let streams = self.tenants.get(account).into_iter().flat_map(Tenant::streams);
        for text in streams.flat_map(|stream| &stream.config.subjects) {
            if let Ok(filter) = Filter::parse(text.as_bytes()) {
                self.port.unlisten(account, Door::Streams, &filter);
            }
        }
        for filter in self.tenants.get(account).into_iter().flat_map(Tenant::heard) {
            self.port.unlisten(account, Door::Copies, &filter);
        }
        for (door, filter) in self.accounts.get(account).map(listened).unwrap_or_default() {
            self.port.unlisten(account, door, &filter);
        }
    }

    /// Lets consumers deliver what became readable.
    fn deliver(&mut self, now: Now, outboxes: &mut Outboxes) {
        self.has_more = false;
        let mut broken = Vec::new();
        for (account, tenant) in self.tenants.iter_mut().filter(|(_, tenant)| tenant.is_awake()) {
            let interest = InAccount { port: &*self.port, account };
            let (shelves, out) = (&mut self.shelving, outboxes.of(account));
            let mut around = Surroundings::own(shelves, now, &interest, out);
            tenant.begin_turn(self.settings.turn_units);
            match guarded(|| tenant.deliver(&mut around)) {
                Ok(has_more) => self.has_more |= has_more,
                Err(why) => broken.push((account.clone(), why)),
            }
            self.debts.note(account, tenant.units_done(), self.settings.turn_units);
        }
        self.quarantine_all(broken, outboxes);
        // Nothing in here waits for anything but what was committed just now.
        self.perform_all(outboxes, &Outcome::default());
    }

    fn finish_removals(&mut self) -> Result<(), StoreError> {
        for id in half_gone(&self.shelving.meta) {
            self.root.remove_stream(StreamId(id))?;
            self.shelving.forget_gone(id)?;
        }
        self.shelving.meta.commit()
    }

    /// Reports damage found on the way, and lets accounts rest that have nothing more to do.
    fn settle(&mut self) {
        let mut garbage: Vec<Garbage> = self.shelving.take_garbage();
        for tenant in self.tenants.values_mut().filter(|tenant| tenant.is_awake()) {
            for stream in tenant.streams_mut() {
                garbage.extend(stream.log.take_garbage());
                for finding in stream.log.take_findings() {
                    self.port.report(Report::Finding(finding.to_string()));
                }
            }
            if !tenant.streams_mut().any(|stream| stream.log.is_dirty() || stream.log.is_leaving()) {
                tenant.rest();
            }
        }
        self.freeing.free(garbage);
    }

    /// How long nothing is to be done, unless a message comes.
    pub fn rest(&self, now: Now) -> Duration {
        if self.has_more || self.is_leaving || !self.lanes.is_empty() || !self.shelving.discarded.is_empty() {
            return Duration::ZERO;
        }
        let tenants = self.tenants.values().filter_map(Tenant::deadline);
        let unkept = self.tenants.values().any(Tenant::has_unkept_states).then_some(self.keep_states_at);
        let lazy = self.syncing.is_none().then_some(self.sync_at);
        let reopen = self.failed.as_ref().map(|failed| failed.reopen_at);
        let upkeep = self.failed.is_none().then(|| self.upkeep.due());
        let synced = self.syncing.is_some().then(|| now.tick + SYNC_EVERY_MIN);
        let next = tenants.chain(unkept).chain(lazy).chain(synced).chain(reopen).chain(upkeep).min();
        next.map_or(KEEP_STATES_EVERY * 4, |at| at.since(now.tick))
    }

    /// What was taken is done, whoever waits for messages is told, and everything is kept and synced: before the process ends.
    pub fn close(&mut self, now: Now) -> Result<(), StoreError> {
        while self.has_waiting() {
            self.work(now, &mut |_| {});
        }
        let mut outboxes = std::mem::take(&mut self.outboxes);
        self.tenants.iter_mut().for_each(|(account, tenant)| tenant.say_shutdown(outboxes.of(account)));
        self.perform_all(&mut outboxes, &Outcome::default());
        self.tenants.values_mut().for_each(Tenant::wake);
        self.keep_states_at = now.tick;
        self.keep_states(now);
        let committed = self.commit(now);
        self.take_synced(SYNC_AWAITED, now);
        let synced = self.sync_all();
        match committed.failed.is_empty() && !committed.meta_failed && synced.failed.is_empty() {
            true => self.tenants.values_mut().flat_map(Tenant::streams_mut).try_for_each(|stream| stream.log.close()),
            false => Err(StoreError::Poisoned),
        }
    }

    /// What all streams weigh.
    pub fn ledger(&self) -> &Ledger {
        &self.shelving.ledger
    }

    /// Bytes that streams in files, or in memory, may grow to as far as they say so.
    pub fn reserved(&self, on_disk: bool) -> u64 {
        self.shelving.reserved(on_disk)
    }

    /// Tells of requests that were lost.
    pub(crate) fn tell_lost(&self, requests: u64) {
        if requests > 0 {
            self.port.report(Report::RequestsLost(requests));
        }
    }

    /// Removes everything that an account stores, and makes that durable. How many streams there were.
    pub fn purge_account(&mut self, account: &str, now: Now) -> Result<usize, String> {
        let mut out = Outbox::default();
        let removed = match self.tenants.remove(account) {
            Some(mut tenant) => {
                tenant.wake();
                let removed = self.with_surroundings(account, &mut out, now, |around| tenant.remove_all(around));
                self.tenants.insert(account.into(), tenant);
                removed
            }
            None => self.shelving.forget_account(account),
        };
        let failed = self.carry_out(account, &mut out, now);
        self.unrecovered.retain(|(of, _)| of != account);
        match failed {
            Some(text) => Err(text),
            None => removed.map_err(text_of),
        }
    }

    /// Makes what was done for an account between two rounds durable, and then does what it wants done. What went wrong.
    pub(crate) fn carry_out(&mut self, account: &str, out: &mut Outbox, now: Now) -> Option<String> {
        let outcome = self.commit(now);
        self.perform(account, out, &outcome);
        self.remove_discarded(&outcome);
        outcome.why.map(|Why { text, .. }| text)
    }

    /// Lets something be done for an account that nobody asked for.
    pub(crate) fn with_surroundings<T>(
        &mut self,
        account: &str,
        out: &mut Outbox,
        now: Now,
        act: impl FnOnce(&mut Surroundings<'_, Shelving>) -> T,
    ) -> T {
        let interest = InAccount { port: &*self.port, account };
        let shelves = &mut self.shelving;
        act(&mut Surroundings::own(shelves, now, &interest, out))
    }

    /// Whether the store failed, and nothing is acknowledged until it works again.
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Streams that are kept and could not be put back, by account and name.
    pub fn unrecovered(&self) -> impl Iterator<Item = (&str, &str)> {
        self.unrecovered.iter().map(|(account, stream)| (account.as_str(), stream.as_str()))
    }

    /// What an account has, as monitoring shows it.
    pub fn detail(&mut self, account: &str, wish: &JszOptions, now: Now) -> Option<JszAccount> {
        self.tenants.get_mut(account).map(|tenant| tenant.detail(wish, now))
    }

    /// The accounts that have streams here, or may have.
    pub fn tenants(&self) -> impl Iterator<Item = (&Arc<str>, &Tenant<Shelving>)> {
        self.tenants.iter()
    }

    /// The streams of an account, to look at.
    pub fn tenant(&self, account: &str) -> Option<&Tenant<Shelving>> {
        self.tenants.get(account)
    }
}

fn text_of(error: LogError) -> String {
    match error {
        LogError::Failed(text) => text,
        LogError::Unfinished => "it takes longer than a turn".to_owned(),
    }
}

/// What the host listens to in every account.
fn listened(settings: &Settings) -> Vec<(Door, Filter)> {
    let mut all = vec![
        (Door::Requests, "$JS.API.>".to_owned()),
        (Door::Answers, "$JS.ACK.>".to_owned()),
        (Door::Answers, "$JS.FC.>".to_owned()),
        (Door::Answers, "$JS.SNAPSHOT.>".to_owned()),
    ];
    if !settings.domain.is_empty() {
        all.push((Door::Requests, format!("$JS.{}.API.>", settings.domain)));
    }
    all.iter().filter_map(|(door, text)| Some((*door, Filter::parse(text.as_bytes()).ok()?))).collect()
}
