//! The clerk: takes questions from a desk and answers them, on a thread of its own.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use api::monitoring::Healthz;
use api::monitoring::options::{
    AccstatzOptions, ConnzOptions, GatewayzOptions, HealthzOptions, JszOptions, LeafzOptions, RoutezOptions,
    SubszOptions,
};
use api::system::answer::{Identity, Profile};
use api::system::statsz::ServerStats;
use api::system::{AccountService, Answer, Body, BodyFault, ServerCommand, ServerError, ServerFilter, ServerService};
use audit::{Class, Record};
use broker::{Hub, LinkKind, OwnMessage};
use data_encoding::BASE64;
use monitor::{Fault, Observatory};

use super::census::{Answering, Census, Wanted};
use super::commands::{self, Control};
use super::desk::{Desk, Paper, Question};
use super::identity::{candidate, server_info};
use super::{Newsroom, Service};
use crate::audit::{Auditor, asked_by};
use crate::explain;
use crate::log::Log;

/// Answers questions.
pub(super) struct Clerk {
    pub(super) census: Arc<Census>,
    pub(super) hub: Arc<Hub>,
    pub(super) observatory: Arc<Observatory>,
    pub(super) control: Arc<dyn Control>,
    pub(super) newsroom: Newsroom,
    pub(super) audit: Arc<Auditor>,
    pub(super) log: Arc<Log>,
}

/// What a question leads to.
enum Outcome {
    /// An answer in the usual envelope.
    Answer(Answer),
    /// An answer without an envelope.
    Bare(Vec<u8>),
    /// This server is not meant, or has nothing to say.
    Silence,
}

/// Why there is no data.
enum Failure {
    /// The question cannot be read.
    Unreadable(BodyFault),
    /// It cannot be answered.
    Failed(String),
    /// The command cannot be carried out.
    Refused(String),
}

impl From<BodyFault> for Failure {
    fn from(fault: BodyFault) -> Self {
        Self::Unreadable(fault)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.to_string())
    }
}

/// A document, in the usual envelope.
macro_rules! data {
    ($document:expr) => {
        Outcome::Answer(Answer::document(&$document))
    };
}

impl Clerk {
    /// Works until the desk is closed.
    pub(super) fn work(self, name: &str, questions: Receiver<Paper>, desk: Desk) -> io::Result<JoinHandle<()>> {
        let run = move || {
            while let Ok(Paper::Question(question)) = questions.recv() {
                desk.taken(question.home.id);
                let asked = std::panic::AssertUnwindSafe(|| self.serve(&question, &desk));
                // A question that cannot be answered must not keep the others from it.
                if std::panic::catch_unwind(asked).is_err() {
                    self.log.error(&format!("A question on {} could not be answered", question.subject));
                }
                let lost = desk.lost();
                if lost > 0 {
                    self.log.warn(&format!("{lost} questions were not answered: too many waited"));
                }
            }
        };
        std::thread::Builder::new().name(name.to_owned()).spawn(run)
    }

    fn serve(&self, question: &Question, desk: &Desk) {
        let answer = match (question.service, &question.reply) {
            (Service::Server(ServerService::Statsz), None) => return self.newsroom.statistics_wanted(),
            (_, None) => return,
            (Service::Server(service), Some(_)) => self.of_server(service, question, desk),
            (Service::Account(service), Some(_)) => {
                let account = AccountService::account_of(&question.subject).map(str::to_owned);
                self.of_account(service, account, question)
            }
            (Service::Oneself(service), Some(_)) => {
                self.of_account(service, Some(question.home.settings().name.to_string()), question)
            }
            (Service::Command(command), Some(_)) => self.obey(command, question),
            (Service::Subscribers, Some(reply)) => return self.subscribers(question, reply.clone()),
            (Service::SubscribersHere, Some(_)) => Ok(self.subscribers_here(question)),
            (Service::OwnRights, Some(_)) => self.own_rights(question),
        };
        self.answer(question, answer);
    }

    /// Does what a command says. What only asks is not in the trail.
    fn obey(&self, command: ServerCommand, question: &Question) -> Result<Outcome, Failure> {
        let done = commands::obey(command, &question.body, &self.hub, &*self.control, crate::system::wall());
        if command != ServerCommand::Bans {
            self.record(command, question, &done);
        }
        match (done, command) {
            (Ok(done), _) => done.map(Outcome::Answer).map_err(Failure::Refused),
            (
                Err(fault),
                ServerCommand::Ban | ServerCommand::Unban | ServerCommand::Bans | ServerCommand::DestroyKey,
            ) => Err(Failure::Unreadable(fault)),
            // As the reference does: whoever cannot say what is to be done is told nothing.
            (Err(fault), _) => {
                self.log.error(&format!("Error unmarshalling kick client request: {fault}"));
                Ok(Outcome::Silence)
            }
        }
    }

