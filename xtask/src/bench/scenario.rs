//! What is measured, and the configuration each scenario runs with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::shell;

/// One measured situation.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) setting: Setting,
}

/// Whether a link is encrypted.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Encrypted {
    No,
    Yes,
}

/// What the server is configured with.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Setting {
    /// Accounts, a user with permissions, statistics: as in use.
    Story,
    /// The same, and a thousand permission rules.
    Rules,
    /// Nothing but a port.
    Bare,
    Tls,
    MutualTls,
    Password,
    Bcrypt,
    Key,
    Token,
    Route(Encrypted),
    Leaf(Encrypted),
    Gateway(Encrypted),
    WebSocket(Encrypted),
    JetStream(&'static str),
    /// A tenant that offers a service and a stream, and so many that import both.
    Sharing(usize),
}

/// The user of the story setting.
const STORY_LOGIN: &str = "--user load --pass loadpass";
/// The hash of `loadpass`, at the lowest cost.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuDAAixaTmeXfeboSzIBK/9T40Ue.cZyW";
/// Rules of the `Rules` setting, none of which speaks of what is published.
const MANY_RULES: usize = 1_000;

/// The port for WebSocket stands so far above that for clients.
const WEBSOCKET_PORT: u16 = 2;

/// Strangers of the `attack` set.
const CROWD: usize = 5_000;

/// What the names of those scenarios end with.
pub(crate) const MANY_RULES_MARK: &str = " 1k rules";
/// Tenants of the `sharing` set that import, where they are many.
const MANY_TENANTS: usize = 10_000;
/// What the names of those scenarios end with.
pub(crate) const MANY_TENANTS_MARK: &str = " 10k tenants";

const FLOWS: [(&str, &str); 23] = [
    ("pub 16", "pub --size 16"),
    ("pub 128", "pub --size 128"),
    ("pub 1024", "pub --size 1024"),
    ("1-1 16", "pubsub --size 16"),
    ("1-1 128", "pubsub --size 128"),
    ("1-1 1024", "pubsub --size 1024"),
    ("1-1 16384", "pubsub --size 16384"),
    ("4-4 16", "pubsub --pubs 4 --subs 4 --size 16"),
    ("4-4 128", "pubsub --pubs 4 --subs 4 --size 128"),
    ("4-4 1024", "pubsub --pubs 4 --subs 4 --size 1024"),
    ("fan10 16", "fanout --subs 10 --size 16"),
    ("fan10 128", "fanout --subs 10 --size 128"),
    ("fan10 1024", "fanout --subs 10 --size 1024"),
    ("fan10 16384", "fanout --subs 10 --size 16384"),
    ("fan100 128", "fanout --subs 100 --size 128"),
    ("fan100 1024", "fanout --subs 100 --size 1024"),
    ("fan1000 128", "fanout --subs 1000 --size 128"),
    ("fan1000 1024", "fanout --subs 1000 --size 1024"),
    ("queue8 128", "queue --subs 8 --size 128"),
    ("queue8x4p 128", "queue --subs 8 --pubs 4 --size 128"),
    ("rr1", "reqrep --inflight 1"),
    ("rr64", "reqrep --inflight 64"),
    ("rr16x4", "reqrep --pubs 16 --subs 4 --inflight 1"),
];
const FLEET: [(&str, &str); 6] = [
    ("wild10k", "wild --total-subs 10000"),
    ("wild100k", "wild --total-subs 100000"),
    ("wild1M", "wild --total-subs 1000000"),
    ("wild100k hot100", "wild --total-subs 100000 --hot 100"),
    ("idle2k", "idle --conns 2000"),
    ("connrate", "connrate"),
];
/// What the first promise names: these and nothing else.
const QUICK: [&str; 14] = [
    "1-1 16",
    "1-1 128",
    "1-1 1024",
    "4-4 128",
    "fan10 128",
    "fan100 128",
    "fan1000 128",
    "queue8 128",
    "rr1",
    "rr64",
    "wild100k",
    "idle2k",
    "connrate",
    "pub 128",
];
const BIG_FANS: [usize; 3] = [1, 10, 100];
const BIG_SIZES: [usize; 5] = [256, 1024, 4096, 16_384, 65_536];

