//! Operator mode with accounts in memory, over real sockets.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jwt::Revoked;
use jwt::testing::{Chain, TestAccount, TestUser};
use tempfile::TempDir;

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

const REFUSED: &str = "-ERR 'Authorization Violation'";

fn seconds() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A chain of trust and the accounts that are preloaded.
struct House {
    folder: TempDir,
    chain: Chain,
    accounts: Vec<TestAccount>,
    more: String,
}

impl House {
    fn new() -> Self {
        let chain = Chain::new("acme");
        let accounts = vec![chain.account("SYS"), chain.account("shop")];
        Self { folder: tempfile::tempdir().unwrap(), chain, accounts, more: String::new() }
    }

    fn shop(&mut self) -> &mut TestAccount {
        &mut self.accounts[1]
    }

    /// The configuration; the operator is in a file.
    fn config(&self) -> String {
        let file = self.folder.path().join("operator.jwt");
        std::fs::write(&file, nkeys::decorate_jwt("OPERATOR", &self.chain.token())).unwrap();
        let entry = |account: &TestAccount| format!("  {}: {}\n", account.key.public(), account.token());
        let preload: String = self.accounts.iter().map(entry).collect();
        let system = self.accounts[0].key.public();
        let (file, more) = (file.display(), &self.more);
        format!(
            "operator: '{file}'\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload {{\n{preload}}}\n{more}\n"
        )
    }

    fn write(&self) {
        std::fs::write(self.folder.path().join("server.conf"), self.config()).unwrap();
    }

