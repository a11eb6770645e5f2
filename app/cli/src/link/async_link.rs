//! The connection most commands use: `async-nats`, with what happens to it logged as people know it.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use async_nats::{Auth, Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ServerAddr, ServerError};
use tokio::sync::watch;

use crate::context::Record;
use crate::invocation::Invocation;
use crate::link::explain::{refused, server_fault, unreachable};
use crate::link::{Identity, servers, socks, trust};
use crate::show::log;
use crate::template::random_below;

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that wait for us before the client counts us as slow.
const SUBSCRIPTION_CAPACITY: usize = 512 * 1024;
/// Pauses between attempts to connect again, in milliseconds; the last one repeats.
const PAUSES: [u64; 44] = [
    500, 750, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 5500, 5750, 6000, 6500, 7000, 7500, 8000, 8500,
    9000, 9500, 10000, 10500, 10750, 11000, 11500, 12000, 12500, 13000, 13500, 14000, 14500, 15000, 15500, 15750,
    16000, 16500, 17000, 17500, 18000, 18500, 19000, 19500, 20000,
];

/// A connection, and the errors the server sends on it.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) server: ServerAddr,
    faults: Arc<watch::Sender<Option<String>>>,
}

impl Link {
    /// Waits until the server complains.
    pub(crate) async fn fault(&self) -> anyhow::Error {
        match self.faults.subscribe().wait_for(Option::is_some).await {
            Ok(text) => server_fault(text.as_deref().unwrap_or_default()),
            Err(_) => anyhow!("nats: connection closed"),
        }
    }

    /// Forgets what the server complained of, before something else is tried.
    pub(crate) fn forgive(&self) {
        self.faults.send_replace(None);
    }

    /// Does some work, unless the server complains first.
    pub(crate) async fn unless_fault<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            fault = self.fault() => Err(fault),
        }
    }
}

/// Connects as the settings say.
pub(crate) async fn connect(invocation: &Invocation, settings: &Record) -> Result<Link> {
    let identity = Identity::of(settings)?;
    let given = servers(&settings.url)?;
    let first = given.first().cloned().ok_or_else(|| anyhow!("no server to connect to"))?;
    let identity =
        given.iter().find(|server| server.has_user_pass()).map_or(identity.clone(), |s| identity.for_server(s));
    let was_connected = Arc::new(AtomicBool::new(false));
    let faults = Arc::new(watch::channel(None).0);
    let options = options(invocation, settings, &identity);
    let options = listening(options, invocation.is_traced(), first.clone(), &was_connected, Arc::clone(&faults));
    let (options, reached) = through_proxy(options, settings, &given).await?;
    let client = options.connect(reached).await.map_err(|error| explain(&error, &first, &identity))?;
    Ok(Link { client, server: first, faults })
}

fn options(invocation: &Invocation, settings: &Record, identity: &Identity) -> ConnectOptions {
    let identity = identity.clone();
    let mut options = ConnectOptions::with_auth_callback(move |nonce| {
        let answer = identity.answer(&String::from_utf8_lossy(&nonce));
        async move {
            let mut auth = Auth::new();
            (auth.username, auth.password, auth.token) = (answer.user, answer.password, answer.token);
            (auth.jwt, auth.nkey, auth.signature) = (answer.jwt, answer.nkey, answer.signature);
            Ok(auth)
        }
    })
    .name(invocation.connection_name())
    .connection_timeout(CONNECT_TIMEOUT)
    .request_timeout(Some(invocation.timeout()))
    .subscription_capacity(SUBSCRIPTION_CAPACITY);
    if !settings.inbox_prefix.is_empty() {
        options = options.custom_inbox_prefix(settings.inbox_prefix.trim_end_matches('.'));
    }
    if settings.tls_first {
        options = options.tls_first();
    }
    // Files are read by the client, and only when a server wants TLS: the system's authorities take a while to load.
    if !settings.ca.is_empty() {
        options = options.add_root_certificates(trust::file_of(&settings.ca));
    }
    if !settings.cert.is_empty() {
        options = options.add_client_certificate(trust::file_of(&settings.cert), trust::file_of(&settings.key));
    }
    options
}