pub(crate) fn chosen(set: &str, only: &[String]) -> Result<Vec<Scenario>, Failure> {
    let all = set_of(set).ok_or(format!(
        "no set {set}; there are quick, core, bare, fleet, big, rules, tls, websocket, logins, attack, hops, js, sharing"
    ))?;
    Ok(all
        .into_iter()
        .filter(|scenario| only.is_empty() || only.iter().any(|part| scenario.name.contains(part)))
        .collect())
}

fn set_of(set: &str) -> Option<Vec<Scenario>> {
    let core = || FLOWS.iter().chain(&FLEET);
    Some(match set {
        "core" => core().map(story).collect(),
        "quick" => core().filter(|(name, _)| QUICK.contains(name)).map(story).collect(),
        "fleet" => FLEET.iter().map(story).collect(),
        "bare" => core().map(|(name, arguments)| scenario(name, arguments, Setting::Bare)).collect(),
        "big" => big(),
        "rules" => rules(),
        "tls" => tls(),
        "websocket" => websocket(),
        "logins" => logins(),
        "attack" => attack(),
        "hops" => hops(),
        "js" => streams(),
        "sharing" => sharing(),
        _ => return None,
    })
}

fn scenario(name: &str, arguments: &str, setting: Setting) -> Scenario {
    Scenario { name: name.to_owned(), arguments: arguments.to_owned(), setting }
}

fn story((name, arguments): &(&str, &str)) -> Scenario {
    scenario(name, &format!("{arguments} {STORY_LOGIN}"), Setting::Story)
}

fn big() -> Vec<Scenario> {
    let pairs = BIG_FANS.iter().flat_map(|fan| BIG_SIZES.iter().map(move |size| (fan, size)));
    pairs
        .map(|(fan, size)| story(&(&*format!("fan{fan} {size}"), &*format!("fanout --subs {fan} --size {size}"))))
        .collect()
}

fn rules() -> Vec<Scenario> {
    let flows = FLOWS.iter().filter(|(name, _)| ["1-1 128", "fan10 128", "rr1"].contains(name));
    flows
        .flat_map(|flow| {
            let many =
                scenario(&format!("{}{MANY_RULES_MARK}", flow.0), &format!("{} {STORY_LOGIN}", flow.1), Setting::Rules);
            [story(flow), many]
        })
        .collect()
}

fn tls() -> Vec<Scenario> {
    let flows = [
        ("tls 1-1 128", "pubsub --size 128"),
        ("tls 1-1 1024", "pubsub --size 1024"),
        ("tls fan10 128", "fanout --subs 10 --size 128"),
        ("tls rr1", "reqrep --inflight 1"),
        ("tls idle1k", "idle --conns 1000"),
    ];
    flows.map(|(name, arguments)| scenario(name, &format!("{arguments} --tls-ca ca.pem"), Setting::Tls)).to_vec()
}

/// In frames, and the same flows without.
fn websocket() -> Vec<Scenario> {
    let flows = [
        ("1-1 128", "pubsub --size 128"),
        ("1-1 1024", "pubsub --size 1024"),
        ("fan10 128", "fanout --subs 10 --size 128"),
        ("rr1", "reqrep --inflight 1"),
        ("idle1k", "idle --conns 1000"),
        ("connrate", "connrate"),
    ];
    let of = |(name, arguments): &(&str, &str)| {
        let framed = format!("{arguments} --websocket {WEBSOCKET_PORT}");
        [
            scenario(&format!("plain {name}"), arguments, Setting::Bare),
            scenario(&format!("ws {name}"), &framed, Setting::WebSocket(Encrypted::No)),
            scenario(&format!("wss {name}"), &format!("{framed} --tls-ca ca.pem"), Setting::WebSocket(Encrypted::Yes)),
        ]
    };
    flows.iter().flat_map(of).collect()
}