    fn launch(&self) -> (Child, Receiver<String>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nats-server"))
            .args(["-a", "127.0.0.1", "-p", "-1", "-D", "-c"])
            .arg(self.folder.path().join("server.conf"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, log) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        (child, log)
    }

    fn start(self) -> Server {
        self.write();
        let (child, log) = self.launch();
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log, house: self };
        let line = server.logged("Listening for client connections on ");
        server.address = line.rsplit(' ').next().unwrap().parse().unwrap();
        server.logged("Server is ready");
        server
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
    log: Receiver<String>,
    house: House,
}

impl Server {
    /// Waits for a line of the log.
    fn logged(&self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(rest).unwrap_or_else(|_| panic!("the log never said {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn peer(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Peer { lines: BufReader::new(stream), nonce: String::new() };
        let info = peer.line();
        let info: serde_json::Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
        assert_eq!(info["auth_required"], true);
        peer.nonce = info["nonce"].as_str().expect("there is something to sign").to_owned();
        peer
    }

    /// A login with a signature, up to the first answer.
    fn login(&self, user: &TestUser) -> (Peer, String) {
        let mut peer = self.peer();
        let signature = user.sign(peer.nonce.as_bytes());
        let answer = peer.connect(&user.token(), &signature);
        (peer, answer)
    }

    fn admitted(&self, user: &TestUser) -> Peer {
        let (peer, answer) = self.login(user);
        assert_eq!(answer, "PONG");
        peer
    }

    /// A login that fails; the peer is told the standard text, and the log why.
    fn refused(&self, user: &TestUser, why: &str) {
        let (mut peer, answer) = self.login(user);
        assert_eq!(answer, REFUSED);
        assert!(peer.is_closed());
        let line = self.logged("authentication error");
        assert!(line.contains(why), "{line:?} does not say {why:?}");
    }

    fn reload(&self) {
        self.house.write();
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
        self.logged("Reloaded server configuration");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Peer {
    lines: BufReader<TcpStream>,
    nonce: String,
}

impl Peer {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The next line, if it is not an INFO.
    fn answer(&mut self) -> String {
        loop {
            let line = self.line();
            if !line.starts_with("INFO ") {
                return line;
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn connect(&mut self, token: &str, signature: &str) -> String {
        let options = serde_json::json!({ "jwt": token, "sig": signature, "verbose": false, "protocol": 1 });
        self.say(&format!("CONNECT {options}\r\nPING\r\n"));
        self.answer()
    }

    /// Everything before was taken.
    fn settle(&mut self) {
        self.say("PING\r\n");
        assert_eq!(self.answer(), "PONG");
    }

    fn is_closed(&mut self) -> bool {
        // A reset is as good an end as an empty line.
        let mut line = String::new();
        self.lines.read_line(&mut line).is_ok_and(|count| count == 0) || line.is_empty()
    }
}

#[test]
fn a_user_of_an_account_sends_and_receives_within_its_permissions() {
    let mut house = House::new();
    let reader = house.shop().user("reader");
    let writer = house.shop().delegated_user("writer").with(|claims| {
        claims.rights.permissions.publish.allow = vec!["orders.>".into()];
    });
    let server = house.start();
    let mut reader = server.admitted(&reader);
    reader.say("SUB orders.> 1\r\n");
    reader.settle();
    let mut writer = server.admitted(&writer);
    writer.say("PUB billing 2\r\nno\r\nPUB orders.new 5\r\nhello\r\n");
    assert_eq!(writer.answer(), "-ERR 'Permissions Violation for Publish to \"billing\"'");
    assert_eq!([reader.answer(), reader.answer()], ["MSG orders.new 1 5", "hello"]);
}

#[test]
fn accounts_are_apart() {
    let mut house = House::new();
    let bank = house.chain.account("bank");
    house.accounts.push(bank.clone());
    let (ours, theirs) = (house.shop().user("joe"), bank.user("joe"));
    let server = house.start();
    let (mut ours, mut theirs) = (server.admitted(&ours), server.admitted(&theirs));
    ours.say("SUB > 1\r\n");
    ours.settle();
    theirs.say("PUB secret 1\r\nx\r\n");
    theirs.settle();
    ours.settle();
}

#[test]
fn limits_of_account_and_user_hold() {
    let mut house = House::new();
    house.shop().claims.limits.account.conn = 1;
    let user = house.shop().user("joe").with(|claims| {
        claims.rights.limits.subs = 1;
        claims.rights.limits.payload = 4;
    });
    let server = house.start();
    let mut first = server.admitted(&user);
    assert_eq!(server.login(&user).1, "-ERR 'maximum account active connections exceeded'");
    first.say("SUB a 1\r\nSUB b 2\r\n");
    assert_eq!(first.answer(), "-ERR 'maximum subscriptions exceeded'");
    first.say("PUB a 5\r\nhello\r\n");
    assert_eq!(first.answer(), "-ERR 'Maximum Payload Violation'");
}

#[test]
fn whoever_is_not_the_user_stays_out_and_the_log_says_why() {
    let mut house = House::new();
    let now = seconds();
    let good = house.shop().user("joe");
    let expired = house.shop().user("old").with(|claims| claims.common.expires = now - 1);
    let revoked = house.shop().user("gone");
    house.shop().claims.revocations.revoke(Revoked::Key(revoked.key.public()), now);
    let elsewhere = house.chain.account("bank");
    let stranger = Chain::new("evil").account("shop");
    let forged = TestUser { signer: stranger.key, ..house.shop().user("forged") };
    let forged = forged.with(|claims| claims.issuer_account = Some(good.signer.public()));
    let thief = TestUser { key: house.shop().user("thief").key, ..good.clone() };
    let server = house.start();

    let mut peer = server.peer();
    let signature = thief.sign(peer.nonce.as_bytes());
    assert_eq!(peer.connect(&good.token(), &signature), REFUSED);
    server.logged("signature of the nonce does not verify");
    let mut peer = server.peer();
    assert_eq!(peer.connect(&good.token(), ""), REFUSED);
    server.logged("signature of the nonce is missing");
    let mut peer = server.peer();
    let other_nonce = good.sign(b"an older nonce");
    assert_eq!(peer.connect(&good.token(), &other_nonce), REFUSED);
    assert_eq!(server.peer().connect("", ""), REFUSED);
    server.logged("a user JWT is required");
    server.refused(&expired, "user claim is expired");
    server.refused(&revoked, "user is revoked");
    server.refused(&forged, "is no signing key of the account");
    let unknown = format!("account {} is unknown", elsewhere.key.public());
    server.refused(&elsewhere.user("joe"), &unknown);
    server.admitted(&good);
}

#[test]
fn users_and_accounts_have_their_time() {
    let mut house = House::new();
    let soon = seconds() + 2;
    let short = house.shop().user("short").with(|claims| claims.common.expires = soon);
    let bank = house.chain.account("bank").with(|claims| claims.common.expires = soon);
    house.accounts.push(bank.clone());
    let server = house.start();
    let (mut user, mut client) = (server.admitted(&short), server.admitted(&bank.user("joe")));
    assert_eq!(user.answer(), "-ERR 'User Authentication Expired'");
    assert_eq!(client.answer(), "-ERR 'Account Authentication Expired'");
    assert!(user.is_closed() && client.is_closed());
    server.refused(&bank.user("joe"), "account claim is expired");
}

#[test]
fn an_account_that_cannot_be_used_is_told_and_hurts_nobody_else() {
    let mut house = House::new();
    let bank = house.chain.account("bank").with(|claims| claims.common.expires = seconds() - 1);
    let strange = Chain::new("evil").account("bar");
    house.accounts.extend([bank.clone(), strange.clone()]);
    let good = house.shop().user("joe");
    let server = house.start();
    server.admitted(&good);
    server.refused(&bank.user("joe"), "account claim is expired");
    server.refused(&strange.user("joe"), "account is not signed by a trusted operator");
}

#[test]
fn a_reload_revokes_again_and_again() {
    let mut house = House::new();
    let (first, second) = (house.shop().user("first"), house.shop().user("second"));
    let mut server = house.start();
    let (mut one, mut two) = (server.admitted(&first), server.admitted(&second));
    server.house.shop().claims.revocations.revoke(Revoked::Key(first.key.public()), seconds());
    server.reload();
    assert_eq!(one.answer(), "-ERR 'User Authentication Revoked'");
    two.settle();
    server.house.shop().claims.revocations.revoke(Revoked::Key(second.key.public()), seconds());
    server.reload();
    assert_eq!(two.answer(), "-ERR 'User Authentication Revoked'");
}

#[test]
fn only_pinned_accounts_and_the_system_account_are_served() {
    let mut house = House::new();
    let bank = house.chain.account("bank");
    house.accounts.push(bank.clone());
    house.more = format!("resolver_pinned_accounts: [{}]", bank.key.public());
    let (system, joe) = (house.accounts[0].user("admin"), house.shop().user("joe"));
    let server = house.start();
    server.admitted(&bank.user("joe"));
    server.admitted(&system);
    server.refused(&joe, "is not listed as pinned account");
}
