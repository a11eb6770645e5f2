//! Hops of traced messages, sent to a collector of the operator (OpenTelemetry, OTLP over HTTP in JSON).
//!
//! Workers leave hops in a bounded queue; one thread makes spans of them and posts them in batches. Whoever leaves a hop never
//! waits: what finds no room, or comes faster than it may, is not followed and is counted.

mod batch;
mod quota;
mod waiting;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use broker::{Hop, HopTaker, Hub};
use config::Tracing as Settings;
use moment::Timestamp;
use monitor::TraceTotals;
use session::Greeting;
use tls::ClientTls;

use crate::http::{Answer, Question, Url, exchange};
use crate::log::Log;
use batch::Batch;
use quota::Quota;
use waiting::Waiting;

/// Hops of one request.
const BATCH_MAX: usize = 256;

/// The path of the standard, where the endpoint names none.
const PATH: &str = "/v1/traces";

/// The longest answer of a collector that is read.
const ANSWER_MAX: usize = 64 << 10;

/// What became of hops and spans since the start.
#[derive(Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// Sends hops, while a configuration says where to.
pub struct Tracing {
    log: Arc<Log>,
    counts: Arc<Counts>,
    server: Server,
    exporter: Mutex<Option<Exporter>>,
}

/// What spans say of the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) version: String,
}

/// What comes instead of what is there, if anything does.
pub struct Prepared(Option<Option<Exporter>>);

/// A queue, and the thread that empties it.
struct Exporter {
    introduction: String,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Tracing {
    /// Starts sending, if the configuration says where to.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn start(
        settings: Option<&Settings>,
        greeting: &Greeting,
        hub: &Hub,
        log: &Arc<Log>,
    ) -> Result<Arc<Self>, String> {
        let server = Server {
            name: greeting.server_name.clone(),
            id: greeting.server_id.clone(),
            version: greeting.bulwark.clone(),
        };
        let tracing = Self { log: log.clone(), counts: Arc::default(), server, exporter: Mutex::default() };
        tracing.install(tracing.prepare(None, settings)?, hub);
        Ok(Arc::new(tracing))
    }

    /// Makes ready for another configuration, if it differs. Nothing is sent by it before it is installed.
    ///
    /// # Errors
    /// With the text for the user.
    pub fn prepare(&self, was: Option<&Settings>, is: Option<&Settings>) -> Result<Prepared, String> {
        if was == is {
            return Ok(Prepared(None));
        }
        Ok(Prepared(Some(is.map(|settings| self.open(settings)).transpose()?)))
    }

    /// Goes on with what was made ready. The one before sends what it has.
    pub fn install(&self, prepared: Prepared, hub: &Hub) {
        let Prepared(Some(exporter)) = prepared else { return };
        hub.tell_hops(exporter.as_ref().map(|exporter| exporter.queue.clone() as Arc<dyn HopTaker>));
        if let Some(exporter) = &exporter {
            self.log.notice(&exporter.introduction);
        }
        let before = std::mem::replace(&mut *self.exporter(), exporter);
        drop(before);
    }

    fn open(&self, settings: &Settings) -> Result<Exporter, String> {
        let wrong = |why: String| format!("tracing: {}: {why}", settings.endpoint);
        let url = Url::parse(&settings.endpoint).map_err(wrong)?.or_path(PATH);
        let tls = url.is_secure().then(|| client_tls(settings)).transpose().map_err(wrong)?;
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            filled: Condvar::new(),
            counts: self.counts.clone(),
            quota: Quota::new(settings.per_second_max, Instant::now()),
        });
        let sender = Sender {
            url,
            tls,
            settings: settings.clone(),
            server: self.server.clone(),
            queue: queue.clone(),
            counts: self.counts.clone(),
            log: self.log.clone(),
        };
        let thread = std::thread::Builder::new().name("tracing".to_owned()).spawn(move || sender.run());
        let thread = thread.map_err(|error| wrong(error.to_string()))?;
        let subjects = if settings.subjects { "with subjects" } else { "without subjects" };
        let introduction = format!("Traces go to {} ({subjects})", settings.endpoint);
        Ok(Exporter { introduction, queue, thread: Some(thread) })
    }

    /// What became of hops and spans.
    pub fn totals(&self) -> TraceTotals {
        let Counts { exported, dropped, failed } = &*self.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TraceTotals { exported: read(exported), dropped: read(dropped), failed: read(failed) }
    }

    /// Sends what waits, and ends.
    pub fn stop(&self, hub: &Hub) {
        hub.tell_hops(None);
        let exporter = self.exporter().take();
        drop(exporter);
    }

    fn exporter(&self) -> MutexGuard<'_, Option<Exporter>> {
        self.exporter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.queue.lock().is_over = true;
        self.queue.filled.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn client_tls(settings: &Settings) -> Result<ClientTls, String> {
    let trust = tls::Settings { ca_file: settings.ca_file.clone(), ..tls::Settings::default() };
    ClientTls::build(&trust, &|path| std::fs::read(path)).map_err(|error| error.to_string())
}