fn logins() -> Vec<Scenario> {
    let login = |name: &str, flags: &str, setting| scenario(name, &format!("connrate {flags}"), setting);
    vec![
        login("login user/pass", "--user load --pass loadpass", Setting::Password),
        login("login bcrypt cost 4", "--user load --pass loadpass", Setting::Bcrypt),
        login("login nkey", "--nkey nkey.seed", Setting::Key),
        login("login JWT", "--creds user.creds", Setting::Token),
        login("login TLS", "--tls-ca ca.pem", Setting::Tls),
        login("login mTLS", "--tls-ca ca.pem --tls-cert client.pem --tls-key client.key", Setting::MutualTls),
    ]
}

/// Honest clients while five thousand strangers shake half a hand, send garbage, or say nothing.
fn attack() -> Vec<Scenario> {
    let among = |name: &str, arguments: &str| {
        scenario(name, &format!("{arguments} --tls-ca ca.pem --crowd {CROWD}"), Setting::Tls)
    };
    vec![
        among("login TLS among strangers", "connrate"),
        among("tls rr1 among strangers", "reqrep --inflight 1"),
        among("tls 1-1 128 among strangers", "pubsub --size 128"),
    ]
}

fn hops() -> Vec<Scenario> {
    let hop = |name, setting| scenario(name, "pubsub --size 128", setting);
    vec![
        hop("route 1-1 128", Setting::Route(Encrypted::No)),
        hop("route tls 1-1 128", Setting::Route(Encrypted::Yes)),
        hop("leaf 1-1 128", Setting::Leaf(Encrypted::No)),
        hop("leaf tls 1-1 128", Setting::Leaf(Encrypted::Yes)),
        hop("gateway 1-1 128", Setting::Gateway(Encrypted::No)),
        hop("gateway tls 1-1 128", Setting::Gateway(Encrypted::Yes)),
    ]
}

/// What the promises about streams name.
fn streams() -> Vec<Scenario> {
    let with = |name: &str, arguments: &str, more| scenario(name, arguments, Setting::JetStream(more));
    let publish = |size: u32, inflight: u32| format!("js-pub --size {size} --inflight {inflight}");
    let mut all = vec![
        with("js default 128", &publish(128, 1000), ""),
        with("js default 1024", &publish(1024, 1000), ""),
        with("js always 128", &publish(128, 1000), ALWAYS),
        with("js always one 128", &publish(128, 1), ALWAYS),
        with("js lazy one 128", &publish(128, 1), LAZY),
        with("js lazy 128", &publish(128, 1000), LAZY),
        with("js memory 128", &format!("{} --storage memory", publish(128, 1000)), LAZY),
        with("js ordered 128", "js-consume --count 1000000 --inflight 1000 --size 128", LAZY),
        with("js ordered memory 128", "js-consume --count 1000000 --inflight 1000 --size 128 --storage memory", LAZY),
    ];
    for (label, more) in [("plain", LAZY), ("aes", LAZY_AES), ("chacha", LAZY_CHACHA)] {
        all.push(with(&format!("js lazy {label} 1024"), &publish(1024, 1000), more));
    }
    all
}

/// Requests and streams that cross from tenant to tenant, with as many tenants as take part and with many more; and the same
/// requests within one tenant, by which the price of a crossing is seen.
fn sharing() -> Vec<Scenario> {
    let within = "--user exp --pass exp";
    let crossing = "--user imp* --pass imp* --sub-user exp --sub-pass exp";
    let heard = "--subject flow --user exp --pass exp --sub-user imp* --sub-pass imp*";
    let flows = [
        ("svc rr1", format!("reqrep --inflight 1 {crossing}"), 1),
        ("svc rr64", format!("reqrep --inflight 64 {crossing}"), 1),
        ("svc rr1 of 64 tenants", format!("reqrep --pubs 64 --inflight 1 {crossing}"), 64),
        ("stream fan1 128", format!("fanout --subs 1 --size 128 {heard}"), 1),
        ("stream fan10 128", format!("fanout --subs 10 --size 128 {heard}"), 10),
        ("stream fan100 128", format!("fanout --subs 100 --size 128 {heard}"), 100),
    ];
    let own = [("own rr1", 1), ("own rr64", 64)]
        .map(|(name, inflight)| scenario(name, &format!("reqrep --inflight {inflight} {within}"), Setting::Sharing(1)));
    let few_and_many = flows.iter().flat_map(|(name, arguments, tenants)| {
        let many = scenario(&format!("{name}{MANY_TENANTS_MARK}"), arguments, Setting::Sharing(MANY_TENANTS));
        [scenario(name, arguments, Setting::Sharing(*tenants)), many]
    });
    own.into_iter().chain(few_and_many).collect()
}

