//! The host's loop without its thread: take, decide, make durable, send.

use crate::inlet::Message;
use crate::shelf::{Shelf, Shelving};
use crate::{Port, Report};
use jetstream::{After, Effect, Interest, KeptStream, Now, Outbox, Outgoing, Settings, Tenant};
use moment::Instant;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::{Disk, Entropy, FileSettings, MetaLog, Root, Sealing, StoreError, StreamId, SyncMode, SyncTicket};
use subject::Filter;

/// Consumer states that nobody waits for are kept this often.
const KEEP_STATES_EVERY: Duration = Duration::from_millis(250);
/// After a failure the store is opened again: first after this, then ever later.
const REOPEN_FIRST: Duration = Duration::from_secs(1);
const REOPEN_MAX: Duration = Duration::from_secs(30);
/// Syncs that run at the same time.
const PARALLEL_SYNCS: usize = 8;

/// How the store is kept.
#[derive(Clone, Debug)]
pub struct DeskSettings {
    /// Cipher and keys.
    pub sealing: Sealing,
    /// How streams lie in files.
    pub files: FileSettings,
    /// How often written bytes become durable, when not at once.
    pub sync_every: Duration,
}

impl Default for DeskSettings {
    fn default() -> Self {
        let (sealing, files) = (Sealing::default(), FileSettings::default());
        DeskSettings { sealing, files, sync_every: Duration::from_secs(120) }
    }
}

/// How JetStream is for one account.
pub type AccountSettings = Settings;

/// Everything the host runs.
pub struct Desk {
    disk: Arc<dyn Disk>,
    entropy: Arc<dyn Entropy>,
    settings: DeskSettings,
    root: Root,
    shelving: Shelving,
    tenants: BTreeMap<Arc<str>, Tenant<Shelving>>,
    accounts: BTreeMap<Arc<str>, Settings>,
    port: Arc<dyn Port>,
    keep_states_at: Instant,
    sync_at: Instant,
    failed: Option<Failed>,
    has_more: bool,
}

