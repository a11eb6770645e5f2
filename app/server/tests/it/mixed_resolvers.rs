//! Servers of either make that have their accounts from each other.

use std::path::Path;
use std::time::{Duration, Instant};

use jwt::Revoked;
use jwt::testing::{NOW, TestAccount, TestUser};
use serde_json::json;

use crate::fleet::{Make, Server, mixtures};
use crate::resolvers::{House, deletion};
use crate::running::{Peer, REFUSED};

/// The other server may have to be asked, and this machine may be busy.
const PATIENCE: Duration = Duration::from_secs(15);

struct Pair {
    house: House,
    servers: [Server; 2],
    folder: tempfile::TempDir,
}

impl Pair {
    /// Two servers with a cluster. `{dir}` is the server's own directory, which may have accounts already.
    fn open(makes: [Make; 2], resolvers: [&str; 2], kept: [&[&TestAccount]; 2], house: House) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dirs = ["ONE", "TWO"].map(|name| folder.path().join(name));
        for (dir, kept) in dirs.iter().zip(kept) {
            std::fs::create_dir(dir).unwrap();
            kept.iter().for_each(|account| std::fs::write(file(dir, account), account.token()).unwrap());
        }
        let config = |at: usize, name: &str, routes: &str| {
            let resolver = resolvers[at].replace("{dir}", &dirs[at].display().to_string());
            // One connection for all accounts: what was said in one of them comes before what is said later in another.
            let cluster = format!("cluster {{ name: C, listen: \"127.0.0.1:-1\", pool_size: 1{routes} }}");
            format!("server_name: {name}\n{}{cluster}\n", house.config(&resolver))
        };
        let first = Server::start(makes[0], &config(0, "ONE", ""));
        let routes = format!(", routes: [\"{}\"]", first.route_url(""));
        let second = Server::start(makes[1], &config(1, "TWO", &routes));
        Self { house, servers: [first, second], folder }
    }

    fn file(&self, name: &str, account: &TestAccount) -> std::path::PathBuf {
        file(&self.folder.path().join(name), account)
    }

    fn admin(&self, at: usize) -> Peer {
        admitted(&self.servers[at], &self.house.system.user("admin"))
    }
}

fn file(dir: &Path, account: &TestAccount) -> std::path::PathBuf {
    dir.join(format!("{}.jwt", account.key.public()))
}

fn log_in(server: &Server, user: &TestUser) -> (Peer, String) {
    let mut peer = Peer::at(server.client);
    let signature = user.sign(peer.nonce().as_bytes());
    let answer = peer.connect(&json!({ "jwt": user.token(), "sig": signature }));
    (peer, answer)
}

