//! The services, and their subjects.

/// A service of each server: asked of one by its id, or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the subjects")]
pub enum ServerService {
    Idz,
    Statsz,
    Varz,
    Subsz,
    Connz,
    Routez,
    Gatewayz,
    Leafz,
    Accountz,
    Jsz,
    Healthz,
    Profilez,
    Expvarz,
    Ipqueuesz,
    Raftz,
    /// Bulwark's own: what somebody may do, and by which rule.
    Explain,
}

impl ServerService {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Idz,
        Self::Statsz,
        Self::Varz,
        Self::Subsz,
        Self::Connz,
        Self::Routez,
        Self::Gatewayz,
        Self::Leafz,
        Self::Accountz,
        Self::Jsz,
        Self::Healthz,
        Self::Profilez,
        Self::Expvarz,
        Self::Ipqueuesz,
        Self::Raftz,
        Self::Explain,
    ];

    /// Its token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Idz => "IDZ",
            Self::Statsz => "STATSZ",
            Self::Varz => "VARZ",
            Self::Subsz => "SUBSZ",
            Self::Connz => "CONNZ",
            Self::Routez => "ROUTEZ",
            Self::Gatewayz => "GATEWAYZ",
            Self::Leafz => "LEAFZ",
            Self::Accountz => "ACCOUNTZ",
            Self::Jsz => "JSZ",
            Self::Healthz => "HEALTHZ",
            Self::Profilez => "PROFILEZ",
            Self::Expvarz => "EXPVARZ",
            Self::Ipqueuesz => "IPQUEUESZ",
            Self::Raftz => "RAFTZ",
            Self::Explain => "EXPLAIN",
        }
    }

    /// What the reference server calls its request, in error texts.
    pub const fn holder(self) -> &'static str {
        match self {
            Self::Idz | Self::Statsz => "StatszEventOptions",
            Self::Varz => "VarzEventOptions",
            Self::Subsz => "SubszEventOptions",
            Self::Connz => "ConnzEventOptions",
            Self::Routez => "RoutezEventOptions",
            Self::Gatewayz => "GatewayzEventOptions",
            Self::Leafz => "LeafzEventOptions",
            Self::Accountz => "AccountzEventOptions",
            Self::Jsz => "JszEventOptions",
            Self::Healthz => "HealthzEventOptions",
            Self::Profilez => "ProfilezEventOptions",
            Self::Expvarz => "ExpvarzEventOptions",
            Self::Ipqueuesz => "IpqueueszEventOptions",
            Self::Raftz => "RaftzEventOptions",
            Self::Explain => "ExplainReq",
        }
    }

    /// Where one server is asked.
    pub fn subject_of(self, server_id: &str) -> String {
        format!("$SYS.REQ.SERVER.{server_id}.{}", self.token())
    }

    /// Where all are asked.
    pub fn subject_of_all(self) -> String {
        format!("$SYS.REQ.SERVER.PING.{}", self.token())
    }
}

/// The oldest way to ask all servers for their statistics.
pub const PING: &str = "$SYS.REQ.SERVER.PING";

/// A command to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerCommand {
    /// Read the configuration again.
    Reload,
    /// Close a connection.
    Kick,
    /// Tell a client to go elsewhere.
    LameDuck,
    /// Keep somebody out for a time. Bulwark's own, as the next two.
    Ban,
    /// Let somebody in again.
    Unban,
    /// List who is kept out.
    Bans,
    /// Destroy the key that an account has of its own, and with it what it stores. Bulwark's own.
    DestroyKey,
}

impl ServerCommand {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Reload, Self::Kick, Self::LameDuck, Self::Ban, Self::Unban, Self::Bans, Self::DestroyKey];

    /// Where it is given.
    pub fn subject_of(self, server_id: &str) -> String {
        format!("$SYS.REQ.SERVER.{server_id}.{}", self.token())
    }

    /// Where it is given to all servers, if it may be.
    pub fn subject_of_all(self) -> Option<String> {
        match self {
            // What cannot be undone is never given by way of what monitors may ask (`$SYS.REQ.SERVER.PING.*`).
            Self::Reload | Self::Kick | Self::LameDuck | Self::DestroyKey => None,
            Self::Ban | Self::Unban | Self::Bans => Some(format!("$SYS.REQ.SERVER.PING.{}", self.token())),
        }
    }

    /// Its token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Reload => "RELOAD",
            Self::Kick => "KICK",
            Self::LameDuck => "LDM",
            Self::Ban => "BAN",
            Self::Unban => "UNBAN",
            Self::Bans => "BANS",
            Self::DestroyKey => "DESTROYKEY",
        }
    }
}

/// A service about an account. The account stands in the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the subjects")]
pub enum AccountService {
    Subsz,
    Connz,
    Leafz,
    Jsz,
    Info,
    Statz,
    Conns,
}

/// The token that stands for an account in a request to all.
const ALL_TOKEN: &str = "PING";

impl AccountService {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Subsz, Self::Connz, Self::Leafz, Self::Jsz, Self::Info, Self::Statz, Self::Conns];

    /// Its token in subjects.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Subsz => "SUBSZ",
            Self::Connz => "CONNZ",
            Self::Leafz => "LEAFZ",
            Self::Jsz => "JSZ",
            Self::Info => "INFO",
            Self::Statz => "STATZ",
            Self::Conns => "CONNS",
        }
    }

    /// What the reference server calls its request, in error texts.
    pub const fn holder(self) -> &'static str {
        match self {
            Self::Subsz => "SubszEventOptions",
            Self::Connz => "ConnzEventOptions",
            Self::Leafz => "LeafzEventOptions",
            Self::Jsz => "JszEventOptions",
            Self::Info => "AccInfoEventOptions",
            Self::Statz => "AccountStatzEventOptions",
            Self::Conns => "accNumConnsReq",
        }
    }

    /// Where it is asked, for any account.
    pub fn filter(self) -> String {
        format!("$SYS.REQ.ACCOUNT.*.{}", self.token())
    }

    /// The account that a subject names; nothing where it asks for all.
    pub fn account_of(subject: &str) -> Option<&str> {
        subject.split('.').nth(3).filter(|account| *account != ALL_TOKEN)
    }
}

/// What every account may ask about itself, and which service answers.
pub const ABOUT_ONESELF: [(&str, AccountService); 3] = [
    ("$SYS.REQ.ACCOUNT.PING.CONNZ", AccountService::Connz),
    ("$SYS.REQ.SERVER.PING.CONNZ", AccountService::Connz),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", AccountService::Statz),
];

/// Who one is, asked by every client in its own account.
pub const USER_INFO: &str = "$SYS.REQ.USER.INFO";

/// What one may do and by which rule, asked by every client in its own account. Bulwark's own.
pub const USER_EXPLAIN: &str = "$SYS.REQ.USER.EXPLAIN";

/// What that is called in the system account.
pub const USER_INFO_OF_ALL: &str = "$SYS.REQ.USER.*.INFO";

/// How many subscribers a subject has.
pub const DEBUG_SUBSCRIBERS: &str = "$SYS.DEBUG.SUBSCRIBERS";
