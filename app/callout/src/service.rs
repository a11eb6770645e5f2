//! Questions in, answers out, until the process is told to end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, Event, Message, Subscriber};
use futures::StreamExt;
use nkeys::KeyPair;
use secret::Secret;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::answer::{Question, Signer};
use crate::decide::{Decider, Decision};
use crate::metrics::{Ending, Metrics};
use crate::monitor;
use crate::provider::Shown;
use crate::settings::{NatsSettings, Settings};

const SUBJECT: &str = "$SYS.REQ.USER.AUTH";
const SEAL_HEADER: &str = "Nats-Server-Xkey";
/// Questions that wait while we are busy; later ones are lost, and their servers refuse the login in time.
const WAITING: usize = 4096;
/// How long decisions may still take when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// The service, connected.
pub(crate) struct Service {
    client: Client,
    questions: Subscriber,
    desk: Arc<Desk>,
    config: PathBuf,
    max_in_flight: usize,
}

/// What every question needs.
struct Desk {
    signer: Signer,
    /// Exchanged as a whole when the configuration is read again.
    decider: Mutex<Arc<Decider>>,
    metrics: Arc<Metrics>,
    timeout: Duration,
    places: Arc<Semaphore>,
}

impl Service {
    pub(crate) async fn connect(
        settings: &Settings,
        config: &Path,
        decider: Decider,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let signer = Signer::new(settings)?;
        decider.accounts().try_for_each(|account| signer.check_account(account))?;
        let client = connect(&settings.nats).await?;
        let questions = client.queue_subscribe(SUBJECT, settings.callout.queue.clone()).await?;
        client.flush().await?;
        if let Some(listen) = settings.monitor.listen {
            let address = monitor::start(listen, client.clone(), Arc::clone(&metrics)).await?;
            eprintln!("nats-callout: health and figures on http://{address}");
        }
        let desk = Desk {
            signer,
            decider: Mutex::new(Arc::new(decider)),
            metrics,
            timeout: settings.callout.timeout.0,
            places: Arc::new(Semaphore::new(settings.callout.max_in_flight)),
        };
        Ok(Self {
            client,
            questions,
            desk: desk.into(),
            config: config.to_owned(),
            max_in_flight: settings.callout.max_in_flight,
        })
    }

    pub(crate) async fn serve(mut self) -> Result<()> {
        eprintln!("nats-callout: ready, deciding logins for servers at {}", self.client.server_info().host);
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let mut reload = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                question = self.questions.next() => match question {
                    Some(message) => self.take(message),
                    None => anyhow::bail!("the connection is closed"),
                },
                _ = reload.recv() => self.reload(),
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        self.end().await
    }

    /// Others of the group get the questions from now on; those we have are answered.
    async fn end(mut self) -> Result<()> {
        eprintln!("nats-callout: ending");
        self.questions.unsubscribe().await?;
        let all = u32::try_from(self.max_in_flight).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(LAST_WORDS, self.desk.places.acquire_many(all)).await;
        self.client.flush().await?;
        Ok(())
    }

    /// Reads providers and rules again. A mistake changes nothing.
    fn reload(&self) {
        let read = Settings::read(&self.config).and_then(|settings| {
            let decider = Decider::new(&settings, Arc::clone(&self.desk.metrics))?;
            decider.accounts().try_for_each(|account| self.desk.signer.check_account(account))?;
            Ok(decider)
        });
        match read {
            Ok(decider) => {
                *self.desk.decider.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(decider);
                eprintln!("nats-callout: providers and rules were read again");
            }
            Err(error) => eprintln!("nats-callout: nothing changes, because {error:#}"),
        }
    }

