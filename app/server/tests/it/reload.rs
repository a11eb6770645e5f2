//! The configuration changes under load: nobody who stays loses a message, nobody gets one after the right to it is gone,
//! and a reload that is refused changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde_json::json;

use crate::house::{Client, Server};
use crate::running::{Running, user};

/// How many changes; `cargo xtask prove reload` makes it 1,000.
fn changes() -> u64 {
    std::env::var("BULWARK_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(50)
}

/// Chance from a seed, so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// What changes from reload to reload.
#[derive(Clone, Debug, PartialEq)]
struct World {
    /// The guest may read what is secret.
    may_read: bool,
    /// The guest is known.
    has_guest: bool,
    /// Users that nobody uses.
    others: u64,
    password: u64,
    max_payload: u64,
    ping_interval: u64,
}

impl World {
    fn new() -> Self {
        Self { may_read: true, has_guest: true, others: 1, password: 1, max_payload: 1_000_000, ping_interval: 120 }
    }

    fn change(&mut self, dice: &mut Dice) {
        match dice.throw(6) {
            0 | 1 => self.may_read = !self.may_read,
            2 => self.has_guest = !self.has_guest,
            3 => self.others = dice.throw(20),
            4 => self.password += 1,
            _ => (self.max_payload, self.ping_interval) = (500_000 + dice.throw(500_000), 60 + dice.throw(60)),
        }
    }

    fn config(&self) -> String {
        let deny = if self.may_read { "" } else { r#"deny: ["secret.>"]"# };
        let guest =
            format!("{{ user: guest, password: g{}, permissions: {{ subscribe: {{ {deny} }} }} }}", self.password);
        let app = "{ user: app, password: a }".to_owned();
        let others = (0..self.others).map(|n| format!("{{ user: other{n}, password: o{n} }}"));
        let users: Vec<String> = std::iter::once(app).chain(self.has_guest.then_some(guest)).chain(others).collect();
        let users = users.join(", ");
        format!(
            "max_payload: {}\nping_interval: {}\nsystem_account: SYS\naccounts {{\n  SYS {{ users [ {{ user: sys, password: s }} ] }}\n  \
             APP {{ users [ {users} ] }}\n}}\n",
            self.max_payload, self.ping_interval
        )
    }
}

/// Two clients that stay: one writes numbers, the other has to read every one of them.
struct Load {
    is_over: Arc<AtomicBool>,
    writer: JoinHandle<u64>,
    reader: JoinHandle<u64>,
}

/// So far the writer may be ahead, so that the reader never falls behind for long.
const AHEAD_MAX: u64 = 2_000;
/// After so many messages the writer reads what it was told.
const SETTLES_EVERY: u64 = 1_000;

impl Load {
    fn start(server: &Server) -> Self {
        let (is_over, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (mut reader, mut writer) = (server.client("app", "a"), server.client("app", "a"));
        reader.subscribe("stay.>");
        let (over, seen) = (is_over.clone(), read.clone());
        let writer = std::thread::spawn(move || {
            let mut next = 0_u64;
            while !over.load(Ordering::Relaxed) {
                if next < seen.load(Ordering::Relaxed) + AHEAD_MAX {
                    let lines: String =
                        (next..next + 20).map(|n| format!("PUB stay.x {}\r\n{n}\r\n", n.to_string().len())).collect();
                    writer.say(&lines);
                    next += 20;
                    // It is told of every reload, and has to read that, or it is a slow consumer in the end.
                    if next.is_multiple_of(SETTLES_EVERY) {
                        writer.settle();
                    }
                } else {
                    std::thread::yield_now();
                }
            }
            writer.say("PUB stay.end 0\r\n\r\n");
            writer.settle();
            next
        });
        let reader = std::thread::spawn(move || {
            let mut expected = 0_u64;
            loop {
                let message = reader.message();
                if message.subject == "stay.end" {
                    return expected;
                }
                assert_eq!(message.text(), expected.to_string(), "a message was lost");
                expected += 1;
                read.store(expected, Ordering::Relaxed);
            }
        });
        Self { is_over, writer, reader }
    }

    fn end(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let (written, read) = (self.writer.join().unwrap(), self.reader.join().unwrap());
        assert_eq!(written, read);
        read
    }
}

/// The guest, who comes back whenever it is let in, and asks again for what it may read.
struct Guest {
    client: Option<Client>,
    subscribed: bool,
}

impl Guest {
    fn follow(&mut self, server: &Server, was: &World, is: &World) {
        if was.has_guest && (!is.has_guest || was.password != is.password) {
            let last = self.client.take().map(|mut client| client.last_words()).unwrap_or_default();
            assert!(!last.iter().any(|line| line.starts_with("MSG")), "told after it was turned out: {last:?}");
            self.subscribed = false;
        }
        if is.has_guest && self.client.is_none() {
            self.client = Some(server.client("guest", &format!("g{}", is.password)));
            self.subscribed = false;
        }
        let Some(client) = &mut self.client else { return };
        if self.subscribed && !is.may_read {
            let heard = client.next_word();
            assert_eq!(heard, "-ERR 'Permissions Violation for Subscription to \"secret.>\" (sid \"7\")'");
            self.subscribed = false;
        }
        if !self.subscribed {
            client.say("SUB secret.> 7\r\n");
            client.say("PING\r\n");
            let refused = client.next_word().starts_with("-ERR");
            assert_eq!(refused, !is.may_read, "{is:?}");
            if refused {
                assert_eq!(client.next_word(), "PONG");
            }
            self.subscribed = !refused;
        }
    }

    /// A secret was told after the reload: whoever may read it does, and nobody else.
    fn hears(&mut self, number: u64) {
        let Some(client) = &mut self.client else { return };
        if self.subscribed {
            assert_eq!(client.message().text(), number.to_string());
        } else {
            // `settle` fails at a message in between.
            client.settle();
        }
    }
}

#[test]
fn the_configuration_changes_under_load_and_nobody_loses_or_gains_a_message() {
    let mut dice = Dice(0x5eed_0004);
    let mut world = World::new();
    let mut server = Server::start(&world.config());
    let mut sys = server.client("sys", "s");
    let reload = format!("$SYS.REQ.SERVER.{}.RELOAD", sys.server_id());
    let load = Load::start(&server);
    let mut teller = server.client("app", "a");
    let mut guest = Guest { client: None, subscribed: false };
    guest.follow(&server, &world, &world);
    let (mut taken, mut refused) = (0, 0);
    for number in 0..changes() {
        let before = world.clone();
        world.change(&mut dice);
        if dice.throw(5) == 0 {
            // What cannot be followed takes everything else with it.
            server.rewrite(&format!("{}max_pending: 70000000\n", world.config()));
            let answer = sys.asks(&reload, "");
            assert_eq!(answer["error"]["code"], 500, "{answer}");
            world = before.clone();
            refused += 1;
        } else {
            server.rewrite(&world.config());
            let answer = sys.asks(&reload, "");
            assert!(answer.get("error").is_none(), "{answer}");
            taken += 1;
        }
        // The reload is over: from now on it counts.
        teller.say(&format!("PUB secret.x {}\r\n{number}\r\n", number.to_string().len()));
        teller.settle();
        let is_turned_out = before.has_guest && (!world.has_guest || before.password != world.password);
        let loses_right = guest.subscribed && !world.may_read;
        if !is_turned_out && !loses_right {
            guest.hears(number);
        }
        guest.follow(&server, &before, &world);
        let varz = sys.asks("$SYS.REQ.SERVER.PING.VARZ", "");
        assert_eq!(varz["data"]["max_payload"], json!(world.max_payload));
    }
    let read = load.end();
    assert!(read > 0 && taken > refused, "{read} messages, {taken} reloads, {refused} refused");
    println!("{read} messages read, all in order; {taken} reloads, {refused} refused");
    server.logged("Reloaded server configuration");
}

/// Streams that cannot begin are found out last: nothing of what came before has changed.
#[test]
fn a_reload_that_fails_late_has_changed_nothing() {
    let config = |password: &str, more: &str| {
        format!("accounts {{ APP {{ users [ {{ user: app, password: {password} }} ] }} }}\nmax_payload: 2000\n{more}")
    };
    let server = Running::start(&config("one", ""));
    let mut stays = server.admitted(&user("app", "one"));
    // A file stands where the folder should be.
    std::fs::write(server.path("taken"), "").unwrap();
    let streams = format!("jetstream {{ store_dir: {:?} }}\n", server.path("taken"));
    let log = format!("log_file: {:?}\n", server.path("other.log"));
    let pid = format!("pid_file: {:?}\n", server.path("other.pid"));
    let late = config("two", &(streams + &log + &pid)).replace("2000", "1000");
    server.fail_to_reload(&late, "JetStream");
    assert!(!server.path("other.pid").exists(), "the pid file was taken back");
    server.admitted(&user("app", "one"));
    server.refused(&user("app", "two"), "authentication error");
    stays.settle();
    server.reload(&config("two", ""));
    server.admitted(&user("app", "two"));
}
