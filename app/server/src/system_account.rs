//! The system account: what the server answers there, and what it tells there.
//!
//! * [`services`]: questions about the server and about accounts. The questions come in on workers, wait in a bounded
//!   queue ([`desk`]) and are answered on threads of their own.
//! * [`commands`]: reload, kick, lame duck; [`bans`]: who is kept out for a time.
//! * [`elsewhere`]: what other servers tell of connections, for limits of accounts.
//! * [`latency`]: what other servers tell of how long services took there.
//! * [`news`]: who comes and goes, refused logins, statistics, the end.
//!
//! Who may ask is decided by where the subjects are: these exist in the system account alone. Every other account may ask
//! about itself, and about nobody else, because the account is taken from where the question was published and never from
//! what it says.

mod bans;
mod census;
mod commands;
mod desk;
mod elsewhere;
mod encoding;
mod events;
mod identity;
mod latency;
mod news;
mod services;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use api::system::services::{ABOUT_ONESELF, DEBUG_SUBSCRIBERS, PING, USER_EXPLAIN, USER_INFO};
use api::system::{AccountService, ServerCommand, ServerService};
use broker::{AccountState, Hub, InternalSubscriber, Message, Sender};
use monitor::Observatory;
use subject::Filter;

pub use bans::details as ban_details;
pub use commands::Control;
pub use events::{CertificateRefused, Refused};
pub use news::{News, NewsDesk, Newsroom};

use census::Census;
use desk::{Desk, Door};
use services::Clerk;

use crate::audit::Auditor;
use crate::log::Log;

/// Questions of the system account that wait. One more is not answered.
const QUESTIONS_MAX: usize = 1024;

/// Questions of all other accounts together that wait.
const TENANT_QUESTIONS_MAX: usize = 1024;

/// Questions of one other account that wait.
const QUESTIONS_OF_ONE_TENANT_MAX: usize = 16;

/// A question, by where it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Of a server.
    Server(ServerService),
    /// Something a server is to do.
    Command(ServerCommand),
    /// Of an account that the subject names.
    Account(AccountService),
    /// Of the account in which it was asked.
    Oneself(AccountService),
    /// How many subscribers a subject has.
    Subscribers,
    /// How many it has at this server: what servers ask each other.
    SubscribersHere,
    /// What whoever asks may do.
    OwnRights,
}

/// The running services and news.
pub struct SystemAccount {
    desks: Vec<Desk>,
    clerks: Vec<JoinHandle<()>>,
    newsroom: Newsroom,
}

impl SystemAccount {
    /// Listens and tells from now on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(
        hub: &Arc<Hub>,
        observatory: &Arc<Observatory>,
        news: News,
        control: Arc<dyn Control>,
        audit: &Arc<Auditor>,
        log: &Arc<Log>,
    ) -> io::Result<Self> {
        let home = hub.account(hub.directory().accounts().system());
        let newsroom = news.open(hub.clone(), observatory.clone(), home.clone(), log.clone())?;
        let mut account = Self { desks: Vec::new(), clerks: Vec::new(), newsroom };
        let census = Census::open(hub, &home);
        let clerk = || Clerk {
            census: census.clone(),
            hub: hub.clone(),
            observatory: observatory.clone(),
            control: control.clone(),
            newsroom: account.newsroom.clone(),
            audit: audit.clone(),
            log: log.clone(),
        };
        let (desk, questions) = Desk::new(hub, QUESTIONS_MAX, None);
        let (tenants, tenant_questions) = Desk::new(hub, TENANT_QUESTIONS_MAX, Some(QUESTIONS_OF_ONE_TENANT_MAX));
        let threads = [
            clerk().work("system", questions, desk.clone())?,
            clerk().work("tenants", tenant_questions, tenants.clone())?,
        ];
        account.clerks.extend(threads);
        hang_out(hub, &home, &desk);
        let links = hub.link_settings();
        if links.routes.is_some() || links.gateways.is_some() {
            elsewhere::listen(hub, observatory, &home);
        }
        latency::listen(hub, &home);
        for (subject, service) in ABOUT_ONESELF {
            hub.listen_everywhere(&filter(subject), &tenants.door(Service::Oneself(service)));
        }
        hub.listen_everywhere(&filter(USER_EXPLAIN), &tenants.door(Service::OwnRights));
        hub.listen(&home, filter(USER_EXPLAIN), None, tenants.door(Service::OwnRights));
        let own: Arc<dyn InternalSubscriber> = Arc::new(ByWorkers);
        hub.listen_everywhere(&filter(USER_INFO), &own);
        hub.listen(&home, filter(USER_INFO), None, own);
        account.desks = vec![desk, tenants];
        Ok(account)
    }

    /// What happens, told by others.
    pub fn newsroom(&self) -> &Newsroom {
        &self.newsroom
    }

    /// Tells that the server ends, and is silent from then on.
    pub fn close(self) {
        self.newsroom.close();
        self.desks.iter().for_each(Desk::close);
        for clerk in self.clerks {
            // One that panicked has nothing more to say.
            let _ = clerk.join();
        }
    }
}

/// Stands where clients ask who they are. The worker that reads the question answers it, as it knows the client.
struct ByWorkers;

impl InternalSubscriber for ByWorkers {
    fn deliver(&self, _: &Message<'_>, _: &Sender<'_>) {}
}

/// Listens to every subject of the system account's services.
fn hang_out(hub: &Hub, home: &AccountState, desk: &Desk) {
    let id = hub.settings().greeting.server_id.clone();
    let listen = |subject: &str, service| {
        hub.listen(home, filter(subject), None, desk.door(service));
    };
    for service in ServerService::ALL {
        listen(&service.subject_of(&id), Service::Server(service));
        listen(&service.subject_of_all(), Service::Server(service));
    }
    listen(PING, Service::Server(ServerService::Statsz));
    for command in ServerCommand::ALL {
        listen(&command.subject_of(&id), Service::Command(command));
        if let Some(subject) = command.subject_of_all() {
            listen(&subject, Service::Command(command));
        }
    }
    for service in AccountService::ALL {
        listen(&service.filter(), Service::Account(service));
    }
    listen(DEBUG_SUBSCRIBERS, Service::Subscribers);
    listen(census::QUESTION, Service::SubscribersHere);
}

fn filter(subject: &str) -> Filter {
    Filter::parse(subject.as_bytes()).expect("the subjects of services are filters")
}

impl Desk {
    fn door(&self, service: Service) -> Arc<dyn InternalSubscriber> {
        Arc::new(Door { service, desk: self.clone() })
    }
}
