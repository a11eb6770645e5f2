//! A resolver, the operator it trusts, and what it said.

use std::path::PathBuf;

use bulwark_resolver::{
    Answer, CacheSettings, DeleteMode, DirectorySettings, Effect, Handled, Request, Resolver, Settings, World,
};
use jwt::GenericClaims;
use jwt::chain::OperatorTrust;
use jwt::testing::{Chain, NOW, TestAccount};
use moment::Timestamp;
use nkeys::{KeyPair, PublicKey};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const SERVER: &str = r#"{"name":"n1","id":"N1"}"#;

pub(crate) struct Scene {
    pub(crate) chain: Chain,
    pub(crate) resolver: Resolver,
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
    /// The accounts in use; `None` for all.
    pub(crate) known: Option<Vec<PublicKey>>,
    trust: OperatorTrust,
    dir: TempDir,
}

impl Scene {
    pub(crate) fn plain() -> Self {
        Self::with(|_| Settings::Memory)
    }

    pub(crate) fn full(change: impl FnOnce(&mut DirectorySettings)) -> Self {
        Self::with(|path| {
            let mut full = DirectorySettings::at(path);
            full.delete = DeleteMode::Renamed;
            change(&mut full);
            Settings::Full(full)
        })
    }

    pub(crate) fn cache(change: impl FnOnce(&mut CacheSettings)) -> Self {
        Self::with(|path| {
            let mut cache = CacheSettings::at(path);
            change(&mut cache);
            Settings::Cache(cache)
        })
    }

    fn with(settings: impl FnOnce(PathBuf) -> Settings) -> Self {
        let dir = TempDir::new().expect("a directory");
        let settings = settings(dir.path().join("jwt"));
        let chain = Chain::new("acme");
        let resolver = Resolver::open(&settings, NOW).expect("a resolver");
        Self { trust: chain.trust(), chain, resolver, settings, now: NOW, known: None, dir }
    }

    /// The operator says something else from now on.
    pub(crate) fn operator(&mut self, change: impl FnOnce(&mut Chain)) {
        change(&mut self.chain);
        self.trust = self.chain.trust();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("jwt")
    }

    pub(crate) fn file(&self, account: &TestAccount, ending: &str) -> PathBuf {
        self.path().join(format!("{}{ending}", account.key.public()))
    }

    /// Every name in the directory and beside it.
    pub(crate) fn names(&self) -> Vec<String> {
        let list = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten();
        let names = list(self.dir.path().to_owned()).chain(list(self.path()));
        let mut names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The process ends and begins again.
    pub(crate) fn restart(&mut self) {
        self.resolver = Resolver::open(&self.settings, self.now).expect("a resolver");
    }

    pub(crate) fn within<T>(&mut self, act: impl FnOnce(&mut Resolver, &World<'_>) -> T) -> T {
        let known = self.known.clone();
        let known = move |account: &PublicKey| known.as_ref().is_none_or(|known| known.contains(account));
        let system = self.trust.system_account();
        let world = World { trust: &self.trust, system, known: &known, server: SERVER, now: self.now };
        act(&mut self.resolver, &world)
    }

    pub(crate) fn handle(&mut self, subject: &str, body: &[u8]) -> Handled {
        let request = Request::of(subject.as_bytes()).expect("a subject of the protocol");
        self.within(|resolver, world| resolver.handle(&request, body, world))
    }

    /// Sends a token on the account's own subject.
    pub(crate) fn push(&mut self, account: &TestAccount) -> Said {
        let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", account.key.public());
        self.ask(&subject, account.token().as_bytes())
    }

    pub(crate) fn ask(&mut self, subject: &str, body: &[u8]) -> Said {
        let handled = self.handle(subject, body);
        let Answer::One(text) = handled.answer else { panic!("one answer: {:?}", handled.answer) };
        let json = serde_json::from_slice(&text).expect("JSON");
        Said { json, text: String::from_utf8(text).expect("text"), effects: handled.effects }
    }

    pub(crate) fn lookup(&mut self, account: &str) -> Option<String> {
        match self.handle(&format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP"), b"").answer {
            Answer::One(text) => Some(String::from_utf8(text).expect("text")),
            Answer::Silence => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn has(&mut self, account: &TestAccount) -> bool {
        self.lookup(&account.key.public().to_string()).is_some_and(|token| token == account.token())
    }

    pub(crate) fn list(&mut self) -> Vec<String> {
        let said = self.ask("$SYS.REQ.CLAIMS.LIST", b"");
        said.json["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|key| key.as_str().expect("a key").to_owned())
            .collect()
    }

    /// Every message of a pack, without the empty one at its end; `None` when the hash was ours.
    pub(crate) fn pack(&mut self, hash: &[u8]) -> Option<Vec<Vec<u8>>> {
        match self.handle("$SYS.REQ.CLAIMS.PACK", hash).answer {
            Answer::Pack(accounts) => {
                Some(accounts.iter().filter_map(|key| self.resolver.pack_line(key, self.now)).collect())
            }
            Answer::One(text) if text.is_empty() => None,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn merge(&mut self, body: &[u8]) -> (Vec<Effect>, Vec<String>) {
        self.within(|resolver, world| resolver.merge(body, world))
    }

    /// A request to delete, signed by a key about itself.
    pub(crate) fn delete_request(&self, signer: &KeyPair, accounts: Value) -> String {
        let mut claims = GenericClaims::new(&signer.public().to_string(), signer.public());
        claims.data.insert("accounts".into(), accounts);
        claims.encode(signer, NOW.as_secs()).expect("signed")
    }

    pub(crate) fn delete(&mut self, signer: &KeyPair, accounts: &[&TestAccount]) -> Said {
        let keys: Vec<String> = accounts.iter().map(|account| account.key.public().to_string()).collect();
        let request = self.delete_request(signer, keys.into());
        self.ask("$SYS.REQ.CLAIMS.DELETE", request.as_bytes())
    }
}

/// What a resolver said to a request.
pub(crate) struct Said {
    pub(crate) json: Value,
    pub(crate) text: String,
    pub(crate) effects: Vec<Effect>,
}

impl Said {
    pub(crate) fn message(&self) -> &str {
        self.json["data"]["message"].as_str().unwrap_or_else(|| panic!("done: {}", self.text))
    }

    pub(crate) fn error(&self) -> &str {
        self.json["error"]["description"].as_str().unwrap_or_else(|| panic!("failed: {}", self.text))
    }

    pub(crate) fn account(&self) -> &str {
        let body = self.json.get("data").or(self.json.get("error")).expect("a body");
        body["account"].as_str().expect("an account")
    }
}