/// The store failed; it is opened again at a moment.
struct Failed {
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
        let (root, shelving, is_new) = open_store(&disk, &entropy, &settings, &*port)?;
        let mut desk = Desk {
            disk,
            entropy,
            settings,
            root,
            shelving,
            tenants: BTreeMap::new(),
            accounts: BTreeMap::new(),
            port,
            keep_states_at: now.tick + KEEP_STATES_EVERY,
            sync_at: now.tick,
            failed: None,
            has_more: false,
        };
        desk.finish_removals()?;
        let streams = desk.restore(accounts, now)?;
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
                let text = format!("stream directory {id:016x} is not in the metadata; it is left alone");
                self.port.report(Report::Finding(text));
            }
        }
        Ok(())
    }

    fn add_tenant(&mut self, settings: Settings, streams: Vec<KeptStream>, now: Now) -> Result<(), StoreError> {
        let account: Arc<str> = settings.account.as_str().into();
        let mut seed = [0; 8];
        self.entropy.fill(&mut seed);
        let mut tenant = Tenant::new(settings.clone(), u64::from_le_bytes(seed));
        let mut out = Outbox::default();
        for kept in streams {
            let (log, findings) = self.shelving.open(kept.id, &kept.config)?;
            for finding in findings {
                self.port.report(Report::Finding(finding.to_string()));
            }
            let interest = InAccount { port: &*self.port, account: &account };
            let mut around =
                jetstream::Surroundings { shelves: &mut self.shelving, now, interest: &interest, out: &mut out };
            if let Err(error) = tenant.restore(kept, log, &mut around) {
                self.port.report(Report::Finding(error.0));
            }
        }
        for filter in listened(&settings) {
            self.port.listen(&account, &filter);
        }
        self.tenants.insert(account.clone(), tenant);
        self.accounts.insert(account.clone(), settings);
        self.perform(&account, out.take(), &Outcome::default());
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
        self.add_tenant(settings, streams, now)
    }

    /// Takes messages, and does everything that follows from them and from the time.
    pub fn round(&mut self, messages: &[Message], now: Now) {
        self.reopen_if_due(now);
        let mut outboxes: BTreeMap<Arc<str>, Outbox> = BTreeMap::new();
        for message in messages {
            self.receive(message, now, &mut outboxes);
        }
        self.tick(now, &mut outboxes);
        self.keep_states(now);
        let outcome = self.commit(now);
        self.perform_all(outboxes, &outcome);
        self.deliver(now);
        self.sync_now_and_then(now);
        self.remove_discarded(&outcome);
        self.report_damage();
    }

    fn receive(&mut self, message: &Message, now: Now, outboxes: &mut BTreeMap<Arc<str>, Outbox>) {
        let Some(tenant) = self.tenants.get_mut(message.account()) else { return };
        let interest = InAccount { port: &*self.port, account: message.account() };
        let out = outboxes.entry(message.account().clone()).or_default();
        let mut around = jetstream::Surroundings { shelves: &mut self.shelving, now, interest: &interest, out };
        tenant.receive(&message.incoming(), &mut around);
    }

    fn tick(&mut self, now: Now, outboxes: &mut BTreeMap<Arc<str>, Outbox>) {
        for (account, tenant) in &mut self.tenants {
            if tenant.deadline().is_none_or(|at| at > now.tick) {
                continue;
            }
            let interest = InAccount { port: &*self.port, account };
            let out = outboxes.entry(account.clone()).or_default();
            let mut around = jetstream::Surroundings { shelves: &mut self.shelving, now, interest: &interest, out };
            tenant.tick(&mut around);
        }
    }

    fn keep_states(&mut self, now: Now) {
        if now.tick < self.keep_states_at {
            return;
        }
        self.keep_states_at = now.tick + KEEP_STATES_EVERY;
        for tenant in self.tenants.values_mut() {
            // A failure is noticed when the metadata is committed.
            let _ = tenant.keep_states(&mut self.shelving);
        }
    }

    /// Makes everything staged durable: one write and one sync for each file, the syncs side by side.
    fn commit(&mut self, now: Now) -> Outcome {
        let mut outcome = Outcome::default();
        let mut due: Vec<(Due<'_>, Option<SyncTicket>)> = Vec::new();
        for tenant in self.tenants.values_mut() {
            for stream in tenant.streams_mut().filter(|stream| stream.log.is_dirty()) {
                match stream.log.flush() {
                    Ok(ticket) => due.push((Due::Log(stream.id, &mut stream.log), ticket)),
                    Err(error) => outcome.fail(Some(stream.id), &error),
                }
            }
        }
        if self.shelving.meta.is_dirty() {
            match self.shelving.meta.flush() {
                Ok(ticket) => due.push((Due::Meta(&mut self.shelving.meta), ticket)),
                Err(error) => outcome.fail(None, &error),
            }
        }
        let outcomes = run_all(due.iter().map(|(_, ticket)| ticket.as_ref()).collect());
        for ((due, ticket), synced) in due.into_iter().zip(outcomes) {
            if ticket.is_none() {
                continue;
            }
            match due {
                Due::Log(id, log) => log.synced(synced).unwrap_or_else(|error| outcome.fail(Some(id), &error)),
                Due::Meta(meta) => meta.synced(synced).unwrap_or_else(|error| outcome.fail(None, &error)),
            }
        }
        if let Some(why) = &outcome.why {
            self.note_failure(why.clone(), now);
        }
        outcome
    }

    fn note_failure(&mut self, why: String, now: Now) {
        if self.failed.is_none() {
            self.port.report(Report::StoreFailed(why));
            self.failed = Some(Failed { reopen_at: now.tick + REOPEN_FIRST, wait: REOPEN_FIRST });
        }
    }

    /// What a failed write or sync left behind is only known by reading it: everything is opened anew.
    fn reopen_if_due(&mut self, now: Now) {
        let Some(failed) = &mut self.failed else { return };
        if now.tick < failed.reopen_at {
            return;
        }
        failed.wait = (failed.wait * 2).min(REOPEN_MAX);
        failed.reopen_at = now.tick + failed.wait;
        let Ok((root, shelving, _)) = open_store(&self.disk, &self.entropy, &self.settings, &*self.port) else {
            return;
        };
        let accounts: Vec<Settings> = self.accounts.values().cloned().collect();
        self.unlisten_all();
        self.root = root;
        self.shelving = shelving;
        self.tenants.clear();
        if self.restore(accounts, now).is_ok() {
            self.failed = None;
            self.port.report(Report::StoreRecovered);
        }
    }

    fn unlisten_all(&self) {
        for (account, tenant) in &self.tenants {
            for stream in tenant.streams() {
                for text in &stream.config.subjects {
                    if let Ok(filter) = Filter::parse(text.as_bytes()) {
                        self.port.unlisten(account, &filter);
                    }
                }
            }
            for filter in self.accounts.get(account).map(listened).unwrap_or_default() {
                self.port.unlisten(account, &filter);
            }
        }
    }

    /// Lets consumers deliver what became readable.
    fn deliver(&mut self, now: Now) {
        self.has_more = false;
        let mut outboxes = BTreeMap::new();
        for (account, tenant) in &mut self.tenants {
            let interest = InAccount { port: &*self.port, account };
            let mut out = Outbox::default();
            let mut around =
                jetstream::Surroundings { shelves: &mut self.shelving, now, interest: &interest, out: &mut out };
            self.has_more |= tenant.deliver(&mut around);
            outboxes.insert(account.clone(), out);
        }
        // Nothing in here waits for anything but what was committed just now.
        self.perform_all(outboxes, &Outcome::default());
    }

    fn sync_now_and_then(&mut self, now: Now) {
        if self.settings.files.sync == SyncMode::Always || now.tick < self.sync_at {
            return;
        }
        self.sync_at = now.tick + self.settings.sync_every;
        let outcome = self.sync_all();
        if let Some(why) = outcome.why {
            self.note_failure(why, now);
        }
    }

    fn sync_all(&mut self) -> Outcome {
        let mut outcome = Outcome::default();
        for tenant in self.tenants.values_mut() {
            for stream in tenant.streams_mut() {
                if let Some(ticket) = stream.log.sync_ticket()
                    && let Err(error) = stream.log.synced(ticket.run())
                {
                    outcome.fail(Some(stream.id), &error);
                }
            }
        }
        outcome
    }

    fn remove_discarded(&mut self, outcome: &Outcome) {
        if outcome.meta_failed {
            return;
        }
        for id in std::mem::take(&mut self.shelving.discarded) {
            if self.root.remove_stream(StreamId(id)).is_ok() {
                let _ = self.shelving.forget_gone(id);
            }
        }
    }

    fn finish_removals(&mut self) -> Result<(), StoreError> {
        for id in self.shelving.half_gone() {
            self.root.remove_stream(StreamId(id))?;
            self.shelving.forget_gone(id)?;
        }
        self.shelving.meta.commit()
    }

    fn report_damage(&mut self) {
        for tenant in self.tenants.values_mut() {
            for finding in tenant.streams_mut().flat_map(|stream| stream.log.take_findings()) {
                self.port.report(Report::Finding(finding.to_string()));
            }
        }
    }

    fn perform_all(&self, outboxes: BTreeMap<Arc<str>, Outbox>, outcome: &Outcome) {
        for (account, mut out) in outboxes {
            self.perform(&account, out.take(), outcome);
        }
    }

    fn perform(&self, account: &str, effects: Vec<Effect>, outcome: &Outcome) {
        let mut sends = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(outgoing) => sends.extend(outcome.permits(outgoing)),
                Effect::Listen(filter) => self.port.listen(account, &filter),
                Effect::Unlisten(filter) => self.port.unlisten(account, &filter),
            }
        }
        if !sends.is_empty() {
            self.port.publish(account, sends);
        }
    }

    /// How long nothing is to be done, unless a message comes.
    pub fn rest(&self, now: Now) -> Duration {
        if self.has_more {
            return Duration::ZERO;
        }
        let tenants = self.tenants.values().filter_map(Tenant::deadline);
        let unkept = self.tenants.values().any(Tenant::has_unkept_states).then_some(self.keep_states_at);
        let lazy = (self.settings.files.sync == SyncMode::Lazy).then_some(self.sync_at);
        let reopen = self.failed.as_ref().map(|failed| failed.reopen_at);
        let next = tenants.chain(unkept).chain(lazy).chain(reopen).min();
        next.map_or(KEEP_STATES_EVERY * 4, |at| at.since(now.tick))
    }

    /// Everything is kept and synced: before the process ends.
    pub fn close(&mut self, now: Now) -> Result<(), StoreError> {
        self.keep_states_at = now.tick;
        self.keep_states(now);
        let committed = self.commit(now);
        let synced = self.sync_all();
        match committed.failed.is_empty() && !committed.meta_failed && synced.failed.is_empty() {
            true => Ok(()),
            false => Err(StoreError::Poisoned),
        }
    }

    /// The streams of an account, to look at.
    pub fn tenant(&self, account: &str) -> Option<&Tenant<Shelving>> {
        self.tenants.get(account)
    }
}