const ALWAYS: &str = ", sync_interval: always";
const LAZY: &str = ", sync_interval: '2m'";
const LAZY_CHACHA: &str = ", sync_interval: '2m', cipher: chachapoly, key: \"secretkey123456789\"";
const LAZY_AES: &str = ", sync_interval: '2m', cipher: aes, key: \"secretkey123456789\"";

/// A folder with certificates and keys, made once, and the configurations in it.
pub(crate) struct Workplace {
    folder: PathBuf,
}

impl Workplace {
    pub(crate) fn new(natsload: &Path) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let workplace = Self { folder };
        workplace.make_certificates()?;
        let minted = shell::read(Command::new(natsload).arg("mint").arg(&workplace.folder))?;
        workplace.put("operator.conf", &minted)?;
        Ok(workplace)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn put(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(|error| error.to_string())?;
        Ok(path)
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    /// A CA, a server and a client certificate, all ECDSA P-256.
    fn make_certificates(&self) -> Result<(), Failure> {
        let new = "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        self.openssl(&format!("{new} -x509 -days 30 -subj /CN=load-ca -keyout ca.key -out ca.pem"))?;
        for (name, extra) in
            [("server", "subjectAltName=IP:127.0.0.1,DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")]
        {
            self.put(&format!("{name}.ext"), extra)?;
            self.openssl(&format!("{new} -subj /CN=load-{name} -keyout {name}.key -out {name}.csr"))?;
            self.openssl(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile {name}.ext -out {name}.pem"
            ))?;
        }
        Ok(())
    }

    fn openssl(&self, arguments: &str) -> Result<String, Failure> {
        shell::read(Command::new("openssl").args(arguments.split_whitespace()).current_dir(&self.folder))
    }

    /// The configuration files of a setting, one for each server, which listen from the port on.
    pub(crate) fn configurations(&self, setting: Setting, port: u16) -> Result<Vec<PathBuf>, Failure> {
        let texts = self.texts(setting, port);
        texts.iter().enumerate().map(|(index, text)| self.put(&format!("server{index}.conf"), text)).collect()
    }

    /// The block by which both ends of a link show their certificates.
    fn link_tls(&self, encrypted: Encrypted) -> String {
        let path = |name: &str| self.folder.join(name).display().to_string();
        match encrypted {
            Encrypted::No => String::new(),
            Encrypted::Yes => format!(
                ", tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, timeout: 10 }}",
                path("server.pem"),
                path("server.key"),
                path("ca.pem")
            ),
        }
    }