/// Logs what happens to the connection and remembers what the server complains of.
fn listening(
    options: ConnectOptions,
    is_traced: bool,
    server: ServerAddr,
    was_connected: &Arc<AtomicBool>,
    tell: Arc<watch::Sender<Option<String>>>,
) -> ConnectOptions {
    let place = super::without_password(server.as_url_str());
    let connected = Arc::clone(was_connected);
    let options = options.event_callback(move |event| {
        match event {
            Event::Connected => {
                let again = connected.swap(true, Ordering::Relaxed);
                if is_traced {
                    log!(">>> {} to {place}", if again { "Reconnected" } else { "Connected" });
                }
            }
            Event::Disconnected => log!(">>> Disconnected due to: the connection was lost, will attempt reconnect"),
            Event::ServerError(error) => {
                let text = match error {
                    ServerError::AuthorizationViolation => "Authorization Violation".to_owned(),
                    ServerError::SlowConsumer(sid) => format!("slow consumer on subscription {sid}"),
                    ServerError::Other(text) => text,
                };
                if is_traced {
                    log!(">>> Unexpected NATS error: {text}");
                }
                tell.send_replace(Some(text));
            }
            Event::SlowConsumer(sid) => log!(">>> Slow consumer: messages of subscription {sid} were dropped"),
            Event::ClientError(error) if is_traced => log!(">>> Reconnect error: {error}"),
            Event::LameDuckMode if is_traced => log!(">>> The server is going into lame duck mode"),
            _ => {}
        }
        std::future::ready(())
    });
    let connected = Arc::clone(was_connected);
    options.reconnect_delay_callback(move |attempts| {
        if !connected.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let delay = pause(attempts);
        if is_traced {
            log!(">>> Setting reconnect delay to {}", crate::show::go_duration(delay));
        }
        delay
    })
}

/// Between half of a step and one and a half of it, so that many clients do not come back at once.
fn pause(attempts: usize) -> Duration {
    let step = PAUSES.get(attempts.saturating_sub(1)).copied().unwrap_or(20_000);
    Duration::from_millis(step / 2 + random_below(step))
}

/// With a proxy, every server is reached through a local door, and checked under its own name.
async fn through_proxy(
    options: ConnectOptions,
    settings: &Record,
    given: &[ServerAddr],
) -> Result<(ConnectOptions, Vec<ServerAddr>)> {
    if settings.socks_proxy.is_empty() {
        return Ok((options, given.to_vec()));
    }
    let mut doors = Vec::new();
    for server in given {
        let proxy = settings.socks_proxy.clone();
        let port = socks::local_door(proxy, server.host().to_owned(), server.port()).await?;
        doors.push(format!("{}://127.0.0.1:{port}", server.scheme()).parse()?);
    }
    let name = given.first().map_or("", ServerAddr::host);
    let config = trust::client_config_for(settings, name)?;
    Ok((options.tls_client_config(config).ignore_discovered_servers(), doors))
}

fn explain(error: &ConnectError, server: &ServerAddr, identity: &Identity) -> anyhow::Error {
    let source = error.source().map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => refused("Authorization Violation", server, identity),
        ConnectErrorKind::Io if source.starts_with("nats: ") => {
            refused(source.trim_start_matches("nats: "), server, identity)
        }
        ConnectErrorKind::TimedOut => unreachable(server, &std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        _ => unreachable(server, &cause(error)),
    }
}

/// The causes below a connect error, with the kind of an I/O error kept.
fn cause(error: &ConnectError) -> anyhow::Error {
    let mut source = error.source();
    let mut texts = Vec::new();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return std::io::Error::new(io.kind(), io.to_string()).into();
        }
        texts.push(cause.to_string());
        source = cause.source();
    }
    anyhow!(if texts.is_empty() { error.to_string() } else { texts.join(": ") })
}
