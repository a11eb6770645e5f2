//! A sequential connection: what is written is answered before the next thing is written.
//!
//! Publishing is fire and forget in the protocol, and a refusal comes later. A person who typed `nats pub` wants to know:
//! a PING after the message brings back either the refusal or a PONG, in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::rustls::pki_types::ServerName;
use async_nats::{HeaderMap, ServerAddr};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::context::Record;
use crate::failure::advise;
use crate::link::explain::{refused, server_fault, unreachable};
use crate::link::identity::base64_url;
use crate::link::trust::{Stapled, TlsFacts, accept_any_config, client_config};
use crate::link::{Counted, Counter, Identity, servers, socks};

/// The longest line a server may send: an INFO that lists a large cluster.
const MAX_LINE_BYTES: u64 = 1 << 20;
/// Room for everything that is written before a flush.
const BUFFER_BYTES: usize = 64 << 10;

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What a server says of itself in its greeting.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Greeting {
    pub(crate) server_name: String,
    pub(crate) server_id: String,
    pub(crate) version: String,
    pub(crate) max_payload: u64,
    pub(crate) headers: bool,
    pub(crate) tls_required: bool,
    pub(crate) tls_available: bool,
    pub(crate) auth_required: bool,
    pub(crate) nonce: String,
    pub(crate) client_ip: String,
    pub(crate) client_id: u64,
    pub(crate) cluster: String,
    pub(crate) acc_is_sys: bool,
}

/// A message on its way out.
pub(crate) struct Outgoing<'a> {
    pub(crate) subject: &'a str,
    pub(crate) reply: Option<&'a str>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// One connection to one server.
pub(crate) struct Line {
    wire: BufStream<Box<dyn Wire>>,
    patience: Duration,
    /// The server this is a line to.
    pub(crate) server: ServerAddr,
    /// The address it was reached by.
    pub(crate) address: String,
    pub(crate) greeting: Greeting,
    pub(crate) tls: Option<TlsFacts>,
}

#[derive(Serialize)]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

impl Line {
    /// Connects to the first server that lets us in.
    pub(crate) async fn dial(settings: &Record, name: &str, patience: Duration) -> Result<Self> {
        let identity = Identity::of(settings)?;
        let mut failed = None;
        for server in servers(&settings.url)? {
            match Self::dial_server(&server, None, settings, &identity, name, patience).await {
                Ok(line) => return Ok(line),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| anyhow!("no server to connect to")))
    }

    /// Connects to one server, at one of its addresses when given.
    pub(crate) async fn dial_server(
        server: &ServerAddr,
        address: Option<SocketAddr>,
        settings: &Record,
        identity: &Identity,
        name: &str,
        patience: Duration,
    ) -> Result<Self> {
        let identity = identity.for_server(server);
        let reached = match timeout(patience, Self::reach(server, address, settings, patience, false)).await {
            Ok(reached) => reached,
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        };
        let mut line = reached.map_err(|error| unreachable(server, &error))?;
        line.log_in(&identity, name).await?;
        Ok(line)
    }

    /// Makes the TLS handshake and does not log in: for looking at certificates.
    pub(crate) async fn peek(server: &ServerAddr, settings: &Record, patience: Duration) -> Result<Self> {
        match timeout(patience, Self::reach(server, None, settings, patience, true)).await {
            Ok(reached) => reached.map_err(|error| unreachable(server, &error)),
            Err(_) => bail!("{} did not answer in time", server.host()),
        }
    }

    /// TCP, the greeting, and TLS in the order the server wants them.
    async fn reach(
        server: &ServerAddr,
        address: Option<SocketAddr>,
        settings: &Record,
        patience: Duration,
        any_certificate: bool,
    ) -> Result<Self> {
        if server.is_websocket() {
            bail!("this command does not speak WebSocket: use a nats:// or tls:// server");
        }
        let stream = open(server, address, settings).await?;
        let address = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
        let mut line = Self::on(Box::new(stream), server, patience);
        line.address = address;
        let stapled = Stapled::default();
        let config = || if any_certificate { accept_any_config(settings, &stapled) } else { client_config(settings) };
        if settings.tls_first {
            line = line.secure(config()?).await?;
        }
        line.greeting = line.greet().await?;
        let wanted =
            server.tls_required() || line.greeting.tls_required || (any_certificate && line.greeting.tls_available);
        if line.tls.is_none() && wanted {
            let greeting = std::mem::take(&mut line.greeting);
            line = line.secure(config()?).await?;
            line.greeting = greeting;
        }
        if let Some(facts) = &mut line.tls {
            facts.stapled = stapled;
        }
        Ok(line)
    }