/// What a commit came to.
#[derive(Default)]
struct Outcome {
    failed: HashSet<u64>,
    meta_failed: bool,
    why: Option<String>,
}

impl Outcome {
    fn fail(&mut self, stream: Option<u64>, error: &StoreError) {
        match stream {
            Some(id) => {
                self.failed.insert(id);
            }
            None => self.meta_failed = true,
        }
        self.why.get_or_insert_with(|| error.to_string());
    }

    /// What may leave of a message: itself, or what is said instead.
    fn permits(&self, outgoing: Outgoing) -> Option<Outgoing> {
        let has_failed = match outgoing.after {
            After::Nothing => false,
            After::Log(id) => self.failed.contains(&id),
            After::Metadata => self.meta_failed,
        };
        if !has_failed {
            return Some(outgoing);
        }
        let payload = outgoing.else_say?;
        Some(Outgoing { payload, headers: Vec::new(), reply: None, subject: None, else_say: None, ..outgoing })
    }
}

enum Due<'a> {
    Log(u64, &'a mut Shelf),
    Meta(&'a mut MetaLog),
}

/// Runs syncs side by side and gives their outcomes in order.
fn run_all(tickets: Vec<Option<&SyncTicket>>) -> Vec<std::io::Result<()>> {
    let run = |ticket: Option<&SyncTicket>| ticket.map_or(Ok(()), SyncTicket::run);
    let due = tickets.iter().flatten().count();
    if due < 2 {
        return tickets.into_iter().map(run).collect();
    }
    let share = due.div_ceil(PARALLEL_SYNCS).max(1);
    std::thread::scope(|scope| {
        let chunks: Vec<_> = tickets
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(|ticket| run(*ticket)).collect::<Vec<_>>()))
            .collect();
        let panicked = || vec![Err(std::io::Error::other("the syncing thread panicked"))];
        chunks.into_iter().flat_map(|chunk| chunk.join().unwrap_or_else(|_| panicked())).collect()
    })
}

fn open_store(
    disk: &Arc<dyn Disk>,
    entropy: &Arc<dyn Entropy>,
    settings: &DeskSettings,
    port: &dyn Port,
) -> Result<(Root, Shelving, bool), StoreError> {
    let opened = Root::open(disk.clone(), entropy.clone(), &settings.sealing)?;
    if opened.was_repaired {
        port.report(Report::Finding(
            "the identity file of the store was lost and was made again from its blocks".into(),
        ));
    }
    let meta = MetaLog::open(opened.root.context(), "meta")?;
    meta.findings.iter().for_each(|finding| port.report(Report::Finding(finding.to_string())));
    let shelving = Shelving::new(opened.root.context(), meta.log, settings.files);
    Ok((opened.root, shelving, opened.is_new))
}

/// What the host listens to in every account.
fn listened(settings: &Settings) -> Vec<Filter> {
    let mut texts = vec!["$JS.API.>".to_owned(), "$JS.ACK.>".to_owned(), "$JS.FC.>".to_owned()];
    if !settings.domain.is_empty() {
        texts.push(format!("$JS.{}.API.>", settings.domain));
    }
    texts.iter().filter_map(|text| Filter::parse(text.as_bytes()).ok()).collect()
}
