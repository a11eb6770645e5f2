//! Accounts from a server on the web: `GET <address>/<account>` gives the token.
//!
//! Fetches run on a thread of their own, so many at once and no longer than [`FETCH_TIMEOUT`] each: an account server that
//! hangs costs no login a thread, and its answer is bounded like every token.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jwt::bounds::MAX_TOKEN_BYTES;
use nkeys::PublicKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use tls::ClientTls;

/// How long a fetch may take, all in all.
pub const FETCH_TIMEOUT: Duration = Duration::from_millis(1900);
/// Fetches at once. One more is refused.
pub const MAX_FETCHES: usize = 64;
/// How often an answer may point elsewhere.
const MAX_REDIRECTS: usize = 3;

/// Why the account server gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebError {
    /// The address is none.
    Address(String),
    /// It answered something else than "here it is".
    Status(u16),
    /// It did not answer in time.
    TimedOut,
    /// It cannot be reached, or does not speak as it should.
    Transport(String),
    /// What it answered is too long for a token, or no text.
    NotAToken,
    /// It points elsewhere for ever.
    Redirects,
    /// So much is being fetched that this is not taken in.
    TooMany,
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address:?} is no web address"),
            Self::Status(code) => {
                let reason = StatusCode::from_u16(*code).ok().and_then(|status| status.canonical_reason());
                write!(f, "{code} {}", reason.unwrap_or_default())
            }
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Transport(error) => f.write_str(error),
            Self::NotAToken => f.write_str("the answer is no token"),
            Self::Redirects => f.write_str("the answers point elsewhere for ever"),
            Self::TooMany => f.write_str("too many accounts are being fetched"),
        }
    }
}

impl std::error::Error for WebError {}

/// A server that has accounts.
pub struct AccountServer {
    client: Arc<Client>,
    handle: Handle,
    permits: Arc<Semaphore>,
    /// The thread ends when this goes.
    _alive: oneshot::Sender<()>,
}

struct Client {
    /// Without a slash at its end.
    base: String,
    authorization: Option<String>,
    tls: Option<ClientTls>,
}

impl AccountServer {
    /// Starts the thread that fetches. `tls` is for an address that begins with `https`.
    ///
    /// # Errors
    /// If the address is none, or the system gives no thread.
    pub fn start(address: &str, tls: Option<ClientTls>) -> Result<Self, WebError> {
        let client = Arc::new(Client::new(address, tls)?);
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| WebError::Transport(error.to_string()))?;
        let handle = runtime.handle().clone();
        let (alive, end) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("accounts".into());
        let thread = thread.spawn(move || drop(runtime.block_on(end)));
        thread.map_err(|error| WebError::Transport(error.to_string()))?;
        Ok(Self { client, handle, permits: Arc::new(Semaphore::new(MAX_FETCHES)), _alive: alive })
    }

    /// Fetches an account's token and hands it to `done`, on the thread that fetches.
    ///
    /// # Errors
    /// If too much is being fetched.
    pub fn fetch(
        &self,
        account: &PublicKey,
        done: impl FnOnce(Result<String, WebError>) + Send + 'static,
    ) -> Result<(), WebError> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| WebError::TooMany)?;
        let (client, account) = (self.client.clone(), account.to_string());
        self.handle.spawn(async move {
            done(client.fetch(&account).await);
            drop(permit);
        });
        Ok(())
    }

    /// Whether anybody answers at the address. Waits.
    ///
    /// # Errors
    /// Why nobody does.
    pub fn probe(&self) -> Result<(), WebError> {
        let (tell, told) = std::sync::mpsc::channel();
        let client = self.client.clone();
        self.handle.spawn(async move { tell.send(client.fetch("").await) });
        told.recv_timeout(FETCH_TIMEOUT * 2).unwrap_or(Err(WebError::TimedOut)).map(drop)
    }
}