/// Where workers leave hops.
struct Queue {
    state: Mutex<Waiting>,
    /// There is a batch, or nothing more will come.
    filled: Condvar,
    counts: Arc<Counts>,
    quota: Quota,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn drop_one(&self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl HopTaker for Queue {
    fn opens(&self, account: &str) -> Option<Timestamp> {
        if self.quota.takes(account, Instant::now()) && self.lock().has_room(account) {
            return Some(self.now());
        }
        self.drop_one();
        None
    }

    fn now(&self) -> Timestamp {
        crate::system::wall()
    }

    fn take(&self, hop: Hop) {
        let mut state = self.lock();
        let takes = state.push(hop);
        let is_full = state.len() == BATCH_MAX;
        drop(state);
        if !takes {
            return self.drop_one();
        }
        if is_full {
            self.filled.notify_one();
        }
    }
}

/// What the thread works with.
struct Sender {
    url: Url,
    tls: Option<ClientTls>,
    settings: Settings,
    server: Server,
    queue: Arc<Queue>,
    counts: Arc<Counts>,
    log: Arc<Log>,
}

impl Sender {
    fn run(self) {
        loop {
            let (hops, is_over) = self.next();
            if !hops.is_empty() {
                self.send(&hops);
            }
            if is_over {
                // What is left is more than one request may hold, or nothing.
                let left = self.queue.lock().len() as u64;
                self.counts.dropped.fetch_add(left, Ordering::Relaxed);
                return;
            }
        }
    }

    /// The hops of the next request, and whether it is the last one.
    fn next(&self) -> (Vec<Hop>, bool) {
        let is_open = |state: &mut Waiting| state.len() < BATCH_MAX && !state.is_over;
        let waited = self.queue.filled.wait_timeout_while(self.queue.lock(), self.settings.interval, is_open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.pull(BATCH_MAX), state.is_over)
    }

    fn send(&self, hops: &[Hop]) {
        let mut batch = Batch::new(&self.server, self.settings.subjects);
        hops.iter().for_each(|hop| batch.add(hop, &mut crate::system::random_u64));
        let spans = batch.spans();
        match self.post(batch.json().to_string().as_bytes(), self.settings.timeout) {
            Ok(()) => drop(self.counts.exported.fetch_add(spans, Ordering::Relaxed)),
            Err(why) => {
                self.counts.failed.fetch_add(spans, Ordering::Relaxed);
                let text = format!("Traces could not be sent to {}: {why}", self.settings.endpoint);
                self.log.error_once(&format!("tracing {why}"), &text);
            }
        }
    }

    fn post(&self, body: &[u8], patience: Duration) -> Result<(), String> {
        let own = self.settings.headers.iter().map(|(name, value)| (name.as_str(), value.expose().as_str()));
        let headers: Vec<_> = [("Content-Type", "application/json")].into_iter().chain(own).collect();
        let question = Question { headers: &headers, body: Some(body), body_max: ANSWER_MAX };
        let Answer { status, .. } = exchange(&self.url, &question, self.tls.as_ref(), Instant::now() + patience)?;
        if status.starts_with('2') { Ok(()) } else { Err(format!("the collector answered with status {status:?}")) }
    }
}
