//! Claims change between the two steps of a reload: no thread and no clock decides who comes first, the scene does.

use std::sync::{Arc, Weak};

use broker::{ClientSettings, Hub, LoginDesk, LoginJob, Mailbox, NobodyWatches};
use config::{Support, World as Outside};
use jwt::testing::{Chain, TestAccount};
use net::Sought;
use resolver::{Effect, Handled, Request};

use super::*;
use crate::accounts::House;
use crate::compose;
use crate::log::Log;
use crate::system::SystemRandom;

/// Nobody logs in here.
struct NoLogins;

impl LoginDesk for NoLogins {
    fn submit(&self, job: LoginJob) -> Result<(), LoginJob> {
        Err(job)
    }
}

/// The kinds of resolver that take claims while the server runs.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Memory,
    Full,
}

/// A server without connections, whose accounts are claims.
struct Scene {
    chain: Chain,
    shop: TestAccount,
    folder: tempfile::TempDir,
    kind: Kind,
    accounts: Arc<Accounts>,
    hub: Arc<Hub>,
}

impl Scene {
    /// With the account `shop` in use.
    fn open(kind: Kind) -> Self {
        let chain = Chain::new("acme");
        let (shop, folder) = (chain.account("shop"), tempfile::tempdir().unwrap());
        let log = Log::open(compose::log_settings(&Settings::default())).unwrap();
        let accounts = Arc::new(Accounts::new(Arc::new(log)));
        let settings = settings(&chain, kind, folder.path(), &[&shop]);
        let directory = accounts.prepare(&settings).unwrap().install(|directory| directory);
        let mailboxes: Arc<[Mailbox]> = Arc::new([Mailbox::new(Box::new(|| {}))]);
        let (watcher, logins, chance) = (Arc::new(NobodyWatches), Arc::new(NoLogins), Arc::new(SystemRandom));
        let hub = Hub::new(mailboxes, directory, ClientSettings::default(), watcher, logins, chance, 1);
        let house = House { hub: Arc::downgrade(&hub), pool: Weak::new(), desk: None };
        assert!(accounts.house.set(house).is_ok());
        Self { chain, shop, folder, kind, accounts, hub }
    }

    /// The settings with these accounts in the configuration.
    fn settings(&self, preload: &[&TestAccount]) -> Settings {
        settings(&self.chain, self.kind, self.folder.path(), preload)
    }

    fn install(&self, prepared: Prepared<'_>) {
        prepared.install(|directory| self.hub.reconfigure(directory, ClientSettings::default()));
    }

    /// The account as it comes with a request of the claims protocol.
    fn push(&self, account: &TestAccount) {
        let mut state = self.accounts.state();
        let directory = self.hub.directory();
        let (trust, system) = (directory.trust().unwrap(), state.system);
        let world = World { trust, system, known: &|_| true, server: "{}", now: wall() };
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", account.key.public());
        let request = Request::of(subject.as_bytes()).unwrap();
        let opened = state.resolver.as_mut().unwrap();
        let Handled { effects, outcome, .. } = opened.resolver.handle(&request, account.token().as_bytes(), &world);
        assert!(!effects.is_empty(), "{outcome:?}");
        self.accounts.apply(state, effects);
    }

    fn remove(&self, account: &TestAccount) {
        let mut state = self.accounts.state();
        let key = account.key.public();
        state.resolver.as_mut().unwrap().resolver.forget(&key).unwrap();
        self.accounts.apply(state, vec![Effect::Deleted(key)]);
    }

    /// What the directory says of an account's connections, if it is in use.
    fn connections(&self, account: &TestAccount) -> Option<i64> {
        let directory = self.hub.directory();
        Some(directory.claims_of(&account.key.public())?.claims().limits.account.conn)
    }

    /// What the resolver has.
    fn token(&self, account: &TestAccount) -> Option<String> {
        let mut state = self.accounts.state();
        state.resolver.as_mut().unwrap().resolver.load(&account.key.public(), wall()).unwrap()
    }
}

fn settings(chain: &Chain, kind: Kind, folder: &std::path::Path, preload: &[&TestAccount]) -> Settings {
    let resolver = match kind {
        Kind::Memory => "MEMORY".to_owned(),
        Kind::Full => format!("{{ type: full, dir: {:?}, allow_delete: true }}", folder.join("jwt")),
    };
    let entry = |account: &TestAccount| format!("{}: {}\n", account.key.public(), account.token());
    let system = chain.account("SYS");
    let preload: String = preload.iter().map(|account| entry(account)).chain([entry(&system)]).collect();
    let text = format!(
        "operator: {}\nsystem_account: {}\nresolver: {resolver}\nresolver_preload {{\n{preload}}}\n",
        chain.token(),
        system.key.public()
    );
    let outside = Outside { environment: &|_| None, read_file: &|path| Err(path.to_owned()) };
    config::load_text("scene.conf", &text, outside, &Support::everything()).unwrap().settings
}

fn with_connections(account: &TestAccount, most: i64, after: i64) -> TestAccount {
    account.clone().with(|claims| claims.limits.account.conn = most).issued(after)
}