    fn on(wire: Box<dyn Wire>, server: &ServerAddr, patience: Duration) -> Self {
        let wire = BufStream::with_capacity(BUFFER_BYTES, BUFFER_BYTES, wire);
        Self {
            wire,
            patience,
            server: server.clone(),
            address: String::new(),
            greeting: Greeting::default(),
            tls: None,
        }
    }

    async fn secure(self, config: async_nats::rustls::ClientConfig) -> Result<Self> {
        let name = ServerName::try_from(self.server.host().to_owned())
            .with_context(|| format!("{:?} is not a server name", self.server.host()))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, self.wire.into_inner()).await?;
        let facts = TlsFacts::of(stream.get_ref().1);
        let mut line = Self::on(Box::new(stream), &self.server, self.patience);
        (line.address, line.tls) = (self.address, Some(facts));
        Ok(line)
    }

    async fn greet(&mut self) -> Result<Greeting> {
        let line = self.read_line().await.context("the server closed the connection before its greeting")?;
        let json =
            line.strip_prefix("INFO ").ok_or_else(|| anyhow!("expected a NATS greeting, got {:?}", short(&line)))?;
        serde_json::from_str(json).context("the server's greeting is not valid")
    }

    /// CONNECT and PING; the answer is a PONG or the reason why not.
    async fn log_in(&mut self, identity: &Identity, name: &str) -> Result<()> {
        let answer = identity.answer(&self.greeting.nonce);
        let connect = Connect {
            verbose: false,
            pedantic: false,
            tls_required: self.tls.is_some(),
            name,
            lang: "rust",
            version: env!("CARGO_PKG_VERSION"),
            protocol: 1,
            echo: true,
            headers: true,
            no_responders: true,
            user: answer.user,
            pass: answer.password,
            auth_token: answer.token,
            jwt: answer.jwt,
            nkey: answer.nkey,
            sig: answer.signature.map(|signature| base64_url(&signature)),
        };
        let text = serde_json::to_string(&connect)?;
        self.wire.write_all(format!("CONNECT {text}\r\nPING\r\n").as_bytes()).await?;
        match self.until_pong().await {
            Ok(()) => Ok(()),
            Err(Heard::Refusal(text)) => Err(refused(&text, &self.server, identity)),
            Err(Heard::Failure(error)) => Err(unreachable(&self.server, &error)),
        }
    }

    /// Writes a message; [`Line::flush`] says whether the server took it.
    pub(crate) async fn publish(&mut self, message: &Outgoing<'_>) -> Result<()> {
        let encoded = encode_message(message, self.greeting.max_payload)?;
        self.write(&encoded).await
    }

    /// Writes operations that are encoded already.
    pub(crate) async fn write(&mut self, encoded: &[u8]) -> Result<()> {
        Ok(self.wire.write_all(encoded).await?)
    }

    /// Sends what was written, without waiting for anything.
    pub(crate) async fn push(&mut self) -> Result<()> {
        Ok(self.wire.flush().await?)
    }

    /// Subscribes and waits until the server knows; messages are only counted, also those that come before it said so.
    pub(crate) async fn subscribe(&mut self, subject: &str, counter: &mut Counter) -> Result<Counted> {
        check_subject(subject)?;
        self.write(format!("SUB {subject} 1\r\nPING\r\n").as_bytes()).await?;
        self.push().await?;
        let mut sum = Counted::default();
        while sum.pongs == 0 {
            sum.add(&self.count(counter).await?);
        }
        Ok(sum)
    }

    /// Waits for messages and counts them.
    pub(crate) async fn count(&mut self, counter: &mut Counter) -> Result<Counted> {
        let mut counted = Counted::default();
        let read = {
            let bytes = self.wire.fill_buf().await?;
            counter.take(bytes, &mut counted)?;
            bytes.len()
        };
        if read == 0 {
            bail!("the server closed the connection");
        }
        self.wire.consume(read);
        if counted.pings > 0 {
            self.write(b"PONG\r\n").await?;
            self.push().await?;
        }
        match counted.refusal {
            Some(text) => Err(server_fault(&text)),
            None => Ok(counted),
        }
    }

    /// Waits until the server has seen everything so far. A refusal that it sent on the way is the error.
    pub(crate) async fn flush(&mut self) -> Result<Duration> {
        let start = Instant::now();
        self.wire.write_all(b"PING\r\n").await?;
        match self.until_pong().await {
            Ok(()) => Ok(start.elapsed()),
            Err(Heard::Refusal(text)) => Err(server_fault(&text)),
            Err(Heard::Failure(error)) => Err(error),
        }
    }

    async fn until_pong(&mut self) -> Result<(), Heard> {
        let patience = self.patience;
        match timeout(patience, self.pong()).await {
            Ok(heard) => heard,
            Err(_) => Err(Heard::Failure(std::io::Error::from(std::io::ErrorKind::TimedOut).into())),
        }
    }

    async fn pong(&mut self) -> Result<(), Heard> {
        self.wire.flush().await.map_err(|error| Heard::Failure(error.into()))?;
        let mut refusal = None;
        loop {
            let line = match self.read_line().await {
                Ok(line) => line,
                Err(error) => return Err(refusal.map_or(Heard::Failure(error), Heard::Refusal)),
            };
            match line.split_once(' ').map_or((line.as_str(), ""), |(op, rest)| (op, rest)) {
                ("PONG", _) => return refusal.map_or(Ok(()), |text| Err(Heard::Refusal(text))),
                ("PING", _) => self.wire.write_all(b"PONG\r\n").await.map_err(|error| Heard::Failure(error.into()))?,
                ("-ERR", text) => refusal = refusal.or_else(|| Some(text.to_owned())),
                ("INFO", json) => self.greeting = serde_json::from_str(json).unwrap_or_else(|_| self.greeting.clone()),
                _ => {}
            }
        }
    }

    async fn read_line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let read = (&mut self.wire).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        if !line.ends_with(b"\n") {
            bail!("the server sent an unfinished line");
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// What stands in the way of a PONG.
enum Heard {
    Refusal(String),
    Failure(anyhow::Error),
}

async fn open(server: &ServerAddr, address: Option<SocketAddr>, settings: &Record) -> Result<TcpStream> {
    let stream = match address {
        _ if !settings.socks_proxy.is_empty() => {
            socks::connect(&settings.socks_proxy, server.host(), server.port()).await?
        }
        Some(address) => TcpStream::connect(address).await?,
        None => TcpStream::connect((server.host(), server.port())).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A message as it goes over the wire.
pub(crate) fn encode_message(message: &Outgoing<'_>, max_payload: u64) -> Result<Vec<u8>> {
    check_subject(message.subject)?;
    message.reply.map_or(Ok(()), check_subject)?;
    let headers = encode_headers(message.headers)?;
    let size = headers.len() + message.body.len();
    if size as u64 > max_payload {
        return Err(advise(
            "nats: maximum payload exceeded",
            format!("the message has {size} bytes, the server takes at most {max_payload}"),
        ));
    }
    let reply = message.reply.map(|reply| format!(" {reply}")).unwrap_or_default();
    let head = if headers.is_empty() {
        format!("PUB {}{reply} {size}\r\n", message.subject)
    } else {
        format!("HPUB {}{reply} {} {size}\r\n", message.subject, headers.len())
    };
    Ok([head.as_bytes(), &headers, message.body, b"\r\n"].concat())
}

fn check_subject(subject: &str) -> Result<()> {
    let is_empty_token = subject.split('.').any(str::is_empty);
    if is_empty_token || subject.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(advise(
            format!("nats: invalid subject {subject:?}"),
            "a subject is made of words joined by dots, without blanks: orders.created",
        ));
    }
    Ok(())
}

fn encode_headers(headers: &HeaderMap) -> Result<Vec<u8>> {
    let mut block = Vec::new();
    for (name, values) in headers.iter() {
        for value in values {
            let (name, value): (&str, &str) = (name.as_ref(), value.as_ref());
            if name.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
                bail!("invalid header {name:?}: a header has no line breaks");
            }
            block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
    }
    if block.is_empty() {
        return Ok(block);
    }
    Ok([b"NATS/1.0\r\n".as_slice(), &block, b"\r\n"].concat())
}

fn short(line: &str) -> String {
    line.chars().take(60).collect()
}
