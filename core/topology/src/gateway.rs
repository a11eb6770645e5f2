//! The handshake of a gateway, from both ends, and the commands that follow it.

use wire::gateway::Op;

use crate::connect::ServerConnect;
use crate::error::LinkError;
use crate::info::{Base64, Info};

/// What this server is on its gateways.
#[derive(Clone, Debug)]
pub struct GatewayRules {
    /// Its own INFO.
    pub info: Info,
    /// Only configured gateways may connect.
    pub reject_unknown: bool,
    /// The configured gateways.
    pub known: Vec<String>,
    /// Names of the servers of this cluster.
    pub server_names: Vec<String>,
}

impl GatewayRules {
    /// Whether there may be links to this cluster: it is another one, and not one that must be known and is not.
    pub fn is_wanted(&self, gateway: &str) -> bool {
        gateway != self.info.gateway && (!self.reject_unknown || self.known.iter().any(|known| known == gateway))
    }

    fn judge_name(&self, name: &str) -> Result<(), LinkError> {
        if self.server_names.iter().any(|known| known == name) {
            return Err(LinkError::DuplicateServerName(name.to_owned()));
        }
        Ok(())
    }
}

/// What a step wants done, in order.
#[derive(Clone, Debug)]
pub enum GatewayEffect {
    /// Send INFO.
    SendInfo(Box<Info>),
    /// Send CONNECT.
    SendConnect(Box<ServerConnect>),
    /// Judge the login, reading nothing more meanwhile; then [`GatewayHandshake::on_admitted`].
    Authenticate(Box<ServerConnect>),
    /// The connection carries messages to that cluster. The INFO names its URLs.
    RegisterOutbound(Box<Info>),
    /// The connection carries messages from that cluster: send it the queue interest and the known gateways, and make
    /// an outbound connection to it.
    RegisterInbound(Box<Info>),
    /// Say so, if there is something to say, and close.
    Close(LinkError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wait {
    /// Outbound: the INFO of the gateway that is looked for.
    RemoteInfo,
    Connect,
    Verdict,
    /// Inbound: the INFO after CONNECT.
    Info,
    Over,
    Closed,
}

/// A gateway connection that is not registered yet.
#[derive(Debug)]
pub struct GatewayHandshake {
    wanted: Option<String>,
    /// What the far end called itself in CONNECT.
    announced: String,
    connect: Option<Box<ServerConnect>>,
    wait: Wait,
}

impl GatewayHandshake {
    /// This end made the connection, to a server of the gateway `wanted`. It says nothing before it has heard INFO.
    pub fn outbound(wanted: String, connect: ServerConnect) -> Self {
        Self {
            wanted: Some(wanted),
            announced: String::new(),
            connect: Some(Box::new(connect)),
            wait: Wait::RemoteInfo,
        }
    }

    /// The other end made the connection.
    pub fn inbound(rules: &GatewayRules, out: &mut Vec<GatewayEffect>) -> Self {
        out.push(GatewayEffect::SendInfo(Box::new(rules.info.clone())));
        Self { wanted: None, announced: String::new(), connect: None, wait: Wait::Connect }
    }

    /// Whether an operation may come now.
    ///
    /// # Errors
    /// The reason to close.
    pub fn may_come(&self, op: &Op<'_>) -> Result<(), LinkError> {
        match (&self.wait, op) {
            (Wait::Connect, Op::Connect(_)) => Ok(()),
            (Wait::Connect, Op::Err(_)) => Err(LinkError::TurnedAway),
            (Wait::Connect | Wait::Verdict, _) => Err(LinkError::Violation),
            (Wait::Closed, _) => Err(LinkError::OutOfTurn),
            (_, Op::Info(_) | Op::Ping | Op::Pong | Op::Ok | Op::Err(_)) => Ok(()),
            _ => Err(LinkError::OutOfTurn),
        }
    }

    /// CONNECT has come.
    pub fn on_connect(&mut self, json: &[u8], rules: &GatewayRules, out: &mut Vec<GatewayEffect>) {
        match self.take_connect(json, rules) {
            Ok(connect) => {
                self.wait = Wait::Verdict;
                self.announced.clone_from(&connect.gateway);
                out.push(GatewayEffect::Authenticate(Box::new(connect)));
            }
            Err(error) => self.close(error, out),
        }
    }

    fn take_connect(&self, json: &[u8], rules: &GatewayRules) -> Result<ServerConnect, LinkError> {
        if self.wait != Wait::Connect {
            return Err(LinkError::OutOfTurn);
        }
        let connect = ServerConnect::parse(json)?;
        if connect.gateway.is_empty() {
            return Err(LinkError::StrangerOnGatewayPort);
        }
        if !rules.is_wanted(&connect.gateway) {
            return Err(LinkError::UnknownGateway { local: rules.info.gateway.clone() });
        }
        Ok(connect)
    }

    /// The login was good.
    pub fn on_admitted(&mut self) {
        if self.wait == Wait::Verdict {
            self.wait = Wait::Info;
        }
    }

    /// The first INFO has come.
    pub fn on_info(&mut self, info: Info, rules: &GatewayRules, out: &mut Vec<GatewayEffect>) {
        if let Err(error) = self.take_info(info, rules, out) {
            self.close(error, out);
        }
    }

    fn take_info(&mut self, info: Info, rules: &GatewayRules, out: &mut Vec<GatewayEffect>) -> Result<(), LinkError> {
        match (&self.wait, &self.wanted) {
            (Wait::RemoteInfo, Some(wanted)) => {
                judge_gateway(&info, wanted, rules)?;
                rules.judge_name(&info.server_name)?;
                out.extend(self.connect.take().map(GatewayEffect::SendConnect));
                out.push(GatewayEffect::SendInfo(Box::new(rules.info.clone())));
                out.push(GatewayEffect::RegisterOutbound(Box::new(info)));
            }
            // It is the cluster as which it was let in.
            (Wait::Info, None) if info.gateway != self.announced => {
                return Err(LinkError::UnknownGateway { local: rules.info.gateway.clone() });
            }
            (Wait::Info, None) => {
                rules.judge_name(&info.server_name)?;
                out.push(GatewayEffect::RegisterInbound(Box::new(info)));
            }
            _ => return Err(LinkError::OutOfTurn),
        }
        self.wait = Wait::Over;
        Ok(())
    }

    /// The handshake is over.
    pub fn is_registered(&self) -> bool {
        self.wait == Wait::Over
    }

    fn close(&mut self, error: LinkError, out: &mut Vec<GatewayEffect>) {
        self.wait = Wait::Closed;
        out.push(GatewayEffect::Close(error));
    }
}

fn judge_gateway(info: &Info, wanted: &str, rules: &GatewayRules) -> Result<(), LinkError> {
    if info.gateway.is_empty() {
        return Err(LinkError::WrongGatewayPort { gateway: wanted.to_owned() });
    }
    if info.gateway != wanted {
        return Err(LinkError::OtherGateway {
            local: rules.info.gateway.clone(),
            wanted: wanted.to_owned(),
            found: info.gateway.clone(),
        });
    }
    Ok(())
}

const GOSSIP: u8 = 1;
const ALL_SUBS_START: u8 = 2;
const ALL_SUBS_COMPLETE: u8 = 3;

/// What a later INFO on an outbound gateway is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayNews {
    /// About another gateway: connect to it, if it is wanted.
    Gateway(Box<Info>),
    /// The peer begins to send all interest of an account.
    AllInterestFollows(String),
    /// It has sent all.
    AllInterestSent(String),
    /// The peer's own URLs.
    Urls(Vec<String>),
    /// A command nobody knows.
    Unknown(u8),
}

/// Sorts an INFO that came on a registered outbound connection to the gateway `name`.
///
/// # Errors
/// The reason to close.
pub fn gateway_news(info: Info, name: &str, rules: &GatewayRules) -> Result<Option<GatewayNews>, LinkError> {
    if info.gateway != name {
        if info.gateway_cmd == GOSSIP && !info.gateway.is_empty() {
            return Ok(rules.is_wanted(&info.gateway).then(|| GatewayNews::Gateway(Box::new(info))));
        }
        judge_gateway(&info, name, rules)?;
    }
    Ok(Some(match info.gateway_cmd {
        0 => GatewayNews::Urls(info.gateway_urls),
        ALL_SUBS_START => GatewayNews::AllInterestFollows(account_of(info.gateway_cmd_payload, "start")?),
        ALL_SUBS_COMPLETE => GatewayNews::AllInterestSent(account_of(info.gateway_cmd_payload, "complete")?),
        command => GatewayNews::Unknown(command),
    }))
}

fn account_of(payload: Option<Base64>, command: &'static str) -> Result<String, LinkError> {
    let bytes = payload.map(|Base64(bytes)| bytes).filter(|bytes| !bytes.is_empty());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(LinkError::CommandWithoutAccount(command))
}

/// The INFO that tells of a gateway: to inbound gateways, and with `for_route` to the servers of this cluster.
pub fn gossip_info(gateway: &str, urls: Vec<String>, server_id: &str, for_route: bool) -> Info {
    let server_id = if for_route { format!("GW{server_id}") } else { server_id.to_owned() };
    Info { server_id, gateway: gateway.to_owned(), gateway_urls: urls, gateway_cmd: GOSSIP, ..Info::default() }
}

/// The INFO before (`false`) or after (`true`) all interest of an account.
pub fn all_interest_info(gateway: &str, account: &str, is_complete: bool) -> Info {
    Info {
        gateway: gateway.to_owned(),
        gateway_cmd: if is_complete { ALL_SUBS_COMPLETE } else { ALL_SUBS_START },
        gateway_cmd_payload: Some(Base64(account.as_bytes().to_vec())),
        ..Info::default()
    }
}