#[test]
fn claims_that_change_while_a_configuration_is_prepared_stay_changed() {
    for kind in [Kind::Memory, Kind::Full] {
        let scene = Scene::open(kind);
        let prepared = scene.accounts.prepare(&scene.settings(&[&scene.shop])).unwrap();
        let newer = with_connections(&scene.shop, 7, 10);
        scene.push(&newer);
        assert_eq!(scene.connections(&scene.shop), Some(7));
        scene.install(prepared);
        assert_eq!(scene.connections(&scene.shop), Some(7), "{kind:?}");
        assert_eq!(scene.token(&scene.shop), Some(newer.token()), "{kind:?}");
    }
}

#[test]
fn what_a_configuration_says_newer_than_claims_that_change_meanwhile_counts() {
    for kind in [Kind::Memory, Kind::Full] {
        let scene = Scene::open(kind);
        let newest = with_connections(&scene.shop, 9, 20);
        let prepared = scene.accounts.prepare(&scene.settings(&[&newest])).unwrap();
        scene.push(&with_connections(&scene.shop, 7, 10));
        scene.install(prepared);
        assert_eq!(scene.connections(&scene.shop), Some(9), "{kind:?}");
        assert_eq!(scene.token(&scene.shop), Some(newest.token()), "{kind:?}");
    }
}

#[test]
fn an_account_that_comes_while_a_configuration_is_prepared_stays() {
    let scene = Scene::open(Kind::Full);
    let bank = scene.chain.account("bank");
    scene.push(&bank);
    assert_eq!(scene.connections(&bank), None, "nobody has used it");
    let prepared = scene.accounts.prepare(&scene.settings(&[])).unwrap();
    assert!(matches!(scene.accounts.seek(&bank.key.public(), wall()), Sought::Now(Ok(_))));
    scene.install(prepared);
    assert_eq!(scene.connections(&bank), Some(-1));
}

#[test]
fn an_account_that_goes_while_a_configuration_is_prepared_stays_away() {
    let scene = Scene::open(Kind::Full);
    let prepared = scene.accounts.prepare(&scene.settings(&[])).unwrap();
    scene.remove(&scene.shop);
    scene.install(prepared);
    assert_eq!((scene.connections(&scene.shop), scene.token(&scene.shop)), (None, None));
}

#[test]
fn a_configuration_that_is_only_prepared_changes_nothing() {
    for kind in [Kind::Memory, Kind::Full] {
        let scene = Scene::open(kind);
        let stranger = Chain::new("other").account("stranger");
        let (before, unusable) = (scene.token(&scene.shop), scene.accounts.state().unusable.len());
        let newer = with_connections(&scene.shop, 9, 20);
        let prepared = scene.accounts.prepare(&scene.settings(&[&newer, &stranger])).unwrap();
        let promised = prepared.directory().claims_of(&scene.shop.key.public()).unwrap();
        assert_eq!(promised.claims().limits.account.conn, 9);
        drop(prepared);
        assert_eq!((scene.token(&scene.shop), scene.connections(&scene.shop)), (before, Some(-1)), "{kind:?}");
        let state = scene.accounts.state();
        assert_eq!((state.unusable.len(), state.touched.is_none()), (unusable, true));
    }
}

#[test]
fn a_refused_configuration_changes_nothing_either() {
    let scene = Scene::open(Kind::Full);
    let mut settings = scene.settings(&[&with_connections(&scene.shop, 9, 20)]);
    settings.operator.preload.insert("not a key".into(), "x".into());
    let before = scene.token(&scene.shop);
    assert!(scene.accounts.prepare(&settings).is_err());
    assert_eq!(scene.token(&scene.shop), before);
    assert!(scene.accounts.state().touched.is_none());
}

#[test]
fn a_token_that_ends_while_a_configuration_is_prepared_stays_ended() {
    let mut scene = Scene::open(Kind::Full);
    let mut bank = scene.chain.account("bank");
    let mut export = jwt::Export::new(jwt::Sharing::Service, "rates");
    export.token_req = true;
    let mut activation = bank.activation(scene.shop.key.public(), &export);
    let end = Timestamp::from_secs(wall().as_secs() + 3600);
    activation.common.expires = end.as_secs();
    let import = bank.import_of(&export, Some(&activation));
    bank.claims.exports.push(export);
    scene.shop = scene.shop.clone().with(|claims| claims.imports.push(import)).issued(10);
    let Prepared { watch, directory, claims } = scene.accounts.prepare(&scene.settings(&[&bank, &scene.shop])).unwrap();
    let services =
        |directory: &Directory| directory.account(&scene.shop.key.public().to_string()).unwrap().sharing.services.len();
    assert_eq!((services(&directory), directory.next_token_end()), (1, Some(end)));
    let mut state = scene.accounts.state();
    let directory = scene.accounts.take_over(&mut state, claims.unwrap(), directory, end);
    assert_eq!((services(&directory), directory.next_token_end()), (0, None));
    drop(state);
    drop(watch);
}