fn admitted(server: &Server, user: &TestUser) -> Peer {
    until("the user comes in", || Some(log_in(server, user)).filter(|(_, answer)| answer == "PONG")).0
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Some(found) => return found,
            None if begun.elapsed() > PATIENCE => panic!("not in time: {what}"),
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Until what one publishes is heard by the other, who wants it already.
fn until_crosses(from: &mut Peer, to: &mut Peer, subject: &str) {
    until(&format!("{subject} crosses"), || {
        from.publish(subject, None, b"probe");
        from.settle();
        std::thread::sleep(Duration::from_millis(20));
        (to.drain() > 0).then_some(())
    });
}

const FULL: &str = "resolver { type: full, dir: '{dir}', allow_delete: true, interval: 1s }";
const CACHE: &str = "resolver { type: cache, dir: '{dir}' }";

#[test]
fn a_cache_has_its_accounts_from_a_full_directory_of_either_make() {
    for makes in mixtures() {
        let house = House::new();
        let joe = house.shop.user("joe");
        let shop = house.shop.clone();
        let pair = Pair::open(makes, [FULL, CACHE], [&[&shop], &[]], house);
        admitted(&pair.servers[1], &joe);
        assert_eq!(std::fs::read_to_string(pair.file("TWO", &shop)).unwrap(), shop.token(), "{makes:?}");
        // What nobody has is refused, in time.
        let begun = Instant::now();
        let (_, answer) = log_in(&pair.servers[1], &pair.house.chain.account("nobody").user("joe"));
        assert_eq!(answer, REFUSED, "{makes:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{makes:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn full_directories_of_either_make_become_the_same() {
    for makes in mixtures() {
        let house = House::new();
        let (shop, bank) = (house.shop.clone(), house.chain.account("bank"));
        let pair = Pair::open(makes, [FULL, FULL], [&[&shop], &[&bank]], house);
        for (name, account) in [("ONE", &bank), ("TWO", &shop)] {
            let token = until("the other's account arrives", || std::fs::read_to_string(pair.file(name, account)).ok());
            assert_eq!(token, account.token(), "{makes:?}");
        }
        admitted(&pair.servers[0], &bank.user("joe"));
        admitted(&pair.servers[1], &shop.user("joe"));
    }
}

#[test]
fn what_is_pushed_to_one_acts_on_the_other_of_either_make() {
    for makes in mixtures() {
        let house = House::new();
        let mut shop = house.shop.clone();
        let pair = Pair::open(makes, [FULL, FULL], [&[&shop], &[&shop]], house);
        let (joe, ann) = (shop.user("joe"), shop.user("ann"));
        for (at, user) in [(0, &joe), (1, &ann)] {
            // Through one server, to whoever is at the other.
            let mut there = admitted(&pair.servers[1 - at], user);
            let mut admin = pair.admin(at);
            shop.claims.revocations.revoke(Revoked::Key(user.key.public()), NOW.as_secs());
            shop = shop.issued(10 * (1 + i64::try_from(at).unwrap()));
            let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE", shop.key.public());
            let answer = admin.request(&subject, shop.token().as_bytes()).json();
            assert_eq!(answer["data"]["message"], "jwt updated", "{makes:?} {answer}");
            assert_eq!(there.answer(), "-ERR 'User Authentication Revoked'", "{makes:?}");
            // The answer may be that of the other server.
            for server in &pair.servers {
                until("the user is refused", || (log_in(server, user).1 == REFUSED).then_some(()));
            }
        }
        let mut there = admitted(&pair.servers[1], &shop.user("sue"));
        let request = deletion(&pair.house.chain, &[&shop]);
        pair.admin(0).request("$SYS.REQ.CLAIMS.DELETE", request.as_bytes());
        assert_eq!(there.answer(), "-ERR 'Account Authentication Expired'", "{makes:?}");
        for name in ["ONE", "TWO"] {
            until("the file goes", || (!pair.file(name, &shop).exists()).then_some(()));
        }
    }
}

#[test]
fn interest_from_before_an_account_was_here_counts_once_it_is() {
    for makes in mixtures() {
        let house = House::new();
        let accounts = [0, 1].map(|number| house.chain.account(&format!("late-{number}")));
        let shop = house.shop.clone();
        let all = [&accounts[0], &accounts[1], &shop];
        let pair = Pair::open(makes, [FULL, FULL], [&all, &all], house);
        let mut known = [0, 1].map(|at| admitted(&pair.servers[at], &shop.user("joe")));
        for (listens, publishes) in [(0, 1), (1, 0)] {
            let [one, two] = &mut known;
            let (near, far) = if listens == 0 { (one, two) } else { (two, one) };
            near.subscribe(&format!("before.{listens}"), "1");
            until_crosses(far, near, &format!("before.{listens}"));
            let account = &accounts[listens];
            let mut joe = admitted(&pair.servers[listens], &account.user("joe"));
            joe.subscribe("orders", "1");
            // The other server hears of it, and does not know the account: what was said later in another one has arrived.
            near.subscribe(&format!("after.{listens}"), "2");
            until_crosses(far, near, &format!("after.{listens}"));
            let mut ann = admitted(&pair.servers[publishes], &account.user("ann"));
            ann.publish("orders", None, b"new");
            ann.settle();
            let came = joe.message();
            assert_eq!(came.payload, b"new", "{makes:?}");
        }
    }
}