    fn record(&self, command: ServerCommand, question: &Question, done: &Result<Result<Answer, String>, BodyFault>) {
        let (outcome, rule) = match done {
            Ok(Ok(_)) => (audit::Outcome::Done, String::new()),
            Ok(Err(text)) => (audit::Outcome::Refused, text.clone()),
            Err(fault) => (audit::Outcome::Refused, fault.to_string()),
        };
        let what = commands::shown(command, &question.body);
        let asked = asked_by(&self.hub, question.asker.as_deref(), Record::new(Class::Admin, outcome));
        let account = question.home.settings().name.to_string();
        self.audit.note(&Record { account, what, rule, ..asked });
    }

    fn answer(&self, question: &Question, answer: Result<Outcome, Failure>) {
        let Some(reply) = question.reply.clone() else { return };
        let envelope = |answer: Answer| answer.from(&server_info(&self.hub));
        let error = |code, description: String| ServerError { code, description };
        let (headers, payload) = match answer {
            Ok(Outcome::Silence) => return,
            Ok(Outcome::Bare(body)) => (Vec::new(), body),
            Ok(Outcome::Answer(answer)) => pack(question, envelope(answer)),
            Err(Failure::Unreadable(fault)) => (Vec::new(), envelope(Answer::Error(error(400, fault.to_string())))),
            Err(Failure::Failed(text)) => (Vec::new(), envelope(Answer::NoData(error(500, text)))),
            Err(Failure::Refused(text)) => (Vec::new(), envelope(Answer::Error(error(500, text)))),
        };
        let message = OwnMessage { headers, ..OwnMessage::new(question.home.clone(), reply, payload) };
        self.hub.publish(vec![message]);
    }

    /// Whether this server is among those that are asked.
    fn is_meant(&self, body: &Body) -> Result<bool, BodyFault> {
        Ok(ServerFilter::read(body)?.admits(&candidate(&self.hub.settings())))
    }

    fn of_server(&self, service: ServerService, question: &Question, desk: &Desk) -> Result<Outcome, Failure> {
        if service == ServerService::Idz {
            return Ok(self.identity());
        }
        let body = Body::parse(&question.body, service.holder())?;
        if !self.is_meant(&body)? {
            return Ok(Outcome::Silence);
        }
        let sky = &self.observatory;
        Ok(match service {
            ServerService::Idz => self.identity(),
            ServerService::Statsz => self.statistics(),
            ServerService::Varz => data!(sky.varz()),
            ServerService::Subsz => data!(sky.subsz(&SubszOptions::read(&body)?)?),
            ServerService::Connz => data!(sky.connz(&ConnzOptions::read(&body)?)?),
            ServerService::Routez => data!(sky.routez(&RoutezOptions::read(&body)?)),
            ServerService::Gatewayz => data!(sky.gatewayz(&GatewayzOptions::read(&body)?)),
            ServerService::Leafz => data!(sky.leafz(&LeafzOptions::read(&body)?)),
            ServerService::Accountz => data!(sky.accountz(&body.text("account")?)?),
            ServerService::Jsz => {
                let jsz = sky.jsz(&JszOptions::read(&body)?)?;
                jsz.map_or(Outcome::Silence, |jsz| data!(jsz))
            }
            ServerService::Healthz => {
                let (status, report) = sky.healthz(&HealthzOptions::read(&body)?);
                data!(Healthz { status_code: Some(status), ..report })
            }
            ServerService::Profilez => data!(profile(&body.text("name")?)),
            ServerService::Expvarz => {
                return Err(Failure::Failed(
                    "there is no Go runtime here, and the command line is shown to nobody".into(),
                ));
            }
            ServerService::Ipqueuesz => queues(desk, &body)?,
            ServerService::Raftz => data!(serde_json::json!({})),
            ServerService::Explain => data!(explain::explain(&self.hub, &body)?.map_err(Failure::Refused)?),
        })
    }

    /// What whoever asks may do.
    fn own_rights(&self, question: &Question) -> Result<Outcome, Failure> {
        let body = Body::parse(&question.body, ServerService::Explain.holder())?;
        let Some(asker) = &question.asker else { return Ok(Outcome::Silence) };
        Ok(data!(explain::explain_oneself(&self.hub, asker, &body)?.map_err(Failure::Refused)?))
    }

    fn identity(&self) -> Outcome {
        let settings = self.hub.settings();
        let greeting = &settings.greeting;
        let identity = Identity { name: &greeting.server_name, host: &greeting.host, id: &greeting.server_id };
        Outcome::Bare(api::json::to_vec(&identity))
    }

    fn statistics(&self) -> Outcome {
        let server = server_info(&self.hub);
        Outcome::Bare(api::json::to_vec(&ServerStats { server: &server, statsz: self.observatory.statsz() }))
    }

