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
    Route,
    Leaf,
    JetStream(&'static str),
}

/// The user of the story setting.
const STORY_LOGIN: &str = "--user load --pass loadpass";
/// The hash of `loadpass`, at the lowest cost.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuDAAixaTmeXfeboSzIBK/9T40Ue.cZyW";
/// Rules of the `Rules` setting, none of which speaks of what is published.
const MANY_RULES: usize = 1_000;

/// What the names of those scenarios end with.
pub(crate) const MANY_RULES_MARK: &str = " 1k rules";

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
    let all = set_of(set)
        .ok_or(format!("no set {set}; there are quick, core, bare, fleet, big, rules, tls, logins, hops, js"))?;
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
        "logins" => logins(),
        "hops" => hops(),
        "js" => streams(),
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

fn hops() -> Vec<Scenario> {
    let hop = |name, setting| scenario(name, "pubsub --size 128", setting);
    vec![hop("route 1-1 128", Setting::Route), hop("leaf 1-1 128", Setting::Leaf)]
}

fn streams() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (label, more) in [("", ""), ("always ", ", sync_interval: always"), ("chacha ", CHACHA), ("aes ", AES)] {
        for size in [128, 1024] {
            for (kind, inflight) in [("async", 1000), ("sync", 1)] {
                let arguments = format!("js-pub --inflight {inflight} --size {size}");
                all.push(scenario(&format!("js {label}{kind} {size}"), &arguments, Setting::JetStream(more)));
            }
        }
    }
    all
}

const CHACHA: &str = ", cipher: chachapoly, key: \"secretkey123456789\"";
const AES: &str = ", cipher: aes, key: \"secretkey123456789\"";

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
            Setting::Route => (0..2).map(|index| format!("{}{}", base(port + index), route(port, index))).collect(),
            Setting::Leaf => (0..2).map(|index| format!("{}{}", base(port + index), leaf(port, index))).collect(),
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

fn route(port: u16, index: u16) -> String {
    let (own, other) = (port + 2 + index, port + 3 - index);
    format!(
        "server_name: s{index}\ncluster {{ name: load, listen: 127.0.0.1:{own}, routes: [ nats://127.0.0.1:{other} ] }}\n"
    )
}

fn leaf(port: u16, index: u16) -> String {
    let hub = port + 2;
    match index {
        0 => format!("leafnodes {{ listen: 127.0.0.1:{hub} }}\n"),
        _ => format!("leafnodes {{ remotes: [ {{ url: nats://127.0.0.1:{hub} }} ] }}\n"),
    }
}
