use config::{LeafRemote, Leafnodes, Settings, Url};
use nkeys::{Creds, KeyPair, Role};

use super::*;
use crate::log::LogSettings;
use crate::ocsp::PeerAnswers;

fn remotes() -> Remotes {
    let log = Arc::new(Log::open(LogSettings::default()).unwrap());
    let check = Arc::new(PeerAnswers::new(config::OcspCache::default(), log.clone()));
    Remotes::new(log, Greeting::default(), check)
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn with_remote(remote: &LeafRemote) -> Settings {
    let leafnodes = Leafnodes { remotes: vec![remote.clone()], ..Leafnodes::default() };
    Settings { leafnodes: Some(leafnodes), ..Settings::default() }
}

fn remote(urls: &[&str]) -> LeafRemote {
    let urls = urls.iter().map(|text| url(text)).collect();
    LeafRemote { urls, ..LeafRemote::new(conf::Place::new("server.conf", 1, 1)) }
}

fn reload(remotes: &Remotes, settings: &Settings) {
    remotes.reload(settings, remotes.prepare(settings).unwrap());
}

/// The ids of all ways, with what each leaf node shows.
fn ways(remotes: &Remotes) -> Vec<(u64, Option<String>)> {
    let shown = |way: &Way| match way {
        Way::Leaf(leaf) => leaf.credentials.jwt.as_ref().map(|jwt| jwt.expose().clone()),
        Way::Route(route) => route.password.as_ref().map(|password| password.expose().clone()),
        Way::Gateway(_) => None,
    };
    let mut all: Vec<_> = remotes.state().remotes.iter().map(|(id, remote)| (*id, shown(&remote.way))).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_remote_whose_servers_are_named_in_another_order_is_the_same_one() {
    let remotes = remotes();
    let own = remote(&["nats://a:1", "nats://b:2", "nats://c:3"]);
    reload(&remotes, &with_remote(&own));
    for order in [["nats://c:3", "nats://b:2", "nats://a:1"], ["nats://b:2", "nats://a:1", "nats://c:3"]] {
        reload(&remotes, &with_remote(&remote(&order)));
        assert_eq!(ways(&remotes), [(1, None)]);
    }
    reload(&remotes, &with_remote(&remote(&["nats://c:3", "nats://b:2"])));
    assert_eq!(ways(&remotes), [(2, None)], "one server fewer is another remote");
}

#[test]
fn a_rule_that_moves_in_the_file_does_not_end_a_link() {
    let remotes = remotes();
    let ruled = |line, text: &str| {
        let place = auth::settings::Place { line, ..auth::settings::Place::default() };
        let rule = auth::settings::RuleText { place, ..text.into() };
        with_remote(&LeafRemote { deny_imports: vec![rule], ..remote(&["nats://a:1"]) })
    };
    reload(&remotes, &ruled(7, "secret.>"));
    reload(&remotes, &ruled(9, "secret.>"));
    assert_eq!(ways(&remotes), [(1, None)]);
    reload(&remotes, &ruled(9, "other.>"));
    assert_eq!(ways(&remotes), [(2, None)]);
}

#[test]
fn a_way_that_stays_takes_what_its_files_hold_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaf.creds");
    let write = |jwt: &str| {
        let key = KeyPair::from_raw_seed(Role::User, secret::Secret::new([7; 32]));
        std::fs::write(&path, Creds { jwt: jwt.to_owned(), key }.to_text().expose()).unwrap();
    };
    let settings =
        with_remote(&LeafRemote { credentials: Some(path.clone()), ..remote(&["nats://a:1", "nats://b:2"]) });
    let remotes = remotes();
    write("eyJ.first");
    reload(&remotes, &settings);
    write("eyJ.second");
    reload(&remotes, &settings);
    assert_eq!(ways(&remotes), [(1, Some("eyJ.second".to_owned()))]);
}

#[test]
fn a_route_that_stays_shows_what_its_url_says_now() {
    let remotes = remotes();
    let routed = |text: &str| {
        let mut settings = Settings::default();
        settings.cluster.routes = vec![url(text)];
        settings
    };
    reload(&remotes, &routed("nats://r:old@a:1"));
    reload(&remotes, &routed("nats://r:new@a:1"));
    assert_eq!(ways(&remotes), [(1, Some("new".to_owned()))]);
}