    /// `account` is nothing where all are asked for.
    fn of_account(
        &self,
        service: AccountService,
        account: Option<String>,
        question: &Question,
    ) -> Result<Outcome, Failure> {
        let body = Body::parse(&question.body, service.holder())?;
        if !self.is_meant(&body)? {
            return Ok(Outcome::Silence);
        }
        let sky = &self.observatory;
        // What asks for all is no account. The reference looks one up by that word, and finds none.
        let name = account.clone().unwrap_or_else(|| "PING".to_owned());
        Ok(match service {
            AccountService::Subsz => {
                data!(sky.subsz(&SubszOptions { subscriptions: true, account: name, ..SubszOptions::read(&body)? })?)
            }
            AccountService::Connz => data!(sky.connz(&ConnzOptions { account: name, ..ConnzOptions::read(&body)? })?),
            AccountService::Leafz => data!(sky.leafz(&LeafzOptions { account: name, ..LeafzOptions::read(&body)? })),
            AccountService::Jsz => {
                data!(sky.jsz_of_account(&JszOptions { account: name, ..JszOptions::read(&body)? })?)
            }
            AccountService::Info => data!(sky.account_detail(&name)?),
            AccountService::Statz => self.account_statistics(account, AccstatzOptions::read(&body)?),
            AccountService::Conns => self.account_connections(&name, &body)?,
        })
    }

    fn account_statistics(&self, account: Option<String>, mut options: AccstatzOptions) -> Outcome {
        if let Some(account) = account {
            options.accounts = vec![account];
        }
        let stats = self.observatory.accstatz(&options);
        if stats.account_statz.is_empty() && !options.include_unused { Outcome::Silence } else { data!(stats) }
    }

    fn account_connections(&self, name: &str, body: &Body) -> Result<Outcome, BodyFault> {
        let named = body.text("acc")?;
        if !named.is_empty() && named != name {
            return Ok(Outcome::Silence);
        }
        let is_in_use = |account: &Arc<broker::AccountState>| account.connections() + account.leafs() > 0;
        let account = self.hub.account_named(name).filter(is_in_use);
        Ok(account.map_or(Outcome::Silence, |account| Outcome::Bare(self.newsroom.connections_of(&account))))
    }

    /// `<subject> [<queue>]`: how many listen, here and at other servers. Whoever asks what cannot be asked hears nothing.
    /// Every server listens, and the one that is asked by a client asks the others.
    fn subscribers(&self, question: &Question, reply: Vec<u8>) {
        if question.asker.as_ref().is_none_or(|asker| asker.kind != LinkKind::Client) {
            return;
        }
        let body = String::from_utf8_lossy(&question.body).into_owned();
        let mut words = body.split_whitespace();
        let subject = words.next().unwrap_or_default();
        if let Some(wanted) = Wanted::parse(subject, words.next().map(str::as_bytes)) {
            self.census.count(&question.home, &wanted, Answering { home: question.home.clone(), reply });
        }
    }

    /// What another server asks that counts: how many listen here. A server where the account has no connections is silent.
    fn subscribers_here(&self, question: &Question) -> Outcome {
        let Ok(asked) = serde_json::from_slice::<serde_json::Value>(&question.body) else { return Outcome::Silence };
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        let queue = asked["queue"].as_str().and_then(|queue| BASE64.decode(queue.as_bytes()).ok());
        let account = self.hub.living_account(text("acc"));
        let account = account.filter(|account| account.connections() + account.leafs() > 0);
        match (account, Wanted::parse(text("subject"), queue.as_deref())) {
            (Some(account), Some(wanted)) => Outcome::Bare(wanted.count(&account).to_string().into_bytes()),
            _ => Outcome::Silence,
        }
    }
}

fn pack(question: &Question, body: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    match question.encoding {
        None => (Vec::new(), body),
        Some(encoding) => encoding.pack(body),
    }
}

/// There is no profiler in the server.
fn profile(name: &str) -> Profile {
    let error = match name {
        "" => "Profile name not specified".to_owned(),
        name => format!("Profile {} not found", subject::Quoted(name.as_bytes())),
    };
    Profile { profile: None, error }
}

/// What the queue this clerk works on is called, as in the reference.
const QUEUE: &str = "System recvQ";

/// The queue this clerk works on, if it is asked for: an empty one only if all are, and by a part of its name if that is given.
fn queues(desk: &Desk, body: &Body) -> Result<Outcome, BodyFault> {
    let (all, filter) = (body.flag("all")?, body.text("filter")?);
    let waiting = desk.waiting();
    let mut queues = serde_json::Map::new();
    if (all || waiting > 0) && QUEUE.contains(&filter) {
        queues.insert(QUEUE.to_owned(), serde_json::json!({ "pending": waiting }));
    }
    Ok(data!(queues))
}