impl Client {
    fn new(address: &str, tls: Option<ClientTls>) -> Result<Self, WebError> {
        let odd = || WebError::Address(address.split('@').next_back().unwrap_or_default().to_owned());
        let uri: Uri = address.parse().map_err(|_| odd())?;
        let authority = uri.authority().ok_or_else(odd)?.as_str();
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(odd());
        }
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        let (scheme, path) = (uri.scheme_str().unwrap_or_default(), uri.path().trim_end_matches('/'));
        let authorization = user.map(|user| format!("Basic {}", BASE64.encode(user.as_bytes())));
        Ok(Self { base: format!("{scheme}://{host}{path}"), authorization, tls })
    }

    async fn fetch(&self, account: &str) -> Result<String, WebError> {
        timeout(FETCH_TIMEOUT, self.follow(format!("{}/{account}", self.base))).await.unwrap_or(Err(WebError::TimedOut))
    }

    /// Asks, and again where the answer points elsewhere.
    async fn follow(&self, mut address: String) -> Result<String, WebError> {
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = address.parse().map_err(|_| WebError::Address(address.clone()))?;
            let response = self.get(&uri).await?;
            if !response.status().is_redirection() {
                return token(response).await;
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            address = elsewhere(&uri, location.unwrap_or_default());
        }
        Err(WebError::Redirects)
    }

    async fn get(&self, uri: &Uri) -> Result<Response<hyper::body::Incoming>, WebError> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().ok_or_else(|| WebError::Address(uri.to_string()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((bare, port)).await.map_err(|error| transport(&error))?;
        if !secure {
            return self.ask(stream, uri).await;
        }
        let tls = self.tls.as_ref().ok_or_else(|| WebError::Address(uri.to_string()))?;
        let stream = tls.connect_stream(stream, bare).await.map_err(|fault| WebError::Transport(fault.to_string()))?;
        self.ask(stream, uri).await
    }

    async fn ask<S>(&self, stream: S, uri: &Uri) -> Result<Response<hyper::body::Incoming>, WebError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| transport(&error))?;
        // It ends with the answer; the timeout of the fetch ends whatever hangs.
        tokio::spawn(async move { drop(connection.await) });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let mut request = Request::get(path).header(HOST, authority).header(USER_AGENT, "nats-server");
        // What was written for one host is told to no other.
        let is_ours = self.base.starts_with(&format!("{}://{authority}", uri.scheme_str().unwrap_or_default()));
        if let Some(authorization) = self.authorization.as_ref().filter(|_| is_ours) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| transport(&error))?;
        sender.send_request(request).await.map_err(|error| transport(&error))
    }
}

fn transport(error: &dyn std::error::Error) -> WebError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    WebError::Transport(text)
}

/// The body of an answer, if it could be a token.
async fn token(response: Response<hyper::body::Incoming>) -> Result<String, WebError> {
    if response.status() != StatusCode::OK {
        return Err(WebError::Status(response.status().as_u16()));
    }
    let body = Limited::new(response.into_body(), MAX_TOKEN_BYTES).collect().await;
    let body = body.map_err(|error| match error.is::<LengthLimitError>() {
        true => WebError::NotAToken,
        false => WebError::Transport(error.to_string()),
    })?;
    let text = String::from_utf8(body.to_bytes().into()).map_err(|_| WebError::NotAToken)?;
    Ok(text.trim_ascii().to_owned())
}

/// Where an answer points: to another address, or to another path of the same.
fn elsewhere(from: &Uri, location: &str) -> String {
    let host =
        format!("{}://{}", from.scheme_str().unwrap_or_default(), from.authority().map_or("", |all| all.as_str()));
    match location {
        absolute if absolute.contains("://") => absolute.to_owned(),
        rooted if rooted.starts_with('/') => format!("{host}{rooted}"),
        relative => {
            let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{host}{folder}/{relative}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_into_what_is_asked_and_who_asks() {
        let client = Client::new("http://joe:pa@accounts:9090/jwt/v1/", None).unwrap();
        assert_eq!(client.base, "http://accounts:9090/jwt/v1");
        assert_eq!(client.authorization.as_deref(), Some("Basic am9lOnBh"));
        for odd in ["", "accounts", "ftp://accounts", "http:///x", "http://"] {
            assert!(matches!(Client::new(odd, None), Err(WebError::Address(_))), "{odd}");
        }
        assert_eq!(Client::new("x://u:secret@h", None).err(), Some(WebError::Address("h".into())));
    }

    #[test]
    fn an_answer_may_point_elsewhere_in_three_ways() {
        let from: Uri = "http://a:1/jwt/v1/AB".parse().unwrap();
        assert_eq!(elsewhere(&from, "https://b/x"), "https://b/x");
        assert_eq!(elsewhere(&from, "/x"), "http://a:1/x");
        assert_eq!(elsewhere(&from, "x"), "http://a:1/jwt/v1/x");
    }
}