    fn take(&self, message: Message) {
        let (desk, client) = (Arc::clone(&self.desk), self.client.clone());
        let place = Arc::clone(&desk.places).try_acquire_owned().ok();
        tokio::spawn(async move {
            let Some(reply) = message.reply.clone() else { return desk.metrics.ended(Ending::Malformed) };
            let answer = desk.answer(&message, place.is_some()).await;
            match answer {
                Ok(bytes) => {
                    if let Err(error) = client.publish(reply, bytes.into()).await {
                        eprintln!("nats-callout: an answer could not be sent: {error}");
                    }
                }
                Err(error) => {
                    desk.metrics.ended(Ending::Malformed);
                    eprintln!("nats-callout: a question is left without answer: {error:#}");
                }
            }
            drop(place);
        });
    }
}

impl Desk {
    async fn answer(&self, message: &Message, has_place: bool) -> Result<Vec<u8>> {
        let seal = message.headers.as_ref().and_then(|headers| headers.get(SEAL_HEADER)).map(|value| value.as_str());
        let question = self.signer.open(&message.payload, seal, now())?;
        if !has_place {
            self.metrics.ended(Ending::Busy);
            return self.signer.refuse(&question, "too many logins at a time", now());
        }
        let begin = Instant::now();
        self.metrics.began();
        let decision = self.decide(&question).await;
        self.metrics.decided(begin.elapsed());
        self.seal(&question, decision)
    }

    async fn decide(&self, question: &Question) -> Decision {
        let connect = &question.request.connect;
        let shown = Shown {
            user: connect.user.clone(),
            password: Secret::new(connect.password.clone()),
            token: Secret::new(connect.token.clone()),
        };
        let decider = Arc::clone(&self.decider.lock().unwrap_or_else(PoisonError::into_inner));
        match tokio::time::timeout(self.timeout, decider.decide(&shown)).await {
            Ok(decision) => decision,
            Err(_) => Decision::Unable(format!("no decision within {:?}", self.timeout)),
        }
    }

    fn seal(&self, question: &Question, decision: Decision) -> Result<Vec<u8>> {
        let client = &question.request.client;
        let whence = format!("{} ({}) on {}", client.host, client.name, question.request.server.name);
        let (ending, why) = match decision {
            Decision::Admit(identity, grant) => match self.signer.admit(question, &identity, &grant, now()) {
                Ok(answer) => {
                    self.metrics.ended(Ending::Admitted);
                    eprintln!(
                        "nats-callout: {whence}: {} enters account {:?} as {:?}",
                        identity.label(),
                        grant.account,
                        grant.user
                    );
                    return Ok(answer);
                }
                Err(error) => (Ending::Unable, format!("{error:#}")),
            },
            Decision::Refuse(why) => (Ending::Refused, why),
            Decision::Unable(why) => (Ending::Unable, why),
        };
        self.metrics.ended(ending);
        eprintln!("nats-callout: {whence}: refused: {why}");
        self.signer.refuse(question, &why, now())
    }
}

async fn connect(settings: &NatsSettings) -> Result<Client> {
    let mut options = match (&settings.user, &settings.password) {
        (Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.clone(), password.read("nats.password")?.expose().clone())
        }
        _ => ConnectOptions::new(),
    };
    if let Some(seed) = &settings.nkey {
        let seed = seed.read("nats.nkey")?;
        KeyPair::from_seed(seed.expose()).context("nats.nkey is no seed of a user key")?;
        options = ConnectOptions::with_nkey(seed.expose().clone());
    }
    if let Some(path) = &settings.creds {
        options = ConnectOptions::with_credentials_file(path)
            .await
            .with_context(|| format!("could not read {}", path.display()))?;
    }
    if let Some(path) = &settings.ca {
        options = options.add_root_certificates(path.clone());
    }
    options
        .require_tls(settings.tls)
        .name("nats-callout")
        .subscription_capacity(WAITING)
        .event_callback(|event| async move {
            match event {
                Event::Connected => {}
                other => eprintln!("nats-callout: {other}"),
            }
        })
        .connect(settings.servers.clone())
        .await
        .with_context(|| format!("could not connect to {}", settings.servers.join(", ")))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