    fn texts(&self, setting: Setting, port: u16) -> Vec<String> {
        let base = |port: u16| format!("listen: 127.0.0.1:{port}\nmax_connections: 100000\n");
        let one = |more: String| vec![format!("{}{more}\n", base(port))];
        let path = |name: &str| self.folder.join(name).display().to_string();
        let tls = format!("cert_file: {:?}, key_file: {:?}, timeout: 10", path("server.pem"), path("server.key"));
        match setting {
            Setting::Bare => one(String::new()),
            Setting::Story => one(accounts(0)),
            Setting::Rules => one(accounts(MANY_RULES)),
            Setting::Tls => one(format!("tls {{ {tls} }}")),
            Setting::MutualTls => one(format!(
                "tls {{ {tls}, ca_file: {:?}, verify_and_map: true }}\nauthorization {{ users: [ {{ user: \"CN=load-client\" }} ] }}",
                path("ca.pem")
            )),
            Setting::Password => one("authorization { users: [ { user: load, password: loadpass } ] }".into()),
            Setting::Bcrypt => one(format!("authorization {{ users: [ {{ user: load, password: \"{BCRYPT}\" }} ] }}")),
            Setting::Key => one(format!("authorization {{ users: [ {{ nkey: {} }} ] }}", self.get("nkey.pub"))),
            Setting::Token => one(self.get("operator.conf")),
            Setting::JetStream(more) => {
                one(format!("jetstream {{ store_dir: {:?}, max_mem: 4G, max_file: 20G{more} }}", path("store")))
            }
            Setting::Sharing(tenants) => one(tenants_of(tenants)),
            Setting::WebSocket(encrypted) => {
                let listen = format!("listen: \"127.0.0.1:{}\"", port + WEBSOCKET_PORT);
                let encrypted =
                    if encrypted == Encrypted::Yes { format!("tls {{ {tls} }}") } else { "no_tls: true".into() };
                one(format!("websocket {{ {listen}\n{encrypted} }}"))
            }
            Setting::Route(encrypted) => {
                let block = self.link_tls(encrypted);
                (0..2).map(|index| format!("{}{}", base(port + index), route(port, index, &block))).collect()
            }
            Setting::Leaf(encrypted) => {
                let block = self.link_tls(encrypted);
                (0..2).map(|index| format!("{}{}", base(port + index), leaf(port, index, &block))).collect()
            }
            Setting::Gateway(encrypted) => {
                let block = self.link_tls(encrypted);
                (0..2).map(|index| format!("{}{}", base(port + index), gateway(port, index, &block))).collect()
            }
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Two accounts; the user that measures has rules in both directions, and perhaps many more that do not matter.
fn accounts(more: usize) -> String {
    let list = |kind: &str| -> String { (0..more).map(|index| format!(", \"{kind}.{index}.>\"")).collect() };
    format!(
        "accounts {{\n  LOAD {{ users: [ {{ user: load, password: loadpass, permissions: {{\n    \
         publish: [\"bench.>\", \"_INBOX.>\"{}]\n    subscribe: {{ allow: [\"bench.>\", \"_INBOX.>\"{}], deny: [\"bench.secret.>\"] }}\n  }} }} ] }}\n  \
         OTHER {{ users: [ {{ user: other, password: otherpass }} ] }}\n}}",
        list("out"),
        list("in")
    )
}

/// An account `EXP` that offers, and these that import.
fn tenants_of(count: usize) -> String {
    let importer = |number: usize| {
        format!(
            "  I{number} {{ users: [ {{ user: imp{number}, password: imp{number} }} ], imports: [\n    \
             {{ service: {{ account: EXP, subject: bench.svc }} }}, {{ stream: {{ account: EXP, subject: \"flow.>\" }} }}\n  ] }}\n"
        )
    };
    let importers: String = (0..count).map(importer).collect();
    format!(
        "accounts {{\n  EXP {{ users: [ {{ user: exp, password: exp }} ], exports: [ {{ service: bench.svc }}, {{ stream: \"flow.>\" }} ] }}\n\
         {importers}}}"
    )
}

fn route(port: u16, index: u16, tls: &str) -> String {
    let (own, other) = (port + 2 + index, port + 3 - index);
    format!(
        "server_name: s{index}\ncluster {{ name: load, listen: 127.0.0.1:{own}, routes: [ nats://127.0.0.1:{other} ]{tls} }}\n"
    )
}

fn leaf(port: u16, index: u16, tls: &str) -> String {
    let hub = port + 2;
    let scheme = if tls.is_empty() { "nats" } else { "tls" };
    match index {
        0 => format!("leafnodes {{ listen: 127.0.0.1:{hub}{tls} }}\n"),
        _ => format!("leafnodes {{ remotes: [ {{ url: {scheme}://127.0.0.1:{hub}{tls} }} ] }}\n"),
    }
}

fn gateway(port: u16, index: u16, tls: &str) -> String {
    let (own, other) = (port + 2 + index, port + 3 - index);
    let (name, far) = (index, 1 - index);
    format!(
        "server_name: s{index}\ngateway {{ name: C{name}, listen: 127.0.0.1:{own}, \
         gateways: [ {{ name: C{far}, url: nats://127.0.0.1:{other} }} ]{tls} }}\n"
    )
}
